"""The data sets published on the network: their files with checksums, their classes and format.

To add one that torchvision knows, add it to ``PUBLISHED``; see ``datasets/registry.py``.
Paths and checksums are torchvision's; the checksums of archives are those published with the sets.
"""

import bz2
import gzip
import hashlib
import itertools
import stat
from dataclasses import dataclass
from pathlib import Path, PurePath

import numpy as np
import numpy.typing as npt

from digitcli.core.errors import DatasetError, error_reason

Bytes = npt.NDArray[np.uint8]

MAX_FILE_SIZE = 64 * 1024 * 1024  # bytes; the largest file of all data sets has 47 million
_DECOMPRESS = {".gz": gzip.decompress, ".bz2": bz2.decompress}


@dataclass(frozen=True)
class DataFile:
    """One file of a data set.

    The extracted file is kept beside its archive and read. If its MD5 is not known, the archive is
    read instead, and extracted every time.
    """

    name: str  # when extracted
    archive_md5: str
    md5: str | None = None  # of the extracted file
    compression: str = ".gz"  # suffix of the archive's name, or ".bz2"

    @property
    def archive(self) -> str:
        """File name of the archive."""
        return f"{self.name}{self.compression}"

    @property
    def read_name(self) -> str:
        """File name of what is read: the extracted file, or the archive."""
        return self.archive if self.md5 is None else self.name

    @property
    def read_md5(self) -> str:
        """MD5 of what is read."""
        return self.md5 or self.archive_md5

    def extract(self, archive: bytes) -> bytes:
        """Returns the content of a verified archive."""
        return _DECOMPRESS[self.compression](archive)


@dataclass(frozen=True)
class PublishedDataset:
    """A data set whose files are published on the network."""

    path: PurePath  # below the data folder: torchvision's, named after its class
    files: tuple[DataFile, ...]  # of the training set, then as many of the test set
    classes: tuple[str, ...]  # torchvision's names, for digits the numerals
    format: str = "idx"  # a file of images and one of labels; "libsvm": a text file of both
    normalization: tuple[float, float] | None = None  # see ``Dataset``

    def folder(self, data_dir: Path) -> Path:
        """Returns the folder of the files."""
        return data_dir / self.path

    def split_files(self, split: str) -> tuple[DataFile, ...]:
        """Returns the files of "train" or "test"."""
        half = len(self.files) // 2
        return self.files[:half] if split == "train" else self.files[half:]


DIGITS = tuple("0123456789")

MNIST_NORMALIZATION = (0.1307, 0.3081)
"""Mean and standard deviation of MNIST's training pixels, as the lesson rounds them."""


def _mnist_files(*md5s: tuple[str, str | None]) -> tuple[DataFile, ...]:
    """Returns the four files named as MNIST's, with the MD5s of each archive and extracted file."""
    parts = itertools.product(("train", "t10k"), ("images-idx3", "labels-idx1"))
    names = [f"{split}-{kind}-ubyte" for split, kind in parts]
    return tuple(DataFile(name, *sums) for name, sums in zip(names, md5s, strict=True))


PUBLISHED = {
    "mnist": PublishedDataset(
        PurePath("MNIST", "raw"),
        _mnist_files(
            ("f68b3c2dcbeaaa9fbdd348bbdeb94873", "6bbc9ace898e44ae57da46a324031adb"),
            ("d53e105ee54ea40749a09fcbcd1e9432", "a25bea736e30d166cdddb491f175f624"),
            ("9fb629c4189551a2d022fa330f9573f3", "2646ac647ad5339dbf082846283269ea"),
            ("ec29112dd5afa0611ce80d1b7f02629c", "27ae3e4e09519cfbb04c329615203637"),
        ),
        DIGITS,
        normalization=MNIST_NORMALIZATION,
    ),
    "fashion-mnist": PublishedDataset(
        PurePath("FashionMNIST", "raw"),
        _mnist_files(
            ("8d4fb7e6c68d591d4c3dfef9ec88bf0d", None),
            ("25c81989df183df01b3e8a0aad5dffbe", None),
            ("bef4ecab320f06d8554ea6380940ec79", None),
            ("bb300cfdad3c16e7a12a480ee83cd310", None),
        ),
        (
            *("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat"),
            *("Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
        ),
    ),
    "kmnist": PublishedDataset(
        PurePath("KMNIST", "raw"),
        _mnist_files(
            ("bdb82020997e1d708af4cf47b453dcf7", None),
            ("e144d726b3acfaa3e44228e80efcd344", None),
            ("5c965bf0a639b31b8f53240b1b52f4d7", None),
            ("7320c461ea6c1c855c0b718fb2a4b134", None),
        ),
        ("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo"),
    ),
    "qmnist": PublishedDataset(
        PurePath("QMNIST", "raw"),
        (
            DataFile("qmnist-train-images-idx3-ubyte", "ed72d4157d28c017586c42bc6afe6370"),
            DataFile("qmnist-train-labels-idx2-int", "0058f8dd561b90ffdd0f734c6a30e5e4"),
            DataFile("qmnist-test-images-idx3-ubyte", "1394631089c404de565df7b7aeaf9412"),
            DataFile("qmnist-test-labels-idx2-int", "5b5b05890a5e13444e108efe57b788aa"),
        ),
        DIGITS,
    ),
    "usps": PublishedDataset(
        PurePath("USPS"),
        (
            DataFile("usps", "ec16c51db3855ca6c91edd34d0e9b197", compression=".bz2"),
            DataFile("usps.t", "8ea070ee2aca1ac39742fdd1ef5ed118", compression=".bz2"),
        ),
        DIGITS,
        format="libsvm",
    ),
}
"""The published data sets by their names for ``--dataset``."""


def read_verified(path: Path, md5: str) -> Bytes | None:
    """Returns the content of a file, uint8 (size,), or None unless it has the expected MD5.

    Raises:
        DatasetError: The file is present but cannot be read.
    """
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode) or status.st_size > MAX_FILE_SIZE:
            return None  # not read: a pipe and /dev/zero never end
        data: Bytes = np.fromfile(path, np.uint8)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise DatasetError(
            f"cannot read {path}: {error_reason(error)}", "choose another folder with --data-dir"
        ) from error
    found = hashlib.md5(data.data, usedforsecurity=False).hexdigest()
    return data if found == md5 else None


def read_extracted(folder: Path, file: DataFile) -> Bytes | None:
    """Returns the extracted content of a file, uint8 (size,), or None unless the file is valid.

    Raises:
        DatasetError: The file is present but cannot be read.
    """
    data = read_verified(folder / file.read_name, file.read_md5)
    if data is None or file.md5 is not None:
        return data
    return np.frombuffer(bytearray(file.extract(data.tobytes())), np.uint8)  # writable
