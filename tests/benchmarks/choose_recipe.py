"""Chooses a recipe on a validation split of the training pictures; the test pictures stay unseen.

``python tests/benchmarks/choose_recipe.py optdigits`` (ten minutes) or ``... quick`` (MNIST from
``digitcli download``; four minutes). A stratified part of the training pictures is held out, as by
``digitcli train --validation``, each candidate is trained on the rest with several seeds, and its
mean accuracy on the part held out is printed as a line of JSON.
"""

import itertools
import json
import statistics
import sys

import torch
from speed import data_dir

from digitcli.console.download import DownloadDisplay
from digitcli.core.batches import TrainingData
from digitcli.core.errors import DigitcliError
from digitcli.core.recipes import QUICK, Recipe
from digitcli.core.training import train
from digitcli.data.datasets import DATASETS, Source
from digitcli.data.split import hold_out

OPTDIGITS = [
    Recipe("optdigits", epochs, batch_size, lr, momentum)
    for (epochs, batch_size), (lr, momentum) in itertools.product(
        [(20, 16), (40, 16), (40, 32), (80, 32), (80, 64)],
        [(0.01, 0.5), (0.01, 0.9), (0.03, 0.9), (0.05, 0.9), (0.1, 0.5)],
    )
]
QUICKS = [
    Recipe("quick", 3, batch_size, lr, 0.9, nesterov=True, schedule=QUICK.schedule)
    for batch_size in (64, 128)
    for lr in (0.03, 0.05, 0.1, 0.15)
]
CHOICES = {  # candidates, data set, pictures held out, seeds
    "optdigits": (OPTDIGITS, "optdigits", 288, range(5)),
    "quick": (QUICKS, "mnist", 10_000, range(3)),
}


def validation_data(name: str, count: int) -> TrainingData:
    dataset = DATASETS[name]
    with DownloadDisplay() as progress:
        split = dataset.load("train", Source(data_dir(), [], progress))
    left, held = hold_out(split, count, seed=1)
    return TrainingData(
        name=dataset.name,
        classes=dataset.classes,
        mean=dataset.mean,
        std=dataset.std,
        train_images=left.images,
        train_labels=left.labels,
        scored_images=held.images,
        scored_labels=held.labels,
        scored_on="validation",
        checksums=split.checksums,
    )


def accuracy_and_seconds(data: TrainingData, recipe: Recipe, seed: int) -> tuple[float, float]:
    try:
        state = train(data, recipe, seed=seed, log_every=10_000, device=torch.device("cpu"))
    except DigitcliError:  # the loss became infinite
        return 0.0, 0.0
    return state.checkpoint.metadata.accuracies[-1].accuracy, state.seconds


def main() -> None:
    candidates, name, count, seeds = CHOICES[sys.argv[1]]
    data = validation_data(name, count)
    for recipe in candidates:
        runs = [accuracy_and_seconds(data, recipe, seed) for seed in seeds]
        accuracies, seconds = zip(*runs, strict=True)
        row = {
            "epochs": recipe.epochs,
            "batch_size": recipe.batch_size,
            "lr": recipe.lr,
            "momentum": recipe.momentum,
            "validation_accuracy": round(statistics.mean(accuracies), 4),
            "worst": round(min(accuracies), 4),
            "seconds": round(statistics.median(seconds), 2),
        }
        print(json.dumps(row), flush=True)


if __name__ == "__main__":
    main()
