"""Measures how well ``predict`` reads images such as people have.

``python tests/benchmarks/pictures.py --checkpoint FILE [--only NAME...]``: prints a
table, also as JSON with ``--json PATH``. A name is that of a row or of a group:

* conditions: digits as people write, scan and photograph them (``wild_pictures.py``), made from
  MNIST's training images, which a checkpoint trained on MNIST has seen; ``--seed`` chooses others,
  and ``--digits test`` takes test images, for reporting. The row ``as-in-mnist`` is the digits
  themselves. The conditions are regression tests: the preparation was developed on them, and only
  other people's images show remaining errors.
* mnist: MNIST's test images as files, compared with ``eval``
* non-digits (``not_digits.py``): the fractions with a warning or an error
* blanks: the fraction with an error
* wild: images that people made themselves, in ``../shared/wild`` if it exists, by style, and the
  worst of their writers (one per repository)

An image with an error counts as wrong.
"""

import argparse
import csv
import io
import itertools
import json
import multiprocessing
import os
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
from not_digits import BLANKS, NON_DIGITS, fonts
from PIL import Image, ImageDraw, ImageOps
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import track
from rich.table import Table
from scenery import generator
from speed import data_dir
from wild_pictures import CONDITIONS, MNIST_VARIANTS

from digitcli.core.checkpointing.checkpoint import Checkpoint, load_checkpoint
from digitcli.core.errors import PictureError
from digitcli.core.evaluation.ood import ood_warning
from digitcli.core.inference import probabilities
from digitcli.data.arrays import Image28
from digitcli.data.datasets.readers import read_split
from digitcli.data.datasets.split import Split
from digitcli.data.images.grayscale import read_gray
from digitcli.data.preprocessing.mnist_form import prepare

WILD = Path(__file__).parents[3] / "shared" / "wild"
AS_IN_MNIST = "as-in-mnist"
HELD_OUT = 2000
EXAMPLES = 40
CAPTION = "in percent; same: prepared to the pixels of MNIST; to eval: in points"


@dataclass(frozen=True)
class Answer:
    """Prediction of an image; only ``error`` if it cannot be read."""

    image: Image28 | None = None
    digit: int | None = None
    probability: float = 0.0
    warning: str | None = None
    error: str | None = None


def answer(checkpoint: Checkpoint, content: bytes) -> Answer:
    try:
        prepared = prepare(read_gray(content))
    except PictureError as error:
        return Answer(error=str(error))
    shares = probabilities(checkpoint, prepared.image[None])[0]
    digit = int(shares.argmax())
    probability = float(shares[digit])
    warning = ood_warning(prepared.image, prepared.others, probability)
    return Answer(prepared.image, digit, probability, warning)


@dataclass(frozen=True)
class Case:
    """An image and its prediction.

    Attributes:
        row: Name of the row.
        name: Name in the list of wrong images.
        label: The digit shown; None for a non-digit.
        answer: The prediction, without the image.
        identical: True if the prepared pixels are those of the original digit.
        writer: Source of the image if known.
    """

    row: str
    name: str
    label: int | None
    answer: Answer
    identical: bool = False
    writer: str = ""

    @property
    def right(self) -> bool:
        return self.answer.digit == self.label


@dataclass(frozen=True)
class Row:
    """A row of the table; fractions in 0..1.

    Attributes:
        group: Name of the group.
        name: Name of the row.
        count: Number of images.
        accuracy: Fraction read correctly; None for non-digits.
        probability: Mean probability of the predictions; None for non-digits.
        warned: Fraction with a warning; None for ``eval``, which never warns.
        refused: Fraction with an error; None for ``eval``.
        identical: Fraction whose prepared pixels are the original ones; None except for MNIST.
        difference: Accuracy minus that of ``eval``; None except for MNIST.
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
    given = [a.probability for a in answers if a.error is None]
    has_digits = cases[0].label is not None
    return Row(
        group=group,
        name=name,
        count=len(cases),
        accuracy=mean(case.right for case in cases) if has_digits else None,
        probability=mean(given) if has_digits else None,
        warned=mean(a.warning is not None for a in answers),
        refused=mean(a.error is not None for a in answers),
        identical=mean(case.identical for case in cases) if group == "mnist" else None,
    )


def mean(values: Iterable[float]) -> float:
    return float(np.mean(list(values) or [0.0]))


def drawn(name: str, seed: int) -> Split:
    """Returns images of a split, chosen by the seed."""
    split = mnist(name)
    return split.subset(np.random.default_rng(seed).permutation(len(split))[:HELD_OUT])


def mnist(name: str) -> Split:
    split = read_split(data_dir(), name)
    if split is None:
        raise SystemExit("MNIST is missing: run digitcli download, or set DIGITCLI_DATA_DIR")
    return split


@dataclass(frozen=True)
class Bench:
    """Makes and reads images in a process."""

    checkpoint: Checkpoint
    split: Split
    seed: int

    def content(self, name: str, index: int) -> bytes:
        """Returns an image file, the same one whatever else is measured."""
        rng = generator(name, self.seed, index)
        if scene := (NON_DIGITS | BLANKS).get(name):
            return scene(rng, self.split.images)
        make = (CONDITIONS | MNIST_VARIANTS | {AS_IN_MNIST: MNIST_VARIANTS["mnist-png"]})[name]
        return make(self.split.images[index], rng)

    def label(self, name: str, index: int) -> int | None:
        return None if name in NON_DIGITS or name in BLANKS else int(self.split.labels[index])

    def cases(self, names: Sequence[str], indices: Sequence[int]) -> list[Case]:
        """Reads the same digits in each condition; each digit is traced once."""
        return [self.case(name, index) for index, name in itertools.product(indices, names)]

    def case(self, name: str, index: int) -> Case:
        found = answer(self.checkpoint, self.content(name, index))
        same = found.image is not None and bool((found.image == self.split.images[index]).all())
        without = replace(found, image=None)
        return Case(name, str(index), self.label(name, index), without, same)


def measure(
    bench: Bench, group: str, names: Sequence[str], count: int, pool: Executor
) -> list[Case]:
    size = -(-count // 40)  # each block is sent with a copy of the bench
    blocks = [range(i, min(i + size, count)) for i in range(0, count, size)]
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
    """Returns rows of sums: all conditions, each kind of non-digit, single digits of wild."""
    if group == "conditions":
        kinds = {"all": [case for case in cases if case.row != AS_IN_MNIST]}
    elif group == "wild":
        singles = [case for case in cases if case.row.endswith(" single")]
        kinds = {"all single": singles} | by_writer(singles)
    elif group == "non-digits":
        kinds = {
            f"all {kind}": [case for case in cases if case.row.startswith(kind)]
            for kind in ("noise", "drawing", "photo", "strip")
        }
    else:
        kinds = {}
    return [row_of(group, name, chosen) for name, chosen in kinds.items() if chosen]


def by_writer(cases: Sequence[Case]) -> dict[str, list[Case]]:
    """Returns the writer with the lowest accuracy; of equal ones that with more images."""
    writers: dict[str, list[Case]] = {}
    for case in cases:
        writers.setdefault(case.writer, []).append(case)
    shares = {writer: mean(case.right for case in made) for writer, made in writers.items()}
    worst = min(writers, key=lambda writer: (shares[writer], -len(writers[writer])), default="")
    return {f"worst of {len(writers)} writers": writers[worst]} if writers else {}


def against_eval(rows: Sequence[Row], bench: Bench) -> list[Row]:
    """Adds the difference from the accuracy of ``eval`` to MNIST's rows."""
    import torch

    from digitcli.core.evaluation.evaluate import evaluate

    images, labels = bench.split.images, bench.split.labels
    accuracy = evaluate(bench.checkpoint, images, labels, torch.device("cpu")).accuracy
    return [
        Row("mnist", "eval", len(labels), accuracy, None, None, None),
        *(replace(row, difference=(row.accuracy or 0) - accuracy) for row in rows),
    ]


def wild_cases(checkpoint: Checkpoint, folder: Path) -> Iterator[Case]:
    with (folder / "labels.csv").open(newline="") as file:
        for line in csv.DictReader(file):
            kind = line["kind"]
            row = f"{line['style']} {kind}" if kind == "single" else kind
            label = int(line["label"]) if kind in ("single", "printed") else None
            found = answer(checkpoint, (folder / line["file"]).read_bytes())
            yield Case(row, line["file"], label, replace(found, image=None), writer=line["repo"])


def sheet_of(bench: Bench, name: str) -> Image.Image:
    """Draws a contact sheet: each image, the network's input and the prediction."""
    tile, seen, across = 150, 56, 8
    down = -(-EXAMPLES // across)
    sheet = Image.new("RGB", (across * (tile + 10), down * (tile + seen + 10)), (120, 120, 140))
    draw = ImageDraw.Draw(sheet)
    for index in range(EXAMPLES):
        content, label = bench.content(name, index), bench.label(name, index)
        found = answer(bench.checkpoint, content)
        left, top = (index % across) * (tile + 10) + 5, (index // across) * (tile + seen + 10) + 5
        sheet.paste(_thumbnail(content, tile), (left, top))
        if found.image is not None:
            large = Image.fromarray(found.image).resize((seen, seen), Image.Resampling.NEAREST)
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
    table = Table(
        box=SIMPLE_HEAD, pad_edge=False, collapse_padding=True, title=title, caption=CAPTION
    )
    table.add_column(no_wrap=True)
    for heading in ("count", "right", "mean p", "warned", "refused", "same", "to eval"):
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
    "wild": [],  # rows depend on the labels
}


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("--checkpoint", type=Path, required=True)
    parser.add_argument("--count", type=int, default=300, help="digits per condition")
    parser.add_argument("--seed", type=int, default=0, help="chooses other digits and conditions")
    parser.add_argument("--digits", choices=("train", "test"), default="train")
    names = [*GROUPS, *itertools.chain(*GROUPS.values())]
    parser.add_argument(
        "--only", nargs="+", metavar="NAME", choices=names, default=[*GROUPS], help=", ".join(names)
    )
    parser.add_argument("--wild", type=Path, default=WILD, metavar="FOLDER")
    parser.add_argument("--json", type=Path, metavar="PATH")
    parser.add_argument("--list-wrong", action="store_true", help="list the wrong images")
    parser.add_argument("--save-examples", type=Path, metavar="FOLDER", help="contact sheets")
    arguments = parser.parse_args()
    if not 1 <= arguments.count <= HELD_OUT:
        parser.error(f"--count is 1 to {HELD_OUT}")
    return arguments


def save_examples(bench: Bench, names: Sequence[str], folder: Path, pool: Executor) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    sheets = pool.map(partial(sheet_of, bench), names)
    for name, sheet in zip(names, sheets, strict=True):
        sheet.save(folder / f"{name}.png")


def print_wrong(cases: Iterable[Case]) -> None:
    for case in cases:
        if case.label is not None and not case.right:
            said = case.answer.error or f"{case.answer.digit} {case.answer.probability:.4f}"
            print(f"{case.row}\t{case.name}\t{case.label}\t{said}")


def main() -> None:
    arguments = parsed()
    checkpoint = load_checkpoint(arguments.checkpoint)
    digits = Bench(checkpoint, drawn(arguments.digits, arguments.seed), arguments.seed)
    rows: list[Row] = []
    cases: list[Case] = []
    with ProcessPoolExecutor(os.cpu_count(), multiprocessing.get_context("spawn")) as pool:
        for group, members in GROUPS.items():
            names = [name for name in members if {name, group} & {*arguments.only}]
            if not names:
                continue
            if group == "mnist":
                test = replace(digits, split=mnist("test"))
                found = measure(test, group, names, len(test.split.labels), pool)
                rows += against_eval(rows_of(group, found), test)
            else:
                found = measure(digits, group, names, arguments.count, pool)
                rows += [*rows_of(group, found), *sums(group, found)]
            cases += found
            if arguments.save_examples:
                save_examples(digits, names, arguments.save_examples, pool)
    if "wild" in arguments.only and arguments.wild.exists():
        found = list(wild_cases(checkpoint, arguments.wild))
        rows += [*rows_of("wild", found), *sums("wild", found)]
        cases += found

    letters = f"{len(fonts())} fonts of the system" if fonts() else "Pillow's own font"
    title = f"{arguments.checkpoint.name}, seed {arguments.seed}; letters from {letters}"
    Console().print(table_of(rows, title))
    if arguments.list_wrong:
        print_wrong(cases)
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
