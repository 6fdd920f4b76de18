"""Tests with MNIST itself, if there is a copy beside the project."""

import json
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
from drawn_digits import prepared
from paths import SHARED_MNIST
from strips import Bench
from typer.testing import CliRunner

from digitcli import Classifier
from digitcli.cli.app import app
from digitcli.core.export.formats import FORMATS
from digitcli.data.datasets.readers import read_split

pytestmark = pytest.mark.skipif(not SHARED_MNIST.is_dir(), reason="no ../shared/mnist here")


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("mnist")
    arguments = ["download", "--mirror", str(SHARED_MNIST), "--data-dir", str(folder)]
    assert CliRunner().invoke(app, arguments).exit_code == 0
    return folder


def test_one_epoch_gives_the_losses_of_the_lesson(data_dir: Path) -> None:
    arguments = ["train", "--epochs", "1", "--data-dir", str(data_dir), "--json"]
    result = CliRunner().invoke(app, arguments)
    *events, done = map(json.loads, result.stdout.splitlines())
    assert done["accuracy"] >= 0.88
    losses = [event["loss"] for event in events if event["event"] == "loss"]
    assert losses == pytest.approx([2.16, 0.94, 0.42], abs=0.05)


@pytest.mark.parametrize("name", FORMATS)
def test_exports_give_the_probabilities_of_digitcli(data_dir: Path, name: str) -> None:
    if name == "onnx":
        pytest.importorskip("onnxruntime")
    test = read_split(data_dir, "test")
    assert test is not None
    own = Classifier.load()
    assert CliRunner().invoke(app, ["export", f"digits.{name}"]).exit_code == 0
    found = import_module(FORMATS[name]).unpack(Path(f"digits.{name}").read_bytes())(
        test.images[:1000]
    )
    assert np.abs(found - own.probabilities(test.images[:1000])).max() < 1e-5


def test_a_real_digit_passes_preparation_unchanged(data_dir: Path) -> None:
    test = read_split(data_dir, "test")
    assert test is not None
    for image in test.images[:1000]:
        assert np.array_equal(prepared(image.astype(np.float32) / np.float32(255)), image)


@pytest.mark.parametrize(("how", "least"), [("apart", 0.93), ("one in four touches", 0.75)])
def test_strips_of_digits(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch, how: str, least: float
) -> None:
    monkeypatch.setenv("DIGITCLI_DATA_DIR", str(data_dir))
    cases = Bench(None, "test", seed=0).cases((how, range(60)))
    assert np.mean([case.read == case.text for case in cases]) >= least
