"""Checkpoints that older versions of digitcli have written keep working."""

import gzip
import json
from pathlib import Path

import numpy as np
import pytest
from conftest import Run
from drawn_digits import save_digit

from digitcli.core.checkpoint import load_checkpoint
from digitcli.core.inference import probabilities
from digitcli.core.metadata import FORMAT_VERSION

GOLDEN = Path(__file__).with_name("golden")

ANSWERS = {
    1: (0.000598, 0.000562, 0.000515, 0.985530, 0.006532, 0.000744, 0.000575, 0.000683, 0.000284,
        0.003976),
    2: (0.056169, 0.055074, 0.053925, 0.416583, 0.106249, 0.059425, 0.055847, 0.057836, 0.045390,
        0.093500),
    3: (0.051983, 0.337288, 0.162525, 0.027977, 0.060313, 0.06109, 0.044044, 0.048937, 0.102853,
        0.10299),
}  # fmt: skip
"""What the code that wrote each said of the picture below."""


def unpacked(version: int, path: Path) -> Path:
    path.write_bytes(gzip.decompress((GOLDEN / f"version_{version}.safetensors.gz").read_bytes()))
    return path


@pytest.mark.parametrize("version", range(1, FORMAT_VERSION + 1))
def test_every_version_gives_the_answers_that_it_gave(version: int, tmp_path: Path) -> None:
    loaded = load_checkpoint(unpacked(version, tmp_path / "old"))
    picture = (np.arange(784) * 37 % 256).astype(np.uint8).reshape(1, 28, 28)
    assert probabilities(loaded, picture)[0] == pytest.approx(ANSWERS[version], abs=2e-6)
    assert (loaded.metadata.seed, loaded.metadata.epochs) == (7, 2)
    assert len(loaded.metadata.losses) > 1
    assert loaded.metadata.recipe.schedule == "constant"


@pytest.mark.parametrize("version", range(1, FORMAT_VERSION + 1))
def test_every_version_is_read_by_the_commands(run: Run, version: int, tmp_path: Path) -> None:
    old = unpacked(version, tmp_path / "old")
    save_digit(Path("7.png"), 7)
    for command in (["predict", "7.png"], ["inspect-softmax", "7.png"], ["eval"]):
        result = run(*command, "--checkpoint", old, "--json")
        assert result.exit_code == 0, result.stderr
        assert json.loads(result.stdout)["checkpoint"] == str(old)


def test_a_file_of_the_next_version_says_so(run: Run, tmp_path: Path) -> None:
    path = unpacked(FORMAT_VERSION, tmp_path / "new")
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
        f"to {FORMAT_VERSION}; upgrade with 'pip install --upgrade digitcli'\n"
    )
