"""Glyphs of fonts: the sheet, its list, and their split."""

import csv
import re

import numpy as np
from PIL import Image

from digitcli.data.datasets import glyphs
from digitcli.data.datasets.glyphs import TRAIN, VALIDATION, digit_faces, load_faces

LICENCES = {"OFL-1.1", "Apache-2.0", "UFL-1.0"}


def test_the_list_matches_the_sheet() -> None:
    faces = load_faces()
    with Image.open(glyphs.FOLDER / "glyphs.png") as sheet:
        cells = sheet.width * sheet.height // glyphs.CELL**2
        assert sheet.width == glyphs.COLUMNS * glyphs.CELL
    listed = sum(len(face.characters) for face in faces)
    assert cells - glyphs.COLUMNS < listed <= cells
    for face in faces:
        assert len(face.cells) == len(face.characters)
        assert (face.cells.max(axis=(1, 2)) > 200).all(), (face.family, face.style)
    everything = np.concatenate([face.cells for face in faces])
    boxes = everything > 25
    longer = np.maximum(boxes.any(axis=1).sum(axis=1), boxes.any(axis=2).sum(axis=1))
    assert (longer >= glyphs.CELL - 8).mean() > 0.99
    assert not boxes[:, [0, -1]].any()  # a margin, so that cells do not touch
    assert not boxes[:, :, [0, -1]].any()


def test_every_face_names_its_origin() -> None:
    with (glyphs.FOLDER / "glyphs.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert tuple(rows[0]) == glyphs.COLUMN_NAMES
    for row in rows:
        assert row["licence"] in LICENCES, row
        assert re.fullmatch(r"@fontsource/[a-z0-9-]+ \d+\.\d+\.\d+", row["package"]), row
        assert row["copyright"].strip(), row
        assert row["split"] in (TRAIN, VALIDATION)


def test_families_held_out_are_not_trained_on() -> None:
    train, held_out = digit_faces(TRAIN), digit_faces(VALIDATION)
    assert len(train) >= 200
    assert len(held_out) >= 60
    trained = {face.family for face in load_faces() if face.split == TRAIN}
    assert not trained & {face.family for face in load_faces() if face.split == VALIDATION}
    # nor is a face of another name the same
    known = {face.cells.tobytes() for face in train}
    assert not any(face.cells.tobytes() in known for face in held_out)


def test_no_letter_is_also_a_way_to_write_a_digit() -> None:
    letters = {c for face in load_faces() if not face.has_digits for c in face.characters}
    assert not letters & set("OoQIil|SsZzgqb0123456789")
    assert {"B", "D", "E", "a", "c", "d"} <= letters
