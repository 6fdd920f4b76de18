"""A folder of images as a data set: one subfolder per class, named after the class."""

import hashlib
import os
from collections.abc import Callable, Iterable, Set
from dataclasses import replace
from itertools import chain, groupby
from pathlib import Path
from typing import NamedTuple

import numpy as np

from digitcli.core.checkpointing.metadata import FOLDER_PREFIX
from digitcli.core.errors import DatasetError, PictureError
from digitcli.core.files.regular import open_regular
from digitcli.data.arrays import Image28
from digitcli.data.datasets.folder_layout import check_utf8, find_layout, listed
from digitcli.data.datasets.split import ALL, Split
from digitcli.data.images.decode import max_file_size
from digitcli.data.images.discover import LeftOut, find_files
from digitcli.data.images.limits import MAX_PIXELS
from digitcli.data.images.parallel import prepare_all
from digitcli.data.images.source import ImageSource
from digitcli.data.preprocessing.mnist_form import Prepare, prepare

TEST_FRACTION = 0.2
"""Fraction of the images in the test set of a folder without splits."""

_LARGE_CLASS = 50
"""Files from which on a class is split by content alone, so that only the split asked for is read.
Among 70,000 such classes, one gets an empty test set."""

_UNREAD = b"\xff" * 32
"""Digest of an unreadable file, by which it is a training image."""

_BY_PRECEDENCE = ("test", "validation", "train")
"""Splits in the order in which copies of an image are looked for: the first has it."""


def folder_path(name: str) -> Path:
    """Returns the path in the name of a data set, with ``~`` expanded.

    Raises:
        DatasetError: There is no such path.
    """
    path = name.removeprefix(FOLDER_PREFIX)
    if not path:
        raise DatasetError(f"{FOLDER_PREFIX} names no folder", f"write {FOLDER_PREFIX}PATH")
    check_utf8(name)
    try:
        return Path(path).expanduser()
    except RuntimeError as error:  # no such user
        raise DatasetError(f"there is no folder {path}", "check the path") from error


class _File(NamedTuple):
    """A file in the folder of a class."""

    path: Path
    label: int  # index of the class
    digest: bytes  # SHA-256 of the content; ``_UNREAD`` if the content was not read
    original: Path | None  # an earlier file with the same content


class ImageFolder:
    """The labelled images in a folder, in the splits that it has, or split by a hash.

    Without splits of its own, the hash of a file decides whether it is in the training or the test
    set: adding or removing an image moves no other one. If all images of a small class were in one
    set, the one whose hash is nearest to the other set is moved there. Copies of an image are never
    in two sets: of files with the same content, only the first counts, and a copy of a test image
    is not trained on.

    Attributes:
        classes: Names of the classes.
        splits: Names of the splits: "train" and "test", "train" and "validation", or all three.
    """

    def __init__(self, path: Path, prepare: Prepare = prepare) -> None:
        self.path = path
        self._prepare_image = prepare
        self._left_out = LeftOut()
        self._layout = find_layout(path, self._left_out)
        self.classes = self._layout.classes
        self.splits = tuple(self._layout.splits) or ("train", "test")
        self._found: dict[str, list[list[_File]]] = {}  # by split, or all under ALL; by class
        self._first: dict[bytes, Path] = {}  # file by digest
        self._is_reported = False

    def read(self, split: str, on_left_out: Callable[[str], None]) -> Split:
        """Returns one of ``splits``, or all: images by class and name, prepared as by ``predict``.

        ``on_left_out`` is called with each file that is left out and the reason: first the copies
        of other files, then the files that cannot be used. What the system added is one message.

        Raises:
            DatasetError: A class has no image to train on, or there is none to score on.
        """
        images: list[tuple[_File, Image28]] = []
        for file, digit in self._prepare(split, on_left_out):
            if not isinstance(digit, PictureError):
                images.append((file, digit))
            elif self._is_in(file, split):
                on_left_out(f"left out {file.path}: {digit.problem}")
        if not self._layout.splits and split != ALL:
            test_files = self._choose_test_files(file for file, _ in images)
            images = [each for each in images if (each[0] in test_files) == (split == "test")]
        labels = np.array([file.label for file, _ in images], dtype=np.int64)
        self._report_rest(on_left_out)
        self._check(split, set(labels.tolist()))
        pixels = np.stack([image for _, image in images])
        loaded = Split.of_images(pixels, labels, FOLDER_PREFIX + split)
        return replace(loaded, files=self._count_files())

    def _is_in(self, file: _File, split: str) -> bool:
        """Returns True if a file that was found for a split is in it, unless it is moved."""
        return bool(self._layout.splits) or split in (ALL, split_of(file.digest))

    def _prepare(
        self, split: str, on_left_out: Callable[[str], None]
    ) -> Iterable[tuple[_File, Image28 | PictureError]]:
        """Prepares the images that may belong to a split, and reports the copies among them."""
        files = []
        for of_class in self._files(split):
            for file in of_class:
                is_wanted = self._is_in(file, split)
                if file.original is None:
                    if is_wanted or len(of_class) < _LARGE_CLASS:
                        files.append(file)
                elif is_wanted:
                    on_left_out(f"left out {file.path}: the same image as {file.original}")
        sources = (ImageSource(str(file.path), file.path) for file in files)
        prepared = chain.from_iterable(prepare_all([sources], self._prepare_image))
        for file, (source, digit) in zip(files, prepared, strict=True):
            if source.warning is not None and self._is_in(file, split):
                on_left_out(f"{file.path}: {source.warning}")
            yield file, digit if isinstance(digit, PictureError) else digit.image

    def _files(self, split: str) -> list[list[_File]]:
        """Returns the files of each class that may belong to a split; each is hashed once."""
        if not self._layout.splits:
            return self._find(ALL, self.path)
        if split == ALL:
            each = [self._files(name) for name in self.splits]
            return [list(chain.from_iterable(classes)) for classes in zip(*each, strict=True)]
        for name in _BY_PRECEDENCE[: _BY_PRECEDENCE.index(split)]:  # their images come first
            if name in self._layout.splits:
                self._find(name, self._layout.splits[name])
        return self._find(split, self._layout.splits[split])

    def _find(self, split: str, folder: Path) -> list[list[_File]]:
        """Finds the files of each class, once."""
        if split not in self._found:
            self._found[split] = [
                [self._file(path, label) for path in find_files(folder / name, self._left_out)]
                for label, name in enumerate(self.classes)
            ]
        return self._found[split]

    def _file(self, path: Path, label: int) -> _File:
        digest = _digest_of(path)
        original = path if digest == _UNREAD else self._first.setdefault(digest, path)
        return _File(path, label, digest, None if original is path else original)

    def _count_files(self) -> int:
        """Returns the number of files in all splits, some of which may not have been read."""
        unread = [folder for name, folder in self._layout.splits.items() if name not in self._found]
        paths = (find_files(folder / name, LeftOut()) for folder in unread for name in self.classes)
        found = chain.from_iterable(self._found.values())
        return sum(map(len, found)) + sum(1 for _ in chain.from_iterable(paths))

    def _report_rest(self, on_left_out: Callable[[str], None]) -> None:
        """Reports, once, what else is in the folder."""
        if self._is_reported:
            return
        self._is_reported = True
        for path in self._layout.broken_links:
            on_left_out(f"left out {path}: it is a broken link")
        if self._left_out:
            on_left_out(str(self._left_out))

    def _choose_test_files(self, files: Iterable[_File]) -> set[_File]:
        """Returns those of the files, given by class, that form the test set."""
        chosen: set[_File] = set()
        for label, group in groupby(files, key=lambda file: file.label):
            ordered = sorted(group, key=lambda file: file.digest)
            count = sum(split_of(file.digest) == "test" for file in ordered)
            if len(self._found[ALL][label]) < _LARGE_CLASS:  # else only one split was read
                count = min(max(count, 1), len(ordered) - 1)
            chosen.update(ordered[:count])
        return chosen

    def _check(self, split: str, labels: Set[int]) -> None:
        """Raises an error if a class has no image to train on, or there is none at all."""
        folder = self._layout.splits.get(split, self.path)
        empty = [name for label, name in enumerate(self.classes) if label not in labels]
        if split == "train" and empty:
            raise DatasetError(
                f"{folder} has classes without a readable image: {listed(empty)}",
                "add images, or remove these subfolders",
            )
        if not labels:
            problem = f"{folder} has no readable image"
            if split == "test" and not self._layout.splits:
                problem = f"no class in {folder} has a second image, for the test set"
            raise DatasetError(problem, "add images")


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
