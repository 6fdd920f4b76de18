"""The file format of checkpoints and training states: safetensors with one metadata document.

The metadata is one JSON document with sorted keys under a single name, because safetensors writes
several entries in no fixed order, and equal runs should give equal files.
"""

import json
import os
import shlex
from collections.abc import Callable, Iterable, Mapping
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


_OF_TORCH_OR_NUMPY = (b"PK\x03\x04", b"\x80")
"""First bytes of the files of torch.save, old and new, and of npz files."""


@dataclass(frozen=True)
class FileKind:
    """A kind of file, and what the user can do about an invalid or a missing one."""

    name: str
    key: str  # of the metadata document in the header
    version_key: str  # of the format version in the document
    version: int  # newer ones are refused
    max_size: int  # bytes
    if_invalid: str
    if_missing: str
    if_foreign: str = ""  # for files that other programs save; "" for ``if_invalid``

    def invalid(self, problem: str) -> CheckpointError:
        """Returns the error that a file is invalid."""
        return CheckpointError(problem, self.if_invalid)

    def foreign(self, path: Path, problem: str) -> CheckpointError:
        """Returns the error that a file was saved by another program."""
        step = self.if_foreign.format(path=shlex.quote(str(path))) or self.if_invalid
        return CheckpointError(problem, step)

    def damaged(self, path: Path, why: str) -> CheckpointError:
        """Returns the error that a file is not even safetensors."""
        return self.invalid(f"{path} is damaged or not a safetensors file ({why:.200})")


def write_container(
    path: Path, kind: FileKind, values: Mapping[str, object], tensors: Tensors
) -> None:
    """Writes tensors and metadata atomically, equal content as equal bytes.

    Raises:
        CheckpointError: The file cannot be written; an old one is untouched.
    """
    document = json.dumps(values, sort_keys=True, ensure_ascii=False)
    data = safetensors.numpy.save(dict(tensors), {kind.key: document})
    with write_errors(path, "choose another place with --output", CheckpointError):
        write_atomically(path, lambda file: file.write(data))


def read_container(
    path: Path,
    kind: FileKind,
    parse: Callable[[dict[str, Any]], _T],
    problems: Callable[[_T, dict[str, Any]], Iterable[str]] = lambda *_: (),
) -> tuple[_T, Tensors, bytes]:
    """Reads a file of unknown origin, once; no tensor is parsed before all else is checked.

    Such a file cannot run code or block its reader. Reading it takes at most twice its limited
    size in memory, and what ``_MAX_HEADER`` bytes of JSON expand to.

    Args:
        path: The file.
        kind: Its kind.
        parse: Called with the metadata document; raises an error if a value is invalid.
        problems: Called with ``parse``'s result and the header's entries of tensors.

    Returns:
        ``parse``'s result, the tensors in no fixed order, and the content of the file.

    Raises:
        CheckpointError: The file is missing, invalid, of another kind or from a newer digitcli.
    """
    data, header = _read(path, kind)
    metadata = header.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not isinstance(metadata.get(kind.key, ""), str):
        raise kind.damaged(path, "its header holds metadata that is not text")
    if kind.key not in metadata:
        raise kind.foreign(path, f"{path} is a safetensors file, but not a {kind.name} of digitcli")
    parsed = _parse(path, kind, metadata[kind.key], parse)
    for problem in problems(parsed, header):
        raise kind.invalid(problem)
    try:
        return parsed, safetensors.numpy.load(data), data
    except (safetensors.SafetensorError, KeyError) as error:  # KeyError: not a dtype of NumPy
        raise kind.damaged(path, str(error)) from error


def _read(path: Path, kind: FileKind) -> tuple[bytes, dict[str, Any]]:
    """Returns a file's content and its parsed header."""
    try:
        with BufferedReader(open_regular(path)) as file:
            size = os.fstat(file.fileno()).st_size
            start = file.read(8)
            if not start:
                raise kind.invalid(f"the {kind.name} {path} is empty")
            length = int.from_bytes(start, "little")
            if size < 8 or length > _MAX_HEADER:  # true of nearly every other format
                problem = f"{path} is not a safetensors file"
                if start.startswith(_OF_TORCH_OR_NUMPY):
                    raise kind.foreign(path, problem)
                raise kind.invalid(problem)
            if length > size - 8:
                raise kind.damaged(path, f"it ends within its header of {length:,} bytes")
            if size > kind.max_size:
                raise kind.damaged(path, f"{size:,} bytes are too many for a {kind.name}")
            file.seek(0)
            data = file.read(size)
    except FileNotFoundError:
        if path.is_symlink():
            raise kind.invalid(f"{path} is a link to nothing") from None
        raise CheckpointError(f"there is no {kind.name} at {path}", kind.if_missing) from None
    except NotRegularFileError:
        raise CheckpointError(f"{path} is not a file", kind.if_missing) from None
    except (OSError, ValueError) as error:
        raise kind.invalid(f"cannot read {path}: {error_reason(error)}") from error
    try:
        header = parse_json(data[8 : 8 + length].decode())
    except ValueError as error:
        raise kind.damaged(path, f"its header cannot be read: {error}") from error
    if not isinstance(header, dict):
        raise kind.damaged(path, f"its header is {describe(header)}, not an object")
    return data, header


def _parse(path: Path, kind: FileKind, document: str, parse: Callable[[dict[str, Any]], _T]) -> _T:
    """Parses a metadata document of this or an older version."""
    try:
        values = parse_json(document)
    except ValueError as error:
        raise kind.invalid(f"the metadata of {path} cannot be read ({error})") from error
    if not isinstance(values, dict):
        problem = f"{describe(values)}, not an object"
        raise kind.invalid(f"the metadata of {path} cannot be read ({problem})")
    version = values.get(kind.version_key)
    if isinstance(version, int) and version > kind.version:
        raise CheckpointError(
            f"{path} has {kind.version_key.replace('_', ' ')} {describe(version)}, this digitcli "
            f"reads up to {kind.version}",
            "run pip install --upgrade digitcli",
        )
    try:
        if type(version) is int and version < 1:
            raise ValueError(f"{kind.version_key} is {version}, which is not a valid version")  # noqa: TRY301
        return parse(values)
    except (DigitcliError, ValueError, KeyError, TypeError) as error:
        raise kind.invalid(
            f"the metadata of {path} is incomplete or of the wrong type ({error})"
        ) from error
