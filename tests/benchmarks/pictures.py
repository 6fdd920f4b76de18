"""Measures how ``predict`` does on pictures that nobody tuned on.

``python tests/benchmarks/pictures.py --checkpoint FILE [--only NAME...]``: a table, and with
``--json PATH`` the same as JSON. A name is a row's or a group's:

* conditions: digits as people write, scan and photograph them (``wild_pictures.py``), made from
  MNIST's training pictures; ``--seed`` draws others. A checkpoint trained on all of MNIST knows the
  digits, but not the pens, papers and cameras. The row ``as-in-mnist`` is the digits themselves.
* mnist: MNIST's test pictures as files, against ``eval``
* non-digits (``not_digits.py``): the share that is warned of, or refused
* blanks: the share that is refused
* wild: pictures that people made themselves, ``../shared/wild`` where it is there, by style

A picture that is refused counts as wrong.
"""

import argparse
import csv
import io
import itertools
import json
import multiprocessing
import os
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
from not_digits import BLANKS, NON_DIGITS, fonts
from PIL import Image, ImageDraw, ImageOps
from rich.console import Console
from rich.progress import track
from rich.table import Table
from scenery import generator
from speed import data_dir
from wild_pictures import CONDITIONS, MNIST_VARIANTS

from digitcli.core.checkpoint import Checkpoint, load_checkpoint
from digitcli.core.errors import PictureError
from digitcli.core.inference import forward
from digitcli.core.softmax import softmax
from digitcli.data.mnist import read_split
from digitcli.data.pictures import read_picture
from digitcli.data.prepare import Picture, prepare
from digitcli.data.split import Split

WILD = Path(__file__).parents[3] / "shared" / "wild"
AS_IN_MNIST = "as-in-mnist"
HELD_OUT = 2000
EXAMPLES = 40


@dataclass(frozen=True)
class Answer:
    """What ``predict`` makes of a picture; nothing but ``fault`` if it refuses it."""

    picture: Picture | None = None
    digit: int | None = None
    probability: float = 0.0
    warning: str | None = None
    fault: str | None = None


def answer(checkpoint: Checkpoint, content: bytes) -> Answer:
    try:
        prepared = prepare(read_picture(content))
    except PictureError as error:
        return Answer(fault=str(error))
    probabilities = softmax(forward(checkpoint, prepared[None]))[0]
    digit = int(probabilities.argmax())
    return Answer(prepared, digit, float(probabilities[digit]), warning_of(prepared))


def warning_of(_: Picture) -> str | None:
    """Says what ``predict`` warns of; it does not warn of anything yet."""
    return None


@dataclass(frozen=True)
class Case:
    """One picture that was read.

    Attributes:
        row: Name of its row.
        name: What it is called among the wrong ones.
        label: The digit that it shows; None for none.
        answer: What was made of it, without the picture.
        identical: Whether it was prepared to the very pixels of the digit that it was made from.
    """

    row: str
    name: str
    label: int | None
    answer: Answer
    identical: bool = False

    @property
    def right(self) -> bool:
        return self.answer.digit == self.label


@dataclass(frozen=True)
class Row:
    """A line of the table; shares in 0..1.

    Attributes:
        group: What it is part of.
        name: What was measured.
        count: Pictures.
        accuracy: Share read rightly; None where there is no digit.
        probability: Mean probability of the answers given; None where there is no digit.
        warned: Share warned of; None for ``eval``, which never warns.
        refused: Share refused; None for ``eval``.
        identical: Share prepared to the pixels that they were made from; None unless it is MNIST.
        difference: Accuracy less that of ``eval``; None unless it is MNIST.
    """

    group: str
    name: str
    count: int
    accuracy: float | None
    probability: float | None
    warned: float | None
    refused: float | None
    identical: float | None = None
    difference: float | None = None


def row_of(group: str, name: str, cases: Sequence[Case]) -> Row:
    answers = [case.answer for case in cases]
    given = [a.probability for a in answers if a.fault is None]
    has_digits = cases[0].label is not None
    return Row(
        group=group,
        name=name,
        count=len(cases),
        accuracy=mean(case.right for case in cases) if has_digits else None,
        probability=mean(given) if has_digits else None,
        warned=mean(a.warning is not None for a in answers),
        refused=mean(a.fault is not None for a in answers),
        identical=mean(case.identical for case in cases) if group == "mnist" else None,
    )


def mean(values: Iterable[float]) -> float:
    return float(np.mean(list(values) or [0.0]))


def held_out(seed: int, offset: int = 0, count: int = HELD_OUT) -> Split:
    """Draws training pictures, each at most once for a seed, as validation and not to be fitted to.

    Args:
        seed: Of the order.
        offset: Pictures to pass over in that order.
        count: Pictures to take.
    """
    split = mnist("train")
    chosen = np.random.default_rng(seed).permutation(len(split.labels))[offset : offset + count]
    return Split(split.images[chosen], split.labels[chosen])


def mnist(name: str) -> Split:
    split = read_split(data_dir(), name)
    if split is None:
        raise SystemExit("MNIST is missing: run digitcli download, or set DIGITCLI_DATA_DIR")
    return split


@dataclass(frozen=True)
class Bench:
    """All that a process needs to make pictures and read them."""

    checkpoint: Checkpoint
    split: Split
    seed: int

    def content(self, name: str, index: int) -> bytes:
        """Makes a picture; the same one whatever else is measured."""
        rng = generator(name, self.seed, index)
        if scene := (NON_DIGITS | BLANKS).get(name):
            return scene(rng, self.split.images)
        make = (CONDITIONS | MNIST_VARIANTS | {AS_IN_MNIST: MNIST_VARIANTS["mnist-png"]})[name]
        return make(self.split.images[index], rng)

    def label(self, name: str, index: int) -> int | None:
        return None if name in NON_DIGITS or name in BLANKS else int(self.split.labels[index])

    def cases(self, names: Sequence[str], indices: Sequence[int]) -> list[Case]:
        """Makes and reads the same digits in each condition: each is traced once."""
        return [self.case(name, index) for index, name in itertools.product(indices, names)]

    def case(self, name: str, index: int) -> Case:
        found = answer(self.checkpoint, self.content(name, index))
        same = found.picture is not None and bool((found.picture == self.split.images[index]).all())
        without = replace(found, picture=None)
        return Case(name, f"{name} {index}", self.label(name, index), without, same)


def measure(
    bench: Bench, group: str, names: Sequence[str], count: int, pool: ProcessPoolExecutor
) -> list[Case]:
    blocks = [range(i, min(i + 10, count)) for i in range(0, count, 10)]
    found = pool.map(partial(bench.cases, names), blocks)
    console = Console(stderr=True)
    return [
        case
        for cases in track(found, group, len(blocks), console=console, transient=True)
        for case in cases
    ]


def rows_of(group: str, cases: Sequence[Case]) -> list[Row]:
    names = dict.fromkeys(case.row for case in cases)
    return [row_of(group, name, [case for case in cases if case.row == name]) for name in names]


def sums(group: str, cases: Sequence[Case]) -> list[Row]:
    """Sums up what has a bar as a whole: the conditions, each kind of non-digit, wild singles."""
    if group == "conditions":
        kinds = {"all of them": [case for case in cases if case.row != AS_IN_MNIST]}
    elif group == "wild":
        kinds = {"all singles": [case for case in cases if case.row.endswith(" single")]}
    elif group == "non-digits":
        kinds = {
            f"all {kind}": [case for case in cases if case.row.startswith(kind)]
            for kind in ("noise", "drawing", "photo", "strip")
        }
    else:
        kinds = {}
    return [row_of(group, name, chosen) for name, chosen in kinds.items() if chosen]


def against_pixels(rows: list[Row], checkpoint: Checkpoint, split: Split) -> list[Row]:
    """Adds to MNIST's rows how far they are from what ``eval`` finds."""
    import torch

    from digitcli.core.evaluation import evaluate

    accuracy = evaluate(checkpoint, split.images, split.labels, torch.device("cpu")).accuracy
    pixels = Row("mnist", "eval", len(split.labels), accuracy, None, None, None)
    return [
        pixels,
        *(replace(row, difference=(row.accuracy or 0) - accuracy) for row in rows),
    ]


def wild_cases(checkpoint: Checkpoint, folder: Path) -> Iterator[Case]:
    with (folder / "labels.csv").open(newline="") as file:
        for line in csv.DictReader(file):
            kind = line["kind"]
            row = f"{line['style']} {kind}" if kind == "single" else kind
            label = int(line["label"]) if kind in ("single", "printed") else None
            found = answer(checkpoint, (folder / line["file"]).read_bytes())
            yield Case(row, line["file"], label, replace(found, picture=None))


def sheet_of(bench: Bench, count: int, name: str) -> Image.Image:
    """Draws a contact sheet: each picture, what the network sees of it, and its answer."""
    tile, seen, across = 150, 56, 8
    down = -(-count // across)
    sheet = Image.new("RGB", (across * (tile + 10), down * (tile + seen + 10)), (120, 120, 140))
    draw = ImageDraw.Draw(sheet)
    for index in range(count):
        content, label = bench.content(name, index), bench.label(name, index)
        found = answer(bench.checkpoint, content)
        left, top = (index % across) * (tile + 10) + 5, (index // across) * (tile + seen + 10) + 5
        sheet.paste(_thumbnail(content, tile), (left, top))
        if found.picture is not None:
            large = Image.fromarray(found.picture).resize((seen, seen), Image.Resampling.NEAREST)
            sheet.paste(large, (left, top + tile))
        wrong = found.digit != label
        text = f"{label} as {found.digit}\n{found.probability:.3f}\n{found.warning or ''}"
        draw.text((left + seen + 6, top + tile), text, (255, 230, 0) if wrong else (255, 255, 255))
    return sheet


def _thumbnail(content: bytes, side: int) -> Image.Image:
    image = ImageOps.exif_transpose(Image.open(io.BytesIO(content)))
    if image.mode.startswith("I"):
        image = Image.fromarray((np.asarray(image) / 256).astype(np.uint8))
    if image.mode == "RGBA":
        checks = Image.new("RGBA", image.size, (150, 190, 150, 255))
        image = Image.alpha_composite(checks, image)
    image = image.convert("RGB")
    image.thumbnail((side, side))
    if max(image.size) < side // 2:
        factor = side // max(image.size)
        image = image.resize((image.width * factor, image.height * factor), 0)
    return image


def percent(share: float | None) -> str:
    return "" if share is None else f"{100 * share:.2f}"


def table_of(rows: Sequence[Row], title: str) -> Table:
    table = Table("", "count", title=title, caption="in percent; the last column in points")
    for heading in ("right", "mean p", "warned", "refused", "same pixels", "to eval"):
        table.add_column(heading, justify="right")
    for group, members in itertools.groupby(rows, key=lambda row: row.group):
        table.add_section()
        table.add_row(f"[bold]{group}")
        for row in members:
            shares = (row.accuracy, row.probability, row.warned, row.refused, row.identical)
            difference = "" if row.difference is None else f"{100 * row.difference:+.2f}"
            table.add_row(row.name, f"{row.count:,}", *map(percent, shares), difference)
    return table


GROUPS: dict[str, list[str]] = {
    "conditions": [AS_IN_MNIST, *CONDITIONS],
    "mnist": list(MNIST_VARIANTS),
    "non-digits": list(NON_DIGITS),
    "blanks": list(BLANKS),
    "wild": [],
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("--checkpoint", type=Path, required=True)
    parser.add_argument("--count", type=int, default=300, help="digits per condition")
    parser.add_argument("--seed", type=int, default=0, help="draws other digits and conditions")
    names = [*GROUPS, *itertools.chain(*GROUPS.values())]
    parser.add_argument("--only", nargs="+", metavar="NAME", choices=names, help=", ".join(names))
    parser.add_argument("--wild", type=Path, default=WILD, metavar="FOLDER")
    parser.add_argument("--json", type=Path, metavar="PATH")
    parser.add_argument("--list-wrong", action="store_true", help="name the wrong pictures")
    parser.add_argument("--save-examples", type=Path, metavar="FOLDER", help="contact sheets")
    arguments = parser.parse_args()
    if arguments.count > HELD_OUT:
        parser.error(f"--count is at most {HELD_OUT}")
    only = set(arguments.only or names)

    checkpoint = load_checkpoint(arguments.checkpoint)
    digits = Bench(checkpoint, held_out(arguments.seed), arguments.seed)
    rows: list[Row] = []
    cases: list[Case] = []
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(os.cpu_count(), context) as pool:
        for group, members in GROUPS.items():
            chosen = members if group in only else [name for name in members if name in only]
            if group == "wild":
                wanted = group in only and arguments.wild.exists()
                found = list(wild_cases(checkpoint, arguments.wild)) if wanted else []
            elif not chosen:
                continue
            elif group == "mnist":
                test = Bench(checkpoint, mnist("test"), arguments.seed)
                found = measure(test, group, chosen, len(test.split.labels), pool)
            else:
                found = measure(digits, group, chosen, arguments.count, pool)
            cases += found
            measured = rows_of(group, found)
            if group == "mnist":
                measured = against_pixels(measured, checkpoint, test.split)
            rows += [*measured, *sums(group, found)]
            if arguments.save_examples and group != "wild":
                arguments.save_examples.mkdir(parents=True, exist_ok=True)
                count = min(EXAMPLES, arguments.count)
                sheets = pool.map(partial(sheet_of, digits, count), chosen)
                for name, sheet in zip(chosen, sheets, strict=True):
                    sheet.save(arguments.save_examples / f"{name}.png")

    letters = f"{len(fonts())} fonts of the system" if fonts() else "Pillow's own font"
    title = f"{arguments.checkpoint.name}, seed {arguments.seed}; letters from {letters}"
    Console().print(table_of(rows, title))
    if arguments.list_wrong:
        for case in cases:
            if case.label is not None and not case.right:
                said = case.answer.fault or f"{case.answer.digit} {case.answer.probability:.4f}"
                print(f"{case.row}\t{case.name}\t{case.label}\t{said}")
    if arguments.json:
        document = {
            "checkpoint": str(arguments.checkpoint),
            "seed": arguments.seed,
            "fonts": [path.name for path in fonts()],
            "rows": list(map(asdict, rows)),
        }
        arguments.json.write_text(json.dumps(document, indent=1) + "\n")


if __name__ == "__main__":
    main()
