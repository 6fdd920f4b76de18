"""Hostile checkpoints are refused in one line, within limits of memory and time."""

import hashlib
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
from commands import Run
from drawn_digits import save_digit
from measured import measured
from mutations import mutated_checkpoint

from digitcli.core.checkpointing.checkpoint import (
    Checkpoint,
    load_checkpoint,
    load_with_checksum,
    save_checkpoint,
)
from digitcli.core.checkpointing.locate import BUNDLED_PATHS
from digitcli.core.checkpointing.metadata import MAX_CLASSES, MAX_LOSS_POINTS, LossPoint
from digitcli.core.errors import CheckpointError
from digitcli.core.files.regular import open_regular
from digitcli.core.inference import probabilities


def parts(path: Path) -> tuple[dict[str, Any], dict[str, Any], bytes]:
    """Returns the header, the metadata in it, and the data of a checkpoint."""
    data = path.read_bytes()
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    return header, json.loads(header["__metadata__"]["digitcli"]), data[8 + length :]


def put(path: Path, header: dict[str, Any] | str, data: bytes) -> None:
    text = (header if isinstance(header, str) else json.dumps(header)).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)


def refused(run: Run, path: Path) -> str:
    """Checks that every command refuses a checkpoint in one line, and returns that."""
    save_digit(Path("7.png"), 7)
    for command in (["predict", "7.png", "--json"], ["inspect-softmax", "7.png"], ["eval"]):
        result = run(*command, "--checkpoint", path)
        assert (result.exit_code, result.stdout) == (2, "")
        (line,) = result.stderr.splitlines()
        assert line.startswith("digitcli: error: ")
        assert len(line) < 500
    return line


@pytest.mark.parametrize(
    "length", [0, 1, 7, 2**20, 8 * 2**20 + 1, 2**31 - 1, 2**32, 2**63 - 1, 2**63, 2**64 - 1]
)
def test_an_invalid_header_length(run: Run, checkpoint: Path, length: int) -> None:
    checkpoint.write_bytes(struct.pack("<Q", length) + checkpoint.read_bytes()[8:])
    assert " not a safetensors file" in refused(run, checkpoint)


@pytest.mark.parametrize(
    ("offsets", "problem"),
    [
        ([0, 0], "damaged"),
        ([4, 260], "damaged"),
        ([-4, 0], "damaged"),
        ([0, 2**62], "damaged"),
        ([2**63, 2**64], "damaged"),
        ([0.5, 1], "damaged"),
        ("0", "damaged"),
        (None, "damaged"),
    ],
)
def test_tensors_that_overlap_or_lie_elsewhere(
    run: Run, checkpoint: Path, offsets: Any, problem: str
) -> None:
    header, _, data = parts(checkpoint)
    header["l4.bias"]["data_offsets"] = offsets
    put(checkpoint, header, data)
    assert problem in refused(run, checkpoint)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"shape": [64, 1]}, "l4.bias is 64x1, not 64"),
        ({"shape": []}, "l4.bias is a single number, not 64"),
        ({"shape": [-64]}, "l4.bias is -64, not 64"),
        ({"shape": [1] * 1000}, "l4.bias is a list, not 64"),
        ({"shape": {"a": 1}}, "l4.bias is an object, not 64"),
        ({"dtype": "BF16"}, "holds l4.bias as 'BF16', not F32"),
        ({"dtype": ["F32"]}, "holds l4.bias as a list, not F32"),
        (None, "holds l4.bias as None, not F32"),
    ],
)
def test_an_invalid_tensor_in_the_header(
    run: Run, checkpoint: Path, change: Any, problem: str
) -> None:
    header, _, data = parts(checkpoint)
    header["l4.bias"] = {**header["l4.bias"], **change} if change else change
    put(checkpoint, header, data)
    assert problem in refused(run, checkpoint)


def test_bytes_outside_all_tensors(run: Run, checkpoint: Path) -> None:
    checkpoint.write_bytes(checkpoint.read_bytes() + b"PK\3\4 and more")
    assert "file not fully covered" in refused(run, checkpoint)


def test_a_duplicate_name_counts_once(run: Run, checkpoint: Path) -> None:
    header, _, data = parts(checkpoint)
    other = '"l4.bias": {"dtype": "U8", "shape": [256], "data_offsets": [0, 256]}, "l4.bias": '
    twice = json.dumps(header).replace('"l4.bias": ', other)
    put(checkpoint, twice, data)
    save_digit(Path("7.png"), 7)
    assert run("predict", "7.png", "-q").stdout in ("7\n", "")


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"classes": [str(i) for i in range(1000)]}, "has 1,000 classes, not 2 to 100"),
        ({"classes": []}, "has 0 classes"),
        ({"classes": "0123456789"}, "classes is '0123456789', not a list"),
        ({"classes": [["0"]] * 10}, "an item of classes is a list, not a text"),
        ({"classes": ["1", *"123456789"]}, "the class name '1' in"),
        ({"classes": ["", *"123456789"]}, "the class name '' in"),
        ({"classes": ["x" * 41, *"123456789"]}, "longer than 40 characters"),
        ({"classes": ["x" * 2**20, *"123456789"]}, "an item of classes is too large"),
        ({"classes": ["\ud800", *"123456789"]}, "surrogates not allowed"),
        ({"layer_sizes": [2**62] * 10_000}, "has 9,999 layers, more than 20"),
        ({"layer_sizes": [784, 2**62, 10]}, "has a layer of width 4611686018427387904, not 1 to"),
        ({"layer_sizes": [784, 0, 10]}, "has a layer of width 0, not 1 to 4,096"),
        ({"layer_sizes": [784]}, "for other layer sizes: 784 with 10 classes"),
        ({"layer_sizes": []}, "for other layer sizes: none with 10 classes"),
        ({"layer_sizes": [784, 4096, 4096, 10]}, "holds an unknown tensor l4.bias"),
        ({"recipe": None}, "is of epoch 15 of 0"),
        ({"layer_sizes": [784, 512, 256, 128, 64, 2**64]}, "an item of layer_sizes is too large"),
        ({"seed": 10**4000}, "seed is too large"),
        ({"seed": None}, "seed is None, not a whole number"),
        ({"mean": [[[0.1]]]}, "mean is a list, not a number"),
        ({"mean": -1e308}, "the normalization in"),
        ({"std": 1e-40}, "the normalization in"),
        ({"mean": 1e308, "std": 1e308}, "the normalization in"),
        ({"dataset": "m" * 2**20}, "dataset is too large"),
        ({"losses": {"epoch": 1}}, "losses is an object, not a list"),
        ({"losses": [[]]}, "an item of losses is a list, not an object"),
        ({"recipe": "lesson"}, "recipe is 'lesson', not an object"),
        ({"more": 1}, "the document holds an unknown entry 'more'"),
        ({"versions": [["torch", "2"]]}, "versions is a list, not an object"),
        ({"format_version": -1}, "format_version is -1, which is not a valid version"),
        ({"format_version": True}, "format_version is True, not a whole number"),
        ({"format_version": 1.0}, "format_version is 1.0, not a whole number"),
        ({"format_version": 2.0}, "format_version is 2.0, not a whole number"),
        ({"format_version": 10**4000}, "has format version 1000000000"),
    ],
)
def test_metadata_of_the_wrong_kind_or_size(
    run: Run, checkpoint: Path, change: dict[str, Any], problem: str
) -> None:
    header, document, data = parts(checkpoint)
    header["__metadata__"]["digitcli"] = json.dumps({**document, **change})
    put(checkpoint, header, data)
    assert problem in refused(run, checkpoint)


@pytest.mark.parametrize("number", ["NaN", "-Infinity", "1e999", "1" * 10_000, "[" * 5000])
def test_metadata_that_is_invalid_json(run: Run, checkpoint: Path, number: str) -> None:
    header, document, data = parts(checkpoint)
    text = json.dumps({**document, "temperature": "HERE"}).replace('"HERE"', number)
    header["__metadata__"]["digitcli"] = text
    put(checkpoint, header, data)
    assert "metadata" in refused(run, checkpoint)


@pytest.mark.parametrize("metadata", [None, [], "", 1, {"digitcli": 1}, {"digitcli": ["{}"]}])
def test_a_header_without_text_metadata(run: Run, checkpoint: Path, metadata: Any) -> None:
    header, _, data = parts(checkpoint)
    put(checkpoint, {**header, "__metadata__": metadata}, data)
    assert "its header holds metadata that is not text" in refused(run, checkpoint)


@pytest.mark.parametrize("header", ["[]", "{", "null", "[" * 100_000, '{"a":' * 100_000, "\0"])
def test_a_header_that_is_no_object(run: Run, checkpoint: Path, header: str) -> None:
    put(checkpoint, header, b"")
    assert "is damaged or not a safetensors file" in refused(run, checkpoint)


def test_weights_that_overflow_are_refused_and_large_ones_are_not(
    run: Run, trained: Checkpoint, checkpoint: Path
) -> None:
    large = {name: np.array(weight) for name, weight in trained.weights.items()}
    large["l2.weight"] *= np.float32(1e6)
    save_checkpoint(checkpoint, replace(trained, weights=large))
    pictures = np.stack([np.full((28, 28), level, np.uint8) for level in (0, 128, 255)])
    assert np.isfinite(probabilities(load_checkpoint(checkpoint), pictures)).all()
    large["l2.weight"] *= np.float32(1e25)
    save_checkpoint(checkpoint, replace(trained, weights=large))
    assert "numbers so large that its scores may overflow, in l2.weight" in refused(run, checkpoint)


def test_the_maximum_number_of_classes(run: Run, trained: Checkpoint, checkpoint: Path) -> None:
    weights = {name: np.array(weight) for name, weight in trained.weights.items()}
    weights["l5.weight"] = np.resize(weights["l5.weight"], (MAX_CLASSES, 64))
    weights["l5.bias"] = np.resize(weights["l5.bias"], MAX_CLASSES)
    names = tuple(f"class {i}" for i in range(MAX_CLASSES))
    sizes = (*trained.metadata.layer_sizes[:-1], MAX_CLASSES)
    metadata = replace(trained.metadata, classes=names, layer_sizes=sizes)
    save_checkpoint(checkpoint, Checkpoint(weights, metadata))
    save_digit(Path("7.png"), 7)
    assert run("predict", "7.png").exit_code == 0
    assert run("inspect-softmax", "7.png", "--explain").exit_code == 0
    result = run("eval", "--dataset", "optdigits")
    assert result.exit_code == 2
    assert len(result.stderr.splitlines()) == 1


@pytest.mark.parametrize("kind", ["fifo", "device", "folder", "link to a device", "loop"])
def test_special_files_do_not_block(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "checkpoint"
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    elif kind == "device":
        path = Path("/dev/zero")
    else:
        path.symlink_to("/dev/zero" if kind == "link to a device" else path)
    done = measured("predict", save_digit(tmp_path / "7.png", 7), "--checkpoint", path)
    assert done.code == 2
    assert "symbolic links" in done.errors if kind == "loop" else "is not a file" in done.errors
    assert done.errors.count("\n") == 1


def test_a_huge_file_is_not_read(checkpoint: Path) -> None:
    header, _, _ = parts(checkpoint)
    put(checkpoint, header, b"")
    with checkpoint.open("r+b") as file:
        file.truncate(10**12)  # sparse: takes no space on disk
    done = measured("predict", save_digit(Path("7.png"), 7))
    assert done.code == 2
    assert "1,000,000,000,000 bytes are too many for a checkpoint" in done.errors
    assert done.megabytes < 100


@pytest.mark.parametrize("piece", ["[]", "{}", '{"":0}', '"\U0001f600"', "1e9"])
def test_metadata_that_expands_stays_within_the_memory_limit(checkpoint: Path, piece: str) -> None:
    header, _, data = parts(checkpoint)
    pieces = [piece] * (7 * 2**20 // (len(piece.encode()) + piece.count('"') + 1))
    header["__metadata__"]["digitcli"] = f"[{','.join(pieces)}]"
    put(checkpoint, json.dumps(header, ensure_ascii=False), data)
    done = measured("predict", save_digit(Path("7.png"), 7))
    assert done.code == 2
    assert "cannot be read (a list, not an object)" in done.errors
    assert done.megabytes < 350


def test_a_valid_checkpoint_takes_little_memory(checkpoint: Path) -> None:
    done = measured("predict", save_digit(Path("7.png"), 7), "--checkpoint", checkpoint)
    assert done.code == 0
    assert done.megabytes < 100


def test_mutated_checkpoints_are_refused_or_work(tmp_path: Path) -> None:
    own = next(path for path in BUNDLED_PATHS if path.exists()).read_bytes()
    path = tmp_path / "mutated"
    refusals = 0
    for number in range(100):
        path.write_bytes(mutated_checkpoint(own, [own], random.Random(number)))  # noqa: S311
        try:
            loaded = load_checkpoint(path)
        except CheckpointError as error:
            assert len(str(error)) < 500 + len(str(path))
            refusals += 1
        else:
            picture = np.zeros((1, 28, 28), np.uint8)
            assert np.isfinite(probabilities(loaded, picture)).all()
    assert 60 < refusals < 100


def test_foreign_safetensors_are_refused(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "other"
    safetensors.numpy.save_file({"weight": np.zeros(3, np.float32)}, path, {"format": "pt"})
    assert "not a checkpoint of digitcli" in refused(run, path)


def test_the_maximum_number_of_loss_points_is_loaded_unchanged(
    run: Run, trained: Checkpoint, checkpoint: Path
) -> None:
    points = tuple(LossPoint(9, 1 + i, 1 / 3e5) for i in range(MAX_LOSS_POINTS))
    metadata = replace(trained.metadata, losses=points, accuracies=())
    save_checkpoint(checkpoint, replace(trained, metadata=metadata))
    assert load_checkpoint(checkpoint).metadata.losses == points
    result = run("train", "--dataset", "optdigits", "--epochs", "2000", "--log-every", "1")
    assert result.exit_code == 2
    assert "182,000 loss points are more than the 100,000" in result.stderr


def changing(monkeypatch: pytest.MonkeyPatch, change: Callable[[], None]) -> None:
    """Lets a checkpoint change just after it was opened."""

    def opened(path: Path) -> Any:
        file = open_regular(path)
        change()
        return file

    monkeypatch.setattr("digitcli.core.checkpointing.container.open_regular", opened)


@pytest.mark.parametrize("left", [0, 8, 100, 5000, 100_000])
def test_a_checkpoint_that_is_cut_off_while_it_is_read(
    run: Run, checkpoint: Path, monkeypatch: pytest.MonkeyPatch, left: int
) -> None:
    changing(monkeypatch, lambda: os.truncate(checkpoint, left))
    save_digit(Path("7.png"), 7)
    result = run("predict", "7.png")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.count("\n") == 1


def test_a_checkpoint_that_is_replaced_while_it_is_read_is_the_old_one(
    checkpoint: Path, trained: Checkpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    def replace() -> None:
        Path("other").write_bytes(b"something else")
        Path("other").replace(checkpoint)

    content = checkpoint.read_bytes()
    changing(monkeypatch, replace)
    found, checksum = load_with_checksum(checkpoint)
    assert found.metadata == trained.metadata
    assert checksum == f"sha256:{hashlib.sha256(content).hexdigest()}"
    assert checkpoint.read_bytes() == b"something else"


def test_a_checkpoint_that_grows_while_it_is_read(
    checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    changing(monkeypatch, lambda: os.truncate(checkpoint, 10**12))
    with pytest.raises(CheckpointError, match="1,000,000,000,000 bytes are too many"):
        load_checkpoint(checkpoint)
