"""Measures how well ``predict --multi`` reads images of several digits.

``python tests/benchmarks/strips.py [--checkpoint FILE] [--only NAME...]``: strips of 2 to 8 of
MNIST's digits, of different sizes and not quite in line, read by ``Classifier.read``. The costs in
``segmentation.viterbi`` were chosen on strips of training images; ``--digits test`` takes test
images, for reporting. Columns: ``right``, the fraction of strips with all digits right; ``alone``,
the same if ``Classifier.predict`` gets each digit by itself, as large as on the strip, which is an
upper limit but for luck; ``count``, the fraction with the right number of digits. The rows
``singles`` are MNIST's digits one by one, unchanged and enlarged.
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
from media import dark_on_white, size_of
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
"""Pixels of the side of MNIST's digits and of the border around them."""

_MAX_OVERLAP = 0.6
"""Maximum overlap of two digits' boxes, as a fraction of the narrower one."""

_VISIBLE = 0.4
"""Minimum ink of neighboring pixels that touch."""


# Layouts


def apart(digits: Digits, height: float, rng: Rng) -> Field:
    """Gaps between boxes of 0.1 to 0.8 of a digit's height."""
    return line_of(digits, lambda: max(2, round(between(rng, 0.1, 0.8) * height)), boxes=True)


def near(digits: Digits, height: float, rng: Rng) -> Field:
    """Gaps between strokes of 4 to 12 % of the height: slanted digits overlap in x."""
    return line_of(digits, lambda: max(1, round(between(rng, 0.04, 0.12) * height)))


def some_touch(digits: Digits, height: float, rng: Rng) -> Field:
    """One neighbor in four touches."""

    def gap() -> int:
        return 0 if rng.random() < 0.25 else max(1, round(between(rng, 0.04, 0.5) * height))

    return line_of(digits, gap)


def touching(digits: Digits, height: float, rng: Rng) -> Field:  # noqa: ARG001
    return line_of(digits, lambda: 0)


def overlapping(digits: Digits, height: float, rng: Rng) -> Field:
    """Strokes overlap by 3 to 10 % of the height."""
    return line_of(digits, lambda: -max(1, round(between(rng, 0.03, 0.1) * height)))


def in_boxes(digits: Digits, height: float, rng: Rng) -> Field:
    """A form's row of boxes with shared walls and a digit in each."""
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
    """Two or three rows of equally many digits, as on a page."""
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


# Media


def on_black(share: Field, rng: Rng) -> bytes:  # noqa: ARG001
    return png(Image.fromarray(np.rint(share * 255).astype(np.uint8)))


def on_white(share: Field, rng: Rng) -> bytes:
    return dark_on_white(rng, share)


def on_photo(share: Field, rng: Rng) -> bytes:
    size = size_of(share)
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
    """Scales digits and moves them above or below the line.

    Returns:
        Ink of each, float32 (height, width) with the same height, and the usual height of a digit.
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
    """Places digits side by side, with gaps in pixels between their strokes or their boxes."""
    line, previous = digits[0], digits[0].shape[1]
    for digit in digits[1:]:
        space = gap()
        left = line.shape[1] + space - (0 if boxes else room(line, digit, max(space, 0)))
        left = max(left, line.shape[1] - round(_MAX_OVERLAP * min(previous, digit.shape[1])))
        wide = np.zeros((len(line), max(line.shape[1], left + digit.shape[1])), np.float32)
        wide[:, : line.shape[1]] = line
        place = wide[:, left : left + digit.shape[1]]
        np.maximum(place, digit, out=place)
        line, previous = wide, digit.shape[1]
    return line


def room(line: Field, digit: Field, reach: int) -> int:
    """Returns how many pixels a digit beside a line can move until strokes touch.

    Strokes that pass each other within ``reach`` rows touch, too.
    """
    one, other = line > _VISIBLE, np.pad(digit > _VISIBLE, ((reach, reach), (0, 0)))
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
    """A strip and its prediction.

    Attributes:
        name: Name of the condition.
        index: Number of the strip, which reproduces it together with the seed.
        text: The true digits.
        read: The predicted digits, or an error message.
        alone: The digits predicted one by one.
        probability: Probability of ``read``.
    """

    name: str
    index: int
    text: str
    read: str
    alone: str
    probability: float = 0.0


@dataclass(frozen=True)
class Bench:
    """Makes and reads strips in a process."""

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
        """Returns a strip with its digits and text, the same whatever else is measured."""
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
    """A row of the table; fractions in 0..1.

    Attributes:
        name: Name of the condition.
        count: Number of strips.
        right: Fraction with all digits right.
        alone: Fraction with all digits right when read one by one.
        counted: Fraction with the right number of digits.
        per_digit: Accuracy per digit that gives ``right`` if errors are independent.
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
    parser.add_argument("--checkpoint", type=Path, help="default: found as the commands do")
    parser.add_argument(
        "--count", type=int, default=300, help="per condition; singles 10,000 at most"
    )
    parser.add_argument("--seed", type=int, default=0, help="chooses other digits and places")
    parser.add_argument("--digits", choices=("train", "test"), default="train")
    names = [*CONDITIONS, *SINGLES]
    parser.add_argument(
        "--only", nargs="+", metavar="NAME", choices=names, default=names, help=", ".join(names)
    )
    parser.add_argument("--by-length", action="store_true", help="add rows by length")
    parser.add_argument("--list-wrong", action="store_true", help="list the wrong strips")
    parser.add_argument("--save-wrong", type=Path, metavar="FOLDER", help="save wrong strips")
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
    Console().print(table_of(rows, f"{arguments.digits} images, seed {arguments.seed}"))
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
