"""Reading tensors that other programs saved, without running code and within limits of memory."""

import io
import json
import re
import zipfile
from io import BufferedReader
from pathlib import Path

import numpy as np
import safetensors
import safetensors.numpy

from digitcli.core.errors import DigitcliError, error_reason
from digitcli.core.files.regular import NotRegularFileError, open_regular
from digitcli.core.importing.layers import Arrays
from digitcli.core.imports import import_torch

MAX_SIZE = 256 * 2**20
"""Maximum size of a file in bytes, and of its content unpacked: the largest network that a
checkpoint holds takes 64 MiB, and an optimizer's state may come with it."""

_MAX_HEADER = 8 * 2**20
"""Maximum size of the header of a safetensors file in bytes."""

_MAX_MEMBERS = 10_000
"""Maximum number of files in a zip archive."""

_ZIP, _PICKLE, _ARRAY = b"PK\x03\x04", b"\x80", b"\x93NUMPY"
"""First bytes of zip archives (torch.save, npz), of pickles (old torch.save) and of .npy files."""

_DIRECTORY_ENTRY = b"PK\x01\x02"
_EXPECTED = "give a file of torch.save, safetensors or NumPy's savez"
_SAVE = "save its weights with torch.save({}, 'weights.pth')"

_OTHER_KINDS = {
    # its version is 3 or more; with a lower one, or no name of a producer, it may be of Core ML
    rb"\x08[\x03-\x7f](\x12.[A-Za-z]|[\x1a\x22\x2a\x32\x3a\x42])": "an ONNX model",
    rb"(?i:(\xef\xbb\xbf)?\s*<(!doctype html|html)[\s>])": "an HTML page",
    rb"\x89HDF\r\n": "an HDF5 file",
    rb"....TFL3": "a TensorFlow Lite model",
}
"""Names of kinds of files that are not read, by a pattern of their first bytes."""

_OWN_MODEL = re.compile(rb"\x08.\x12\x08digitcli", re.DOTALL)
_OWN_PAGE = (b'<meta name="generator" content="digitcli ', b' id="weights">')
"""First bytes of an ONNX model that digitcli exported, and parts of a page."""


def read_tensors(path: Path) -> tuple[str, bytes, Arrays]:
    """Reads a file of unknown origin; its content decides its format.

    Only files of torch.save import torch, which reads them with ``weights_only``.

    Returns:
        "torch", "safetensors" or "npz"; the file's content; and its tensors by name.

    Raises:
        DigitcliError: The file is missing, too large, damaged, or holds more than tensors.
    """
    content = _read(path)
    format_, tensors = _parse(path, content)
    return format_, content, tensors


def _parse(path: Path, content: bytes) -> tuple[str, Arrays]:
    if content.startswith(_ZIP):
        with _open_zip(path, content) as archive:
            names = {Path(name).name for name in archive.namelist()}
            _check_program(path, names)
            if "data.pkl" not in names:
                return "npz", _read_npz(path, archive)
        return "torch", _read_torch(path, content)
    if content.startswith(_PICKLE):
        return "torch", _read_torch(path, content)
    if content.startswith(_ARRAY):
        raise DigitcliError(f"{path} holds a single array", _EXPECTED)
    return "safetensors", _read_safetensors(path, content)


def _read(path: Path) -> bytes:
    try:
        with BufferedReader(open_regular(path)) as file:
            content = file.read(MAX_SIZE + 1)
    except NotRegularFileError:
        raise DigitcliError(f"{path} is not a file", _EXPECTED) from None
    except (OSError, ValueError) as error:
        raise DigitcliError(
            f"cannot read {path}: {error_reason(error)}", "check the path"
        ) from error
    if len(content) > MAX_SIZE:
        raise _too_large(path)
    if not content:
        raise DigitcliError(f"{path} is empty", _EXPECTED)
    return content


def _too_large(path: Path) -> DigitcliError:
    return DigitcliError(
        f"{path} holds more than {MAX_SIZE:,} bytes", "save the weights alone, as float32"
    )


def _damaged(path: Path, kind: str, error: Exception) -> DigitcliError:
    reason = " ".join(str(error).split()) or type(error).__name__
    return DigitcliError(f"{path} is a damaged {kind} ({reason:.200})", _EXPECTED)


def _open_zip(path: Path, content: bytes) -> zipfile.ZipFile:
    """Opens a zip archive, and checks its number of files and their sizes before any is read."""
    if content.count(_DIRECTORY_ENTRY) > _MAX_MEMBERS:
        raise DigitcliError(f"{path} holds more than {_MAX_MEMBERS:,} files", _EXPECTED)
    try:
        archive = zipfile.ZipFile(io.BytesIO(content))
    except (zipfile.BadZipFile, ValueError, OSError, NotImplementedError) as error:
        raise _damaged(path, "zip archive", error) from error
    if sum(member.file_size for member in archive.infolist()) > MAX_SIZE:
        raise _too_large(path)
    return archive


def _check_program(path: Path, names: set[str]) -> None:
    """Raises an error if the files in an archive are those of a program of torch."""
    if "data.pkl" in names and "constants.pkl" in names:
        problem = f"{path} is a TorchScript program, which holds code"
        raise DigitcliError(problem, _SAVE.format("model.state_dict()"))
    if {"digitcli", "preprocessing", "archive_format"} <= names:
        raise _own_export(path)
    if {"model.json", "serialized_exported_program.json"} & names:
        load = f"torch.export.load({str(path)!r}).state_dict"
        raise DigitcliError(f"{path} is a program of torch.export", _SAVE.format(load))
    if "archive_format" in names:
        problem = f"{path} is a compiled program of torch"
        raise DigitcliError(problem, _SAVE.format("model.state_dict()"))


def _own_export(path: Path) -> DigitcliError:
    return DigitcliError(
        f"{path} is an export of digitcli, with the normalization in its weights",
        "use the checkpoint that it was made from",
    )


def _unknown(path: Path, content: bytes) -> DigitcliError:
    """Returns the error of a file in none of the formats, with what it is if that is known."""
    if _OWN_MODEL.match(content) or all(part in content for part in _OWN_PAGE):
        return _own_export(path)
    for pattern, kind in _OTHER_KINDS.items():
        if re.match(pattern, content, re.DOTALL):
            return DigitcliError(f"{path} is {kind}", _EXPECTED)
    return DigitcliError(f"{path} is no file of torch.save, safetensors or savez", _EXPECTED)


def _read_torch(path: Path, content: bytes) -> Arrays:
    import_torch("importing a file of torch.save")
    from digitcli.core.importing.torch_file import read_state_dict

    return read_state_dict(path, content, MAX_SIZE)


def _read_npz(path: Path, archive: zipfile.ZipFile) -> Arrays:
    arrays = {}
    try:
        for member in archive.infolist():
            name = member.filename.removesuffix(".npy")
            if name == member.filename:
                raise DigitcliError(
                    f"{path} is a zip archive that neither torch.save nor savez wrote "
                    f"({member.filename:.80})",
                    _EXPECTED,
                )
            arrays[name] = _read_array(archive.read(member))
    except (zipfile.BadZipFile, ValueError, OSError, RuntimeError) as error:
        raise _damaged(path, "npz file", error) from error
    if {"classes", "notes"} <= arrays.keys():
        raise _own_export(path)
    return arrays


def _read_array(content: bytes) -> np.ndarray:
    """Reads an .npy file; NumPy would allocate what its header claims."""
    file = io.BytesIO(content)
    major, _ = np.lib.format.read_magic(file)
    read_header = {
        1: np.lib.format.read_array_header_1_0,
        2: np.lib.format.read_array_header_2_0,
    }.get(major)
    if read_header is None:
        raise ValueError(f"version {major} of the npy format")
    shape, _, dtype = read_header(file)
    if dtype.hasobject:
        raise ValueError("an array holds Python objects")
    count = 1
    for length in shape:  # Python's integers do not overflow
        count *= length
    if count * dtype.itemsize > len(content):
        raise ValueError("an array ends early")
    return np.lib.format.read_array(io.BytesIO(content), allow_pickle=False)


def _read_safetensors(path: Path, content: bytes) -> Arrays:
    length = int.from_bytes(content[:8], "little")
    if not 2 <= length <= min(_MAX_HEADER, len(content) - 8):
        raise _unknown(path, content)
    try:
        header = json.loads(content[8 : 8 + length])
        metadata = header.pop("__metadata__", None) or {}
        for name, entry in header.items():
            if entry["dtype"] not in ("F64", "F32", "F16"):
                raise DigitcliError(
                    f"{path} holds {name:.80} as {entry['dtype']!s:.20}, not F32, F64 or F16",
                    "save the weights as float32",
                )
        tensors = safetensors.numpy.load(content)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise _damaged(path, "safetensors file", error) from error
    except safetensors.SafetensorError as error:
        raise _damaged(path, "safetensors file", error) from error
    if "digitcli" in metadata:
        raise DigitcliError(
            f"{path} is a checkpoint of digitcli already", "give it to the commands as it is"
        )
    return tensors
