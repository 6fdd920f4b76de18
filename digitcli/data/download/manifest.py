"""The files of published data sets: what they are called, their checksums, and where they lie.

Every set lies where torchvision's class of it keeps it, below one folder for all. The checksums of
archives are those published with them, as torchvision has them too.
"""

import bz2
import gzip
import hashlib
import stat
from dataclasses import dataclass
from pathlib import Path, PurePath

import numpy as np
import numpy.typing as npt

from digitcli.core.errors import DatasetError, error_reason

Bytes = npt.NDArray[np.uint8]

LARGEST = 64 * 1024 * 1024
"""Bytes; the largest file of any set has 47 million, and whatever is larger is none of it."""

_UNPACK = {".gz": gzip.decompress, ".bz2": bz2.decompress}


@dataclass(frozen=True)
class DataFile:
    """One file of a data set.

    Attributes:
        name: Its name when unpacked.
        archive_md5: MD5 of its archive, as published.
        md5: MD5 of the unpacked file, which is then kept beside its archive and read in its stead;
            None where it is not known: then the archive is checked and unpacked whenever it is
            read.
        packing: Ending of the archive's name, ".gz" or ".bz2".
    """

    name: str
    archive_md5: str
    md5: str | None = None
    packing: str = ".gz"

    @property
    def archive(self) -> str:
        """Name of the archive."""
        return f"{self.name}{self.packing}"

    def unpack(self, archive: bytes) -> bytes:
        """Returns what a checked archive holds."""
        return _UNPACK[self.packing](archive)


@dataclass(frozen=True)
class FileSet:
    """The files of a data set.

    Attributes:
        title: What people call the set.
        path: Where they lie below the folder for data sets.
        files: Those of the training set, then as many of the test set.
    """

    title: str
    path: PurePath
    files: tuple[DataFile, ...]

    def folder(self, data_dir: Path) -> Path:
        """Returns where the files lie."""
        return data_dir / self.path

    def of(self, split: str) -> tuple[DataFile, ...]:
        """Returns the files of "train" or "test"."""
        half = len(self.files) // 2
        return self.files[:half] if split == "train" else self.files[half:]


def _idx(*archive_md5s: str) -> tuple[DataFile, ...]:
    """Names the four files as MNIST and the sets made to take its place have them."""
    names = [
        f"{part}-{kind}-ubyte"
        for part in ("train", "t10k")
        for kind in ("images-idx3", "labels-idx1")
    ]
    return tuple(DataFile(name, md5) for name, md5 in zip(names, archive_md5s, strict=True))


FILE_SETS = {
    "mnist": FileSet(
        "MNIST",
        PurePath("MNIST", "raw"),
        (
            DataFile(
                "train-images-idx3-ubyte",
                "f68b3c2dcbeaaa9fbdd348bbdeb94873",
                md5="6bbc9ace898e44ae57da46a324031adb",
            ),
            DataFile(
                "train-labels-idx1-ubyte",
                "d53e105ee54ea40749a09fcbcd1e9432",
                md5="a25bea736e30d166cdddb491f175f624",
            ),
            DataFile(
                "t10k-images-idx3-ubyte",
                "9fb629c4189551a2d022fa330f9573f3",
                md5="2646ac647ad5339dbf082846283269ea",
            ),
            DataFile(
                "t10k-labels-idx1-ubyte",
                "ec29112dd5afa0611ce80d1b7f02629c",
                md5="27ae3e4e09519cfbb04c329615203637",
            ),
        ),
    ),
    "fashion-mnist": FileSet(
        "Fashion-MNIST",
        PurePath("FashionMNIST", "raw"),
        _idx(
            "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
            "25c81989df183df01b3e8a0aad5dffbe",
            "bef4ecab320f06d8554ea6380940ec79",
            "bb300cfdad3c16e7a12a480ee83cd310",
        ),
    ),
    "kmnist": FileSet(
        "Kuzushiji-MNIST",
        PurePath("KMNIST", "raw"),
        _idx(
            "bdb82020997e1d708af4cf47b453dcf7",
            "e144d726b3acfaa3e44228e80efcd344",
            "5c965bf0a639b31b8f53240b1b52f4d7",
            "7320c461ea6c1c855c0b718fb2a4b134",
        ),
    ),
    "qmnist": FileSet(
        "QMNIST",
        PurePath("QMNIST", "raw"),
        (
            DataFile("qmnist-train-images-idx3-ubyte", "ed72d4157d28c017586c42bc6afe6370"),
            DataFile("qmnist-train-labels-idx2-int", "0058f8dd561b90ffdd0f734c6a30e5e4"),
            DataFile("qmnist-test-images-idx3-ubyte", "1394631089c404de565df7b7aeaf9412"),
            DataFile("qmnist-test-labels-idx2-int", "5b5b05890a5e13444e108efe57b788aa"),
        ),
    ),
    "usps": FileSet(
        "USPS",
        PurePath("USPS"),
        (
            DataFile("usps", "ec16c51db3855ca6c91edd34d0e9b197", packing=".bz2"),
            DataFile("usps.t", "8ea070ee2aca1ac39742fdd1ef5ed118", packing=".bz2"),
        ),
    ),
}
"""The sets by name, as given to ``--dataset``."""


def read_sound(path: Path, md5: str) -> Bytes | None:
    """Reads a file if it is there with just the expected content.

    Returns:
        Its bytes, uint8 (size,); None if the file is missing or differs, or is no plain file.

    Raises:
        DatasetError: The file is there but cannot be read.
    """
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode) or status.st_size > LARGEST:
            return None  # not to be read: a pipe never ends, and neither does /dev/zero
        data: Bytes = np.fromfile(path, np.uint8)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise DatasetError(
            f"cannot read {path}: {error_reason(error)}", "choose another folder with --data-dir"
        ) from error
    found = hashlib.md5(data.data, usedforsecurity=False).hexdigest()
    return data if found == md5 else None


def read_content(folder: Path, file: DataFile) -> Bytes | None:
    """Reads what a file holds, from itself or from its archive, checking every byte.

    Returns:
        The unpacked bytes, uint8 (size,); None if they are missing or not what they should be.

    Raises:
        DatasetError: A file is there but cannot be read.
    """
    if file.md5 is not None:
        return read_sound(folder / file.name, file.md5)
    archive = read_sound(folder / file.archive, file.archive_md5)
    if archive is None:
        return None
    return np.frombuffer(bytearray(file.unpack(archive.tobytes())), np.uint8)  # to be written to
