"""Measures how well ``Classifier`` reads images such as people have.

``python tests/benchmarks/pictures.py [--checkpoint FILE] [--only NAME...]`` prints a table and the
bars that the bundled weights must reach, also as JSON with ``--json PATH``. A name is that of a
group, of a row, or the beginning of rows' names:

* wild, wild2, crops, canvas: images that people made themselves, in ``../shared`` or ``--shared``
  (``shared_pictures.py``), and the worst of their writers (one per repository)
* mnist: MNIST's test images as files, unchanged, enlarged, inverted, cropped to the ink
* fonts: printed digits of font families that training leaves out (``held_out_fonts.py``)
* drawn: digits in styles that MNIST lacks, drawn by program (``drawn_strokes.py``)
* conditions: digits as people write, scan and photograph them (``wild_pictures.py``), made from
  MNIST's training images, which a checkpoint trained on MNIST has seen; ``--seed`` chooses others,
  and ``--digits test`` takes test images, for reporting. The row ``as-in-mnist`` is the digits
  themselves. The conditions are regression tests: the preparation was developed on them, and only
  other people's images show remaining errors.
* non-digits (``not_digits.py``, ``drawn_strokes.py``): ``predict`` should warn
* blanks: ``predict`` should report an error

Columns: ``right`` with its 95 % interval; ``mean p``, the mean probability of the answers;
``warned``; ``false``, the fraction of right answers with a warning; ``sure``, the number of wrong
answers at more than 0.9 without a warning; ``refused``, the fraction with an error, which counts as
wrong; ``same``, the fraction prepared to the pixels of MNIST; ``to eval``, the accuracy minus that
of ``eval`` on the same digits; the CPU seconds of ``predict`` or ``read``, in all and per image.
"""

import argparse
import functools
import io
import itertools
import json
import multiprocessing
import os
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
from bars import Bar, Evaluated, bars_of
from drawn_strokes import DRAWN_STYLES
from held_out_fonts import MEDIA, faces, font_picture
from not_digits import BLANKS, NON_DIGITS, fonts
from PIL import Image, ImageDraw, ImageOps
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import track
from rich.table import Table
from scenery import generator
from shared_pictures import CLASS_FOLDERS, LABELED, SHARED, shared_pictures
from speed import data_dir
from wild_pictures import CONDITIONS, MNIST_VARIANTS

from digitcli import Classifier
from digitcli.core.errors import PictureError
from digitcli.core.evaluation.calibration import calibration, wilson_interval
from digitcli.data.datasets.readers import read_split
from digitcli.data.datasets.split import Split

AS_IN_MNIST = "as-in-mnist"
SURE = 0.9
EXAMPLES = 40
BLOCK = 40
"""Maximum number of images that a process reads at a time."""
WIDTH = 150
"""Columns of the table, more than those of most terminals."""
HEADINGS = "count,right,95 % interval,mean p,warned,false,sure,refused,same,to eval,CPU s,ms each"
_MIN_WIDTHS = {"count": 6, "right": 6, "95 % interval": 13, "mean p": 6, "false": 6, "same": 6}
"""Widths of columns, which keep the tables of groups in line."""
CAPTION = "in percent; sure: images; to eval: points"

GENERATED: dict[str, list[str]] = {
    "mnist": list(MNIST_VARIANTS),
    "fonts": list(MEDIA),
    "drawn": list(DRAWN_STYLES),
    "conditions": [AS_IN_MNIST, *CONDITIONS],
    "non-digits": list(NON_DIGITS),
    "blanks": list(BLANKS),
}
GROUPS = [*LABELED, *CLASS_FOLDERS, *GENERATED]


@dataclass(frozen=True)
class Picture:
    """An image to read.

    Attributes:
        name: Name in the list of wrong images.
        label: The digits shown, in reading order; None if ``predict`` should warn.
        content: The file, or its content.
        several: True if ``Classifier.read`` reads the image.
        writer: Source of the image if known.
        original: MNIST's pixels if preparation should restore them.
    """

    name: str
    label: str | None
    content: bytes | Path
    several: bool = False
    writer: str = ""
    original: npt.NDArray[np.uint8] | None = None


@dataclass(frozen=True)
class Answer:
    """The answer to an image; only ``error`` if it cannot be read."""

    text: str | None = None
    probability: float = 0.0
    warning: str | None = None
    error: str | None = None
    image: npt.NDArray[np.uint8] | None = None


def answer(classifier: Classifier, picture: Picture) -> Answer:
    try:
        if picture.several:
            reading = classifier.read(picture.content)
            return Answer(reading.text, reading.probability, reading.warning)
        found = classifier.predict(picture.content)
    except PictureError as error:
        return Answer(error=str(error))
    return Answer(found.label, found.probability, found.warning, image=found.picture)


@dataclass(frozen=True)
class Case:
    """An image and its answer, without pixels.

    Attributes:
        row: Name of the row.
        name: Name in the list of wrong images.
        label: The digits shown; None if ``predict`` should warn.
        answer: The answer.
        seconds: CPU seconds that reading the image took.
        identical: True if the prepared pixels are those of the original digit.
        writer: Source of the image if known.
    """

    row: str
    name: str
    label: str | None
    answer: Answer
    seconds: float
    identical: bool = False
    writer: str = ""

    @property
    def labeled(self) -> bool:
        return self.label is not None

    @property
    def right(self) -> bool:
        return self.label is not None and self.answer.text == self.label

    @property
    def warned(self) -> bool:
        return self.answer.warning is not None

    @property
    def refused(self) -> bool:
        return self.answer.error is not None

    @property
    def caught(self) -> bool:
        return self.warned or self.refused

    @property
    def silently_wrong(self) -> bool:
        return not self.right and not self.caught and self.answer.probability > SURE


@dataclass(frozen=True)
class Row:
    """A row of the table; fractions in 0..1.

    Attributes:
        group: Name of the group.
        name: Name of the row.
        count: Number of images.
        right: Fraction read correctly; None for non-digits.
        interval: 95 % interval of ``right``.
        probability: Mean probability of the answers; None for non-digits.
        warned: Fraction with a warning.
        warned_though_right: Fraction of the right answers with a warning; None for non-digits.
        silently_wrong: Number of wrong answers at more than 0.9 without a warning; of non-digits
            any answer is wrong.
        refused: Fraction with an error.
        seconds: CPU seconds that reading the images took.
        identical: Fraction whose prepared pixels are the original ones; None except for MNIST.
        difference: ``right`` minus that of ``eval`` on the same digits; None except for MNIST.
    """

    group: str
    name: str
    count: int
    right: float | None
    interval: tuple[float, float] | None
    probability: float | None
    warned: float | None
    warned_though_right: float | None
    silently_wrong: int
    refused: float | None
    seconds: float | None
    identical: float | None = None
    difference: float | None = None


def row_of(group: str, name: str, cases: Sequence[Case], evaluated: Evaluated | None) -> Row:
    count, right = len(cases), [case for case in cases if case.right]
    labeled = cases[0].labeled
    share = len(right) / count
    return Row(
        group=group,
        name=name,
        count=count,
        right=share if labeled else None,
        interval=wilson_interval(len(right), count) if labeled else None,
        probability=mean(c.answer.probability for c in cases if not c.refused) if labeled else None,
        warned=mean(case.warned for case in cases),
        warned_though_right=mean(case.warned for case in right) if labeled else None,
        silently_wrong=sum(case.silently_wrong for case in cases),
        refused=mean(case.refused for case in cases),
        seconds=sum(case.seconds for case in cases),
        identical=mean(case.identical for case in cases) if group == "mnist" else None,
        difference=share - evaluated.same_digits if evaluated and group == "mnist" else None,
    )


def mean(values: Iterable[float]) -> float:
    return float(np.mean(list(values) or [0.0]))


def mnist(name: str) -> Split:
    split = read_split(data_dir(), name)
    if split is None:
        raise SystemExit("MNIST is missing: run digitcli download, or set DIGITCLI_DATA_DIR")
    return split


@functools.cache
def shuffled(name: str, seed: int) -> Split:
    """Returns the images of a split in an order chosen by the seed."""
    split = mnist(name)
    return split.subset(np.random.default_rng(seed).permutation(len(split)))


@functools.cache
def loaded(checkpoint: str) -> Classifier:
    return Classifier.load(checkpoint)


@dataclass(frozen=True)
class Bench:
    """Makes and reads images in a process.

    Attributes:
        checkpoint: The weights.
        digits: Split of MNIST that images are made from; the group "mnist" is always test images.
        seed: Chooses digits and scenes.
        count: Number of images of a row that is generated.
        shared: Folder of the images made by people.
    """

    checkpoint: str
    digits: str
    seed: int
    count: int
    shared: Path

    def rows(self, group: str) -> dict[str, int]:
        """Returns the number of images of each row."""
        if group == "fonts" and not faces():
            return {}
        if group in GENERATED:
            return dict.fromkeys(GENERATED[group], self.count)
        rows: dict[str, int] = {}
        for picture in shared_pictures(self.shared, group):
            rows[picture.row] = rows.get(picture.row, 0) + 1
        return rows

    def picture(self, group: str, row: str, index: int) -> Picture:
        """Returns an image, the same one whatever else is measured."""
        if group not in GENERATED:
            found = [p for p in shared_pictures(self.shared, group) if p.row == row][index]
            return Picture(found.name, found.label, found.path, found.several, found.writer)
        rng = generator(row, self.seed, index)
        if row in MEDIA:
            face, label, content = font_picture(row, rng, index)
            return Picture(f"{index} {face}", label, content)
        if row in DRAWN_STYLES:
            label, content = DRAWN_STYLES[row](rng, index)
            return Picture(str(index), label, content)
        split = shuffled("test" if group == "mnist" else self.digits, self.seed)
        if scene := (NON_DIGITS | BLANKS).get(row):
            return Picture(str(index), None, scene(rng, split.images[:2000]))
        make = (CONDITIONS | MNIST_VARIANTS | {AS_IN_MNIST: MNIST_VARIANTS["mnist-png"]})[row]
        digit, label = split.images[index], str(split.labels[index])
        original = digit if group == "mnist" else None
        return Picture(str(index), label, make(digit, rng), original=original)

    def cases(self, job: tuple[str, Sequence[tuple[str, int]]]) -> list[Case]:
        group, pictures = job
        return [self.case(group, row, index) for row, index in pictures]

    def case(self, group: str, row: str, index: int) -> Case:
        classifier, picture = loaded(self.checkpoint), self.picture(group, row, index)
        started = time.process_time()
        found = answer(classifier, picture)
        seconds = time.process_time() - started
        same = (
            picture.original is not None
            and found.image is not None
            and bool((found.image == picture.original).all())
        )
        without = replace(found, image=None)
        return Case(row, picture.name, picture.label, without, seconds, same, picture.writer)

    def evaluated(self) -> Evaluated:
        """Returns what ``eval`` reports on MNIST's test images."""
        split = shuffled("test", self.seed)
        shares = loaded(self.checkpoint).probabilities(split.images)
        right = shares.argmax(axis=1) == split.labels
        ece = calibration(shares.max(axis=1), right).ece
        return Evaluated(
            float(right.mean()), ece, float(right[: self.count].mean()), min(self.count, len(split))
        )

    def sheet(self, job: tuple[str, str, int]) -> Image.Image:
        """Draws a contact sheet: each image, the network's input and the answer."""
        group, row, count = job
        tile, seen, across = 150, 56, 8
        down = -(-min(count, EXAMPLES) // across)
        sheet = Image.new("RGB", (across * (tile + 10), down * (tile + seen + 10)), (120, 120, 140))
        draw = ImageDraw.Draw(sheet)
        for i in range(min(count, EXAMPLES)):
            picture = self.picture(group, row, i)
            found = answer(loaded(self.checkpoint), picture)
            left, top = (i % across) * (tile + 10) + 5, (i // across) * (tile + seen + 10) + 5
            sheet.paste(_thumbnail(picture.content, tile), (left, top))
            if found.image is not None:
                large = Image.fromarray(found.image).resize((seen, seen), Image.Resampling.NEAREST)
                sheet.paste(large, (left, top + tile))
            wrong = found.text != picture.label
            text = f"{picture.label} as {found.text}\n{found.probability:.3f}\n"
            color = (255, 230, 0) if wrong else (255, 255, 255)
            draw.text((left + seen + 6, top + tile), text + (found.warning or ""), color)
        return sheet


def _thumbnail(content: bytes | Path, side: int) -> Image.Image:
    file = io.BytesIO(content) if isinstance(content, bytes) else content
    image = ImageOps.exif_transpose(Image.open(file))
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


def measure(bench: Bench, group: str, rows: Mapping[str, int], pool: Executor) -> list[Case]:
    # Row by row within an index: a digit is traced once for all conditions.
    indices = range(max(rows.values()))
    pictures = [(row, i) for i, row in itertools.product(indices, rows) if i < rows[row]]
    jobs = [(group, pictures[i : i + BLOCK]) for i in range(0, len(pictures), BLOCK)]
    found = pool.map(bench.cases, jobs)
    console = Console(stderr=True)
    cases = [
        case
        for block in track(found, group, len(jobs), console=console, transient=True)
        for case in block
    ]
    order = {row: i for i, row in enumerate(rows)}
    return sorted(cases, key=lambda case: order[case.row])


def sums(group: str, cases: Sequence[Case]) -> dict[str, list[Case]]:
    """Returns the cases of rows of sums: singles of a folder, kinds of non-digits, and so on."""

    def beginning(prefix: str) -> list[Case]:
        return [case for case in cases if case.row.startswith(prefix)]

    if group in LABELED:
        singles = beginning(f"{group}-single-")
        labeled = [case for case in cases if case.labeled]
        found = {f"all {group}-single": singles, f"all labeled of {group}": labeled}
        return found | worst_writer(singles)
    if group == "conditions":
        return {"all": [case for case in cases if case.row != AS_IN_MNIST]}
    prefixes = {
        "fonts": ("font",),
        "drawn": ("one-upstroke",),
        "non-digits": ("noise", "drawing", "hand", "photo", "strip"),
    }
    return {f"all {prefix}": beginning(prefix) for prefix in prefixes.get(group, ())}


def worst_writer(cases: Sequence[Case]) -> dict[str, list[Case]]:
    """Returns the writer with the lowest accuracy; of equal ones that with more images."""
    writers: dict[str, list[Case]] = {}
    for case in cases:
        writers.setdefault(case.writer, []).append(case)
    shares = {writer: mean(case.right for case in made) for writer, made in writers.items()}
    worst = min(writers, key=lambda writer: (shares[writer], -len(writers[writer])), default="")
    return {f"worst of {len(writers)} writers": writers[worst]} if writers else {}


def rows_of(group: str, cases: Sequence[Case], evaluated: Evaluated | None) -> Iterator[Row]:
    if group == "mnist" and evaluated:
        count = round(evaluated.accuracy * 10_000)
        interval = wilson_interval(count, 10_000)
        accuracy = evaluated.accuracy
        yield Row(
            group, "eval", 10_000, accuracy, interval, None, None, None, 0, None, None, None, 0.0
        )
    rows: dict[str, list[Case]] = {}
    for case in cases:
        rows.setdefault(case.row, []).append(case)
    several = {name: made for name, made in sums(group, cases).items() if made}
    for name, made in (rows | several).items():
        yield row_of(group, name, made, evaluated)


def percent(share: float | None) -> str:
    return "" if share is None else f"{100 * share:.2f}"


def table_of(rows: Sequence[Row]) -> Table:
    """Draws the rows of a group."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    table.add_column(rows[0].group, no_wrap=True, min_width=24)
    for heading in HEADINGS.split(","):
        table.add_column(heading, justify="right", no_wrap=True, min_width=_MIN_WIDTHS.get(heading))
    for row in rows:
        table.add_row(
            row.name,
            f"{row.count:,}",
            percent(row.right),
            " to ".join(f"{100 * end:.1f}" for end in row.interval or ()),
            percent(row.probability),
            percent(row.warned),
            percent(row.warned_though_right),
            str(row.silently_wrong or ""),
            percent(row.refused),
            percent(row.identical),
            "" if row.difference is None else f"{100 * row.difference:+.2f}",
            "" if row.seconds is None else f"{row.seconds:.1f}",
            "" if row.seconds is None else f"{1000 * row.seconds / row.count:.1f}",
        )
    return table


def bar_table(bars: Sequence[Bar]) -> Table:
    table = Table(box=SIMPLE_HEAD, pad_edge=False, title="bars, in percent; against eval: points")
    table.add_column("what", no_wrap=True)
    for heading in ("count", "value", "bar", ""):
        table.add_column(heading, justify="right", no_wrap=True)
    for bar in bars:
        sign = ">=" if bar.at_least else "<="
        reach = " (aim)" if bar.reach else ""
        met = "met" if bar.met else "[bold]missed"
        table.add_row(
            bar.what, f"{bar.count:,}", f"{bar.value:.2f}", f"{sign} {bar.limit:g}{reach}", met
        )
    return table


def wrong_of(cases: Iterable[Case]) -> list[dict[str, object]]:
    """Returns the wrong answers, and the non-digits that are read without a warning."""
    return [
        {
            "row": case.row,
            "name": case.name,
            "label": case.label,
            "answer": case.answer.text,
            "probability": round(case.answer.probability, 4),
            "warning": case.answer.error or case.answer.warning,
            "silently_wrong": case.silently_wrong,
        }
        for case in cases
        if (not case.right if case.labeled else not case.caught)
    ]


def print_wrong(wrong: Iterable[dict[str, object]]) -> None:
    for case in wrong:
        mark = "SURE" if case["silently_wrong"] else ""
        fields = [case[key] for key in ("row", "name", "label", "answer", "probability", "warning")]
        print(*("" if field is None else field for field in fields), mark, sep="\t")


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("--checkpoint", default="pretrained", help="default: the bundled weights")
    parser.add_argument(
        "--count", type=int, default=300, help="images per generated row, at most 10,000"
    )
    parser.add_argument("--seed", type=int, default=0, help="chooses other digits and conditions")
    parser.add_argument("--digits", choices=("train", "test"), default="train")
    parser.add_argument(
        "--only",
        nargs="+",
        metavar="NAME",
        default=GROUPS,
        help=f"rows, beginnings of rows' names, or groups: {', '.join(GROUPS)}",
    )
    parser.add_argument("--shared", type=Path, default=SHARED, metavar="FOLDER")
    parser.add_argument("--jobs", type=int, default=min(2, os.cpu_count() or 1))
    parser.add_argument("--json", type=Path, metavar="PATH")
    parser.add_argument("--list-wrong", action="store_true", help="list the wrong images")
    parser.add_argument("--save-examples", type=Path, metavar="FOLDER", help="contact sheets")
    arguments = parser.parse_args()
    if not 1 <= arguments.count <= 10_000:
        parser.error("--count is 1 to 10000")
    return arguments


def chosen(bench: Bench, only: Sequence[str]) -> dict[str, dict[str, int]]:
    """Returns the number of images of each row to measure, by group."""
    found, unknown = {}, set(only) - set(GROUPS)
    for group in GROUPS:
        rows = bench.rows(group)
        if not rows and group in only:
            missing = "digitcli.data.datasets.glyphs" if group == "fonts" else bench.shared / group
            print(f"{group} is left out: {missing} is missing", file=sys.stderr)
        unknown -= {name for name in only if any(row.startswith(name) for row in rows)}
        if group not in only:
            rows = {row: n for row, n in rows.items() if any(map(row.startswith, only))}
        if rows:
            found[group] = rows
    if unknown or not found:
        raise SystemExit(f"no rows of {', '.join(unknown or only)}: groups are {', '.join(GROUPS)}")
    return found


def save_examples(
    bench: Bench, group: str, rows: Mapping[str, int], folder: Path, pool: Executor
) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    sheets = pool.map(bench.sheet, [(group, row, count) for row, count in rows.items()])
    for row, sheet in zip(rows, sheets, strict=True):
        sheet.save(folder / f"{row}.png")


def document_of(
    bench: Bench, rows: Sequence[Row], bars: Sequence[Bar], wrong: Sequence[dict[str, object]]
) -> dict[str, object]:
    return {
        "checkpoint": bench.checkpoint,
        "digits": bench.digits,
        "seed": bench.seed,
        "count": bench.count,
        "fonts": [font.name for font in fonts()],
        "rows": list(map(asdict, rows)),
        "bars": [asdict(bar) | {"met": bar.met} for bar in bars],
        "wrong": wrong,
    }


def main() -> None:
    arguments = parsed()
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # each process uses one core
    path = str(loaded(arguments.checkpoint).path)
    bench = Bench(path, arguments.digits, arguments.seed, arguments.count, arguments.shared)
    groups = chosen(bench, arguments.only)
    console = Console(width=max(Console().width, WIDTH))
    console.print(f"{path}, {arguments.digits} images, seed {arguments.seed}\n{CAPTION}\n")
    rows: list[Row] = []
    cases: list[Case] = []
    evaluated = None
    started = time.perf_counter()
    with ProcessPoolExecutor(arguments.jobs, multiprocessing.get_context("spawn")) as pool:
        for group, members in groups.items():
            if group == "mnist":
                evaluated = pool.submit(bench.evaluated).result()
            found = measure(bench, group, members, pool)
            found_rows = list(rows_of(group, found, evaluated))
            console.print(table_of(found_rows))
            rows += found_rows
            cases += found
            bars, wrong = list(bars_of(cases, evaluated)), wrong_of(cases)
            if arguments.json:  # after each group: a run that is stopped keeps its results
                document = document_of(bench, rows, bars, wrong)
                arguments.json.write_text(json.dumps(document, indent=1) + "\n")
            if arguments.save_examples:
                save_examples(bench, group, members, arguments.save_examples, pool)
    if bars:
        console.print(bar_table(bars))
    if arguments.list_wrong:
        print_wrong(wrong)
    print(f"{(time.perf_counter() - started) / 60:.1f} minutes")


if __name__ == "__main__":
    main()
