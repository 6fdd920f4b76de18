"""Shows softmax and cross-entropy step by step."""

import math
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from digitcli.console.prediction import bar, half_blocks
from digitcli.console.streams import (
    fits,
    has_colour,
    is_terminal,
    output_console,
    print_json,
    print_line,
    print_whole,
)
from digitcli.core.softmax import FloatArray, SoftmaxSteps
from digitcli.text import visible

if TYPE_CHECKING:
    from rich.table import Table

_BAR_WIDTH = 8
_PROBABILITY = "probability: p"


def show_softmax(
    steps: SoftmaxSteps,
    *,
    picture: np.ndarray | None,
    checkpoint: Path | None,
    temperature_from: str,
    as_json: bool,
    explain: bool,
) -> None:
    """Prints every step between scores and loss.

    Args:
        steps: What to print.
        picture: What the network saw, uint8 (28, 28), where the scores come from a picture.
        checkpoint: What the scores come from, where they come from a picture.
        temperature_from: Who chose the temperature: "checkpoint", "option" or "default".
        as_json: One JSON object.
        explain: Add a sentence on each step.
    """
    sentences = explanation(steps, temperature_from) if explain else []
    if as_json:
        value = {**_as_json(steps, checkpoint), "temperature_from": temperature_from}
        if explain:
            value["explanation"] = sentences
        print_json(value)
    elif is_terminal(sys.stdout):
        from rich.text import Text

        console = output_console()
        if picture is not None:
            print_whole(half_blocks(picture, coloured=has_colour(console)))
        print_whole(*_tables(steps), _fact_grid(steps, temperature_from))
        for sentence in sentences:
            topic, text = sentence.split(": ", 1)
            console.print()
            console.print(Text.assemble((f"{topic}: ", "bold cyan"), text))
    else:
        _print_plain(steps, temperature_from)
        for sentence in sentences:
            print_line(sentence)


def _as_json(steps: SoftmaxSteps, checkpoint: Path | None) -> dict[str, Any]:
    def numbers(values: FloatArray | None) -> list[float] | None:
        return None if values is None else values.tolist()

    return {
        "classes": list(steps.classes),
        "logits": numbers(steps.logits),
        "exponentials": numbers(steps.exponentials),
        "probabilities": numbers(steps.probabilities),
        "target": None if steps.target is None else steps.classes[steps.target],
        "one_hot": numbers(steps.one_hot),
        "loss": steps.loss,
        "gradient": numbers(steps.gradient),
        "top": steps.classes[steps.top],
        "temperature": steps.temperature,
        "checkpoint": None if checkpoint is None else str(checkpoint),
    }


_Column = tuple[str, FloatArray, Callable[[float], str]]


def _columns(steps: SoftmaxSteps) -> list[_Column]:
    """Returns the heading, the values and the form of each column of numbers."""
    columns: list[_Column] = [("score: z", steps.logits, "{:.4g}".format)]
    z = "z"
    if steps.temperature != 1:
        z = "z/T"
        columns.append(("scaled: z/T", steps.scaled, "{:.4g}".format))
    columns += [
        (f"exponential: exp({z} - max)", steps.exponentials, "{:.3g}".format),
        (_PROBABILITY, steps.probabilities, _fixed),
    ]
    if steps.one_hot is not None and steps.log_losses is not None and steps.gradient is not None:
        columns += [
            ("one-hot: y", steps.one_hot, "{:.0f}".format),
            ("loss: -y log p", steps.log_losses, partial(_fixed, decimals=4)),
            ("gradient: p - y", steps.gradient, partial(_fixed, sign="+")),
        ]
    return columns


def _facts(steps: SoftmaxSteps, temperature_from: str) -> list[tuple[str, str]]:
    """Returns what stands below the table, each with its name."""
    hard = ", ".join("1" if i == steps.top else "0" for i in range(len(steps.classes)))
    soft = ", ".join(map(_fixed, steps.probabilities))
    margin = f"{steps.score_margin:.4g} in score"
    if steps.temperature != 1:
        margin += f", {steps.score_margin / steps.temperature:.4g} in z/T"
    origin = "" if temperature_from == "default" else f"  ({temperature_from})"
    facts = [
        ("temperature", f"{steps.temperature:g}{origin}"),
        ("sum of exponentials", f"{steps.exponentials.sum():.6g}"),
        ("sum of probabilities", f"{steps.probabilities.sum():.6f}"),
        ("hard max", f"{hard}  ({visible(steps.classes[steps.top])})"),
        ("soft max", soft),
        ("margin", f"{margin}, {_fixed(steps.probability_margin)} in p"),
    ]
    if steps.target is not None:
        facts.append(("target", visible(steps.classes[steps.target])))
    losses = {
        "loss, LogSoftmax + NLLLoss": steps.nll_loss,
        "loss, CrossEntropyLoss": steps.loss,
        "loss if softmax came twice": steps.double_softmax_loss,
    }
    facts += [(name, _fixed(loss, 6)) for name, loss in losses.items() if loss is not None]
    return facts


def _print_plain(steps: SoftmaxSteps, temperature_from: str) -> None:
    columns = _columns(steps)
    print_line("\t".join(["class", *(heading for heading, _, _ in columns)]))
    for i, name in enumerate(steps.classes):
        cells = [form(float(values[i])) for _, values, form in columns]
        print_line("\t".join([visible(name), *cells]))
    print_line("")
    for name, value in _facts(steps, temperature_from):
        print_line(f"{name}\t{value}")


def _tables(steps: SoftmaxSteps) -> list["Table"]:
    """Lays the columns out in one table where they have room, else those of the loss in another."""
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
        words, _, symbol = heading.partition(": ")
        justify: Literal["left", "right"] = "left" if words == "probability" else "right"
        table.add_column(f"{words}\n{symbol}", justify=justify)
    for i, name in enumerate(steps.classes):
        style = "bold green" if i == steps.top else ""
        cells: list[Text] = []
        for heading, values, form in columns:
            value = float(values[i])
            cell = Text(form(value), style=_gradient_style(heading, value))
            if bars and heading == _PROBABILITY:
                cell.append(f" {bar(value, _BAR_WIDTH):{_BAR_WIDTH}}", style="green")
            cells.append(cell)
        table.add_row(Text(visible(name)), *cells, style=style)
    return table


def _gradient_style(heading: str, value: float) -> str:
    if not heading.startswith("gradient") or value == 0:
        return ""
    return "red" if value > 0 else "blue"


def _fact_grid(steps: SoftmaxSteps, temperature_from: str) -> "Table":
    from rich.table import Table
    from rich.text import Text

    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column()
    for name, value in _facts(steps, temperature_from):
        grid.add_row(name, Text(value))
    return grid


def explanation(steps: SoftmaxSteps, temperature_from: str) -> list[str]:
    """Tells each step in a plain sentence, with the numbers at hand."""
    names = [visible(name) for name in steps.classes]
    ranking = np.argsort(-steps.logits, kind="stable")
    first, second = int(ranking[0]), int(ranking[1])
    gap = float(steps.scaled[first] - steps.scaled[second])
    sentences = [
        f"One-hot: numbered 0, 1, 2, the third class would be 2 away from the first but only 1 "
        f"from the second, an order that classes do not have; as one-hot vectors any two of the "
        f"{len(names)} classes here are equally far apart, √2 = {math.sqrt(2):.3f}, and at right "
        f"angles.",
    ]
    if steps.temperature != 1:
        effect = "flattens" if steps.temperature > 1 else "sharpens"
        sentence = (
            f"Temperature: the scores z are divided by T = {steps.temperature:g} first, which "
            f"{effect} the probabilities and leaves their order alone; {names[first]} led "
            f"{names[second]} by {steps.score_margin:.4g}, and leads by {gap:.4g} now"
        )
        if temperature_from == "checkpoint":
            sentence += "; the checkpoint has it so that answers are right as often as they claim"
        sentences.append(f"{sentence}.")
    sentences += [
        f"Exponentials: they turn a difference of scores into a ratio, so 2.1 against 1.9 becomes "
        f"e^0.2 = {math.exp(0.2):.3f} to 1; here {names[first]} leads {names[second]} by "
        f"{gap:.4g}, which becomes {_power(gap)} to 1. The largest score is subtracted first: no "
        f"ratio changes, and nothing overflows.",
        f"Softmax: divided by their sum {steps.exponentials.sum():.6g}, the exponentials become "
        f"probabilities; {names[first]} gets {_fixed(steps.probabilities[first])} where a hard "
        f"max would give it 1 and hide that {names[second]} still has "
        f"{_fixed(steps.probabilities[second])}.",
    ]
    if steps.target is None or steps.gradient is None or steps.loss is None:
        sentences.append(
            "Loss: it measures how far the probabilities are from the right answer; name that "
            "with --target to see the loss and its gradient."
        )
        return sentences
    target, p = names[steps.target], float(steps.probabilities[steps.target])
    others = [i for i in ranking.tolist() if i != steps.target]
    lowered = ", ".join(f"{names[i]} ({_fixed(steps.gradient[i], sign='+')})" for i in others[:3])
    if len(others) > 3:
        lowered += f" and {len(others) - 3} more by less"
    sentences += [
        f"Logarithm: only the target counts, and the loss is -log p = {_fixed(steps.loss)} for "
        f"p = {_fixed(p)}; a sure and right answer (p = 1) costs 0, p = 0.5 costs "
        f"{math.log(2):.3f}, p = 0.01 costs {-math.log(0.01):.3f}: being sure and wrong is "
        f"punished without bound.",
        f"Gradient: training steps against p - y, so it raises the score of {target} "
        f"({_fixed(steps.gradient[steps.target], sign='+')}) and lowers the others, each in "
        f"proportion to its own probability: {lowered}. The steps add up to 0, and fade as p "
        f"nears y.",
        f"Twice: CrossEntropyLoss applies softmax itself; given probabilities in place of scores "
        f"it would report {steps.double_softmax_loss:.4f}, and could never fall below "
        f"{_double_softmax_floor(len(names)):.4f} with {len(names)} classes.",
    ]
    return sentences


def _fixed(value: float, decimals: int = 3, sign: str = "") -> str:
    """Writes a number with so many decimals, or such that a small one is not shown as nothing."""
    large = abs(value) >= 10**-decimals or value == 0
    return f"{value:{sign}.{decimals}f}" if large else f"{value:{sign}.1e}"


def _power(gap: float) -> str:
    return f"e^{gap:.4g} = {math.exp(gap):.4g}" if gap < 700 else f"e^{gap:.4g}"


def _double_softmax_floor(classes: int) -> float:
    """Loss of a perfect answer if softmax comes twice: softmax of (1, 0, ..., 0)."""
    return math.log(math.e + classes - 1) - 1
