"""Measures how ``predict --multi`` reads pictures of several digits.

``python tests/benchmarks/strips.py [--checkpoint FILE] [--only NAME...]``: strips of 2 to 8 of
MNIST's digits, each of a size of its own and not quite in line, read by ``Classifier.read``. The
settings of digitcli were chosen on strips of training pictures; ``--digits test`` takes test
pictures, for reporting. A strip is right if its string is, digit by digit; ``alone`` is the share
of strips whose digits are all right when each is given to ``Classifier.predict`` by itself, as
large as on the strip, which cutting cannot better but by luck. ``count`` is the share with as many
digits as there are. The rows ``singles`` give MNIST's digits one by one, as they are and enlarged.
"""

import argparse
import functools
import json
import multiprocessing
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pictures import mnist
from PIL import Image, ImageOps
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import track
from rich.table import Table
from scenery import (
    Rng,
    between,
    dark_ink,
    generator,
    grain,
    inked,
    photographed,
    picture,
    png,
    sheet,
    soft_shadow,
    white_paper,
)

from digitcli import Classifier
from digitcli.core.errors import PictureError
from digitcli.data.datasets.split import Split

Field = npt.NDArray[np.float32]
Digits = Sequence[Field]

LEAST, MOST = 2, 8
SINGLES = {"singles": (28, 0), "singles, enlarged": (280, 40)}
"""Pixels of the side of MNIST's digits, and of a border around it."""

_MOST_UNDER = 0.6
"""Share of the narrower of two digits' boxes that lies within the other's at most."""

_SEEN = 0.4
"""Ink from which pixels that are neighbours touch."""


# How digits stand


def apart(digits: Digits, height: float, rng: Rng) -> Field:
    """Boxes a tenth of a digit's height apart, and up to four fifths."""
    return line_of(digits, lambda: max(2, round(between(rng, 0.1, 0.8) * height)), boxes=True)


def near(digits: Digits, height: float, rng: Rng) -> Field:
    """Strokes 4 to 12 % of the height apart, so that a slanted digit reaches over its neighbour."""
    return line_of(digits, lambda: max(1, round(between(rng, 0.04, 0.12) * height)))


def some_touch(digits: Digits, height: float, rng: Rng) -> Field:
    """One neighbour in four touches."""

    def gap() -> int:
        return 0 if rng.random() < 0.25 else max(1, round(between(rng, 0.04, 0.5) * height))

    return line_of(digits, gap)


def touching(digits: Digits, height: float, rng: Rng) -> Field:  # noqa: ARG001
    return line_of(digits, lambda: 0)


def overlapping(digits: Digits, height: float, rng: Rng) -> Field:
    """Strokes 3 to 10 % of the height within each other."""
    return line_of(digits, lambda: -max(1, round(between(rng, 0.03, 0.1) * height)))


def in_boxes(digits: Digits, height: float, rng: Rng) -> Field:
    """A form's row of boxes, their walls shared, with a digit in each."""
    wide = max(digit.shape[1] for digit in digits)
    wall = max(1, round(between(rng, 0.02, 0.06) * height))
    cell = round(wide + between(rng, 0.15, 0.5) * height) + wall
    tall = len(digits[0])
    row = np.zeros((tall, cell * len(digits) + wall), np.float32)
    for i, digit in enumerate(digits):
        left = i * cell + wall + round(between(rng, 0.3, 0.7) * (cell - wall - digit.shape[1]))
        row[:, left : left + digit.shape[1]] = digit
    inside = np.flatnonzero(row.any(axis=1))
    margin = round(between(rng, 0.06, 0.3) * height)
    top, bottom = max(wall, inside[0] - margin), min(tall - wall, inside[-1] + 1 + margin)
    row[top - wall : top] = row[bottom : bottom + wall] = 1
    for x in range(0, row.shape[1], cell):
        row[top - wall : bottom + wall, x : x + wall] = 1
    return row


def in_rows(digits: Digits, height: float, rng: Rng) -> Field:
    """Two rows or three of the same digits' number, as on a page."""
    rows = min(len(digits), int(rng.integers(2, 4)))
    lines = [
        trimmed(apart(part, height, rng))
        for part in (
            digits[i * len(digits) // rows : (i + 1) * len(digits) // rows] for i in range(rows)
        )
    ]
    wide = max(line.shape[1] for line in lines)
    padded = [
        np.pad(line, ((round(between(rng, 0.3, 0.8) * height), 0), (0, wide - line.shape[1])))
        for line in lines
    ]
    return np.concatenate(padded)


# What they are on


def on_black(share: Field, rng: Rng) -> bytes:  # noqa: ARG001
    return png(Image.fromarray(np.rint(share * 255).astype(np.uint8)))


def on_white(share: Field, rng: Rng) -> bytes:
    size = (share.shape[1], share.shape[0])
    return png(picture(inked(sheet(size, white_paper(rng)), share, dark_ink(rng))))


def on_photo(share: Field, rng: Rng) -> bytes:
    size = (share.shape[1], share.shape[0])
    page = inked(grain(rng, sheet(size, white_paper(rng)), 2), share, dark_ink(rng))
    blur = between(rng, 0.2, 1) * max(size) / 1000
    return photographed(rng, page, soft_shadow(rng, size), noise=between(rng, 1, 4), blur=blur)


Layout = Callable[[Digits, float, Rng], Field]
Medium = Callable[[Field, Rng], bytes]

CONDITIONS: dict[str, tuple[Layout, Medium]] = {
    "apart": (apart, on_black),
    "apart, dark on white": (apart, on_white),
    "apart, photo": (apart, on_photo),
    "near": (near, on_black),
    "near, photo": (near, on_photo),
    "boxes": (in_boxes, on_white),
    "boxes, photo": (in_boxes, on_photo),
    "rows": (in_rows, on_white),
    "rows, photo": (in_rows, on_photo),
    "one in four touches": (some_touch, on_black),
    "one in four touches, photo": (some_touch, on_photo),
    "all touch": (touching, on_black),
    "all overlap": (overlapping, on_black),
}


def written(images: npt.NDArray[np.uint8], rng: Rng) -> tuple[Digits, float]:
    """Brings digits to their sizes, and to their places above or below the line.

    Returns:
        float32 (any, width) each, all of one height; and the height of a digit of usual size.
    """
    height = float(np.exp(rng.uniform(np.log(20), np.log(100))))
    digits = []
    for image in images:
        ink = resized(image, between(rng, 0.8, 1.25) * height / 20)
        placed = np.zeros((round(2 * height), ink.shape[1]), np.float32)
        top = round(height - len(ink) / 2 + between(rng, -0.12, 0.12) * height)
        placed[top : top + len(ink)] = ink
        digits.append(placed)
    return digits, height


def resized(image: npt.NDArray[np.uint8], factor: float) -> Field:
    ink = trimmed(image)
    size = (max(1, round(ink.shape[1] * factor)), max(1, round(ink.shape[0] * factor)))
    large = Image.fromarray(ink).resize(size, Image.Resampling.BICUBIC)
    return np.asarray(large, np.float32) / np.float32(255)


def trimmed(ink: npt.NDArray[Any]) -> npt.NDArray[Any]:
    rows, columns = np.flatnonzero(ink.any(axis=1)), np.flatnonzero(ink.any(axis=0))
    return ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def line_of(digits: Digits, gap: Callable[[], int], *, boxes: bool = False) -> Field:
    """Sets digits side by side, so many pixels between their strokes, or between their boxes."""
    line, previous = digits[0], digits[0].shape[1]
    for digit in digits[1:]:
        space = gap()
        left = line.shape[1] + space - (0 if boxes else room(line, digit, max(space, 0)))
        left = max(left, line.shape[1] - round(_MOST_UNDER * min(previous, digit.shape[1])))
        wide = np.zeros((len(line), max(line.shape[1], left + digit.shape[1])), np.float32)
        wide[:, : line.shape[1]] = line
        place = wide[:, left : left + digit.shape[1]]
        np.maximum(place, digit, out=place)
        line, previous = wide, digit.shape[1]
    return line


def room(line: Field, digit: Field, reach: int) -> int:
    """Measures how far a digit whose box is beside a line's could be moved until strokes meet.

    Strokes that pass each other within ``reach`` rows meet, too.
    """
    one, other = line > _SEEN, np.pad(digit > _SEEN, ((reach, reach), (0, 0)))
    spread = np.logical_or.reduce(
        [other[shift : len(line) + shift] for shift in range(2 * reach + 1)]
    )
    both = one.any(axis=1) & spread.any(axis=1)
    if not both.any():
        return 0
    after = np.argmax(one[both][:, ::-1], axis=1)
    return int((after + np.argmax(spread[both], axis=1)).min())


@dataclass(frozen=True)
class Case:
    """One strip that was read.

    Attributes:
        name: Of its condition.
        index: Its number, which with the seed makes it again.
        text: What stands on it.
        read: What it was read as, or why it was refused.
        alone: Its digits as each is read by itself.
        probability: Of ``read``.
    """

    name: str
    index: int
    text: str
    read: str
    alone: str
    probability: float = 0.0


@dataclass(frozen=True)
class Bench:
    """All that a process needs to make strips and read them."""

    checkpoint: Path | None
    digits: str
    seed: int

    def cases(self, job: tuple[str, range]) -> list[Case]:
        name, indices = job
        return [self.case(name, index) for index in indices]

    def case(self, name: str, index: int) -> Case:
        classifier, split = _loaded(self.checkpoint, self.digits)
        if name in SINGLES:
            side, border = SINGLES[name]
            image = Image.fromarray(split.images[index]).resize((side, side))
            content = png(ImageOps.expand(image, border))
            alone = classifier.predict(content).label
            return self.read(Case(name, index, str(split.labels[index]), "", alone), content)
        content, digits, text = self.strip(name, index)
        margin = round(0.2 * len(digits[0]))
        alone = "".join(
            classifier.predict(np.pad(digit, margin)).label for digit in map(trimmed, digits)
        )
        return self.read(Case(name, index, text, "", alone), content)

    def strip(self, name: str, index: int) -> tuple[bytes, Digits, str]:
        """Makes a strip; the same one whatever else is measured."""
        _, split = _loaded(self.checkpoint, self.digits)
        rng = generator(name, self.seed, index)
        picked = rng.integers(len(split), size=rng.integers(LEAST, MOST + 1))
        digits, height = written(split.images[picked], rng)
        layout, medium = CONDITIONS[name]
        share = trimmed(layout(digits, height, rng))
        share = np.pad(share, round(between(rng, 0.2, 0.8) * height) + 2)
        return medium(share, rng), digits, "".join(map(str, split.labels[picked]))

    def read(self, case: Case, content: bytes) -> Case:
        classifier, _ = _loaded(self.checkpoint, self.digits)
        try:
            reading = classifier.read(content)
        except PictureError as error:
            return replace(case, read=str(error))
        return replace(case, read=reading.text, probability=reading.probability)


@functools.cache
def _loaded(checkpoint: Path | None, digits: str) -> tuple[Classifier, Split]:
    return Classifier.load(checkpoint), mnist(digits)


@dataclass(frozen=True)
class Row:
    """A line of the table; shares in 0..1.

    Attributes:
        name: What was measured.
        count: Strips.
        right: Share wholly right.
        alone: Share whose digits are all right when each is read by itself.
        counted: Share with as many digits as there are.
        per_digit: What each digit would have to be right by itself to make that share of strips.
    """

    name: str
    count: int
    right: float
    alone: float
    counted: float
    per_digit: float


def row_of(name: str, cases: Sequence[Case]) -> Row:
    right = float(np.mean([case.read == case.text for case in cases]))
    return Row(
        name=name,
        count=len(cases),
        right=right,
        alone=float(np.mean([case.alone == case.text for case in cases])),
        counted=float(np.mean([len(case.read) == len(case.text) for case in cases])),
        per_digit=right ** (1 / float(np.mean([len(case.text) for case in cases]))),
    )


def rows_of(name: str, cases: Sequence[Case], *, by_length: bool) -> Iterator[Row]:
    yield row_of(name, cases)
    for length in range(LEAST, MOST + 1) if by_length else ():
        if part := [case for case in cases if len(case.text) == length]:
            yield row_of(f"  of {length}", part)


def table_of(rows: Sequence[Row], title: str) -> Table:
    table = Table(box=SIMPLE_HEAD, pad_edge=False, title=title, caption="in percent")
    table.add_column(no_wrap=True)
    for heading in ("strips", "right", "alone", "count", "per digit"):
        table.add_column(heading, justify="right")
    for row in rows:
        shares = (row.right, row.alone, row.counted, row.per_digit)
        table.add_row(row.name, f"{row.count:,}", *(f"{100 * share:.2f}" for share in shares))
    return table


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("--checkpoint", type=Path, help="default: as the commands look for it")
    parser.add_argument(
        "--count", type=int, default=300, help="per condition; singles 10,000 at most"
    )
    parser.add_argument("--seed", type=int, default=0, help="draws other digits and places")
    parser.add_argument("--digits", choices=("train", "test"), default="train")
    names = [*CONDITIONS, *SINGLES]
    parser.add_argument(
        "--only", nargs="+", metavar="NAME", choices=names, default=names, help=", ".join(names)
    )
    parser.add_argument("--by-length", action="store_true", help="rows for strips of each length")
    parser.add_argument("--list-wrong", action="store_true", help="name the wrong strips")
    parser.add_argument("--save-wrong", type=Path, metavar="FOLDER", help="as pictures")
    parser.add_argument("--json", type=Path, metavar="PATH")
    return parser.parse_args()


def main() -> None:
    arguments = parsed()
    bench = Bench(arguments.checkpoint, arguments.digits, arguments.seed)
    rows: list[Row] = []
    wrong: list[Case] = []
    with ProcessPoolExecutor(os.cpu_count(), multiprocessing.get_context("spawn")) as pool:
        for name in arguments.only:
            count, size = arguments.count, -(-arguments.count // 40)
            jobs = [(name, range(i, min(i + size, count))) for i in range(0, count, size)]
            found = pool.map(bench.cases, jobs)
            console = Console(stderr=True)
            cases = [
                case
                for block in track(found, name, len(jobs), console=console, transient=True)
                for case in block
            ]
            rows += rows_of(name, cases, by_length=arguments.by_length and name not in SINGLES)
            wrong += [case for case in cases if case.read != case.text]
    Console().print(table_of(rows, f"{arguments.digits} pictures, seed {arguments.seed}"))
    for case in wrong if arguments.list_wrong else ():
        print(case.name, case.index, case.text, case.read, case.alone, sep="\t")
    if arguments.save_wrong:
        arguments.save_wrong.mkdir(parents=True, exist_ok=True)
        for case in wrong:
            if case.name not in SINGLES:
                stem = f"{case.name}-{case.index}-{case.text}".replace(" ", "-").replace(",", "")
                content, _, _ = bench.strip(case.name, case.index)
                (arguments.save_wrong / f"{stem}.png").write_bytes(content)
    if arguments.json:
        document = {"seed": arguments.seed, "rows": list(map(asdict, rows))}
        arguments.json.write_text(json.dumps(document, indent=1) + "\n")


if __name__ == "__main__":
    main()
