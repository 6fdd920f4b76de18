"""A folder of pictures as a data set: a folder in it for each class, named as the class is."""

import hashlib
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from digitcli.core.errors import DatasetError, PictureError, reason
from digitcli.core.metadata import LONGEST_CLASS, MOST_CLASSES
from digitcli.data.finding import find_files
from digitcli.data.prepare import prepare
from digitcli.data.reading import Source, prepare_all
from digitcli.data.split import Split

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
        raise DatasetError(f"cannot read the folder {path}: {reason(error)}", "check it") from error
    if len(names) < 2:
        raise DatasetError(
            f"{path} has {len(names) or 'no'} folder{'s' * (len(names) != 1)} in it, and every "
            "class needs one",
            "put the pictures of each class into a folder that is named as the class is",
        )
    if len(names) > MOST_CLASSES:
        raise DatasetError(
            f"{path} has {len(names):,} folders in it, more than {MOST_CLASSES} classes",
            "leave some out",
        )
    for name in names:
        _check_text(name)
        if len(name) > LONGEST_CLASS:
            raise DatasetError(
                f"the name of the folder {name} has more than {LONGEST_CLASS} characters",
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


def read_classes(
    path: Path, classes: tuple[str, ...], split: str, on_left_out: Callable[[str], None]
) -> Split:
    """Reads one part of the pictures, each prepared as ``predict`` does it.

    The content of a file alone decides which part it belongs to: no other moves when one comes or
    goes, and a copy is never on the other side. Of several files of the same content, the first
    counts.

    Args:
        path: The folder.
        classes: The names of its folders.
        split: "train" or "test".
        on_left_out: Told of every file that is left out, and why.

    Returns:
        The pictures, by class and by name; their checksum is of what is learned from.

    Raises:
        DatasetError: A class has no picture to train on, or there is none to test on.
    """
    labels: dict[str, int] = {}  # by file
    images, found = [], []

    def sources() -> Iterator[Source]:
        first: dict[bytes, str] = {}  # file by content
        for label, name in enumerate(classes):
            for file in find_files(path / name):
                source = Source(str(file), file)
                content = _content_of(file)
                if split_of(content) != split:
                    continue
                labels[source.name] = label
                if content and first.setdefault(content, source.name) != source.name:
                    same = PictureError(f"the same picture as {first[content]}")
                    source = Source(source.name, same)
                yield source

    for batch in prepare_all(sources(), prepare):
        for source, digit in batch:
            if isinstance(digit, PictureError):
                on_left_out(f"left out {source.name}: {digit.problem}")
            else:
                images.append(digit.picture)
                found.append(labels[source.name])

    empty = set(range(len(classes))).difference(found)
    if split == "train" and empty:
        raise DatasetError(
            f"the class {classes[min(empty)]} in {path} has no picture to train on",
            "add some, or remove its folder",
        )
    if not images:
        raise DatasetError(
            f"none of the pictures in {path} belongs to the test part, which takes one in "
            f"{round(1 / TEST_SHARE)}",
            "add some, or score on training pictures with --validation",
        )
    stacked = np.stack(images)
    indices = np.array(found, dtype=np.int64)
    checksum = hashlib.sha256(stacked.tobytes() + indices.astype("<i8").tobytes()).hexdigest()
    return Split(stacked, indices, {f"{PREFIX}{split}": f"sha256:{checksum}"})


def _content_of(file: Path) -> bytes | None:
    """Returns the SHA-256 of a file; None if it cannot be read, and reading it again says why."""
    try:
        with file.open("rb") as opened:
            return hashlib.file_digest(opened, "sha256").digest()
    except OSError:
        return None


def split_of(content: bytes | None) -> str:
    """Says whether a picture is to be trained or tested on, by the SHA-256 of its file."""
    if content is None:
        return "train"
    share = int.from_bytes(content[:8], "big") / 2**64
    return "test" if share < TEST_SHARE else "train"
