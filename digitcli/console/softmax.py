"""Prints softmax and cross-entropy step by step: tables on a terminal, tab-separated elsewhere."""

import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from digitcli.console.prediction import bar, half_blocks
from digitcli.console.softmax_explanation import Explanation, explain_softmax, power
from digitcli.console.softmax_numbers import share, total
from digitcli.console.streams import (
    broken,
    fits,
    has_color,
    is_terminal,
    output_console,
    print_facts,
    print_json,
    print_line,
    print_whole,
)
from digitcli.core.inference import NetworkSteps
from digitcli.core.softmax import FloatArray, LossSteps, SoftmaxSteps, margin
from digitcli.text import fixed, visible
from digitcli.translation import Gettext, english, message, output_gettext

if TYPE_CHECKING:
    from rich.table import Table

_BAR_WIDTH = 8
_CLASS = message("class")
_PROBABILITY = message("probability")
_GRADIENT = message("gradient")

_WIDE = "\u2e80-\u9fff\uac00-\ud7af\uf900-\ufaff\uff00-\uffef"
_CLOSING = ".,;:?!)，、。；：？！）”"
_LINE_BREAK = re.compile(
    r"(?<=\s)(?=\S)"
    rf"|(?<=[{_WIDE}”])(?<!（)(?=[^\s{_CLOSING}])"
    rf"|(?<=[^\s(（“])(?=[{_WIDE}“])(?![{_CLOSING}])"
)
"""Places where a line can be broken: at spaces, and at wide characters, which need no spaces. No
line begins with punctuation that closes, or ends with what opens a pair."""


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
    """Prints every step between scores and loss, and an explanation of each if ``explain``.

    Explanations are in the reader's language, and on a terminal headings too. The columns and
    names of plain lines are English, as the keys of JSON are: programs read them.

    Plain scores have no ``picture``, uint8 (28, 28), no ``network`` and no ``checkpoint``.
    ``temperature_from`` is "checkpoint", "option" or "default".
    """
    gettext = output_gettext()
    explained = explain_softmax(steps, network, temperature_from, gettext) if explain else []
    lines = [each.line(gettext) for each in explained]
    if as_json:
        value = {**_as_json(steps, checkpoint), "temperature_from": temperature_from}
        value |= {"network": network and asdict(network)}
        print_json({**value, "explanation": lines} if explain else value)
    elif is_terminal(sys.stdout):
        _draw(steps, picture, network, _facts(steps, temperature_from, gettext), gettext)
        for each in explained:
            _draw_explanation(each, gettext)
    else:
        _print_plain(steps, network, _facts(steps, temperature_from, english))
        for line in lines:
            print_line(line)


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


class _Column(NamedTuple):
    """A column of numbers; ``name`` is a message, and the formula follows it in the heading."""

    name: str
    formula: str
    values: FloatArray
    form: Callable[[float], str]


_Fact = tuple[str, str]


def _columns(steps: SoftmaxSteps) -> list[_Column]:
    """Returns the columns of numbers."""
    columns: list[_Column] = []
    if steps.from_scores:
        columns.append(_Column(message("score"), "z", steps.logits, "{:.4g}".format))
        z = _exponent(steps)
        if steps.temperature != 1:
            columns.append(_Column(message("scaled"), z, steps.scaled, "{:.4g}".format))
        columns += [
            _Column(message("power"), power(z), steps.powers, "{:.4g}".format),
            _Column(message("exponential"), f"exp({z} - max)", steps.exponentials, "{:.3g}".format),
        ]
    columns.append(_Column(_PROBABILITY, "p", steps.probabilities, share))
    if steps.loss is not None:
        log_losses = steps.loss.log_losses
        columns += [
            _Column(message("one-hot"), "y", steps.loss.one_hot, "{:.0f}".format),
            _Column(message("loss"), "-y log p", log_losses, partial(fixed, decimals=4)),
            _Column(_GRADIENT, "p - y", steps.loss.gradient, partial(share, sign="+")),
        ]
    if steps.step is not None:
        columns += [
            _Column(message("after the step"), "z", steps.step.logits, "{:.4g}".format),
            _Column(message("after the step"), "p", steps.step.probabilities, share),
        ]
    return columns


def _exponent(steps: SoftmaxSteps) -> str:
    """Returns the name of what softmax raises e to."""
    return "z" if steps.temperature == 1 else "z/T"


def _facts(steps: SoftmaxSteps, temperature_from: str, gettext: Gettext) -> list[_Fact]:
    """Returns the names and values of the lines below the table."""
    hard = ", ".join("1" if i == steps.top else "0" for i in range(len(steps.classes)))
    margins = gettext("{score} in score, {p} in p")
    if steps.temperature != 1:
        margins = gettext("{score} in score, {scaled} in z/T, {p} in p")
    origins = {
        "default": "{temperature}",
        "checkpoint": gettext("{temperature}  (checkpoint)"),
        "option": gettext("{temperature}  (option)"),
    }
    z = _exponent(steps)
    facts = [
        (gettext("sum of probabilities"), f"{steps.probabilities.sum():.6f}"),
        (gettext("hard max"), f"{hard}  ({visible(steps.classes[steps.top])})"),
    ]
    if steps.from_scores:
        facts = [
            (
                gettext("temperature"),
                origins[temperature_from].format(temperature=f"{steps.temperature:g}"),
            ),
            (gettext("sum of {power}").format(power=power(z)), f"{steps.powers.sum():.6g}"),
            (gettext("sum of exponentials"), total(steps.exponentials.sum())),
            *facts,
            (gettext("soft max"), ", ".join(map(share, steps.probabilities))),
            (
                gettext("margin"),
                margins.format(
                    score=f"{margin(steps.logits):.4g}",
                    scaled=f"{margin(steps.logits) / steps.temperature:.4g}",
                    p=share(margin(steps.probabilities)),
                ),
            ),
        ]
    return facts if steps.loss is None else [*facts, *_loss_facts(steps, steps.loss, gettext)]


def _loss_facts(steps: SoftmaxSteps, loss: LossSteps, gettext: Gettext) -> Iterator[_Fact]:
    """Yields the lines about the loss."""
    yield gettext("target"), visible(steps.classes[loss.target])
    if steps.from_scores:
        yield gettext("loss, LogSoftmax + NLLLoss"), fixed(loss.nll, 6)
        yield gettext("loss, CrossEntropyLoss"), fixed(loss.cross_entropy, 6)
    else:
        yield gettext("loss, NLLLoss of log p"), fixed(loss.nll, 6)
    yield gettext("loss if softmax came twice"), fixed(loss.double_softmax, 6)
    if steps.step is not None:
        yield gettext("learning rate of the step"), f"{steps.step.lr:g}"
        yield gettext("loss before the step"), fixed(loss.cross_entropy, 6)
        yield gettext("loss after the step"), fixed(steps.step.loss, 6)


def _print_plain(steps: SoftmaxSteps, network: NetworkSteps | None, facts: list[_Fact]) -> None:
    columns = _columns(steps)
    print_line("\t".join(["class", *(f"{each.name}: {each.formula}" for each in columns)]))
    for i, name in enumerate(steps.classes):
        cells = [each.form(float(each.values[i])) for each in columns]
        print_line("\t".join([visible(name), *cells]))
    print_line("")
    for name, value in facts:
        print_line(f"{name}\t{value}")
    for heading, *rows in _network_rows(network):
        print_line("")
        for cells in (heading, *rows):
            print_line("\t".join(cells))


def _network_rows(network: NetworkSteps | None) -> list[list[list[str]]]:
    """Returns tables of the pixels and of the layers, or nothing for scores.

    The first row of each table has messages: the names of the columns.
    """
    if network is None:
        return []
    names = message("row"), message("column"), message("pixel"), message("pixel/255")
    pixels = [[*names, message("normalized")]]
    for each in network.pixels:
        numbers = f"{each.scaled:.4f}", f"{each.normalized:.4f}"
        pixels.append([str(each.row), str(each.column), str(each.value), *numbers])
    layers = [[message("layer"), message("inputs"), message("outputs"), message("active")]]
    for layer in network.layers:
        active = "-" if layer.active is None else str(layer.active)
        layers.append([layer.name, str(layer.inputs), str(layer.outputs), active])
    return [pixels, layers]


def _draw(
    steps: SoftmaxSteps,
    picture: np.ndarray | None,
    network: NetworkSteps | None,
    facts: list[_Fact],
    gettext: Gettext,
) -> None:
    if picture is not None:
        print_whole(half_blocks(picture, colored=has_color(output_console())))
    for heading, *rows in _network_rows(network):
        names = list(map(gettext, heading))
        tables = [_network_table(names, rows, gap) for gap in (3, 1)]
        print_whole(next(filter(fits, tables), tables[-1]))
    print_whole(*_tables(steps, gettext))
    print_facts(facts)


def _network_table(names: list[str], rows: list[list[str]], gap: int) -> "Table":
    from rich import box
    from rich.table import Table

    table = Table(
        box=box.SIMPLE_HEAD, header_style="bold cyan", padding=(0, gap - 1, 0, 0), pad_edge=False
    )
    for name in names:
        table.add_column(name, justify="right")
    for cells in rows:
        table.add_row(*cells)
    return table


def _draw_explanation(explanation: Explanation, gettext: Gettext) -> None:
    from rich.text import Text

    topic = gettext("{topic}: ").format(topic=explanation.topic)
    text = Text(topic + explanation.text)
    text.stylize("bold cyan", end=len(topic))
    console = output_console()
    console.print()
    for paragraph in (text, Text(explanation.formula, "bold green")):
        console.print(broken(paragraph, console.width, _LINE_BREAK))


def _tables(steps: SoftmaxSteps, gettext: Gettext) -> list["Table"]:
    """Returns one table if it fits the terminal, else one of softmax and one of the loss.

    On a narrow terminal these are split again, and a column alone is the narrowest table.
    """
    columns = _columns(steps)
    of_loss = [column.name for column in columns].index(_PROBABILITY) + 1
    parts = [part for part in (columns[:of_loss], columns[of_loss:]) if part]
    table = partial(_table, steps, gettext=gettext)
    layouts = [
        [table(columns, gap=2, bars=True)],
        [table(columns, gap=1, bars=True)],
        [table(part, gap=2, bars=True) for part in parts],
        [table(part, gap=1, bars=False) for part in parts],
    ]
    if (found := next((tables for tables in layouts if fits(*tables)), None)) is not None:
        return found
    narrow = partial(table, gap=1, bars=False)
    return [narrow(each) for part in parts for each in _split(part, narrow)]


def _split(
    columns: list[_Column], table: Callable[[list[_Column]], "Table"]
) -> Iterator[list[_Column]]:
    """Yields the columns in groups, each of as many as fit the terminal in a table."""
    group: list[_Column] = []
    for column in columns:
        if group and not fits(table([*group, column])):
            yield group
            group = []
        group.append(column)
    yield group


def _table(
    steps: SoftmaxSteps, columns: list[_Column], *, gap: int, bars: bool, gettext: Gettext
) -> "Table":
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(
        box=box.SIMPLE_HEAD, header_style="bold cyan", padding=(0, gap - 1, 0, 0), pad_edge=False
    )
    table.add_column(f"\n{gettext(_CLASS)}")
    for name, formula, _, _ in columns:
        table.add_column(
            f"{gettext(name)}\n{formula}", justify="left" if name == _PROBABILITY else "right"
        )
    for i, class_name in enumerate(steps.classes):
        cells: list[Text] = []
        for name, _, values, form in columns:
            value = float(values[i])
            style = ("red" if value > 0 else "blue") if name == _GRADIENT and value else ""
            cell = Text(form(value), style=style)
            if bars and name == _PROBABILITY:
                cell.append(f" {bar(value, _BAR_WIDTH):{_BAR_WIDTH}}", style="green")
            cells.append(cell)
        style = "bold green" if i == steps.top else ""
        table.add_row(Text(visible(class_name)), *cells, style=style)
    return table
