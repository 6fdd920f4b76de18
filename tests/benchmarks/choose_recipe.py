"""Chooses a recipe on a validation split of the training pictures; the test pictures stay unseen.

``python tests/benchmarks/choose_recipe.py optdigits`` (ten minutes), ``... quick`` (MNIST from
``digitcli download``; four minutes) or ``... best`` (what each ingredient is worth; twenty minutes,
or in parts: ``... best all plain``). A stratified part of the training pictures is held out, as by
``digitcli train --validation``, each candidate is trained on the rest with several seeds (``best``
with one, and two of its runs differ by chance by 0.05 points), and its mean accuracy on the part
held out is printed as a line of JSON. ``... costs`` (three minutes) measures the time of each
ingredient, in turns.
"""

import itertools
import json
import statistics
import sys
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "helpers"))  # the tests' own

from speed import data_dir
from training_runs import run_training

from digitcli.console.download import DownloadDisplay
from digitcli.core.checkpointing.training_state import Settings
from digitcli.core.errors import DigitcliError
from digitcli.core.recipes import BEST, LESSON, QUICK, Deformation, Recipe
from digitcli.core.training.data import TrainingData
from digitcli.data.datasets.registry import DatasetLocation, find_dataset
from digitcli.data.datasets.training_data import load_training_data

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
SHORT = replace(BEST, epochs=40)
ABLATION = {
    "all": SHORT,
    "no elastic deformation": replace(SHORT, deformation=replace(BEST.deformation, elastic=0)),
    "no rotation, scale, shear, shift": replace(
        SHORT, deformation=Deformation(elastic=BEST.deformation.elastic)
    ),
    "no deformation": replace(SHORT, deformation=Deformation()),
    "no batch normalization": replace(SHORT, batch_norm=False, lr=0.002),
    "SGD in place of AdamW": replace(SHORT, optimizer="sgd", lr=0.4, nesterov=True, weight_decay=0),
    "no outliers": replace(SHORT, outliers=0),
    "constant learning rate": replace(SHORT, schedule="constant", lr=0.001),
    "plain": replace(QUICK, name="best", epochs=40),
    "lesson": replace(LESSON, name="best", epochs=40),
}
"""The recipe for 40 epochs, less one ingredient each, at a learning rate that suits the rest."""

CHOICES = {  # candidates, data set, pictures held out, seeds
    "optdigits": (OPTDIGITS, "optdigits", 288, range(5)),
    "quick": (QUICKS, "mnist", 10_000, range(3)),
    "best": (list(ABLATION.values()), "mnist", 10_000, range(1)),
}


def validation_data(name: str, count: int, *, with_outliers: bool) -> TrainingData:
    with DownloadDisplay() as progress:
        location, dataset = DatasetLocation(data_dir(), [], progress), find_dataset(name)
        recipe = BEST if with_outliers else LESSON
        settings = Settings(name, dataset.classes, None, count, recipe, seed=1, log_every=1)
        return load_training_data(dataset, location, settings)


def accuracy_and_seconds(data: TrainingData, recipe: Recipe, seed: int) -> tuple[float, float]:
    try:
        state = run_training(data, recipe, seed=seed, log_every=10_000)
    except DigitcliError:  # the loss became infinite
        return 0.0, 0.0
    return state.checkpoint.metadata.accuracies[-1].accuracy, state.seconds


def print_costs(data: TrainingData) -> None:
    """Prints what an epoch of each costs against one of all, in turns, as medians of five."""
    seconds: dict[str, list[float]] = {what: [] for what in ABLATION}
    for _ in range(5):
        for what, recipe in ABLATION.items():
            seconds[what].append(accuracy_and_seconds(data, replace(recipe, epochs=1), 0)[1])
    whole = statistics.median(seconds["all"])
    for what, times in seconds.items():
        row = {"what": what, "seconds_per_epoch": round(statistics.median(times), 2)}
        print(json.dumps(row | {"ratio": round(statistics.median(times) / whole, 2)}), flush=True)


def main() -> None:
    if sys.argv[1:] == ["costs"]:
        print_costs(validation_data("mnist", 10_000, with_outliers=True))
        return
    candidates, name, count, seeds = CHOICES[sys.argv[1]]
    if parts := sys.argv[2:]:
        candidates = [ABLATION[part] for part in parts]
    with_outliers = any(recipe.outliers for recipe in candidates)
    data = validation_data(name, count, with_outliers=with_outliers)
    for recipe in candidates:
        runs = [accuracy_and_seconds(data, recipe, seed) for seed in seeds]
        accuracies, seconds = zip(*runs, strict=True)
        row = {
            "what": next((what for what, one in ABLATION.items() if one is recipe), recipe.name),
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
