"""Shows what a checkpoint scores: tables on a terminal, tab-separated lines elsewhere."""

import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from digitcli.console.streams import (
    is_terminal,
    output_console,
    print_json,
    print_line,
    print_weights,
    visible,
)
from digitcli.core.evaluation import Evaluation

_WIDTH = 62
"""Columns that the confusion matrix of ten classes takes."""

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table


def show_evaluation(
    evaluation: Evaluation, *, dataset: str, split: str, checkpoint: Path, as_json: bool
) -> None:
    """Prints loss, accuracies, a row per class and the confusion matrix."""
    print_weights(checkpoint)
    if as_json:
        print_json(
            {
                "dataset": dataset,
                "split": split,
                "count": evaluation.count,
                "loss": evaluation.loss,
                "accuracy": evaluation.accuracy,
                "top5_accuracy": evaluation.top5_accuracy,
                "per_class": [asdict(score) for score in evaluation.per_class],
                "confusion_matrix": evaluation.confusion_matrix.tolist(),
                "checkpoint": str(checkpoint),
            }
        )
    elif is_terminal(sys.stdout):
        console = output_console(at_least=_WIDTH)
        _print_summary(console, evaluation, f"{dataset} {split}", checkpoint)
        console.print(_class_table(evaluation))
        console.print(_confusion_table(evaluation))
    else:
        _print_plain(evaluation, dataset, split, checkpoint)


def _print_plain(evaluation: Evaluation, dataset: str, split: str, checkpoint: Path) -> None:
    print_line(f"checkpoint\t{visible(str(checkpoint))}")
    print_line(f"dataset\t{dataset}\nsplit\t{split}\ncount\t{evaluation.count}")
    print_line(f"loss\t{evaluation.loss:.4f}")
    print_line(f"accuracy\t{evaluation.accuracy:.4f}")
    print_line(f"top5_accuracy\t{evaluation.top5_accuracy:.4f}")
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


def _print_summary(console: "Console", evaluation: Evaluation, what: str, checkpoint: Path) -> None:
    from rich.text import Text

    console.print(Text(f"{visible(str(checkpoint))} on {what}", style="dim"), soft_wrap=True)
    right = round(evaluation.accuracy * evaluation.count)
    console.print(
        Text.assemble(
            (f"accuracy {evaluation.accuracy:.2%}", "bold green"),
            f"  ({right:,} of {evaluation.count:,})   top-5 {evaluation.top5_accuracy:.2%}   "
            f"loss {evaluation.loss:.4f}",
        )
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


def _confusion_table(evaluation: Evaluation) -> "Table":
    """Rows are what a picture is, columns what it was taken for; mistakes glow by their share."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    names = [visible(score.name) for score in evaluation.per_class]
    table = Table(
        box=box.SIMPLE_HEAD,
        header_style="bold cyan",
        title="rows: the digit, columns: what it was taken for",
        title_style="dim",
        title_justify="left",
        padding=0,
    )
    table.add_column("")
    for name in names:
        table.add_column(Text(name), justify="right", min_width=5)
    matrix = evaluation.confusion_matrix
    mistakes = matrix.copy()
    for i in range(len(names)):
        mistakes[i, i] = 0
    worst = max(1, int(mistakes.max()))
    for i, name in enumerate(names):
        cells = [
            Text(f"{count} ", style=_heat(count, i == j, count / worst))
            for j, count in enumerate(matrix[i].tolist())
        ]
        table.add_row(Text(f"{name} ", style="bold cyan"), *cells)
    return table


def _heat(count: int, right: bool, share: float) -> str:
    if count == 0:
        return "bright_black"
    if right:
        return "black on rgb(120,190,120)"
    # from a pale to a deep red; dark cells take white figures
    green = round(220 - 170 * share)
    return f"{'white' if share > 0.6 else 'black'} on rgb(235,{green},{green})"
