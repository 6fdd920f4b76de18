"""Exporting a network: from bytes to probabilities, verified before the file is written."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

import numpy as np

from digitcli._version import __version__
from digitcli.core.checkpointing.checkpoint import Checkpoint, Weights
from digitcli.core.errors import DigitcliError
from digitcli.core.export.formats import FORMATS
from digitcli.core.export.verify import COUNT, TOLERANCE, max_difference
from digitcli.core.files.atomic import (
    check_writable,
    empty_folders_removed,
    write_atomically,
    write_errors,
)
from digitcli.core.imports import import_torch


@dataclass(frozen=True)
class ExportResult:
    """The result of an export."""

    bytes: int  # size of the file
    checked: int  # number of images that the file was verified on
    difference: float  # maximum difference of a probability on them
    notes: Mapping[str, str]  # the file's, as ``make_notes`` returns them


def export(checkpoint: Checkpoint, format_: str, path: Path) -> ExportResult:
    """Writes a network in one of ``FORMATS``, with its normalization and temperature.

    Before the file is written, its content is read back as its users read it, and compared with
    digitcli's own probabilities.

    Raises:
        DigitcliError: A library is missing, the probabilities differ, or the file cannot be
            written; an old file is untouched.
    """
    if format_ == "pt2":
        import_torch("a pt2 file")
    module = import_module(FORMATS[format_])
    with empty_folders_removed(path.parent), write_errors(path, "choose another place"):
        check_writable(path)
        notes = make_notes(checkpoint)
        content = module.pack(fold(checkpoint), notes)
        difference = max_difference(module.unpack(content), checkpoint)
        if not difference <= TOLERANCE:
            raise DigitcliError(
                f"{path} is not written: the exported network's probabilities are off by "
                f"{difference:.1e}",
                "upgrade the library that runs this format, or choose another format",
                exit_code=1,
            )
        write_atomically(path, lambda file: file.write(content))
    return ExportResult(len(content), COUNT, difference, notes)


def fold(checkpoint: Checkpoint) -> Weights:
    """Folds the normalization into the first layer and the temperature into the last.

    Both are linear, so that only linear layers, the ReLUs between them and softmax are left.
    Computed in float64: the result is nearer to exact arithmetic than the separate steps in
    float32.

    Returns:
        float32, named as in the checkpoint, for pixels in 0..255 and softmax at temperature 1.
    """
    metadata = checkpoint.metadata
    weights = {name: weight.astype(np.float64) for name, weight in checkpoint.weights.items()}
    last = len(metadata.layer_sizes) - 1
    weights["l1.bias"] -= weights["l1.weight"].sum(axis=1) * metadata.mean / metadata.std
    weights["l1.weight"] /= 255 * metadata.std
    for part in ("weight", "bias"):
        weights[f"l{last}.{part}"] /= metadata.temperature
    return {name: weight.astype(np.float32) for name, weight in weights.items()}


def make_notes(checkpoint: Checkpoint) -> dict[str, str]:
    """Returns texts on a network's input, its output and its training, by name."""
    metadata = checkpoint.metadata
    notes = {
        "classes": json.dumps(metadata.classes, ensure_ascii=False),
        "input": "pictures: uint8 (batch, 28, 28), light ink (255) on black (0) in MNIST's form, "
        "the digit fitted into 20x20 pixels and centered by mass",
        "output": f"probabilities: float32 (batch, {len(metadata.classes)}), in the order of the "
        "classes, at the temperature",
        "preprocessing": "none is needed; the network itself takes pixels / 255, less "
        f"{metadata.mean:g}, divided by {metadata.std:g}",
        "temperature": repr(metadata.temperature),
        "dataset": metadata.dataset,
        "command": metadata.command,
        "digitcli": __version__,
    }
    if metadata.accuracies:
        notes["accuracy"] = repr(metadata.accuracies[-1].accuracy)
        notes["scored_on"] = metadata.scored_on
    return notes
