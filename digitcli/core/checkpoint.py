"""Checkpoints: the weights in one safetensors file, with all that is known of how they came about.

The file loads into the lesson's own ``Net`` as it is: the tensors are named ``l1.weight``,
``l1.bias`` and so on. The metadata is one JSON document with sorted keys under the name
``digitcli``, because safetensors writes several entries in no fixed order and equal runs should
give equal files.
"""

import json
import stat
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import safetensors
import safetensors.numpy

from digitcli.core.errors import CheckpointError, reason
from digitcli.core.files import check_writable, write_atomically
from digitcli.core.metadata import TRAIN_AGAIN, Metadata, parse_metadata

Weights = Mapping[str, npt.NDArray[np.float32]]

_METADATA_KEY = "digitcli"
_NAME_ANOTHER = "check the path, or name none to use the latest trained or digitcli's own"


@dataclass(frozen=True)
class Checkpoint:
    """Metadata and weights: float32 ``lN.weight`` (outputs, inputs) and ``lN.bias`` (outputs,)."""

    weights: Weights
    metadata: Metadata


def save_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Writes a checkpoint in one step: at ``path`` is the old file or the new, never a part.

    Raises:
        CheckpointError: The file cannot be written; an old one is untouched.
    """
    document = json.dumps(asdict(checkpoint.metadata), sort_keys=True, ensure_ascii=False)
    data = safetensors.numpy.save(dict(checkpoint.weights), {_METADATA_KEY: document})
    try:
        write_atomically(path, lambda file: file.write(data))
    except OSError as error:
        raise _unwritable(path, error) from error


def check_destination(path: Path) -> None:
    """Makes sure, before the work, that a checkpoint can be written; see ``check_writable``.

    Raises:
        CheckpointError: It could not.
    """
    try:
        check_writable(path)
    except OSError as error:
        raise _unwritable(path, error) from error


def _unwritable(path: Path, error: OSError) -> CheckpointError:
    return CheckpointError(
        f"cannot write {path}: {reason(error)}", "choose another place with --output"
    )


def load_checkpoint(path: Path) -> Checkpoint:
    """Reads a checkpoint and checks everything in it before it is used.

    Raises:
        CheckpointError: The file is missing, empty, not a safetensors file, not digitcli's, from
            a newer format, or holds tensors or metadata that do not fit the network.
    """
    try:
        status = path.stat()
    except FileNotFoundError:
        if path.is_symlink():
            raise CheckpointError(f"{path} is a link to nothing", TRAIN_AGAIN) from None
        raise CheckpointError(f"there is no checkpoint at {path}", _NAME_ANOTHER) from None
    except (OSError, ValueError) as error:
        raise CheckpointError(f"cannot read {path}: {reason(error)}", TRAIN_AGAIN) from error
    if not stat.S_ISREG(status.st_mode):
        raise CheckpointError(f"{path} is not a file", _NAME_ANOTHER)
    if status.st_size == 0:
        raise CheckpointError(f"the checkpoint {path} is empty", TRAIN_AGAIN)
    try:
        with safetensors.safe_open(path, framework="numpy") as file:
            document = (file.metadata() or {}).get(_METADATA_KEY)
            if document is None:
                raise CheckpointError(
                    f"{path} is a safetensors file, but not one that digitcli wrote", TRAIN_AGAIN
                )
            metadata = parse_metadata(path, document)
            _check_tensors(path, file, metadata)
            weights = {name: file.get_tensor(name) for name in _expected_shapes(metadata)}
    except safetensors.SafetensorError as error:
        raise CheckpointError(
            f"{path} is damaged or not a safetensors file ({error})", TRAIN_AGAIN
        ) from error
    except OSError as error:
        raise CheckpointError(f"cannot read {path}: {reason(error)}", TRAIN_AGAIN) from error
    for name, tensor in weights.items():
        if not np.isfinite(tensor).all():
            raise CheckpointError(f"{path} holds nan or infinity in {name}", TRAIN_AGAIN)
    return Checkpoint(weights, metadata)


def _expected_shapes(metadata: Metadata) -> dict[str, list[int]]:
    shapes = {}
    sizes = metadata.layer_sizes
    for layer, (inputs, outputs) in enumerate(pairwise(sizes), start=1):
        shapes[f"l{layer}.weight"] = [outputs, inputs]
        shapes[f"l{layer}.bias"] = [outputs]
    return shapes


def _check_tensors(path: Path, file: Any, metadata: Metadata) -> None:
    expected = _expected_shapes(metadata)
    names = set(file.keys())
    if missing := sorted(expected.keys() - names):
        raise CheckpointError(f"{path} lacks the tensor {missing[0]}", TRAIN_AGAIN)
    if extra := sorted(names - expected.keys()):
        raise CheckpointError(f"{path} holds an unknown tensor {extra[0]}", TRAIN_AGAIN)
    for name, shape in expected.items():
        tensor = file.get_slice(name)
        if tensor.get_dtype() != "F32":
            raise CheckpointError(
                f"{path} holds {name} as {tensor.get_dtype()}, not F32", TRAIN_AGAIN
            )
        if tensor.get_shape() != shape:
            raise CheckpointError(
                f"{path} is for other layer sizes: {name} is "
                f"{_by(tensor.get_shape())}, not {_by(shape)}",
                TRAIN_AGAIN,
            )


def _by(shape: list[int]) -> str:
    return "x".join(map(str, shape)) or "a single number"
