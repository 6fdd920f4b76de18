"""Prints softmax and cross-entropy step by step: tables on a terminal, tab-separated elsewhere."""

import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from digitcli.console.prediction import bar, half_blocks
from digitcli.console.softmax_explanation import IN_NUMBERS, explain_softmax, fixed, power, share
from digitcli.console.streams import (
    fits,
    has_color,
    is_terminal,
    output_console,
    print_json,
    print_line,
    print_whole,
)
from digitcli.core.inference import NetworkSteps
from digitcli.core.softmax import FloatArray, LossSteps, SoftmaxSteps, margin
from digitcli.text import visible

if TYPE_CHECKING:
    from rich.table import Table

_BAR_WIDTH = 8
_PROBABILITY = "probability: p"
_GRADIENT = "gradient: p - y"


def show_softmax(
    steps: SoftmaxSteps,
    *,
    picture: np.ndarray | None,
    network: NetworkSteps | None,
    checkpoint: Path | None,
    temperature_from: str,
    as_json: bool,
    explain: bool,
) -> None:
    """Prints every step between scores and loss, and a sentence about each if ``explain``.

    Plain scores have no ``picture``, uint8 (28, 28), no ``network`` and no ``checkpoint``.
    ``temperature_from`` is "checkpoint", "option" or "default".
    """
    sentences = explain_softmax(steps, network, temperature_from) if explain else []
    if as_json:
        value = {**_as_json(steps, checkpoint), "temperature_from": temperature_from}
        value |= {"network": network and asdict(network)}
        print_json({**value, "explanation": sentences} if explain else value)
    elif is_terminal(sys.stdout):
        _draw(steps, picture, network, _facts(steps, temperature_from), sentences)
    else:
        _print_plain(steps, network, _facts(steps, temperature_from), sentences)


def _as_json(steps: SoftmaxSteps, checkpoint: Path | None) -> dict[str, Any]:
    loss, step, from_scores = steps.loss, steps.step, steps.from_scores
    return {
        "classes": list(steps.classes),
        "logits": steps.logits.tolist() if from_scores else None,
        "powers": _finite(steps.powers) if from_scores else None,
        "exponentials": steps.exponentials.tolist() if from_scores else None,
        "probabilities": steps.probabilities.tolist(),
        "target": loss and steps.classes[loss.target],
        "one_hot": loss and loss.one_hot.tolist(),
        "loss": loss and _finite(np.array([loss.cross_entropy]))[0],
        "gradient": loss and loss.gradient.tolist(),
        "step": step
        and {
            "lr": step.lr,
            "logits": step.logits.tolist(),
            "probabilities": step.probabilities.tolist(),
            "loss": step.loss,
        },
        "top": steps.classes[steps.top],
        "temperature": steps.temperature,
        "checkpoint": checkpoint and str(checkpoint),
    }


def _finite(values: FloatArray) -> list[float | None]:
    """Returns numbers for JSON, which has no infinity."""
    return [float(value) if np.isfinite(value) else None for value in values]


_Column = tuple[str, FloatArray, Callable[[float], str]]
_Fact = tuple[str, str]


def _columns(steps: SoftmaxSteps) -> list[_Column]:
    """Returns the heading, the values and the format of each column of numbers."""
    columns: list[_Column] = []
    if steps.from_scores:
        columns.append(("score: z", steps.logits, "{:.4g}".format))
        z = "z"
        if steps.temperature != 1:
            z = "z/T"
            columns.append(("scaled: z/T", steps.scaled, "{:.4g}".format))
        columns += [
            (f"power: {power(z)}", steps.powers, "{:.4g}".format),
            (f"exponential: exp({z} - max)", steps.exponentials, "{:.3g}".format),
        ]
    columns.append((_PROBABILITY, steps.probabilities, share))
    if steps.loss is not None:
        columns += [
            ("one-hot: y", steps.loss.one_hot, "{:.0f}".format),
            ("loss: -y log p", steps.loss.log_losses, partial(fixed, decimals=4)),
            (_GRADIENT, steps.loss.gradient, partial(share, sign="+")),
        ]
    if steps.step is not None:
        columns += [
            ("after the step: z", steps.step.logits, "{:.4g}".format),
            ("after the step: p", steps.step.probabilities, share),
        ]
    return columns


def _facts(steps: SoftmaxSteps, temperature_from: str) -> list[_Fact]:
    """Returns the names and values of the lines below the table."""
    hard = ", ".join("1" if i == steps.top else "0" for i in range(len(steps.classes)))
    margins = f"{margin(steps.logits):.4g} in score"
    if steps.temperature != 1:
        margins += f", {margin(steps.logits) / steps.temperature:.4g} in z/T"
    origin = "" if temperature_from == "default" else f"  ({temperature_from})"
    z = "z" if steps.temperature == 1 else "z/T"
    facts = [
        ("sum of probabilities", f"{steps.probabilities.sum():.6f}"),
        ("hard max", f"{hard}  ({visible(steps.classes[steps.top])})"),
    ]
    if steps.from_scores:
        facts = [
            ("temperature", f"{steps.temperature:g}{origin}"),
            (f"sum of {power(z)}", f"{steps.powers.sum():.6g}"),
            ("sum of exponentials", f"{steps.exponentials.sum():.6g}"),
            *facts,
            ("soft max", ", ".join(map(share, steps.probabilities))),
            ("margin", f"{margins}, {share(margin(steps.probabilities))} in p"),
        ]
    return facts if steps.loss is None else [*facts, *_loss_facts(steps, steps.loss)]


def _loss_facts(steps: SoftmaxSteps, loss: LossSteps) -> Iterator[_Fact]:
    """Yields the lines about the loss."""
    yield "target", visible(steps.classes[loss.target])
    if steps.from_scores:
        yield "loss, LogSoftmax + NLLLoss", fixed(loss.nll, 6)
        yield "loss, CrossEntropyLoss", fixed(loss.cross_entropy, 6)
    else:
        yield "loss, NLLLoss of log p", fixed(loss.nll, 6)
    yield "loss if softmax came twice", fixed(loss.double_softmax, 6)
    if steps.step is not None:
        yield "learning rate of the step", f"{steps.step.lr:g}"
        yield "loss before the step", fixed(loss.cross_entropy, 6)
        yield "loss after the step", fixed(steps.step.loss, 6)


def _print_plain(
    steps: SoftmaxSteps, network: NetworkSteps | None, facts: list[_Fact], sentences: list[str]
) -> None:
    columns = _columns(steps)
    print_line("\t".join(["class", *(heading for heading, _, _ in columns)]))
    for i, name in enumerate(steps.classes):
        cells = [form(float(values[i])) for _, values, form in columns]
        print_line("\t".join([visible(name), *cells]))
    print_line("")
    for name, value in facts:
        print_line(f"{name}\t{value}")
    for heading, *rows in _network_rows(network):
        print_line("")
        for cells in (heading, *rows):
            print_line("\t".join(cells))
    for sentence in sentences:
        print_line(sentence)


def _network_rows(network: NetworkSteps | None) -> list[list[list[str]]]:
    """Returns tables of the pixels and of the layers, a heading and rows each; none for scores."""
    if network is None:
        return []
    pixels = [["row", "column", "pixel", "pixel/255", "normalized"]]
    for each in network.pixels:
        numbers = f"{each.scaled:.4f}", f"{each.normalized:.4f}"
        pixels.append([str(each.row), str(each.column), str(each.value), *numbers])
    layers = [["layer", "inputs", "outputs", "active"]]
    for layer in network.layers:
        active = "-" if layer.active is None else str(layer.active)
        layers.append([layer.name, str(layer.inputs), str(layer.outputs), active])
    return [pixels, layers]


def _draw(
    steps: SoftmaxSteps,
    picture: np.ndarray | None,
    network: NetworkSteps | None,
    facts: list[_Fact],
    sentences: list[str],
) -> None:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    console = output_console()
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column()
    for name, value in facts:
        grid.add_row(name, Text(value))
    if picture is not None:
        print_whole(half_blocks(picture, colored=has_color(console)))
    for heading, *rows in _network_rows(network):
        table = Table(*heading, box=box.SIMPLE_HEAD, header_style="bold cyan", pad_edge=False)
        for column in table.columns:
            column.justify = "right"
        for cells in rows:
            table.add_row(*cells)
        print_whole(table)
    print_whole(*_tables(steps), grid)
    for sentence in sentences:
        topic, text = sentence.split(": ", 1)
        text, _, formula = text.partition(IN_NUMBERS)
        console.print()
        console.print(
            Text.assemble((f"{topic}: ", "bold cyan"), text, "\n", (formula, "bold green"))
        )


def _tables(steps: SoftmaxSteps) -> list["Table"]:
    """Returns one table if it fits the terminal, else one of softmax and one of the loss."""
    columns = _columns(steps)
    of_loss = [heading for heading, _, _ in columns].index(_PROBABILITY) + 1
    parts = [part for part in (columns[:of_loss], columns[of_loss:]) if part]
    layouts = [
        [_table(steps, columns, gap=2, bars=True)],
        [_table(steps, columns, gap=1, bars=True)],
        [_table(steps, part, gap=2, bars=True) for part in parts],
        [_table(steps, part, gap=1, bars=False) for part in parts],
    ]
    return next((tables for tables in layouts if fits(*tables)), layouts[-1])


def _table(steps: SoftmaxSteps, columns: list[_Column], *, gap: int, bars: bool) -> "Table":
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(
        box=box.SIMPLE_HEAD, header_style="bold cyan", padding=(0, gap - 1, 0, 0), pad_edge=False
    )
    table.add_column("\nclass")
    for heading, _, _ in columns:
        table.add_column(
            heading.replace(": ", "\n"), justify="left" if heading == _PROBABILITY else "right"
        )
    for i, name in enumerate(steps.classes):
        cells: list[Text] = []
        for heading, values, form in columns:
            value = float(values[i])
            style = ("red" if value > 0 else "blue") if heading == _GRADIENT and value else ""
            cell = Text(form(value), style=style)
            if bars and heading == _PROBABILITY:
                cell.append(f" {bar(value, _BAR_WIDTH):{_BAR_WIDTH}}", style="green")
            cells.append(cell)
        table.add_row(Text(visible(name)), *cells, style="bold green" if i == steps.top else "")
    return table
