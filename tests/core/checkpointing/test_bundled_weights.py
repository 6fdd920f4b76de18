"""The bundled weights: their metadata, and that it is true."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from paths import SHARED_MNIST
from typer.testing import CliRunner

from digitcli.cli.app import app
from digitcli.core.checkpointing.checkpoint import Checkpoint, load_checkpoint
from digitcli.core.checkpointing.locate import BUNDLED_PATHS
from digitcli.core.evaluation.evaluate import evaluate
from digitcli.core.inference import forward
from digitcli.core.recipes import BEST
from digitcli.data.datasets.readers import read_split
from digitcli.data.download.manifest import PUBLISHED


@pytest.fixture(scope="module")
def own() -> Checkpoint:
    return load_checkpoint(next(path for path in BUNDLED_PATHS if path.is_file()))


def test_their_metadata_says_how_they_were_trained(own: Checkpoint) -> None:
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
def test_their_accuracy_is_that_of_the_metadata(own: Checkpoint, tmp_path: Path) -> None:
    arguments = ["download", "--mirror", str(SHARED_MNIST), "--data-dir", str(tmp_path)]
    assert CliRunner().invoke(app, arguments).exit_code == 0
    test = read_split(tmp_path, "test")
    assert test is not None
    result = evaluate(own, test.images, test.labels, torch.device("cpu"))
    # rounding differs between processors, so the class of a borderline image may differ
    assert result.accuracy == pytest.approx(own.metadata.accuracies[-1].accuracy, abs=2e-4)
    scores = forward(own, test.images)
    assert np.mean(scores.argmax(axis=1) == test.labels) == pytest.approx(result.accuracy, abs=2e-4)
