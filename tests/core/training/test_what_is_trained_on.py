"""What ``train`` prints about its images, before the first step and after the last."""

import json
from pathlib import Path

import numpy as np
import pytest
from commands import Run
from drawn_digits import SmallMnist, drawn_data
from image_folders import fill

from digitcli.core.checkpointing.checkpoint import Checkpoint, load_checkpoint
from digitcli.core.inference import forward
from digitcli.core.training.scoring import initial_accuracy, rare_unanswered_classes
from digitcli.data.datasets.image_folder import ImageFolder

FLAGS = ("--epochs", 1, "--batch-size", 4)


def test_images_and_classes_of_each_split(run: Run, small_mnist: SmallMnist) -> None:
    flags = ("--mirror", small_mnist.folder, "--epochs", 1)
    assert "digitcli: 600 training images" in run("train", *flags).stderr
    fill(Path("mine"), {"a": 3, "b\n": 5}, 60)
    for file in list(Path("mine/a").iterdir())[:20]:
        file.unlink()
    folder = ImageFolder(Path("mine"))
    counts = {
        split: np.bincount(folder.read(split, print).labels).tolist() for split in ("train", "test")
    }
    lines = run("train", "--dataset", "folder:mine", *FLAGS).stderr.splitlines()
    for split, name in (("train", "training"), ("test", "test")):
        a, b = counts[split]
        assert f"digitcli: {a + b} {name} images of 2 classes (a: {a}, b\\n: {b})" in lines
    result = run("train", "--dataset", "folder:mine", *FLAGS, "--json")
    begin, _, done = map(json.loads, result.stdout.splitlines())
    assert begin == {
        "event": "begin",
        "epoch": 1,
        "batch": 0,
        "dataset": "folder:mine",
        "classes": ["a", "b\n"],
        "train": {"count": sum(counts["train"]), "per_class": counts["train"]},
        "scored": {"count": sum(counts["test"]), "per_class": counts["test"]},
        "scored_on": "test",
        "accuracy": None,
    }
    assert done["unanswered"] == []


def test_many_classes_are_summed_up(run: Run) -> None:
    fill(Path("mine"), {f"c{number}": number % 10 for number in range(21)}, 3)
    for number in set(range(21)) - {7}:
        Path(f"mine/c{number}/2.png").unlink()
    result = run("train", "--dataset", "folder:mine", *FLAGS)
    assert "digitcli: 22 training images of 21 classes, from 1 of c0 to 2 of c7\n" in result.stderr
    assert "digitcli: 21 test images, 1 of each of 21 classes\n" in result.stderr


def test_the_accuracy_of_the_initial_weights(
    run: Run, checkpoint: Path, trained: Checkpoint
) -> None:
    checkpoint.rename("base")
    fill(Path("mine"), {"3": 3, "5": 5}, 20)
    fill(Path("mine"), {"1": 7}, 20)  # sevens in the folder of ones
    test = ImageFolder(Path("mine")).read("test", print)
    right = np.array([1, 3, 5])[test.labels] == forward(trained, test.images).argmax(axis=1)
    assert 0 < right.mean() < 1
    flags = ("--dataset", "folder:mine", "--from", "base", *FLAGS)
    result = run("train", *flags)
    assert f"digitcli: test accuracy before training {right.mean():.2%}\n" in result.stderr
    begin, *_ = map(json.loads, run("train", *flags, "--json").stdout.splitlines())
    assert begin["accuracy"] == pytest.approx(right.mean())
    Path("mine/1").rename("mine/one")  # with an output layer of its own
    result = run("train", *flags)
    assert "before training" not in result.stderr


def test_initial_weights_for_other_classes_cannot_answer(trained: Checkpoint) -> None:
    data = drawn_data()
    assert initial_accuracy(trained, data) == (
        (forward(trained, data.scored_images).argmax(axis=1) == data.scored_labels).mean()
    )
    other = load_checkpoint(Path(__file__).parents[3] / "checkpoints" / "pretrained.safetensors")
    assert initial_accuracy(other, data) is not None  # the ten digits too


def test_rare_classes_that_are_never_answered_are_named(run: Run) -> None:
    fill(Path("mine"), {"3": 3, "5": 5}, 40)
    fill(Path("mine"), {"9": 9}, 5)
    flags = ("--dataset", "folder:mine", "--epochs", 2)
    result = run("train", *flags)
    assert result.exit_code == 0, result.stderr
    assert result.stderr.splitlines()[-1] == (
        "digitcli: no test image is answered as 9 (4 training images): the classes are "
        "unbalanced, add images of these"
    )
    done = json.loads(run("train", *flags, "--json").stdout.splitlines()[-1])
    assert done["unanswered"] == ["9"]
    longer = run("train", "--dataset", "folder:mine", "--epochs", 40)
    assert "unbalanced" not in longer.stderr


def test_classes_of_equal_size_are_not_called_rare(trained: Checkpoint) -> None:
    """A network may know nothing yet, which is no matter of balance."""
    data = drawn_data()
    weights = {name: np.zeros_like(values) for name, values in trained.weights.items()}
    blind = Checkpoint(weights, trained.metadata)
    assert rare_unanswered_classes(blind, data) == ()
