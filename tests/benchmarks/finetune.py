"""What fine-tuning brings and what it costs.

``python tests/benchmarks/finetune.py`` (five minutes; MNIST from ``digitcli download``): people's
own pictures, ``../shared/wild`` or ``--wild FOLDER``, are split in two halves by their writers.
From the bundled weights, and from the lesson's, which are trained first, each half is learned as
``digitcli train --from`` does it, and the other half is read, as is MNIST's test set. A line of
JSON each: pictures of the other half that are right, their mean loss, the test accuracy, and the
share of 3,000 pictures of no digit whose probability is under 0.6, which ``predict`` warns of.

``... choose`` (five minutes) is how the recipes were chosen, on other pictures: 100 training
pictures of optdigits are learned, and scored are 800
others of them and 10,000 of MNIST's training pictures; three seeds. The rows "transfer" start with
new last layers, and what they keep of MNIST says nothing; they and "from nothing" also learn ten
drawn shapes of each of three kinds, and are scored on 100 others of each.
"""

import argparse
import csv
import itertools
import json
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "helpers"))  # the tests' own

import numpy as np
import torch
from image_folders import draw_shapes
from shared_pictures import SHARED
from speed import data_dir
from torch.nn import functional
from training_runs import CPU, run_training

from digitcli.core.checkpointing.checkpoint import Checkpoint
from digitcli.core.checkpointing.locate import find_bundled
from digitcli.core.model import compute_logits, load_mlp, normalize
from digitcli.core.recipes import BEST, FINETUNE, LESSON, OPTDIGITS, TRANSFER, Deformation, Recipe
from digitcli.core.training.data import TrainingData
from digitcli.core.training.initial_weights import InitialWeights, load_initial_weights
from digitcli.data.datasets.image_folder import ImageFolder
from digitcli.data.datasets.optdigits import load_optdigits
from digitcli.data.datasets.outliers import make_outliers
from digitcli.data.datasets.readers import read_split
from digitcli.data.datasets.split import Split
from digitcli.data.images.grayscale import read_gray
from digitcli.data.preprocessing.mnist_form import prepare

DIGITS = tuple("0123456789")
SURE = 0.6


@dataclass(frozen=True)
class Score:
    """How a checkpoint reads some pictures: right ones, share of right ones, mean loss in nats."""

    right: int
    accuracy: float
    loss: float


def logits_of(checkpoint: Checkpoint, images: np.ndarray) -> torch.Tensor:
    x = normalize(images, checkpoint.metadata.mean, checkpoint.metadata.std, CPU)
    return compute_logits(load_mlp(checkpoint.weights, CPU), x).double()


def score(checkpoint: Checkpoint, pictures: Split) -> Score:
    logits, labels = logits_of(checkpoint, pictures.images), torch.from_numpy(pictures.labels)
    right = int((logits.argmax(dim=1) == labels).sum())
    loss = functional.cross_entropy(logits / checkpoint.metadata.temperature, labels)
    return Score(right, right / len(pictures), loss.item())


def mnist(split: str) -> Split:
    found = read_split(data_dir(), split)
    if found is None:
        raise SystemExit("there is no MNIST, run 'digitcli download'")
    return found


def learned(
    pictures: Split,
    recipe: Recipe,
    start: InitialWeights | None,
    seed: int,
    classes: tuple[str, ...] = DIGITS,
) -> Checkpoint:
    data = TrainingData(
        name="wild",
        classes=classes,
        mean=0.1307,
        std=0.3081,
        train_images=pictures.images,
        train_labels=pictures.labels,
        scored_images=pictures.images[:1],
        scored_labels=pictures.labels[:1],
    )
    result = run_training(data, recipe, seed=seed, log_every=10_000, initial=start)
    return result.checkpoint


def halves_of(folder: Path) -> list[Split]:
    """Prepares the pictures of single digits, every second writer's in the first half."""
    with (folder / "labels.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["kind"] == "single"]
    writers = sorted({row["repo"] for row in rows})
    halves = []
    for number in range(2):
        some = [row for row in rows if writers.index(row["repo"]) % 2 == number]
        images = [prepare(read_gray(folder / row["file"])).image for row in some]
        halves.append(Split(np.stack(images), np.array([int(row["label"]) for row in some]), {}))
    return halves


def show(**values: object) -> None:
    rounded = {k: round(v, 4) if isinstance(v, float) else v for k, v in values.items()}
    print(json.dumps(rounded), flush=True)


def update_batch_norm(wild: Path, seeds: int) -> None:
    test, training = mnist("test"), mnist("train")
    halves = halves_of(wild)
    no_digits = make_outliers(test.images, test.labels, seed=99)
    lesson = learned(training, LESSON, None, seed=0)
    starts = {
        "own": load_initial_weights(find_bundled(), "pretrained"),
        "lesson": InitialWeights(lesson, "sha256:", "lesson"),
    }

    def tell(start: str, half: int, seed: int | None, checkpoint: Checkpoint) -> None:
        other = halves[1 - half]
        shares = functional.softmax(
            logits_of(checkpoint, no_digits) / checkpoint.metadata.temperature, dim=1
        )
        result = score(checkpoint, other)
        show(
            initial=start,
            learned=None if seed is None else len(halves[half]),
            seed=seed,
            right=result.right,
            of=len(other),
            loss=result.loss,
            mnist_test=score(checkpoint, test).accuracy,
            warned_of_no_digits=float((shares.amax(dim=1) < SURE).double().mean()),
        )

    for (name, start), half in itertools.product(starts.items(), range(2)):
        tell(name, half, None, start.checkpoint)
        for seed in range(seeds):
            tell(name, half, seed, learned(halves[half], FINETUNE, start, seed))


def candidates() -> Iterator[tuple[str, Recipe]]:
    for lr, epochs in itertools.product((3e-5, 1e-4, 2e-4), (10, 20, 40)):
        yield f"lr {lr:g}, {epochs} epochs", replace(FINETUNE, lr=lr, epochs=epochs)
    yield "with the deformations of best", replace(FINETUNE, deformation=BEST.deformation)
    mild = Deformation(rotation=4, scale=0.04, shear=0.04, shift=0.5, elastic=0.7)
    yield "with half of them", replace(FINETUNE, deformation=mild)
    for frozen in (0, 2, 3):
        yield f"{frozen} frozen", replace(FINETUNE, frozen=frozen)
    yield "2 frozen, lr 0.0003", replace(FINETUNE, frozen=2, lr=3e-4)
    yield "3 frozen, lr 0.001", replace(FINETUNE, frozen=3, lr=1e-3)
    for lr in (1e-4, 3e-4, 1e-3):
        yield f"SGD, lr {lr:g}", replace(FINETUNE, optimizer="sgd", lr=lr)
    for lr, epochs in itertools.product((3e-4, 1e-3, 3e-3), (20, 40, 100)):
        yield f"transfer, lr {lr:g}, {epochs} epochs", replace(TRANSFER, lr=lr, epochs=epochs)
    yield "transfer, none frozen", replace(TRANSFER, frozen=0)
    yield "from nothing", OPTDIGITS


def shapes(count: int, seed: int) -> Split:
    with tempfile.TemporaryDirectory() as folder:
        return ImageFolder(draw_shapes(Path(folder) / "shapes", count, seed)).read("all", print)


def choose() -> None:
    few, many = shapes(10, seed=0), shapes(100, seed=1)
    shown = load_optdigits("train")
    order = np.random.default_rng(0).permutation(len(shown))
    some, others = shown.subset(order[:100]), shown.subset(order[200:1000])
    known = mnist("train")
    kept = known.subset(np.random.default_rng(1).permutation(len(known))[:10_000])
    start = load_initial_weights(find_bundled(), "pretrained")
    show(what="bundled weights", optdigits=score(start.checkpoint, others).accuracy,
         mnist=score(start.checkpoint, kept).accuracy)  # fmt: skip
    for what, recipe in candidates():
        classes = tuple("abcdefghij") if what.startswith("transfer") else DIGITS
        origin = None if what.startswith("from nothing") else start
        runs = [learned(some, recipe, origin, seed, classes) for seed in range(3)]
        drawn = None
        if what.startswith(("transfer", "from nothing")):
            again = [learned(few, recipe, origin, seed, ("a", "b", "c")) for seed in range(3)]
            drawn = float(np.mean([score(run, many).accuracy for run in again]))
        show(
            what=what,
            optdigits=float(np.mean([score(run, others).accuracy for run in runs])),
            mnist=float(np.mean([score(run, kept).accuracy for run in runs])),
            shapes=drawn,
        )


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("what", nargs="?", choices=["choose"])
    parser.add_argument("--wild", type=Path, default=SHARED / "wild", metavar="FOLDER")
    parser.add_argument("--seeds", type=int, default=3)
    arguments = parser.parse_args()
    if arguments.what == "choose":
        choose()
    else:
        update_batch_norm(arguments.wild, arguments.seeds)


if __name__ == "__main__":
    main()
