"""``digitcli eval``: its whole output in both forms, and its gate."""

import json

import numpy as np
import pytest
from conftest import Run
from drawn_digits import SmallMnist

pytestmark = pytest.mark.usefixtures("checkpoint")


def test_plain_lines(run: Run, small_mnist: SmallMnist) -> None:
    value = json.loads(run("eval", "--mirror", small_mnist.folder, "--json").stdout)
    lines = run("eval").stdout.splitlines()
    assert lines[:8] == [
        "checkpoint\tcheckpoints/latest.safetensors",
        "dataset\tmnist",
        "split\ttest",
        "count\t200",
        f"loss\t{value['loss']:.4f}",
        f"accuracy\t{value['accuracy']:.4f}",
        f"top5_accuracy\t{value['top5_accuracy']:.4f}",
        "",
    ]
    assert lines[8] == "class\tprecision\trecall\tf1\tsupport"
    for line, score in zip(lines[9:19], value["per_class"], strict=True):
        numbers = [f"{score[key]:.4f}" for key in ("precision", "recall", "f1")]
        assert line.split("\t") == [score["name"], *numbers, str(score["support"])]
    assert lines[19] == ""
    assert lines[20] == "\t".join(["true\\predicted", *"0123456789"])
    for i, line in enumerate(lines[21:]):
        assert line.split("\t") == [str(i), *map(str, value["confusion_matrix"][i])]


def test_json(run: Run, small_mnist: SmallMnist) -> None:
    result = run("eval", "--split", "train", "--mirror", small_mnist.folder, "--json")
    value = json.loads(result.stdout)
    assert list(value) == [
        "dataset",
        "split",
        "count",
        "loss",
        "accuracy",
        "top5_accuracy",
        "per_class",
        "confusion_matrix",
        "checkpoint",
    ]
    assert (value["dataset"], value["split"], value["count"]) == ("mnist", "train", 600)
    assert 0.95 < value["accuracy"] <= value["top5_accuracy"] <= 1
    assert np.sum(value["confusion_matrix"]) == 600
    assert np.trace(value["confusion_matrix"]) == round(value["accuracy"] * 600)


def test_the_accuracy_gate(run: Run, small_mnist: SmallMnist) -> None:
    mirror = ("--mirror", small_mnist.folder)
    assert run("eval", *mirror, "--min-accuracy", "0.9").exit_code == 0
    # trained on a font, the network is no good at handwriting
    handwriting = ("--dataset", "optdigits", "--json")
    accuracy = json.loads(run("eval", *handwriting).stdout)["accuracy"]
    result = run("eval", *handwriting, "--min-accuracy", "0.99")
    assert result.exit_code == 1
    assert result.stderr.splitlines() == [
        "digitcli: using the weights checkpoints/latest.safetensors",
        f"digitcli: the accuracy {accuracy:.4f} is below 0.99",
    ]


def test_wrong_use(run: Run, small_mnist: SmallMnist) -> None:
    for flags, problem in (
        (["--split", "validation"], "there is no split 'validation'; choose train or test"),
        (["--dataset", "cifar"], "there is no data set 'cifar'"),
        (["--checkpoint", "missing"], "there is no checkpoint at missing"),
        (["--min-accuracy", "97"], "--min-accuracy"),
    ):
        result = run("eval", "--mirror", small_mnist.folder, *flags)
        assert result.exit_code == 2
        assert problem in result.stderr
        assert len(result.stderr.splitlines()) == 1


def test_optdigits(run: Run) -> None:
    value = json.loads(run("eval", "--dataset", "optdigits", "--json").stdout)
    assert (value["dataset"], value["count"]) == ("optdigits", 360)
