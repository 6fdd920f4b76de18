"""Checkpoints: the weights in one safetensors file, with all that is known of how they came about.

The file loads into the lesson's own ``Net`` as it is: the tensors are named ``l1.weight``,
``l1.bias`` and so on. The metadata is one JSON document with sorted keys under the name
``digitcli``, because safetensors writes several entries in no fixed order and equal runs should
give equal files.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from io import BufferedReader
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import safetensors
import safetensors.numpy

from digitcli.core.checkpointing.locate import LATEST, PRETRAINED, find_checkpoint
from digitcli.core.checkpointing.metadata import TRAIN_AGAIN, Metadata, parse_metadata
from digitcli.core.errors import CheckpointError, error_reason
from digitcli.core.files.atomic import write_atomically
from digitcli.core.files.regular import NotRegularFileError, open_regular
from digitcli.core.files.schema import describe, parse_json

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


def _unwritable(path: Path, error: OSError) -> CheckpointError:
    return CheckpointError(
        f"cannot write {path}: {error_reason(error)}", "choose another place with --output"
    )


def find_and_load(named: str | os.PathLike[str] | None) -> tuple[Path, Checkpoint]:
    """Reads the checkpoint that ``find_checkpoint`` chooses.

    Args:
        named: As for ``find_checkpoint``.

    Returns:
        Where it is, and what it holds.

    Raises:
        CheckpointError: As ``find_checkpoint`` and ``load_checkpoint`` do. Where the faulty file
            was not named but found, it says how to go on without it.
    """
    path = find_checkpoint(named)
    try:
        return path, load_checkpoint(path)
    except CheckpointError as error:
        if named is None and path == LATEST and error.next_step in (TRAIN_AGAIN, _NAME_ANOTHER):
            step = f"delete it, or give other weights by --checkpoint, '{PRETRAINED}' say"
            raise CheckpointError(error.problem, step) from error
        raise


def load_checkpoint(path: Path) -> Checkpoint:
    """Reads a checkpoint and checks everything in it before it is used.

    A file from a stranger cannot run code, cannot make its reader wait, and costs no more memory
    than twice its size, which is limited, and what ``_LARGEST_HEADER`` bytes of JSON turn into.

    Raises:
        CheckpointError: The file is missing, empty, not a safetensors file, not digitcli's, from
            a newer format, or holds tensors or metadata that do not fit the network.
    """
    data, header = _read(path)
    document = header.pop("__metadata__").get(_METADATA_KEY)
    if document is None:
        raise CheckpointError(
            f"{path} is a safetensors file, but not one that digitcli wrote", TRAIN_AGAIN
        )
    metadata = parse_metadata(path, document)
    _check_tensors(path, header, metadata)
    try:
        tensors = safetensors.numpy.load(data)
    except safetensors.SafetensorError as error:
        raise _damaged(path, str(error)) from error
    for name, tensor in tensors.items():
        if not np.isfinite(tensor).all():
            raise CheckpointError(f"{path} holds nan or infinity in {name}", TRAIN_AGAIN)
    _check_reach(path, tensors, metadata)
    # safetensors gives them in another order each time
    return Checkpoint({name: tensors[name] for name in _expected_shapes(metadata)}, metadata)


_LARGEST_HEADER = 8 * 2**20
"""Bytes; the metadata of ``MAX_LOSS_POINTS`` readings of the loss has 7 million."""

_LARGEST_FILE = 16 * 2**20
"""Bytes; the weights have 2.3 million, whatever the classes."""


def _read(path: Path) -> tuple[bytes, dict[str, Any]]:
    """Reads a safetensors file.

    Returns:
        Its content, and its header: "__metadata__", by name, and what it says of each tensor.
    """
    try:
        with BufferedReader(open_regular(path)) as file:
            size = os.fstat(file.fileno()).st_size
            start = file.read(8)
            if not start:
                raise CheckpointError(f"the checkpoint {path} is empty", TRAIN_AGAIN)
            length = int.from_bytes(start, "little")
            if size < 8 or length > _LARGEST_HEADER:  # any other file begins so
                raise CheckpointError(f"{path} is not a safetensors file", TRAIN_AGAIN)
            if length > size - 8:
                raise _damaged(path, f"it ends within its header of {length:,} bytes")
            if size > _LARGEST_FILE:
                raise _damaged(path, f"{size:,} bytes are too many for a checkpoint")
            data = start + file.read(_LARGEST_FILE)
    except FileNotFoundError:
        if path.is_symlink():
            raise CheckpointError(f"{path} is a link to nothing", TRAIN_AGAIN) from None
        raise CheckpointError(f"there is no checkpoint at {path}", _NAME_ANOTHER) from None
    except NotRegularFileError:
        raise CheckpointError(f"{path} is not a file", _NAME_ANOTHER) from None
    except (OSError, ValueError) as error:
        raise CheckpointError(f"cannot read {path}: {error_reason(error)}", TRAIN_AGAIN) from error
    try:
        header = parse_json(data[8 : 8 + length].decode())
    except ValueError as error:
        raise _damaged(path, f"its header cannot be read: {error}") from error
    metadata = header.setdefault("__metadata__", {}) if isinstance(header, dict) else None
    if not isinstance(metadata, dict) or not isinstance(metadata.get(_METADATA_KEY, ""), str):
        raise _damaged(path, "its header holds no texts as metadata")
    return data, header


def _damaged(path: Path, why: str) -> CheckpointError:
    return CheckpointError(f"{path} is damaged or not a safetensors file ({why:.200})", TRAIN_AGAIN)


def _expected_shapes(metadata: Metadata) -> dict[str, list[int]]:
    shapes = {}
    sizes = metadata.layer_sizes
    for layer, (inputs, outputs) in enumerate(pairwise(sizes), start=1):
        shapes[f"l{layer}.weight"] = [outputs, inputs]
        shapes[f"l{layer}.bias"] = [outputs]
    return shapes


def _check_tensors(path: Path, header: dict[str, Any], metadata: Metadata) -> None:
    """Checks what the header says of the tensors, but for where they lie in the file."""
    expected = _expected_shapes(metadata)
    if missing := sorted(expected.keys() - header.keys()):
        raise CheckpointError(f"{path} lacks the tensor {missing[0]}", TRAIN_AGAIN)
    if extra := sorted(header.keys() - expected.keys()):
        raise CheckpointError(f"{path} holds an unknown tensor {extra[0]:.40}", TRAIN_AGAIN)
    for name, shape in expected.items():
        tensor = header[name] if isinstance(header[name], dict) else {}
        dtype, has = tensor.get("dtype"), tensor.get("shape")
        if dtype != "F32":
            raise CheckpointError(f"{path} holds {name} as {describe(dtype)}, not F32", TRAIN_AGAIN)
        if has != shape:
            raise CheckpointError(
                f"{path} is for other layer sizes: {name} is {_by(has)}, not {_by(shape)}",
                TRAIN_AGAIN,
            )


def _by(shape: Any) -> str:
    if not isinstance(shape, list) or len(shape) > 4:
        return describe(shape)
    return "x".join(map(describe, shape)) or "a single number"


def _check_reach(path: Path, weights: Weights, metadata: Metadata) -> None:
    """Makes sure that no picture can drive the scores beyond what float32 holds.

    No value of a layer is larger than the sum of its weights' sizes times the largest value
    before it; ordinary networks stay below 1e12 by this measure.
    """
    reach = max(abs(metadata.mean), abs(1 - metadata.mean)) / metadata.std
    for layer in range(1, len(metadata.layer_sizes)):
        weight, bias = weights[f"l{layer}.weight"], weights[f"l{layer}.bias"]
        sums = np.abs(weight).sum(axis=1, dtype=np.float64)
        reach = float((sums * reach + np.abs(bias)).max())
        if not reach < _FURTHEST:
            raise CheckpointError(
                f"{path} holds numbers so large that its scores may overflow, by l{layer}.weight",
                TRAIN_AGAIN,
            )


_FURTHEST = 1e30
"""A hundred million times less than the largest float32."""
