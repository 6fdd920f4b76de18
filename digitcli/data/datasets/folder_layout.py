"""The layout of a folder of labelled images: a subfolder per class, or per split and class."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from digitcli.core.checkpointing.metadata import FOLDER_PREFIX, MAX_CLASS_NAME, MAX_CLASSES
from digitcli.core.errors import DatasetError, error_reason
from digitcli.data.images.discover import LeftOut, is_broken_link, is_system_name

_SPLIT_NAMES = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validation"), "validation"),
    **dict.fromkeys(("test", "testing"), "test"),
}
"""Splits by the lower-case names of their folders."""

_MAX_LISTED = 5  # names in a message


@dataclass(frozen=True)
class FolderLayout:
    """The classes and splits of a folder of images.

    Attributes:
        path: The folder.
        classes: Names of the classes in natural order.
        splits: Folder of each split, which holds a subfolder per class, in the order train,
            validation, test; empty if ``path`` itself holds the subfolders of the classes.
        broken_links: Links to nothing beside the subfolders: a class may be missing.
    """

    path: Path
    classes: tuple[str, ...]
    splits: dict[str, Path]
    broken_links: tuple[Path, ...]


def find_layout(path: Path, left_out: LeftOut) -> FolderLayout:
    """Finds the classes and splits of a folder.

    ``left_out`` counts the subfolders that the system added.

    Raises:
        DatasetError: The folder cannot be read, is laid out in another way, has splits with
            different classes, or a checkpoint cannot have such classes.
    """
    subfolders, broken = _subfolders(path, left_out)
    kinds = {name: _SPLIT_NAMES.get(name.lower()) for name in subfolders}
    if not any(kinds.values()):
        return FolderLayout(path, _checked_classes(path, subfolders), {}, broken)
    _check_splits(path, kinds)
    by_kind = {kind: path / name for name, kind in kinds.items() if kind}
    splits = {
        kind: by_kind[kind] for kind in dict.fromkeys(_SPLIT_NAMES.values()) if kind in by_kind
    }
    classes = {}
    for kind, folder in splits.items():
        subfolders, links = _subfolders(folder, left_out)
        classes[kind] = _checked_classes(folder, subfolders)
        broken += links
    for kind, folder in splits.items():
        _check_same_classes((splits["train"], classes["train"]), (folder, classes[kind]))
    return FolderLayout(path, classes["train"], splits, broken)


def _subfolders(path: Path, left_out: LeftOut) -> tuple[list[str], tuple[Path, ...]]:
    """Returns the names of the subfolders, without hidden ones, and the links to nothing."""
    names, broken = [], []
    try:
        for entry in sorted(path.iterdir()):
            if is_system_name(entry.name):
                left_out.add(entry.name)
            elif entry.name[0] == ".":
                continue
            elif entry.is_dir():
                names.append(entry.name)
            elif is_broken_link(entry):
                broken.append(entry)
    except (OSError, ValueError) as error:
        raise DatasetError(
            f"cannot read the folder {path}: {error_reason(error)}", "check the path"
        ) from error
    return names, tuple(broken)


def _checked_classes(path: Path, names: Sequence[str]) -> tuple[str, ...]:
    """Returns the names of classes in natural order ("2" before "10"), if they are possible."""
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
        check_utf8(name)
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


def check_utf8(name: str) -> None:
    """Raises a ``DatasetError`` if a name is not text."""
    try:
        name.encode()
    except UnicodeEncodeError as error:
        raise DatasetError(f"the name {name!r} is not valid UTF-8", "rename the folder") from error


def _check_splits(path: Path, kinds: dict[str, str | None]) -> None:
    """Raises an error unless there are a train folder, a folder to score on, and nothing else."""
    named = [name for name, kind in kinds.items() if kind]
    if len(named) < len(kinds):
        others = [name for name, kind in kinds.items() if not kind]
        raise DatasetError(
            f"{path} mixes splits ({listed(named)}) with other subfolders ({listed(others)})",
            "keep a subfolder per split or one per class; a class cannot have the name of a split",
        )
    for kind in dict.fromkeys(_SPLIT_NAMES.values()):
        same = [name for name in named if kinds[name] == kind]
        if len(same) > 1:
            raise DatasetError(
                f"{path} has several folders for the {kind} split: {listed(same)}", "keep one"
            )
    if "train" not in kinds.values():
        raise DatasetError(
            f"{path} has {listed(named)}, but no train",
            f"add it, or give --dataset {FOLDER_PREFIX}{path / named[0]}",
        )
    if len(named) == 1:
        raise DatasetError(
            f"{path} has {named[0]}, but neither test nor validation beside it",
            f"add one, or hold out a fifth with --dataset {FOLDER_PREFIX}{path / named[0]}",
        )


def _check_same_classes(
    train: tuple[Path, tuple[str, ...]], other: tuple[Path, tuple[str, ...]]
) -> None:
    """Raises an error if the classes of a split differ from those of the train split."""
    missing = [name for name in train[1] if name not in other[1]]
    more = [name for name in other[1] if name not in train[1]]
    if missing or more:
        differences = [f"it lacks {listed(missing)}"] if missing else []
        differences += [f"{'and ' if missing else 'it '}has {listed(more)} besides"] if more else []
        raise DatasetError(
            f"{other[0]} has other classes than {train[0]}: {' '.join(differences)}",
            "give both the same subfolders",
        )


def listed(names: Sequence[str]) -> str:
    """Joins names for a message, the first few of many."""
    more = f" and {len(names) - _MAX_LISTED} more" if len(names) > _MAX_LISTED else ""
    return f"{', '.join(names[:_MAX_LISTED])}{more}"
