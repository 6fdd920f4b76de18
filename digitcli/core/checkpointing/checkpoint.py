"""Checkpoints: weights and metadata of a network in one safetensors file.

The tensors are named ``l1.weight``, ``l1.bias`` and so on, so that the file loads into the
lesson's own ``Net`` unchanged.
"""

import hashlib
import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from digitcli.core.checkpointing.container import FileKind, read_container, write_container
from digitcli.core.checkpointing.locate import LATEST, PRETRAINED, find_checkpoint
from digitcli.core.checkpointing.metadata import (
    FORMAT_VERSION,
    Metadata,
    check_point_count,
    metadata_problems,
)
from digitcli.core.errors import CheckpointError
from digitcli.core.files.schema import describe, parse_record

Weights = Mapping[str, npt.NDArray[np.float32]]

_CHECKPOINT = FileKind(
    name="checkpoint",
    key="digitcli",
    version_key="format_version",
    version=FORMAT_VERSION,
    max_size=64 * 2**20,  # the lesson's weights take 2.3 million
    if_invalid="choose another checkpoint, or train a new one with 'digitcli train'",
    if_missing="check the path, or leave it out to use the latest trained weights or the bundled "
    "ones",
    if_foreign="make it a checkpoint with 'digitcli import {path} --output mine.safetensors'",
)

_MAX_ACTIVATION = 1e30
"""Maximum bound on an activation: a hundred million times less than the largest float32."""


@dataclass(frozen=True)
class Checkpoint:
    """Weights, float32 ``lN.weight`` (outputs, inputs) and ``lN.bias`` (outputs,), and metadata."""

    weights: Weights
    metadata: Metadata


def save_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Writes a checkpoint atomically; raises a ``CheckpointError`` if that fails."""
    write_container(path, _CHECKPOINT, asdict(checkpoint.metadata), checkpoint.weights)


def find_and_load(named: str | os.PathLike[str] | None) -> tuple[Path, Checkpoint]:
    """Returns the path and the content of the checkpoint that ``find_checkpoint`` chooses.

    Raises:
        CheckpointError: As ``find_checkpoint`` and ``load_checkpoint`` raise it; where an invalid
            file was found rather than named, the next step is how to do without that file.
    """
    path = find_checkpoint(named)
    try:
        return path, load_checkpoint(path)
    except CheckpointError as error:
        is_invalid = error.next_step in (_CHECKPOINT.if_invalid, _CHECKPOINT.if_missing)
        if named is None and path == LATEST and is_invalid:
            step = f"delete it, or give other weights, for example --checkpoint {PRETRAINED}"
            raise CheckpointError(error.problem, step) from error
        raise


def load_checkpoint(path: Path) -> Checkpoint:
    """Reads a checkpoint of unknown origin; ``read_container`` has the cost.

    Raises:
        CheckpointError: The file is missing, invalid, not digitcli's, from a newer digitcli, or
            holds tensors or metadata that do not fit the network.
    """
    return _load(path)[0]


def load_with_checksum(path: Path) -> tuple[Checkpoint, str]:
    """Reads a checkpoint as ``load_checkpoint`` does.

    Returns:
        The checkpoint, and the checksum of the bytes that it was read from, as "sha256:...".
    """
    checkpoint, content = _load(path)
    return checkpoint, f"sha256:{hashlib.sha256(content).hexdigest()}"


def _load(path: Path) -> tuple[Checkpoint, bytes]:
    def problems(metadata: Metadata, header: dict[str, Any]) -> Iterator[str]:
        yield from metadata_problems(path, metadata)
        yield from _header_problems(path, header, _shapes(metadata))

    def parse(values: Any) -> Metadata:
        check_point_count(values)
        return parse_record(values, Metadata, "the document")

    metadata, tensors, content = read_container(path, _CHECKPOINT, parse, problems)
    weights = {name: tensors[name] for name in _shapes(metadata)}
    for problem in weight_problems(path, weights, metadata):
        raise _CHECKPOINT.invalid(problem)
    return Checkpoint(weights, metadata), content


def _shapes(metadata: Metadata) -> dict[str, list[int]]:
    shapes = {}
    for layer, (inputs, outputs) in enumerate(pairwise(metadata.layer_sizes), start=1):
        shapes[f"l{layer}.weight"] = [outputs, inputs]
        shapes[f"l{layer}.bias"] = [outputs]
    return shapes


def _header_problems(
    path: Path, header: dict[str, Any], shapes: dict[str, list[int]]
) -> Iterator[str]:
    """Yields what is wrong with the tensors' names, dtypes and shapes."""
    if missing := sorted(shapes.keys() - header.keys()):
        yield f"{path} lacks the tensor {missing[0]}"
    if extra := sorted(header.keys() - shapes.keys()):
        yield f"{path} holds an unknown tensor {extra[0]:.40}"
    for name, shape in shapes.items():
        tensor = header[name] if isinstance(header[name], dict) else {}
        dtype, found = tensor.get("dtype"), tensor.get("shape")
        if dtype != "F32":
            yield f"{path} holds {name} as {describe(dtype)}, not F32"
        if found != shape:
            sizes = f"{name} is {_as_text(found)}, not {_as_text(shape)}"
            yield f"{path} is for other layer sizes: {sizes}"


def _as_text(shape: Any) -> str:
    if not isinstance(shape, list) or len(shape) > 4:
        return describe(shape)
    return "x".join(map(describe, shape)) or "a single number"


def weight_problems(path: Path, weights: Weights, metadata: Metadata) -> Iterator[str]:
    """Yields what is wrong with the weights: nan, infinity, or logits that an image can overflow.

    No activation of a layer is larger than the largest sum of its weights' magnitudes times the
    largest activation before it. Ordinary networks stay below 1e12 by this bound.
    """
    for name, weight in weights.items():
        if not np.isfinite(weight).all():
            yield f"{path} holds nan or infinity in {name}"
    bound = max(abs(metadata.mean), abs(1 - metadata.mean)) / metadata.std
    for layer in range(1, len(metadata.layer_sizes)):
        weight, bias = weights[f"l{layer}.weight"], weights[f"l{layer}.bias"]
        sums = np.abs(weight).sum(axis=1, dtype=np.float64)
        bound = float((sums * bound + np.abs(bias)).max())
        if not bound < _MAX_ACTIVATION:
            yield f"{path} holds numbers so large that its scores may overflow, in l{layer}.weight"
