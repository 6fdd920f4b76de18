"""A folder of images as a data set: one subfolder per class, named after the class."""

import hashlib
import os
import re
from collections.abc import Callable, Iterable, Set
from functools import cached_property
from itertools import chain, groupby
from pathlib import Path
from typing import NamedTuple

import numpy as np

from digitcli.core.checkpointing.metadata import MAX_CLASS_NAME, MAX_CLASSES
from digitcli.core.errors import DatasetError, PictureError, error_reason
from digitcli.core.files.regular import open_regular
from digitcli.data.arrays import Image28
from digitcli.data.datasets.split import Split
from digitcli.data.images.decode import max_file_size
from digitcli.data.images.discover import find_files
from digitcli.data.images.limits import MAX_PIXELS
from digitcli.data.images.parallel import prepare_all
from digitcli.data.images.source import ImageSource
from digitcli.data.preprocessing.mnist_form import Prepare, prepare

PREFIX = "folder:"
"""Start of a data set's name, followed by the folder's path."""

TEST_FRACTION = 0.2  # fraction of the images in the test set

_LARGE_CLASS = 50
"""Files from which on a class is split by content alone, so that only the split asked for is read.
Among 70,000 such classes, one gets an empty test set."""

_MAX_LISTED = 5  # classes in a message
_UNREAD = b"\xff" * 32  # digest of an unreadable file, by which it is a training image


def folder_path(name: str) -> Path:
    """Returns the path in the name of a data set, with ``~`` expanded.

    Raises:
        DatasetError: There is no such path.
    """
    path = name.removeprefix(PREFIX)
    if not path:
        raise DatasetError(f"{PREFIX} names no folder", f"write {PREFIX}PATH")
    _check_utf8(name)
    try:
        return Path(path).expanduser()
    except RuntimeError as error:  # no such user
        raise DatasetError(f"there is no folder {path}", "check the path") from error


def find_classes(path: Path) -> tuple[str, ...]:
    """Returns the names of the subfolders in natural order ("2" before "10"), without hidden ones.

    Raises:
        DatasetError: The folder cannot be read, or a checkpoint cannot have such classes.
    """
    try:
        names = [entry.name for entry in path.iterdir() if entry.name[0] != "." and entry.is_dir()]
    except (OSError, ValueError) as error:
        raise DatasetError(
            f"cannot read the folder {path}: {error_reason(error)}", "check it"
        ) from error
    if len(names) < 2:
        raise DatasetError(
            f"{path} has fewer than two subfolders, but every class needs one",
            "put the images of each class into a subfolder named after the class",
        )
    if len(names) > MAX_CLASSES:
        raise DatasetError(
            f"{path} has {len(names):,} subfolders, more than {MAX_CLASSES} classes", "remove some"
        )
    for name in names:
        _check_utf8(name)
        if len(name) > MAX_CLASS_NAME:
            raise DatasetError(
                f"the name of the folder {name} has more than {MAX_CLASS_NAME} characters",
                "shorten it",
            )
    return tuple(sorted(names, key=_natural_key))


def _natural_key(name: str) -> tuple[list[tuple[bool, int, str]], str]:
    """Returns a sort key by which runs of digits are in order of their value, before any text."""
    parts = [part for part in re.split(r"(\d+)", name) if part]
    return [(not p.isdecimal(), int(p) if p.isdecimal() else 0, p) for p in parts], name


def _check_utf8(name: str) -> None:
    try:
        name.encode()
    except UnicodeEncodeError as error:
        raise DatasetError(f"the name {name!r} is not valid UTF-8", "rename the folder") from error


class _File(NamedTuple):
    """A file in the folder of a class."""

    path: Path
    label: int  # index of the class
    digest: bytes  # SHA-256 of the content; ``_UNREAD`` if the content was not read
    original: Path | None  # an earlier file with the same content


class ImageFolder:
    """The images in a folder, split into a training and a test set by the hash of their files.

    Adding or removing an image moves no other one, and copies of an image are never in both sets:
    of files with the same content, only the first counts. If all images of a small class were in
    one set, the one whose hash is nearest to the other set is moved there.
    """

    def __init__(self, path: Path, prepare: Prepare = prepare) -> None:
        self.path = path
        self._prepare_image = prepare
        self.classes = find_classes(path)

    def read(self, split: str, on_left_out: Callable[[str], None]) -> Split:
        """Returns "train" or "test": images by class and name, prepared as by ``predict``.

        ``on_left_out`` is called with each file that is left out and the reason: first the copies
        of other files, then the files that cannot be used.

        Raises:
            DatasetError: A class has no image to train on, or there is none to test on.
        """
        images: list[tuple[_File, Image28]] = []
        for file, digit in self._prepare(split, on_left_out):
            if not isinstance(digit, PictureError):
                images.append((file, digit))
            elif split_of(file.digest) == split:
                on_left_out(f"left out {file.path}: {digit.problem}")
        test_files = self._choose_test_files(file for file, _ in images)
        chosen = [each for each in images if (each[0] in test_files) == (split == "test")]
        labels = np.array([file.label for file, _ in chosen], dtype=np.int64)
        if split == "train":
            self._check_complete(set(labels.tolist()))
        if not chosen:
            raise DatasetError(
                f"no class in {self.path} has a second image, for the test set", "add images"
            )
        return Split.of_images(np.stack([image for _, image in chosen]), labels, PREFIX + split)

    def _prepare(
        self, split: str, on_left_out: Callable[[str], None]
    ) -> Iterable[tuple[_File, Image28 | PictureError]]:
        """Prepares the images that may belong to a split, and reports the copies among them."""
        files = []
        for file in chain.from_iterable(self._files):
            is_wanted = split_of(file.digest) == split
            if file.original is None:
                if is_wanted or len(self._files[file.label]) < _LARGE_CLASS:
                    files.append(file)
            elif is_wanted:
                on_left_out(f"left out {file.path}: the same image as {file.original}")
        sources = (ImageSource(str(file.path), file.path) for file in files)
        prepared = chain.from_iterable(prepare_all([sources], self._prepare_image))
        for file, (_, digit) in zip(files, prepared, strict=True):
            yield file, digit if isinstance(digit, PictureError) else digit.image

    @cached_property
    def _files(self) -> list[list[_File]]:
        """The files of each class, found once for both splits."""
        first: dict[bytes, Path] = {}  # by digest
        classes = []
        for label, name in enumerate(self.classes):
            files = []
            for path in find_files(self.path / name):
                digest = _digest_of(path)
                original = None if digest == _UNREAD else first.setdefault(digest, path)
                files.append(_File(path, label, digest, None if original is path else original))
            classes.append(files)
        return classes

    def _choose_test_files(self, files: Iterable[_File]) -> set[_File]:
        """Returns those of the files, given by class, that form the test set."""
        chosen: set[_File] = set()
        for label, group in groupby(files, key=lambda file: file.label):
            ordered = sorted(group, key=lambda file: file.digest)
            count = sum(split_of(file.digest) == "test" for file in ordered)
            if len(self._files[label]) < _LARGE_CLASS:  # else only one split was read
                count = min(max(count, 1), len(ordered) - 1)
            chosen.update(ordered[:count])
        return chosen

    def _check_complete(self, labels: Set[int]) -> None:
        """Raises an error if a class has no image."""
        empty = [name for label, name in enumerate(self.classes) if label not in labels]
        if empty:
            more = f" and {len(empty) - _MAX_LISTED} more" if len(empty) > _MAX_LISTED else ""
            raise DatasetError(
                f"{self.path} has classes without a readable image: "
                f"{', '.join(empty[:_MAX_LISTED])}{more}",
                "add images, or remove these subfolders",
            )


def _digest_of(path: Path) -> bytes:
    """Returns the SHA-256 of a file that may be an image."""
    try:
        with open_regular(path) as file:
            if file.seek(0, os.SEEK_END) > max_file_size(MAX_PIXELS):
                return _UNREAD
            file.seek(0)
            return hashlib.file_digest(file, "sha256").digest()
    except (OSError, ValueError):
        return _UNREAD


def split_of(digest: bytes) -> str:
    """Returns the split, "train" or "test", of an image file with some SHA-256."""
    return "test" if int.from_bytes(digest[:8], "big") / 2**64 < TEST_FRACTION else "train"
