"""``digitcli eval``: plain output, JSON, and --min-accuracy."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from commands import Run, weights_note
from drawn_digits import SmallMnist
from PIL import Image

from digitcli.core.checkpointing.checkpoint import Checkpoint, save_checkpoint
from digitcli.data.datasets.readers import read_split

pytestmark = pytest.mark.usefixtures("checkpoint")


def test_plain_lines(run: Run, small_mnist: SmallMnist) -> None:
    value = json.loads(run("eval", "--mirror", small_mnist.folder, "--json").stdout)
    lines = run("eval").stdout.splitlines()
    assert lines[:10] == [
        "checkpoint\tcheckpoints/latest.safetensors",
        "dataset\tmnist",
        "split\ttest",
        "count\t200",
        f"temperature\t{value['temperature']:g}",
        f"loss\t{value['loss']:.4f}",
        f"accuracy\t{value['accuracy']:.4f}",
        f"top5_accuracy\t{value['top5_accuracy']:.4f}",
        f"ece\t{value['calibration']['ece']:.4f}",
        "",
    ]
    assert lines[10] == "class\tprecision\trecall\tf1\tsupport"
    for line, score in zip(lines[11:21], value["per_class"], strict=True):
        numbers = [f"{score[key]:.4f}" for key in ("precision", "recall", "f1")]
        assert line.split("\t") == [score["name"], *numbers, str(score["support"])]
    assert lines[21] == ""
    assert lines[22] == "\t".join(["true\\predicted", *"0123456789"])
    for i, line in enumerate(lines[23:33]):
        assert line.split("\t") == [str(i), *map(str, value["confusion_matrix"][i])]

    def share(value: float | None) -> str:
        return "-" if value is None else f"{value:.4f}"

    assert lines[33:35] == ["", "above\tup_to\tcount\tprobability\taccuracy"]
    for line, row in zip(lines[35:50], value["calibration"]["bins"], strict=True):
        numbers = [share(row[key]) for key in ("probability", "accuracy")]
        edges = [f"{row[key]:.4f}" for key in ("low", "high")]
        assert line.split("\t") == [*edges, str(row["count"]), *numbers]
    assert lines[50:52] == ["", "min_probability\tcount\tcoverage\taccuracy"]
    for line, row in zip(lines[52:], value["coverage"], strict=True):
        numbers = [share(row[key]) for key in ("coverage", "accuracy")]
        assert line.split("\t") == [f"{row['min_probability']:g}", str(row["count"]), *numbers]


def test_json(run: Run, small_mnist: SmallMnist) -> None:
    result = run("eval", "--split", "train", "--mirror", small_mnist.folder, "--json")
    value = json.loads(result.stdout)
    assert list(value) == [
        "dataset",
        "split",
        "files",
        "count",
        "temperature",
        "loss",
        "accuracy",
        "top5_accuracy",
        "per_class",
        "confusion_matrix",
        "calibration",
        "coverage",
        "checkpoint",
    ]
    assert (value["dataset"], value["split"], value["count"]) == ("mnist", "train", 600)
    assert 0.95 < value["accuracy"] <= value["top5_accuracy"] <= 1
    assert np.sum(value["confusion_matrix"]) == 600
    assert np.trace(value["confusion_matrix"]) == round(value["accuracy"] * 600)
    bins = value["calibration"]["bins"]
    assert list(value["calibration"]) == ["ece", "bins"]
    assert len(bins) == 15
    assert sum(row["count"] for row in bins) == 600
    assert sum(row["count"] * (row["accuracy"] or 0) for row in bins) == pytest.approx(
        value["accuracy"] * 600
    )
    assert [row["min_probability"] for row in value["coverage"]] == [0.5, 0.9, 0.99]


def test_coverage_and_loss_agree_with_predict(
    run: Run, small_mnist: SmallMnist, trained: Checkpoint
) -> None:
    """Coverage at a temperature is the share of images answered with --min-probability."""
    metadata = replace(trained.metadata, temperature=1.5)
    save_checkpoint(Path("warm"), replace(trained, metadata=metadata))
    flags = ("--checkpoint", "warm", "--json")
    value = json.loads(run("eval", "--mirror", small_mnist.folder, *flags).stdout)
    assert value["temperature"] == 1.5
    test = read_split(Path("data"), "test")
    assert test is not None
    for i, picture in enumerate(test.images):
        Image.fromarray(picture).save(f"{i:03}.png")
    seen = run("predict", *sorted(Path().glob("*.png")), "--min-probability", "0.9", *flags)
    answers = [json.loads(line) for line in seen.stdout.splitlines()]
    answered = [answer["digit"] != "?" for answer in answers]
    assert 0 < sum(answered) < 200
    (row,) = [row for row in value["coverage"] if row["min_probability"] == 0.9]
    assert row["count"] == sum(answered)
    p = [answer["probabilities"][label] for answer, label in zip(answers, test.labels, strict=True)]
    assert value["loss"] == pytest.approx(-np.log(p).mean(), rel=1e-4)


def test_min_accuracy(run: Run, small_mnist: SmallMnist, trained: Checkpoint) -> None:
    mirror = ("--mirror", small_mnist.folder)
    assert run("eval", *mirror, "--min-accuracy", "0.9").exit_code == 0
    # trained on a font, the network reads handwriting badly
    handwriting = ("--dataset", "optdigits", "--json")
    accuracy = json.loads(run("eval", *handwriting).stdout)["accuracy"]
    result = run("eval", *handwriting, "--min-accuracy", "0.99")
    assert result.exit_code == 1
    assert result.stderr.splitlines() == [
        weights_note(trained).strip(),
        f"digitcli: the accuracy {accuracy:.4f} is below 0.99",
    ]


def test_wrong_use(run: Run, small_mnist: SmallMnist) -> None:
    for flags, problem in (
        (["--split", "validation"], "there is no split 'validation'; choose train, test or all"),
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
