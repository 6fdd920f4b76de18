"""Chooses a recipe on a validation split of the training pictures; the test pictures stay unseen.

``python tests/benchmarks/choose_recipe.py optdigits`` (ten minutes) or ``... quick`` (MNIST from
``digitcli download``; four minutes). A stratified part of the training pictures is held out, each
candidate is trained on the rest with several seeds, and its mean accuracy on the part held out is
printed as a line of JSON.
"""

import itertools
import json
import statistics
import sys

import torch
from sklearn.model_selection import train_test_split
from speed import data_dir

from digitcli.console.download import DownloadDisplay
from digitcli.core.errors import DigitcliError
from digitcli.core.recipes import QUICK, Recipe
from digitcli.core.training import TrainingData, train
from digitcli.data.datasets import DATASETS, Source

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
CHOICES = {  # candidates, data set, share held out, seeds
    "optdigits": (OPTDIGITS, "optdigits", 0.2, range(5)),
    "quick": (QUICKS, "mnist", 1 / 6, range(3)),
}


def validation_data(name: str, share: float) -> TrainingData:
    dataset = DATASETS[name]
    with DownloadDisplay() as progress:
        split = dataset.load("train", Source(data_dir(), [], progress))
    train_images, held_images, train_labels, held_labels = train_test_split(
        split.images, split.labels, test_size=share, random_state=1, stratify=split.labels
    )
    return TrainingData(
        name=dataset.name,
        classes=dataset.classes,
        mean=dataset.mean,
        std=dataset.std,
        train_images=train_images,
        train_labels=train_labels,
        test_images=held_images,
        test_labels=held_labels,
    )


def accuracy_and_seconds(data: TrainingData, recipe: Recipe, seed: int) -> tuple[float, float]:
    try:
        state = train(data, recipe, seed=seed, log_every=10_000, device=torch.device("cpu"))
    except DigitcliError:  # the loss became infinite
        return 0.0, 0.0
    return state.checkpoint.metadata.accuracies[-1].accuracy, state.seconds


def main() -> None:
    candidates, name, share, seeds = CHOICES[sys.argv[1]]
    data = validation_data(name, share)
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
