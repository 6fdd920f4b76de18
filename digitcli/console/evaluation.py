"""Shows what a checkpoint scores: tables on a terminal, tab-separated lines elsewhere."""

import sys
import textwrap
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from digitcli.console.prediction import bar
from digitcli.console.streams import (
    fits,
    is_terminal,
    output_console,
    print_json,
    print_line,
    print_whole,
)
from digitcli.core.evaluation.calibration import Calibration, Coverage
from digitcli.core.evaluation.evaluate import Evaluation
from digitcli.text import visible

_CELL = 5
"""Columns that a count in the confusion matrix takes at least."""

_EDGES = 2
"""Columns that it takes beside names, counts and one between each."""

_BAR_WIDTH, _LEAST_BAR = 15, 5
"""Columns of a bar, and in little room."""

_BESIDE_BAR = 50
"""Columns of what stands beside the bars."""

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text


def show_evaluation(
    evaluation: Evaluation, *, dataset: str, split: str, checkpoint: Path, as_json: bool
) -> None:
    """Prints loss, accuracies, a row per class, the confusion matrix and the calibration."""
    if as_json:
        print_json(
            {
                "dataset": dataset,
                "split": split,
                "count": evaluation.count,
                "temperature": evaluation.temperature,
                "loss": evaluation.loss,
                "accuracy": evaluation.accuracy,
                "top5_accuracy": evaluation.top5_accuracy,
                "per_class": [asdict(score) for score in evaluation.per_class],
                "confusion_matrix": evaluation.confusion_matrix.tolist(),
                "calibration": asdict(evaluation.calibration),
                "coverage": [asdict(row) for row in evaluation.coverage],
                "checkpoint": str(checkpoint),
            }
        )
    elif is_terminal(sys.stdout):
        console = output_console()
        _print_summary(console, evaluation, f"{dataset} {split}", checkpoint)
        matrix = _confusion_table(evaluation)
        print_whole(
            _class_table(evaluation),
            matrix if fits(matrix) else _confusion_table(evaluation, console.width),
            _reliability_table(evaluation.calibration, _bar_width(console.width)),
            _coverage_table(evaluation.coverage),
        )
    else:
        _print_plain(evaluation, dataset, split, checkpoint)


def _print_plain(evaluation: Evaluation, dataset: str, split: str, checkpoint: Path) -> None:
    print_line(f"checkpoint\t{visible(str(checkpoint))}")
    print_line(f"dataset\t{visible(dataset)}\nsplit\t{split}\ncount\t{evaluation.count}")
    print_line(f"temperature\t{evaluation.temperature:g}")
    print_line(f"loss\t{evaluation.loss:.4f}")
    print_line(f"accuracy\t{evaluation.accuracy:.4f}")
    print_line(f"top5_accuracy\t{evaluation.top5_accuracy:.4f}")
    print_line(f"ece\t{evaluation.calibration.ece:.4f}")
    print_line("\nclass\tprecision\trecall\tf1\tsupport")
    for score in evaluation.per_class:
        print_line(
            f"{visible(score.name)}\t{score.precision:.4f}\t{score.recall:.4f}\t{score.f1:.4f}"
            f"\t{score.support}"
        )
    names = [visible(score.name) for score in evaluation.per_class]
    print_line("\t".join(["\ntrue\\predicted", *names]))
    for name, row in zip(names, evaluation.confusion_matrix.tolist(), strict=True):
        print_line("\t".join([name, *map(str, row)]))
    print_line("\nabove\tup_to\tcount\tprobability\taccuracy")
    for b in evaluation.calibration.bins:
        print_line(
            f"{b.low:.4f}\t{b.high:.4f}\t{b.count}\t{_known(b.probability)}\t{_known(b.accuracy)}"
        )
    print_line("\nmin_probability\tcount\tcoverage\taccuracy")
    for row in evaluation.coverage:
        print_line(
            f"{row.min_probability:g}\t{row.count}\t{row.coverage:.4f}\t{_known(row.accuracy)}"
        )


def _known(share: float | None) -> str:
    return "-" if share is None else f"{share:.4f}"


def _print_summary(console: "Console", evaluation: Evaluation, what: str, checkpoint: Path) -> None:
    from rich.text import Text

    text = f"{visible(str(checkpoint))} on {visible(what)}"
    console.print(Text(text, style="dim"))
    right = round(evaluation.accuracy * evaluation.count)
    console.print(
        Text.assemble(
            (f"accuracy {evaluation.accuracy:.2%}", "bold green"),
            f"  ({right:,} of {evaluation.count:,})   top-5 {evaluation.top5_accuracy:.2%}   "
            f"loss {evaluation.loss:.4f}",
        )
    )
    console.print(
        f"calibration error {evaluation.calibration.ece:.2%}  "
        f"(probabilities and loss at temperature {evaluation.temperature:g})"
    )


def _class_table(evaluation: Evaluation) -> "Table":
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, header_style="bold cyan", title_justify="left")
    table.add_column("class")
    for name in ("precision", "recall", "F1", "support"):
        table.add_column(name, justify="right")
    for score in evaluation.per_class:
        table.add_row(
            Text(visible(score.name)),
            f"{score.precision:.2%}",
            f"{score.recall:.2%}",
            f"{score.f1:.2%}",
            f"{score.support:,}",
        )
    return table


def _confusion_table(evaluation: Evaluation, room: int | None = None) -> "Table":
    """Rows are what a picture is, columns what it was taken for; mistakes glow by their share.

    Args:
        evaluation: What is shown.
        room: Columns that there are, if few: there are no gaps then, and names above are broken.
    """
    from rich import box
    from rich.cells import cell_len
    from rich.table import Table
    from rich.text import Text

    names = [visible(score.name) for score in evaluation.per_class]
    table = Table(
        box=box.SIMPLE_HEAD,
        header_style="bold cyan",
        title="rows: what it is, columns: what it was taken for",
        title_style="dim",
        title_justify="left",
        padding=0,
    )
    matrix = evaluation.confusion_matrix
    table.add_column("")
    if room is None:
        gap, least, headings = " ", _CELL, names
    else:
        share = (room - max(map(cell_len, names)) - _EDGES) // len(names) - 1
        cell = max(share, len(str(matrix.max())))
        gap, least, headings = "", 0, ["\n".join(textwrap.wrap(name, cell)) for name in names]
    for heading in headings:
        table.add_column(Text(heading), justify="right", min_width=least)
    mistakes = matrix.copy()
    for i in range(len(names)):
        mistakes[i, i] = 0
    worst = max(1, int(mistakes.max()))
    for i, name in enumerate(names):
        cells = [
            Text(f"{count}{gap}", style=_heat(count, i == j, count / worst))
            for j, count in enumerate(matrix[i].tolist())
        ]
        table.add_row(Text(f"{name}{gap}", style="bold cyan"), *cells)
    return table


def _bar_width(room: int) -> int:
    """Returns the columns that bars have on a terminal of so many."""
    return min(max(room - _BESIDE_BAR, _LEAST_BAR), _BAR_WIDTH)


def _reliability_table(calibration: Calibration, width: int) -> "Table":
    """Bars end at how often answers are right, and the mark is how often they claim to be.

    Args:
        calibration: What is shown.
        width: Columns of a bar.
    """
    from rich import box
    from rich.table import Table

    table = Table(
        box=box.SIMPLE_HEAD,
        header_style="bold cyan",
        title="how many such answers are right, and how many should be (│)",
        title_style="dim",
        title_justify="left",
        padding=(0, 1, 0, 0),
    )
    table.add_column("probability", justify="right", min_width=len("93.3% to 100.0%"))
    for name in ("pictures", "mean", "right"):
        table.add_column(name, justify="right")
    table.add_column("", min_width=width)
    for b in calibration.bins:
        if b.probability is None or b.accuracy is None:
            continue
        table.add_row(
            f"{b.low:.1%} to {b.high:.1%}",
            f"{b.count:,}",
            f"{b.probability:.2%}",
            f"{b.accuracy:.2%}",
            _marked_bar(b.accuracy, b.probability, width),
        )
    return table


def _marked_bar(share: float, mark: float, width: int) -> "Text":
    """Draws a bar with a mark in the cell where it should end."""
    from rich.text import Text

    cells = f"{bar(share, width):{width}}"
    at = min(int(mark * width), width - 1)
    return Text.assemble((cells[:at], "green"), ("│", "bold"), (cells[at + 1 :], "green"))


def _coverage_table(rows: tuple[Coverage, ...]) -> "Table":
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, header_style="bold cyan", padding=(0, 1, 0, 0))
    table.add_column("--min-probability", justify="right")
    for name in ("answered", "share", "right"):
        table.add_column(name, justify="right")
    for row in rows:
        right = "-" if row.accuracy is None else f"{row.accuracy:.2%}"
        table.add_row(f"{row.min_probability:g}", f"{row.count:,}", f"{row.coverage:.2%}", right)
    return table


def _heat(count: int, right: bool, share: float) -> str:
    if count == 0:
        return "bright_black"
    if right:
        return "black on rgb(120,190,120)"
    # from a pale to a deep red; dark cells take white figures
    green = round(220 - 170 * share)
    return f"{'white' if share > 0.6 else 'black'} on rgb(235,{green},{green})"
