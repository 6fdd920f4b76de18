"""Prints an evaluation: tables on a terminal, tab-separated lines elsewhere."""

import sys
import textwrap
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from digitcli.console.prediction import bar
from digitcli.console.streams import (
    fits,
    is_terminal,
    output_console,
    print_json,
    print_line,
    print_styled,
    print_text,
    print_whole,
)
from digitcli.core.checkpointing.locate import weights_name
from digitcli.core.evaluation.calibration import Calibration, Coverage
from digitcli.core.evaluation.evaluate import Evaluation
from digitcli.text import decimal_share, fixed, percent, visible

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

_CELL, _EDGES = 5, 2
"""Minimum columns of a count in the confusion matrix, and columns of its edges."""

_MIN_BAR, _MAX_BAR, _BESIDE_BAR = 5, 15, 49
"""Columns of a bar, and of the reliability table beside it."""


def show_evaluation(
    evaluation: Evaluation,
    *,
    dataset: str,
    split: str,
    files: int | None,
    checkpoint: Path,
    as_json: bool,
) -> None:
    """Prints loss, accuracies, a row per class, the confusion matrix and the calibration.

    ``files`` is the number of files in the data set if that is a folder: how many of how many were
    scored is printed too.
    """
    if as_json:
        scores = asdict(evaluation)
        scores["confusion_matrix"] = evaluation.confusion_matrix.tolist()
        del scores["answers"], scores["probabilities"]
        source = {"dataset": dataset, "split": split, "files": files}
        print_json({**source, **scores, "checkpoint": str(checkpoint)})
    elif is_terminal(sys.stdout):
        console = output_console()
        part = split if files is None else f"{split}: {evaluation.count:,} of {files:,} files"
        _print_summary(console, evaluation, f"{dataset} {part}", checkpoint)
        matrix = _confusion_table(evaluation)
        print_whole(
            _class_table(evaluation),
            matrix if fits(matrix) else _confusion_table(evaluation, console.width),
            _reliability_table(
                evaluation.calibration,
                width=min(max(console.width - _BESIDE_BAR, _MIN_BAR), _MAX_BAR),
            ),
            _coverage_table(evaluation.coverage),
        )
    else:
        _print_plain(evaluation, dataset, split, files, checkpoint)


def _print_plain(
    evaluation: Evaluation, dataset: str, split: str, files: int | None, checkpoint: Path
) -> None:
    def print_cells(*cells: object) -> None:
        texts = (decimal_share(c) if isinstance(c, float) else str(c) for c in cells)
        print_line("\t".join(texts))

    print_cells("checkpoint", visible(str(checkpoint)))
    print_cells("dataset", visible(dataset))
    print_cells("split", split)
    if files is not None:
        print_cells("files", files)
    print_cells("count", evaluation.count)
    print_cells("temperature", f"{evaluation.temperature:g}")
    print_cells("loss", fixed(evaluation.loss, 4))
    print_cells("accuracy", evaluation.accuracy)
    print_cells("top5_accuracy", evaluation.top5_accuracy)
    print_cells("ece", evaluation.calibration.ece)
    print_cells("\nclass", "precision", "recall", "f1", "support")
    names = [visible(score.name) for score in evaluation.per_class]
    for name, score in zip(names, evaluation.per_class, strict=True):
        print_cells(name, score.precision, score.recall, score.f1, score.support)
    print_cells("\ntrue\\predicted", *names)
    for name, counts in zip(names, evaluation.confusion_matrix.tolist(), strict=True):
        print_cells(name, *counts)
    print_cells("\nabove", "up_to", "count", "probability", "accuracy")
    for b in evaluation.calibration.bins:
        print_cells(b.low, b.high, b.count, _known(b.probability), _known(b.accuracy))
    print_cells("\nmin_probability", "count", "coverage", "accuracy")
    for row in evaluation.coverage:
        print_cells(f"{row.min_probability:g}", row.count, row.coverage, _known(row.accuracy))


def _known(share: float | None) -> float | str:
    return "-" if share is None else share


def _print_summary(console: "Console", evaluation: Evaluation, data: str, checkpoint: Path) -> None:
    from rich.text import Text

    weights = visible(weights_name(checkpoint))
    print_styled(console, Text(f"{weights} on {visible(data)}", style="dim"))
    correct = round(evaluation.accuracy * evaluation.count)
    print_styled(
        console,
        Text.assemble(
            (f"accuracy {percent(evaluation.accuracy)}", "bold green"),
            f"  ({correct:,} of {evaluation.count:,})   "
            f"top-5 {percent(evaluation.top5_accuracy)}   loss {fixed(evaluation.loss, 4)}",
        ),
    )
    print_text(
        f"calibration error {percent(evaluation.calibration.ece)}  "
        f"(probabilities and loss at temperature {evaluation.temperature:g})"
    )


def _class_table(evaluation: Evaluation) -> "Table":
    from rich.text import Text

    table = _table("class", "precision", "recall", "F1", "support")
    table.columns[0].justify = "left"
    for score in evaluation.per_class:
        shares = map(percent, (score.precision, score.recall, score.f1))
        table.add_row(Text(visible(score.name)), *shares, f"{score.support:,}")
    return table


def _confusion_table(evaluation: Evaluation, room: int | None = None) -> "Table":
    """Draws the confusion matrix, without gaps and with broken headings if it must fit ``room``.

    The redder a cell, the more frequent the mistake.
    """
    from rich.cells import cell_len
    from rich.text import Text

    names = [visible(score.name) for score in evaluation.per_class]
    matrix = evaluation.confusion_matrix
    gap, min_width, headings = " ", _CELL, names
    if room is not None:
        share = (room - max(map(cell_len, names)) - _EDGES) // len(names) - 1
        cell = max(share, len(str(matrix.max())))
        gap, min_width, headings = "", 0, ["\n".join(textwrap.wrap(n, cell)) for n in names]
    table = _table("", title="rows: true class, columns: predicted class", padding=0)
    table.columns[0].justify = "left"
    for heading in headings:
        table.add_column(Text(heading), justify="right", min_width=min_width)
    worst = max(1, (matrix - np.diag(np.diag(matrix))).max())
    for i, name in enumerate(names):
        cells = [
            Text(f"{count}{gap}", style=_heat(count, i == j, count / worst))
            for j, count in enumerate(matrix[i].tolist())
        ]
        table.add_row(Text(f"{name}{gap}", style="bold cyan"), *cells)
    return table


def _heat(count: int, correct: bool, share: float) -> str:
    if count == 0:
        return "bright_black"
    if correct:
        return "black on rgb(120,190,120)"
    # from a pale to a deep red; dark cells take white figures
    green = round(220 - 170 * share)
    return f"{'white' if share > 0.6 else 'black'} on rgb(235,{green},{green})"


def _reliability_table(calibration: Calibration, width: int) -> "Table":
    """Draws a bar of ``width`` columns for the accuracy of each bin, and marks its probability."""
    title = "bar: accuracy, │: mean probability of the answers"
    table = _table("probability", "images", "mean", "accuracy", title=title, padding=(0, 1, 0, 0))
    table.columns[0].min_width = len("93.3% to 100.0%")
    table.add_column("", min_width=width)
    for b in calibration.bins:
        if b.probability is None or b.accuracy is None:
            continue
        table.add_row(
            f"{b.low:.1%} to {b.high:.1%}",
            f"{b.count:,}",
            percent(b.probability),
            percent(b.accuracy),
            _marked_bar(b.accuracy, b.probability, width),
        )
    return table


def _marked_bar(share: float, mark: float, width: int) -> "Text":
    from rich.text import Text

    cells = f"{bar(share, width):{width}}"
    at = min(int(mark * width), width - 1)
    return Text.assemble((cells[:at], "green"), ("│", "bold"), (cells[at + 1 :], "green"))


def _coverage_table(rows: tuple[Coverage, ...]) -> "Table":
    table = _table("--min-probability", "answered", "coverage", "accuracy", padding=(0, 1, 0, 0))
    for row in rows:
        accuracy = "-" if row.accuracy is None else percent(row.accuracy)
        table.add_row(f"{row.min_probability:g}", f"{row.count:,}", percent(row.coverage), accuracy)
    return table


def _table(*headings: str, **style: Any) -> "Table":
    """Returns an empty table with headings and columns aligned to the right."""
    from rich import box
    from rich.table import Table

    table = Table(
        box=box.SIMPLE_HEAD,
        header_style="bold cyan",
        title_style="dim",
        title_justify="left",
        **style,
    )
    for heading in headings:
        table.add_column(heading, justify="right")
    return table
