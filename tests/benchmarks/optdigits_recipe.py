"""Chooses the recipe for optdigits on a validation split of its training pictures.

Run it with ``python tests/benchmarks/optdigits_recipe.py``. The test pictures are not touched: a
stratified fifth of the training pictures is held out, each candidate is trained on the rest with
five seeds, and the mean accuracy on the held-out fifth decides.
"""

import itertools
import json
import statistics
import sys

import torch
from sklearn.model_selection import train_test_split

from digitcli.core.recipes import Recipe
from digitcli.core.training import Observer, TrainingData, train
from digitcli.data.datasets import DATASETS
from digitcli.data.optdigits import load_optdigits

SEEDS = range(5)
CANDIDATES = [
    Recipe("candidate", epochs, batch_size, lr, momentum)
    for (epochs, batch_size), (lr, momentum) in itertools.product(
        [(20, 16), (40, 16), (40, 32), (80, 32), (80, 64)],
        [(0.01, 0.5), (0.01, 0.9), (0.03, 0.9), (0.05, 0.9), (0.1, 0.5)],
    )
]


def validation_data() -> TrainingData:
    split = load_optdigits("train")
    train_images, held_images, train_labels, held_labels = train_test_split(
        split.images, split.labels, test_size=0.2, random_state=1, stratify=split.labels
    )
    dataset = DATASETS["optdigits"]
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


def main() -> None:
    data = validation_data()
    for recipe in CANDIDATES:
        runs = [
            train(
                data,
                recipe,
                seed=seed,
                log_every=10_000,
                device=torch.device("cpu"),
                observer=Observer(),
            )
            for seed in SEEDS
        ]
        accuracies = [run.checkpoint.metadata.accuracies[-1].accuracy for run in runs]
        row = {
            "epochs": recipe.epochs,
            "batch_size": recipe.batch_size,
            "lr": recipe.lr,
            "momentum": recipe.momentum,
            "validation_accuracy": round(statistics.mean(accuracies), 4),
            "worst": round(min(accuracies), 4),
            "seconds": round(statistics.median(run.seconds for run in runs), 2),
        }
        json.dump(row, sys.stdout)
        print(flush=True)


if __name__ == "__main__":
    main()
