"""Lists the images that people made, in folders that are not part of this repository.

``wild`` and ``wild2`` have a ``labels.csv``; ``crops`` and ``canvas`` have a folder for each class.
A folder that is missing has no images.
"""

import csv
import functools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

SHARED = Path(__file__).parents[3] / "shared"
LABELED = ("wild", "wild2")
CLASS_FOLDERS = ("crops", "canvas")

SEGMENTS = "segment"
"""Style of seven-segment displays in ``labels.csv``."""


@dataclass(frozen=True)
class SharedPicture:
    """An image made by a person.

    Attributes:
        row: Name of the benchmark's row.
        name: Path relative to the folder.
        path: The file.
        label: The digits in reading order; None if ``predict`` should warn.
        several: True if ``Classifier.read`` reads the image.
        writer: Repository that the image comes from.
    """

    row: str
    name: str
    path: Path
    label: str | None
    several: bool = False
    writer: str = ""


@functools.cache
def shared_pictures(shared: Path, group: str) -> tuple[SharedPicture, ...]:
    """Returns the images of one of the folders, row by row."""
    folder = shared / group
    found = _labeled(folder) if group in LABELED else _class_folders(folder)
    return tuple(sorted(found, key=lambda picture: (picture.row, picture.name)))


def _labeled(folder: Path) -> Iterator[SharedPicture]:
    labels = folder / "labels.csv"
    if not labels.exists():
        return
    with labels.open(newline="") as file:
        for line in csv.DictReader(file):
            kind, style, label = line["kind"], line["style"], line["label"].replace(" ", "")
            picture = functools.partial(
                SharedPicture,
                name=line["file"],
                path=folder / line["file"],
                writer=line["repo"],
            )
            if kind == "single":
                yield picture(f"{folder.name}-single-{style}", label=label)
            elif kind == "printed":
                yield picture(f"{folder.name}-printed", label=label)
            elif kind == "multi" and label:
                printed = "printed-rows" if style == SEGMENTS else "multi"
                yield picture(f"{folder.name}-{printed}", label=label, several=True)
                yield picture(f"{folder.name}-multi-by-predict", label=None)
            else:
                yield picture(f"{folder.name}-{kind}", label=None)


def _class_folders(folder: Path) -> Iterator[SharedPicture]:
    for path in folder.glob("[0-9]/*"):
        name = f"{path.parent.name}/{path.name}"
        yield SharedPicture(folder.name, name, path, path.parent.name)
