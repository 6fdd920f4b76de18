"""The golden checkpoint, written once, is still read."""

import gzip
import json
from pathlib import Path

import numpy as np
import pytest
from commands import Run
from drawn_digits import save_digit
from paths import GOLDEN

from digitcli.core.checkpointing.checkpoint import load_checkpoint
from digitcli.core.checkpointing.metadata import FORMAT_VERSION
from digitcli.core.inference import probabilities

PROBABILITIES = (
    *(0.000429, 0.000397, 0.000366, 0.98908, 0.005035),
    *(0.000533, 0.000419, 0.00048, 0.000188, 0.003072),
)
"""Computed for the image below by the code that wrote the file."""


def unpacked(path: Path) -> Path:
    path.write_bytes(gzip.decompress(GOLDEN.read_bytes()))
    return path


def test_the_golden_checkpoint_gives_the_same_probabilities(tmp_path: Path) -> None:
    loaded = load_checkpoint(unpacked(tmp_path / "old"))
    image = (np.arange(784) * 37 % 256).astype(np.uint8).reshape(1, 28, 28)
    assert probabilities(loaded, image)[0] == pytest.approx(PROBABILITIES, abs=2e-6)
    assert (loaded.metadata.seed, loaded.metadata.epochs) == (7, 2)
    assert loaded.metadata.format_version == FORMAT_VERSION
    assert len(loaded.metadata.losses) > 1
    assert loaded.metadata.recipe
    assert loaded.metadata.recipe.schedule == "constant"


def test_the_golden_checkpoint_is_read_by_the_commands(run: Run, tmp_path: Path) -> None:
    old = unpacked(tmp_path / "old")
    save_digit(Path("7.png"), 7)
    for command in (["predict", "7.png"], ["inspect-softmax", "7.png"], ["eval"]):
        result = run(*command, "--checkpoint", old, "--json")
        assert result.exit_code == 0, result.stderr
        assert json.loads(result.stdout)["checkpoint"] == str(old)


def test_a_file_of_the_next_version_says_so(run: Run, tmp_path: Path) -> None:
    path = unpacked(tmp_path / "new")
    data = path.read_bytes()
    mark = b'\\"format_version\\": '
    assert data.count(mark) == 1
    path.write_bytes(
        data.replace(mark + b"%d" % FORMAT_VERSION, mark + b"%d" % (FORMAT_VERSION + 1))
    )
    save_digit(Path("7.png"), 7)
    result = run("predict", "7.png", "--checkpoint", path)
    assert result.exit_code == 2
    assert result.stderr == (
        f"digitcli: error: {path} has format version {FORMAT_VERSION + 1}, this digitcli reads up "
        f"to {FORMAT_VERSION}; run pip install --upgrade digitcli\n"
    )
