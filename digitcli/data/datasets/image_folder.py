"""A folder of pictures as a data set: a folder in it for each class, named as the class is."""

import hashlib
import os
import re
from collections.abc import Callable, Iterable
from functools import cached_property
from itertools import chain, groupby
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from digitcli.core.checkpointing.metadata import MAX_CLASS_NAME, MAX_CLASSES
from digitcli.core.errors import DatasetError, PictureError, error_reason
from digitcli.core.files.regular import open_regular
from digitcli.data.datasets.split import Split
from digitcli.data.images.decode import max_file_size
from digitcli.data.images.discover import find_files
from digitcli.data.images.limits import MAX_PIXELS
from digitcli.data.images.pipeline import prepare_all
from digitcli.data.images.source import ImageSource
from digitcli.data.preprocessing.mnist_form import prepare

PREFIX = "folder:"
"""What a data set's name begins with where the rest is a path."""

TEST_SHARE = 0.2
"""Share of the pictures that are held out as the test part."""


def folder_of(name: str) -> Path:
    """Returns the path in a data set's name, ``~`` written out.

    Raises:
        DatasetError: There is none in it, or no checkpoint could hold it.
    """
    path = name.removeprefix(PREFIX)
    if not path:
        raise DatasetError(f"{PREFIX} names no folder", f"write {PREFIX}PATH")
    _check_text(name)
    try:
        return Path(path).expanduser()
    except RuntimeError as error:  # no such user
        raise DatasetError(f"there is no folder {path}", "check the path") from error


def find_classes(path: Path) -> tuple[str, ...]:
    """Lists the folders in a folder, "2" before "10"; hidden ones are passed over.

    Raises:
        DatasetError: The folder cannot be read, or there are fewer than two in it.
    """
    try:
        names = [
            entry.name
            for entry in path.iterdir()
            if not entry.name.startswith(".") and entry.is_dir()
        ]
    except (OSError, ValueError) as error:
        raise DatasetError(
            f"cannot read the folder {path}: {error_reason(error)}", "check it"
        ) from error
    if len(names) < 2:
        raise DatasetError(
            f"{path} has {len(names) or 'no'} folder{'s' * (len(names) != 1)} in it, and every "
            "class needs one",
            "put the pictures of each class into a folder that is named as the class is",
        )
    if len(names) > MAX_CLASSES:
        raise DatasetError(
            f"{path} has {len(names):,} folders in it, more than {MAX_CLASSES} classes",
            "leave some out",
        )
    for name in names:
        _check_text(name)
        if len(name) > MAX_CLASS_NAME:
            raise DatasetError(
                f"the name of the folder {name} has more than {MAX_CLASS_NAME} characters",
                "shorten it",
            )
    return tuple(sorted(names, key=_natural))


def _natural(name: str) -> tuple[list[tuple[bool, int, str]], str]:
    """Orders names as people do: runs of digits by their value, before any text."""
    parts = [part for part in re.split(r"(\d+)", name) if part]
    numbers = [int(part) if part.isdecimal() else None for part in parts]
    return [(n is None, n or 0, part) for n, part in zip(numbers, parts, strict=True)], name


def _check_text(name: str) -> None:
    try:
        name.encode()
    except UnicodeEncodeError as error:
        raise DatasetError(f"the name {name!r} is no text", "rename the folder") from error


class _File(NamedTuple):
    """A file in a class's folder.

    Attributes:
        source: What is to be read of it.
        label: Index of the class.
        content: SHA-256 of its content; ``_UNREAD`` where that was not read.
    """

    source: ImageSource
    label: int
    content: bytes


class PictureFolder:
    """The pictures in a folder, and which of them are to be tested on.

    The content of a file decides which part it belongs to: no other moves when one comes or goes,
    and a copy is never on the other side. Only where all pictures of a class would be on one side,
    the one nearest to the other is moved there. Of several files of the same content, the first
    counts.

    Args:
        path: The folder.
        classes: The names of its folders.
    """

    def __init__(self, path: Path, classes: tuple[str, ...]) -> None:
        self._path, self._classes = path, classes

    def read(self, split: str, on_left_out: Callable[[str], None]) -> Split:
        """Reads one part of the pictures, each prepared as ``predict`` does it.

        Args:
            split: "train" or "test".
            on_left_out: Told of every file that is left out, and why.

        Returns:
            The pictures, by class and by name; their checksum is of what is learned from.

        Raises:
            DatasetError: A class has no picture to train on, or there is none to test on.
        """
        wanted = [
            file
            for files in self._files
            for file in files
            if len(files) < _FEW or split_of(file.content) == split
        ]
        read: list[tuple[_File, npt.NDArray[np.uint8]]] = []
        batches = prepare_all([(file.source for file in wanted)], prepare)
        for file, (source, digit) in zip(wanted, chain.from_iterable(batches), strict=True):
            if not isinstance(digit, PictureError):
                read.append((file, digit.image))
            elif split_of(file.content) == split:
                on_left_out(f"left out {source.name}: {digit.problem}")
        tested = self._tested(file for file, _ in read)
        chosen = [each for each in read if (each[0] in tested) == (split == "test")]

        labels = np.array([file.label for file, _ in chosen], dtype=np.int64)
        if split == "train":
            self._check(set(range(len(self._classes))).difference(labels.tolist()))
        if not chosen:
            raise DatasetError(
                f"no class in {self._path} has two pictures, one of them for the test part",
                "add some",
            )
        images = np.stack([picture for _, picture in chosen])
        checksum = hashlib.sha256(images.tobytes() + labels.astype("<i8").tobytes()).hexdigest()
        return Split(images, labels, {f"{PREFIX}{split}": f"sha256:{checksum}"})

    @cached_property
    def _files(self) -> list[list[_File]]:
        """The files of each class; looked through once for both parts."""
        first: dict[bytes, str] = {}  # file by content
        classes = []
        for label, name in enumerate(self._classes):
            files = []
            for path in find_files(self._path / name):
                source, content = ImageSource(str(path), path), _content_of(path)
                if content != _UNREAD and first.setdefault(content, source.name) != source.name:
                    same = PictureError(f"the same picture as {first[content]}")
                    source = ImageSource(source.name, path, error=same)
                files.append(_File(source, label, content))
            classes.append(files)
        return classes

    def _tested(self, pictures: Iterable[_File]) -> set[_File]:
        """Chooses those that are tested on."""
        tested: set[_File] = set()
        for label, group in groupby(pictures, key=lambda file: file.label):
            files = sorted(group, key=lambda file: file.content)
            count = sum(split_of(file.content) == "test" for file in files)
            if len(self._files[label]) < _FEW:  # else these are of one part
                count = min(max(count, 1), len(files) - 1)
            tested.update(files[:count])
        return tested

    def _check(self, empty: set[int]) -> None:
        """Makes sure that every class has something to train on."""
        if empty:
            names = [self._classes[label] for label in sorted(empty)]
            more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
            raise DatasetError(
                f"{self._path} has no picture that could be read of "
                f"{'the class' if len(names) == 1 else 'the classes'} "
                f"{', '.join(names[:_NAMED])}{more}",
                "add some, or remove the folder" + "s" * (len(names) > 1),
            )


_FEW = 50
"""Files of a class from which on nothing is moved to the other part: one such class in 70,000 has
nothing to test on, and only the part that is asked for has to be read."""

_NAMED = 5
"""Classes that a message names at most."""

_UNREAD = b"\xff" * 32
"""In place of a checksum; it is with the training pictures that reading the file says why."""


def _content_of(path: Path) -> bytes:
    """Returns the SHA-256 of a file that may be a picture."""
    try:
        with open_regular(path) as opened:
            if opened.seek(0, os.SEEK_END) > max_file_size(MAX_PIXELS):
                return _UNREAD
            opened.seek(0)
            return hashlib.file_digest(opened, "sha256").digest()
    except (OSError, ValueError):
        return _UNREAD


def split_of(content: bytes) -> str:
    """Says whether a picture is to be trained or tested on, by the SHA-256 of its file."""
    share = int.from_bytes(content[:8], "big") / 2**64
    return "test" if share < TEST_SHARE else "train"
