"""The file format of checkpoints and training states: safetensors with one metadata document.

The metadata is one JSON document with sorted keys under a single name, because safetensors writes
several entries in no fixed order, and equal runs should give equal files.
"""

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from typing import Any, TypeVar

import numpy.typing as npt
import safetensors
import safetensors.numpy

from digitcli.core.errors import CheckpointError, DigitcliError, error_reason
from digitcli.core.files.atomic import write_atomically, write_errors
from digitcli.core.files.regular import NotRegularFileError, open_regular
from digitcli.core.files.schema import describe, parse_json

_T = TypeVar("_T")

Tensors = Mapping[str, npt.NDArray[Any]]

_MAX_HEADER = 8 * 2**20
"""Maximum size of a header in bytes; the metadata of ``MAX_LOSS_POINTS`` losses takes 7 million."""


@dataclass(frozen=True)
class Kind:
    """A kind of file.

    Attributes:
        name: Name in messages.
        key: Name of the metadata document in the header.
        version_key: Entry of the document that holds the format version.
        version: Current format version; newer files are refused.
        max_size: Maximum size of a file in bytes.
        next_step: What the user can do about an invalid file.
        missing_next_step: What the user can do about a missing file.
    """

    name: str
    key: str
    version_key: str
    version: int
    max_size: int
    next_step: str
    missing_next_step: str


@dataclass(frozen=True)
class Container:
    """A file's content, with no tensor parsed yet.

    Attributes:
        path: The file.
        kind: Its kind.
        values: The metadata document, a JSON object.
        header: Each tensor's entry in the safetensors header, by name, unchecked.
    """

    path: Path
    kind: Kind
    values: dict[str, Any]
    header: dict[str, Any]
    _data: bytes

    def parse(self, parse: Callable[[dict[str, Any]], _T]) -> _T:
        """Calls ``parse`` with the metadata.

        Raises:
            CheckpointError: ``parse`` raised an error about a value.
        """
        try:
            version = self.values.get(self.kind.version_key)
            if type(version) is int and version < 1:
                raise ValueError(  # noqa: TRY301
                    f"{self.kind.version_key} is {describe(version)}, which never was"
                )
            return parse(self.values)
        except (DigitcliError, ValueError, KeyError, TypeError) as error:
            raise self.error(
                f"the metadata of {self.path} is incomplete or of the wrong type ({error})"
            ) from error

    def tensors(self) -> dict[str, npt.NDArray[Any]]:
        """Parses the tensors, in no fixed order.

        Raises:
            CheckpointError: Their entries in the header are invalid.
        """
        try:
            return safetensors.numpy.load(self._data)
        except (safetensors.SafetensorError, KeyError) as error:  # KeyError: not a NumPy dtype
            raise _damaged(self.path, self.kind, str(error)) from error

    def error(self, problem: str) -> CheckpointError:
        """Returns the error that the file is invalid."""
        return CheckpointError(problem, self.kind.next_step)


def write_container(path: Path, kind: Kind, values: Mapping[str, object], tensors: Tensors) -> None:
    """Writes a file atomically; equal content gives equal bytes.

    Args:
        path: The file to make or replace.
        kind: Its kind.
        values: The metadata document.
        tensors: By name.

    Raises:
        CheckpointError: The file cannot be written; an old one is untouched.
    """
    document = json.dumps(values, sort_keys=True, ensure_ascii=False)
    data = safetensors.numpy.save(dict(tensors), {kind.key: document})
    with write_errors(path, "choose another place with --output", CheckpointError):
        write_atomically(path, lambda file: file.write(data))


def read_container(path: Path, kind: Kind) -> Container:
    """Reads a file of unknown origin and checks its size, its header and its format version.

    Such a file cannot run code or block its reader. Reading it takes at most twice its limited
    size in memory, and what ``_MAX_HEADER`` bytes of JSON expand to.

    Raises:
        CheckpointError: The file is missing, empty, damaged, of another kind or from a newer
            digitcli.
    """
    data, header_size = _read(path, kind)
    try:
        header = parse_json(data[8 : 8 + header_size].decode())
    except ValueError as error:
        raise _damaged(path, kind, f"its header cannot be read: {error}") from error
    metadata = header.pop("__metadata__", {}) if isinstance(header, dict) else None
    if not isinstance(metadata, dict) or not isinstance(metadata.get(kind.key, ""), str):
        raise _damaged(path, kind, "its header holds no texts as metadata")
    if kind.key not in metadata:
        raise CheckpointError(
            f"{path} is a safetensors file, but not a {kind.name} of digitcli", kind.next_step
        )
    try:
        values = parse_json(metadata[kind.key])
        if not isinstance(values, dict):
            raise ValueError(f"it is {describe(values)}, not an object")  # noqa: TRY301, TRY004
    except ValueError as error:
        raise CheckpointError(
            f"the metadata of {path} cannot be read ({error})", kind.next_step
        ) from error
    version = values.get(kind.version_key)
    if isinstance(version, int) and version > kind.version:
        raise CheckpointError(
            f"{path} has {kind.version_key.replace('_', ' ')} {describe(version)}, this digitcli "
            f"reads up to {kind.version}",
            "upgrade with 'pip install --upgrade digitcli'",
        )
    return Container(path, kind, values, header, data)


def _read(path: Path, kind: Kind) -> tuple[bytes, int]:
    """Reads a file within the limits.

    Returns:
        Its content, and the size of its header in bytes.
    """
    try:
        with BufferedReader(open_regular(path)) as file:
            size = os.fstat(file.fileno()).st_size
            start = file.read(8)
            if not start:
                raise CheckpointError(f"the {kind.name} {path} is empty", kind.next_step)
            header_size = int.from_bytes(start, "little")
            if size < 8 or header_size > _MAX_HEADER:  # true of nearly every other format
                raise CheckpointError(f"{path} is not a safetensors file", kind.next_step)
            if header_size > size - 8:
                raise _damaged(path, kind, f"it ends within its header of {header_size:,} bytes")
            if size > kind.max_size:
                raise _damaged(path, kind, f"{size:,} bytes are too many for a {kind.name}")
            return start + file.read(size - 8), header_size
    except FileNotFoundError:
        if path.is_symlink():
            raise CheckpointError(f"{path} is a link to nothing", kind.next_step) from None
        raise CheckpointError(
            f"there is no {kind.name} at {path}", kind.missing_next_step
        ) from None
    except NotRegularFileError:
        raise CheckpointError(f"{path} is not a file", kind.missing_next_step) from None
    except (OSError, ValueError) as error:
        raise CheckpointError(
            f"cannot read {path}: {error_reason(error)}", kind.next_step
        ) from error


def _damaged(path: Path, kind: Kind, why: str) -> CheckpointError:
    return CheckpointError(
        f"{path} is damaged or not a safetensors file ({why:.200})", kind.next_step
    )
