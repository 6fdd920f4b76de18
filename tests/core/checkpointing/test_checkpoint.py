"""Checkpoints: what is saved is loaded unchanged, and invalid files are refused by name."""

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors
import safetensors.numpy
import torch

from digitcli.core.checkpointing.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from digitcli.core.errors import CheckpointError
from digitcli.core.recipes import LESSON


def write(path: Path, weights: dict[str, np.ndarray], metadata: dict[str, Any]) -> Path:
    safetensors.numpy.save_file(weights, path, {"digitcli": json.dumps(metadata)})
    return path


def test_a_checkpoint_is_loaded_unchanged(trained: Checkpoint, tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "a.safetensors"
    save_checkpoint(path, trained)
    loaded = load_checkpoint(path)
    assert loaded.metadata == trained.metadata
    assert loaded.weights.keys() == trained.weights.keys()
    for name, weight in trained.weights.items():
        assert np.array_equal(loaded.weights[name], weight)
    assert [file.name for file in path.parent.iterdir()] == ["a.safetensors"]


def test_the_metadata_of_a_run_is_loaded_unchanged(trained: Checkpoint, tmp_path: Path) -> None:
    metadata = replace(
        trained.metadata,
        scored_on="validation",
        temperature=1.2345678901234567,
        command="digitcli train --recipe 'größer' --seed 0",
        data_checksums={"a file": "md5:0"},
    )
    save_checkpoint(tmp_path / "a", replace(trained, metadata=metadata))
    assert load_checkpoint(tmp_path / "a").metadata == metadata


def test_the_same_checkpoint_gives_the_same_bytes(trained: Checkpoint, tmp_path: Path) -> None:
    for name in ("a", "b"):
        save_checkpoint(tmp_path / name, trained)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_weights_load_into_the_lessons_own_network(checkpoint: Path, trained: Checkpoint) -> None:
    class Net(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.l1 = torch.nn.Linear(784, 512)
            self.l2 = torch.nn.Linear(512, 256)
            self.l3 = torch.nn.Linear(256, 128)
            self.l4 = torch.nn.Linear(128, 64)
            self.l5 = torch.nn.Linear(64, 10)

    net = Net()
    state = {k: torch.from_numpy(v) for k, v in safetensors.numpy.load_file(checkpoint).items()}
    net.load_state_dict(state)
    assert torch.equal(net.l5.bias, torch.from_numpy(np.array(trained.weights["l5.bias"])))


def test_metadata_is_complete(checkpoint: Path) -> None:
    with safetensors.safe_open(checkpoint, framework="numpy") as file:
        metadata = json.loads(file.metadata()["digitcli"])
    assert metadata["layer_sizes"] == [784, 512, 256, 128, 64, 10]
    assert metadata["classes"] == list("0123456789")
    assert (metadata["mean"], metadata["std"]) == (0.1307, 0.3081)
    assert metadata["dataset"] == "mnist"
    assert metadata["recipe"] == {
        "name": "test",
        "epochs": 15,
        "batch_size": 32,
        "lr": 0.05,
        "momentum": 0.5,
        "nesterov": False,
        "frozen": 0,
        "optimizer": "sgd",
        "weight_decay": 0,
        "batch_norm": False,
        "deformation": {"rotation": 0, "scale": 0, "shear": 0, "shift": 0, "elastic": 0},
        "schedule": "constant",
        "outliers": 0,
        "synthetic": 0,
        "temperature": 1,
    }
    assert metadata["epochs"] == 15
    assert metadata["seed"] == 0
    assert metadata["device"] == "cpu"
    assert metadata["losses"][0]["batch"] == 10
    assert len(metadata["accuracies"]) == 15
    assert metadata["scored_on"] == "test"
    assert metadata["temperature"] == 1
    assert metadata["command"] == ""
    assert metadata["data_checksums"] == {}
    assert metadata["versions"].keys() == {"digitcli", "torch", "numpy", "python"}


def test_a_failed_write_leaves_the_old_file(trained: Checkpoint, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(CheckpointError, match="cannot write"):
        save_checkpoint(tmp_path / "file" / "a.safetensors", trained)
    folder = tmp_path / "folder"
    folder.mkdir()
    with pytest.raises(CheckpointError, match="cannot write"):
        save_checkpoint(folder, trained)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder"]


def test_missing_empty_and_foreign_files(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="there is no checkpoint at"):
        load_checkpoint(tmp_path / "missing")
    with pytest.raises(CheckpointError, match="is not a file"):
        load_checkpoint(tmp_path)
    (tmp_path / "link").symlink_to("gone")
    with pytest.raises(CheckpointError, match="is a link to nothing"):
        load_checkpoint(tmp_path / "link")
    path = tmp_path / "a.safetensors"
    path.touch()
    with pytest.raises(CheckpointError, match="is empty"):
        load_checkpoint(path)
    path.write_bytes(b"PK\3\4 for example a pickle in a zip" * 10)
    with pytest.raises(CheckpointError, match="is not a safetensors file") as error:
        load_checkpoint(path)
    assert "bytes" not in str(error.value)
    safetensors.numpy.save_file({"weight": np.zeros(3, np.float32)}, path)
    with pytest.raises(CheckpointError, match="not a checkpoint of digitcli"):
        load_checkpoint(path)


def test_a_cut_file(checkpoint: Path) -> None:
    data = checkpoint.read_bytes()
    for size in (4, 100, 5000, len(data) - 1):
        checkpoint.write_bytes(data[:size])
        with pytest.raises(CheckpointError, match=r"(damaged or|is) not a safetensors file"):
            load_checkpoint(checkpoint)


def test_tensors_that_do_not_fit(trained: Checkpoint, tmp_path: Path) -> None:
    metadata = asdict(trained.metadata)
    good = {name: np.array(weight) for name, weight in trained.weights.items()}
    path = tmp_path / "a.safetensors"

    def expect(problem: str, weights: dict[str, np.ndarray]) -> None:
        with pytest.raises(CheckpointError, match=problem):
            load_checkpoint(write(path, weights, metadata))

    expect("lacks the tensor l3.bias", {k: v for k, v in good.items() if k != "l3.bias"})
    expect("unknown tensor l6.bias", {**good, "l6.bias": good["l5.bias"]})
    expect("l1.weight is 100x784, not 512x784", {**good, "l1.weight": good["l1.weight"][:100]})
    expect("l5.bias as 'F64', not F32", {**good, "l5.bias": good["l5.bias"].astype(np.float64)})
    expect("nan or infinity in l2.bias", {**good, "l2.bias": good["l2.bias"] * np.nan})


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"layer_sizes": [784, 32, 10]}, "holds an unknown tensor l3.bias"),
        ({"layer_sizes": [100, 32, 10]}, "for other layer sizes: 100-32-10 with 10 classes"),
        ({"layer_sizes": "784"}, "incomplete or of the wrong type"),
        ({"classes": ["a"]}, "has 1 classes, not 2 to 100"),
        ({"classes": [1] * 10}, "incomplete or of the wrong type"),
        ({"classes": list("0123456788")}, "a duplicate"),
        ({"mean": "0.13"}, "incomplete or of the wrong type"),
        ({"std": 0}, "normalization"),
        ({"recipe": {}}, "incomplete or of the wrong type"),
        ({"seed": True}, "incomplete or of the wrong type"),
        ({"losses": [{"epoch": 1}]}, "incomplete or of the wrong type"),
        ({"versions": None}, "incomplete or of the wrong type"),
        ({"temperature": "1"}, "incomplete or of the wrong type"),
        ({"temperature": True}, "incomplete or of the wrong type"),
        ({"temperature": 0}, "the temperature 0.0 in .* is outside 0.05 to 20"),
        ({"temperature": -1.0}, "the temperature -1.0 in"),
        ({"temperature": 1e-300}, "the temperature 1e-300 in"),
        ({"temperature": float("nan")}, "cannot be read .NaN is no number of JSON"),
        ({"temperature": float("inf")}, "cannot be read .Infinity is no number of JSON"),
        ({"temperature": 10**400}, "incomplete or of the wrong type"),
        ({"recipe": {**asdict(LESSON), "temperature": 0}}, "the recipe.s temperature is 0.0"),
        ({"recipe": {"name": "lesson"}}, "incomplete or of the wrong type"),
        ({"scored_on": "train"}, "was scored on 'train', neither test nor validation"),
        ({"command": ["digitcli"]}, "incomplete or of the wrong type"),
        ({"data_checksums": ["a"]}, "incomplete or of the wrong type"),
        ({"data_checksums": {"a": 1}}, "incomplete or of the wrong type"),
        ({"seed": -1}, "the seed -1 is outside 0 to 4294967295"),
        ({"epochs": 0}, "is of epoch 0 of 15"),
        ({"epochs": 16}, "is of epoch 16 of 15"),
        ({"losses": [{"epoch": 1, "batch": 0, "loss": 1}]}, "a loss of epoch 1, batch 0"),
        ({"accuracies": [{"epoch": 1, "loss": 1, "accuracy": 2}]}, "an accuracy of 2.0 after"),
        ({"losses": [0] * 100_001, "accuracies": []}, "100,001 loss points, more than 100,000"),
        ({"format_version": "1"}, "incomplete or of the wrong type"),
        ({"format_version": True}, "incomplete or of the wrong type"),
        ({"format_version": 99}, "format version 99, this digitcli reads up to 1"),
    ],
)
def test_metadata_that_does_not_fit(
    trained: Checkpoint, tmp_path: Path, change: dict[str, Any], problem: str
) -> None:
    weights = {name: np.array(weight) for name, weight in trained.weights.items()}
    path = write(tmp_path / "a", weights, {**asdict(trained.metadata), **change})
    with pytest.raises(CheckpointError, match=problem):
        load_checkpoint(path)


@pytest.mark.parametrize(
    "document", ["", "[]", "null", "{", "[" * 100_000, '{"format_version": 1}']
)
def test_metadata_that_is_no_document(tmp_path: Path, document: str) -> None:
    path = tmp_path / "a"
    safetensors.numpy.save_file({"a": np.zeros(1, np.float32)}, path, {"digitcli": document})
    with pytest.raises(CheckpointError, match="metadata"):
        load_checkpoint(path)


def test_weights_come_in_the_order_of_the_layers(checkpoint: Path) -> None:
    """Tensors come from safetensors in no fixed order, so exports of one checkpoint differed."""
    names = [f"l{layer}.{part}" for layer in range(1, 6) for part in ("weight", "bias")]
    assert list(load_checkpoint(checkpoint).weights) == names
