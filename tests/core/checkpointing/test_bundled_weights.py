"""The weights that come with digitcli: what they say of themselves, and whether it is so."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from paths import SHARED_MNIST
from typer.testing import CliRunner

from digitcli.cli.app import app
from digitcli.core.checkpointing.checkpoint import Checkpoint, load_checkpoint
from digitcli.core.checkpointing.locate import OWN_PLACES
from digitcli.core.evaluation.evaluate import evaluate
from digitcli.core.inference import forward
from digitcli.core.recipes import BEST
from digitcli.data.datasets.readers import read_split
from digitcli.data.download.manifest import PUBLISHED


@pytest.fixture(scope="module")
def own() -> Checkpoint:
    return load_checkpoint(next(path for path in OWN_PLACES if path.is_file()))


def test_they_say_how_they_came_about(own: Checkpoint) -> None:
    metadata = own.metadata
    assert re.fullmatch(r"digitcli train --recipe best --seed \d+", metadata.command)
    assert metadata.command.endswith(f" {metadata.seed}")
    assert metadata.recipe == BEST
    assert metadata.epochs == len(metadata.accuracies) == BEST.epochs
    assert (metadata.dataset, metadata.scored_on) == ("mnist", "test")
    assert metadata.temperature == BEST.temperature
    assert metadata.data_checksums == {
        file.name: f"md5:{file.md5}" for file in PUBLISHED["mnist"].files
    }
    assert metadata.versions.keys() >= {"digitcli", "torch", "numpy", "python"}
    assert sum(weight.size for weight in own.weights.values()) == 575_050


@pytest.mark.skipif(not SHARED_MNIST.is_dir(), reason="no ../shared/mnist here")
def test_they_score_what_they_say(own: Checkpoint, tmp_path: Path) -> None:
    arguments = ["download", "--mirror", str(SHARED_MNIST), "--data-dir", str(tmp_path)]
    assert CliRunner().invoke(app, arguments).exit_code == 0
    test = read_split(tmp_path, "test")
    assert test is not None
    result = evaluate(own, test.images, test.labels, torch.device("cpu"))
    # rounded otherwise on another processor, a picture on the edge may fall to the other side
    assert result.accuracy == pytest.approx(own.metadata.accuracies[-1].accuracy, abs=2e-4)
    scores = forward(own, test.images)
    assert np.mean(scores.argmax(axis=1) == test.labels) == pytest.approx(result.accuracy, abs=2e-4)
