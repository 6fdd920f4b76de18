"""Glyphs of freely licensed fonts: digits to train and validate with, letters as non-digits.

``glyphs.png`` is a sheet of square cells, which a person can look at, and ``glyphs.csv`` lists the
faces in the order of the cells, with their licences. ``tests/golden/pack_glyphs.py`` makes both.
"""

import csv
import functools
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from digitcli.data.arrays import Gray
from digitcli.data.download.manifest import DIGITS

FOLDER = Path(__file__).parent
CELL = 32  # side of a cell in pixels
COLUMNS = 60  # cells side by side on the sheet
COLUMN_NAMES = ("family", "style", "split", "licence", "package", "copyright", "characters")

TRAIN, VALIDATION = "train", "validation"


@dataclass(frozen=True)
class Face:
    """The glyphs of one face of a font."""

    family: str
    style: str  # weight from 100 to 900, and "italic" if slanted
    split: str  # "train", or "validation" for families that are never trained on
    licence: str
    package: str  # npm package and version
    copyright: str
    characters: str
    cells: npt.NDArray[np.uint8]  # (characters, 32, 32), light on black

    @property
    def has_digits(self) -> bool:
        """Returns True for the ten digits, False for letters, signs and other numerals."""
        return self.characters == "".join(DIGITS)


@functools.cache
def load_faces() -> tuple[Face, ...]:
    """Returns all faces, those with digits first."""
    with Image.open(FOLDER / "glyphs.png") as image:
        sheet = np.asarray(image.convert("L"))
    rows = len(sheet) // CELL
    cells = sheet.reshape(rows, CELL, COLUMNS, CELL).swapaxes(1, 2).reshape(-1, CELL, CELL)
    faces, start = [], 0
    with (FOLDER / "glyphs.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            end = start + len(row["characters"])
            faces.append(Face(**row, cells=cells[start:end]))
            start = end
    return tuple(faces)


def digit_faces(split: str) -> tuple[Face, ...]:
    """Returns the faces of a split that have the ten digits."""
    return tuple(face for face in load_faces() if face.split == split and face.has_digits)


def non_digit_glyphs(split: str) -> npt.NDArray[np.uint8]:
    """Returns letters, signs and other numerals of a split: uint8 (count, 32, 32)."""
    faces = [face for face in load_faces() if face.split == split and not face.has_digits]
    return np.concatenate([face.cells for face in faces])


def as_gray(cell: npt.NDArray[np.uint8]) -> Gray:
    """Returns a cell as an image with a margin, float32 in 0..1."""
    return np.pad(cell, CELL // 4).astype(np.float32) / np.float32(255)
