"""A folder of images as a data set: one subfolder per class, named after the class."""

import functools
import hashlib
import os
import shlex
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from io import BufferedReader
from itertools import chain, groupby
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from digitcli.core.checkpointing.metadata import FOLDER_PREFIX
from digitcli.core.errors import DatasetError, PictureError
from digitcli.core.files.regular import open_regular
from digitcli.data.datasets.folder_layout import check_utf8, find_layout, listed
from digitcli.data.datasets.split import ALL, Split, TrainingPart
from digitcli.data.images.decode import max_file_size
from digitcli.data.images.discover import LeftOut, find_files, is_ignored
from digitcli.data.images.kinds import TGA_NAMES
from digitcli.data.images.limits import MAX_PIXELS
from digitcli.data.images.parallel import prepare_all
from digitcli.data.images.source import ImageSource
from digitcli.data.preprocessing.mnist_form import Prepare, PreparedDigit, prepare

TEST_FRACTION = 0.2
"""Fraction of the images in the test set of a folder without splits."""

_LARGE_CLASS = 50
"""Files from which on a class is split by content alone, so that only the split asked for is read.
Among 70,000 such classes, one gets an empty test set."""

_MAX_HELD = 8 * 2**20
"""Maximum bytes of a file that is held in memory from hashing to decoding."""

_UNREAD = b"\xff" * 32
"""Digest of an unreadable file, by which it is a training image."""

_MAX_LISTED = 20
"""Maximum number of files of a kind, in a split, that are all reported; of more, 10 are."""

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
    split: str  # unless it is moved
    digest: bytes  # SHA-256 of the content; ``_UNREAD`` if the content was not read
    original: Path | None  # an earlier file with the same content


class _Prepared(NamedTuple):
    """The result of preparing an image."""

    digit: PreparedDigit | PictureError
    warning: str | None  # that other images in the file are not read


class ImageFolder:
    """The labelled images in a folder, in the splits that it has, or split by a hash.

    Without splits of its own, the hash of a file decides whether it is in the training or the test
    set: adding or removing an image moves no other one. If all images of a small class were in one
    set, the one whose hash is nearest to the other set is moved there. Copies of an image are never
    in two sets: of files with the same content, only the first counts, and a copy of a test image
    is not trained on.

    Attributes:
        path: The folder.
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
        self._listed: dict[str, list[list[Path]]] = {}  # by split, or all under ALL; by class
        self._files: dict[Path, _File] = {}
        self._first: dict[bytes, Path] = {}  # file by digest
        self._prepared: dict[Path, _Prepared] = {}
        self._is_reported = False

    def read(self, split: str, on_left_out: Callable[[str], None]) -> Split:
        """Returns one of ``splits``, or all: images by class and name, prepared as by ``predict``.

        ``on_left_out`` is called with a line for each file that is left out: copies of other files,
        files of which one image of several is read, files that cannot be used, and files that are
        not images. If there are many of a kind, the first have a line each, and one line has the
        number of the others. So has one line all that the system added.

        Raises:
            DatasetError: A class has no image to train on, or there is none to score on.
        """
        self._prepare(split)
        self._report_files(split, on_left_out)
        self._report_rest(on_left_out)
        images = self._images(split)
        labels = self._labels(split, images)
        pixels = np.stack([digit.image for _, digit in images])
        loaded = Split.of_images(pixels, labels, FOLDER_PREFIX + split)
        training = self.training if split == ALL else None
        for file, _ in images:
            if not self._is_small_class(file.label):  # else the other split needs them, too
                del self._prepared[file.path]
        return replace(loaded, files=self._count_files(), training=training)

    @functools.cached_property
    def training(self) -> TrainingPart | None:
        """The training split, prepared as for training; None if a class has no image in it.

        It is found by reading all images, which ``read`` then does not read again.
        """
        self._prepare(ALL)
        images = self._images("train")
        try:
            labels = self._labels("train", images)
        except DatasetError:
            return None
        pixels = np.stack([digit.as_trained for _, digit in images])
        split = Split.of_images(pixels, labels, f"{FOLDER_PREFIX}train")
        return TrainingPart(len(split), split.checksums)

    def _prepare(self, split: str) -> None:
        """Prepares the images that may belong to a split, unless they are prepared already."""
        for batch in prepare_all([self._sources(split)], self._prepare_image):
            for source, digit in batch:
                self._prepared[Path(source.name)] = _Prepared(digit, source.warning)

    def _sources(self, split: str) -> Iterator[ImageSource]:
        """Opens the files that may belong to a split, or come before its files, once each."""
        for part in self._parts(split):
            for label, paths in enumerate(self._list(part)):
                for path in paths:
                    content = path if path in self._files else self._open(path, label, part)
                    file = self._files[path]
                    if self._may_be_in(file, split) and path not in self._prepared:
                        yield ImageSource(str(path), content)

    def _parts(self, split: str) -> Sequence[str]:
        """Returns the splits of the layout whose files are hashed for a split, in that order."""
        if not self._layout.splits:
            return [ALL]
        last = len(_BY_PRECEDENCE) if split == ALL else _BY_PRECEDENCE.index(split) + 1
        return [name for name in _BY_PRECEDENCE[:last] if name in self._layout.splits]

    def _list(self, part: str) -> list[list[Path]]:
        """Lists the files of each class in a split of the layout, or in the folder, once."""
        if part not in self._listed:
            folder = self._layout.splits.get(part, self.path)
            self._listed[part] = [
                list(find_files(folder / name, self._left_out)) for name in self.classes
            ]
        return self._listed[part]

    def _open(self, path: Path, label: int, part: str) -> bytes | Path:
        """Hashes a file, and returns what to read its image from."""
        digest, content = _digest_and_content(path)
        original = path if digest == _UNREAD else self._first.setdefault(digest, path)
        split = split_of(digest) if part == ALL else part
        self._files[path] = _File(
            path, label, split, digest, None if original is path else original
        )
        return content

    def _may_be_in(self, file: _File, split: str) -> bool:
        """Returns True if an image belongs to a split, or may be moved there."""
        is_wanted = split in (ALL, file.split) or self._is_small_class(file.label)
        return file.original is None and is_wanted

    def _is_small_class(self, label: int) -> bool:
        return not self._layout.splits and len(self._list(ALL)[label]) < _LARGE_CLASS

    def _found(self, split: str) -> Iterator[_File]:
        """Yields the files in which a split was searched for, by class and name."""
        parts = [ALL] if not self._layout.splits else self.splits if split == ALL else [split]
        for classes in zip(*map(self._list, parts), strict=True):
            for path in chain.from_iterable(classes):
                yield self._files[path]

    def _images(self, split: str) -> list[tuple[_File, PreparedDigit]]:
        """Returns the prepared images of a split."""
        images = []
        for file in self._found(split):
            if self._may_be_in(file, split):
                digit, _ = self._prepared[file.path]
                if not isinstance(digit, PictureError):
                    images.append((file, digit))
        if self._layout.splits or split == ALL:
            return images
        test_files = self._choose_test_files(file for file, _ in images)
        return [each for each in images if (each[0] in test_files) == (split == "test")]

    def _report_files(self, split: str, on_left_out: Callable[[str], None]) -> None:
        """Reports the files of a split that are left out, by kind, and images that are not read."""
        copies, warnings = list[str](), list[str]()
        unusable, others = list[str](), list[str]()
        for file in self._found(split):
            if split not in (ALL, file.split):
                continue
            if file.original is not None:
                copies.append(f"left out {file.path}: the same image as {file.original}")
                continue
            digit, warning = self._prepared[file.path]
            if warning is not None:
                warnings.append(f"{file.path}: {warning}")
            if isinstance(digit, PictureError):
                kind = others if is_ignored(file.path.name, digit) else unusable
                kind.append(f"left out {file.path}: {digit.problem}")
        _report(copies, "left out {:,} more copies of images", on_left_out)
        _report(warnings, "only one image is read of {:,} more files", on_left_out)
        command = shlex.join(["digitcli", "predict", str(self.path)])
        rest = f"left out {{:,}} more files that cannot be used; '{command}' lists all"
        _report(unusable, rest, on_left_out)
        _report(others, "left out {:,} more files: not an image", on_left_out)

    def _count_files(self) -> int:
        """Returns the number of files in all splits, some of which may not have been read."""
        unread = [
            folder for name, folder in self._layout.splits.items() if name not in self._listed
        ]
        paths = (find_files(folder / name, LeftOut()) for folder in unread for name in self.classes)
        found = chain.from_iterable(self._listed.values())
        return sum(map(len, found)) + sum(1 for _ in chain.from_iterable(paths))

    def _report_rest(self, on_left_out: Callable[[str], None]) -> None:
        """Reports, once, what else is in the folder."""
        if self._is_reported:
            return
        self._is_reported = True
        links = [f"left out {path}: a broken link" for path in self._layout.broken_links]
        _report(links, "left out {:,} more broken links", on_left_out)
        if self._left_out:
            on_left_out(str(self._left_out))

    def _choose_test_files(self, files: Iterable[_File]) -> set[_File]:
        """Returns those of the files, given by class, that form the test set."""
        chosen: set[_File] = set()
        for label, group in groupby(files, key=lambda file: file.label):
            ordered = sorted(group, key=lambda file: file.digest)
            count = sum(file.split == "test" for file in ordered)
            if self._is_small_class(label):  # else they may be of one split
                count = min(max(count, 1), len(ordered) - 1)
            chosen.update(ordered[:count])
        return chosen

    def _labels(
        self, split: str, images: Sequence[tuple[_File, PreparedDigit]]
    ) -> npt.NDArray[np.int64]:
        """Returns the labels of the images of a split.

        Raises:
            DatasetError: A class has no image to train on, or there is none at all.
        """
        labels = np.array([file.label for file, _ in images], dtype=np.int64)
        present = set(labels.tolist())
        folder = self._layout.splits.get(split, self.path)
        empty = [name for label, name in enumerate(self.classes) if label not in present]
        if split == "train" and empty:
            raise DatasetError(
                f"{folder} has classes without a readable image: {listed(empty)}",
                "add images, or remove these subfolders",
            )
        if not present:
            problem = f"{folder} has no readable image"
            if split == "test" and not self._layout.splits:
                problem = f"no class in {folder} has a second image, for the test set"
            raise DatasetError(problem, "add images")
        return labels


def _report(lines: list[str], rest: str, report: Callable[[str], None]) -> None:
    """Reports lines; of many, the first, then ``rest`` with the number of the others in it."""
    shown = lines if len(lines) <= _MAX_LISTED else lines[: _MAX_LISTED // 2]
    for line in shown:
        report(line)
    if len(shown) < len(lines):
        report(rest.format(len(lines) - len(shown)))


def _digest_and_content(path: Path) -> tuple[bytes, bytes | Path]:
    """Returns the SHA-256 of a file that may be an image, and what to read the image from.

    That is the content, so that the file is opened once, or else the path: of a large file; of one
    that cannot be read, which raises the error; of one that is known by its name.
    """
    try:
        with BufferedReader(open_regular(path)) as file:
            size = file.seek(0, os.SEEK_END)
            if size > max_file_size(MAX_PIXELS):
                return _UNREAD, path
            file.seek(0)
            if size > _MAX_HELD or path.name.lower().endswith(TGA_NAMES):
                return hashlib.file_digest(file, "sha256").digest(), path
            content = file.read(size)
            return hashlib.sha256(content).digest(), content
    except (OSError, ValueError):
        return _UNREAD, path


def split_of(digest: bytes) -> str:
    """Returns the split, "train" or "test", of an image file with some SHA-256."""
    return "test" if int.from_bytes(digest[:8], "big") / 2**64 < TEST_FRACTION else "train"
