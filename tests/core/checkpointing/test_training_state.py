"""Training states: what is saved is loaded unchanged, and invalid files are refused cheaply."""

import json
import os
import random
import struct
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy

from digitcli.core.checkpointing.metadata import MAX_LOSS_POINTS, EpochPoint, LossPoint
from digitcli.core.checkpointing.training_state import (
    Settings,
    TrainingState,
    load_state,
    refuse_changes,
    refuse_other_data,
    save_state,
)
from digitcli.core.errors import CheckpointError, DigitcliError
from digitcli.core.recipes import LESSON

STATE = TrainingState(
    settings=Settings("mnist", tuple("0123456789"), None, None, LESSON, 3, 100),
    checksums={"a": "md5:b"},
    machine={"device": "cpu"},
    command="digitcli train",
    epoch=2,
    batch=1,
    seconds=1.5,
    losses=(LossPoint(1, 100, 0.1234567890123456),),
    accuracies=(EpochPoint(1, 0.5, 0.9),),
    tensors={
        "model.l1.bias": np.linspace(-1, 1, 512, dtype=np.float32),
        "generator": np.arange(16, dtype=np.uint8),
        "order": np.arange(600, dtype=np.int64)[::-1].copy(),
    },
)
START_OVER = "start over with --no-resume"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "run.training.safetensors"
    save_state(path, STATE)
    return path


def refused(path: Path, *, next_step: str = START_OVER) -> str:
    """Checks that a state is refused with a next step, and returns the problem."""
    with pytest.raises(CheckpointError) as caught:
        load_state(path)
    assert caught.value.next_step == next_step
    return caught.value.problem


def test_a_state_is_loaded_unchanged(path: Path) -> None:
    logs = {"metrics.jsonl": "1024:" + "0" * 64}
    for state in (STATE, replace(STATE, logs=logs)):
        save_state(path, state)
        loaded = load_state(path)
        assert replace(loaded, tensors={}) == replace(state, tensors={})
        assert loaded.tensors.keys() == state.tensors.keys()
        for name, tensor in state.tensors.items():
            assert np.array_equal(loaded.tensors[name], tensor)
            assert loaded.tensors[name].dtype == tensor.dtype


def test_the_maximum_number_of_points_is_loaded_unchanged(path: Path) -> None:
    recipe = replace(LESSON, epochs=MAX_LOSS_POINTS)
    half = MAX_LOSS_POINTS // 2
    state = replace(
        STATE,
        settings=replace(STATE.settings, recipe=recipe),
        epoch=half + 1,
        losses=tuple(LossPoint(1 + i, 9999, 1 / 3e5) for i in range(half)),
        accuracies=tuple(EpochPoint(1 + i, 1 / 3e5, 1 / 3e5) for i in range(half)),
    )
    save_state(path, state)
    assert load_state(path).losses == state.losses
    assert load_state(path).accuracies == state.accuracies


def test_missing_and_special_files(tmp_path: Path) -> None:
    assert refused(tmp_path / "gone") == f"there is no training state at {tmp_path}/gone"
    assert refused(tmp_path) == f"{tmp_path} is not a file"
    os.mkfifo(tmp_path / "pipe")
    assert refused(tmp_path / "pipe") == f"{tmp_path}/pipe is not a file"
    (tmp_path / "empty").touch()
    assert refused(tmp_path / "empty") == f"the training state {tmp_path}/empty is empty"


def test_sizes_are_limited(path: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(struct.pack("<Q", 8 * 2**20 + 1) + data[8:])
    assert refused(path) == f"{path} is not a safetensors file"
    path.write_bytes(data)
    with path.open("r+b") as file:
        file.truncate(10**12)  # sparse: takes no space on disk
    assert "1,000,000,000,000 bytes are too many for a training state" in refused(path)


def test_a_dtype_that_numpy_lacks_is_refused(path: Path) -> None:
    data = path.read_bytes()
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    header["model.l1.bias"].update(dtype="BF16", shape=[1024])
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data[8 + length :])
    assert refused(path) == f"{path} is damaged or not a safetensors file ('BF16')"


def test_a_newer_version_is_refused_by_number(path: Path) -> None:
    data = path.read_bytes()
    version = b'\\"state_version\\": 1'
    assert data.count(version) == 1
    path.write_bytes(data.replace(version, version[:-1] + b"7"))
    problem = refused(path, next_step="run pip install --upgrade digitcli")
    assert problem == f"{path} has state version 7, this digitcli reads up to 1"


INVALID: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "no reading of the loss": (lambda v: v["settings"].update(log_every=0), "every 0 batches"),
    "a loss of the future": (
        lambda v: v["losses"].append({"epoch": 2, "batch": 10**6, "loss": 1.0}),
        "a loss was read after epoch 2, batch",
    ),
    "a negative interval": (lambda v: v["settings"].update(log_every=-1), "every -1 batches"),
    "a negative seed": (lambda v: v["settings"].update(seed=-3), "the seed is -3"),
    "a large seed": (lambda v: v["settings"].update(seed=2**32), "the seed is 4294967296"),
    "no validation": (lambda v: v["settings"].update(validation=0), "0 images are held out"),
    "one class": (lambda v: v["settings"].update(classes=["a"]), "has 1 classes"),
    "equal classes": (lambda v: v["settings"].update(classes=["a", "a"]), "is empty, a duplicate"),
    "no width": (lambda v: v["settings"].update(hidden=[512, 0]), "has a layer of width 0"),
    "a huge width": (lambda v: v["settings"].update(hidden=[2**40]), "of width 1099511627776"),
    "many layers": (lambda v: v["settings"].update(hidden=[8] * 20), "has 21 layers, more than"),
    "a negative time": (lambda v: v.update(seconds=-1), "-1.0 seconds"),
    "a loss before the run": (lambda v: v["losses"][0].update(epoch=-1), "epoch -1, batch 100"),
    "a loss to come": (lambda v: v["losses"][0].update(epoch=3), "epoch 3, batch 100"),
    "a loss of no batch": (lambda v: v["losses"][0].update(batch=0), "epoch 1, batch 0"),
    "another epoch": (lambda v: v["accuracies"][0].update(epoch=-1), "after epoch -1"),
    "a high accuracy": (lambda v: v["accuracies"][0].update(accuracy=1.5), "an accuracy of 1.5"),
    "many losses": (lambda v: v.update(losses=[0] * 300_000), "300,001 loss points, more than"),
}


@pytest.mark.parametrize(("change", "problem"), INVALID.values(), ids=INVALID.keys())
def test_values_of_no_run_are_refused(
    path: Path, change: Callable[[dict[str, Any]], object], problem: str
) -> None:
    tensors = safetensors.numpy.load_file(path)
    with safetensors.safe_open(path, framework="numpy") as file:
        ((key, document),) = file.metadata().items()
    values = json.loads(document)
    change(values)
    safetensors.numpy.save_file(tensors, path, {key: json.dumps(values)})
    assert problem in refused(path)


def test_an_error_lists_a_limited_number_of_differences() -> None:
    many = replace(STATE, checksums={f"{i:05}": "" for i in range(50_000)})
    with pytest.raises(DigitcliError) as caught:
        refuse_other_data(many, {"00000": ""})
    assert len(str(caught.value)) < 1000
    assert "now; and 49,979 more" in str(caught.value)


def test_random_damage_is_refused_or_harmless(path: Path) -> None:
    data = path.read_bytes()
    chance = random.Random(0)  # noqa: S311
    end = 8 + int.from_bytes(data[:8], "little")
    for _ in range(300):
        broken = bytearray(data)
        for _ in range(chance.choice((1, 2, 10))):
            broken[chance.randrange(end)] = chance.choice(b'\0\xff"{}[],:019eE-.aF')
        path.write_bytes(broken)
        try:
            load_state(path)
        except CheckpointError as error:
            assert len(str(error)) < 500 + len(str(path))


def test_two_folders_of_one_name_are_told_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    before = {"dataset": f"folder:{tmp_path}/a/digits", "seed": 1}
    refuse_changes(before, {"dataset": "folder:a/digits"})
    with pytest.raises(DigitcliError, match="a/digits then, folder:b/digits now"):
        refuse_changes(before, {"dataset": "folder:b/digits"})
    with pytest.raises(DigitcliError, match="b/digits"):
        refuse_changes(before, {"dataset": "folder:/elsewhere/b/digits"})
    with pytest.raises(DigitcliError, match="folder:mnist now"):
        refuse_changes({"dataset": "mnist"}, {"dataset": "folder:mnist"})
