"""Prints softmax and cross-entropy step by step: tables on a terminal, tab-separated elsewhere."""

import math
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from digitcli.console.prediction import bar, half_blocks
from digitcli.console.streams import (
    fits,
    has_color,
    is_terminal,
    output_console,
    print_json,
    print_line,
    print_whole,
)
from digitcli.core.softmax import FloatArray, SoftmaxSteps, margin
from digitcli.text import below_one, visible

if TYPE_CHECKING:
    from rich.table import Table

_BAR_WIDTH = 8
_PROBABILITY = "probability: p"
_GRADIENT = "gradient: p - y"


def show_softmax(
    steps: SoftmaxSteps,
    *,
    picture: np.ndarray | None,
    checkpoint: Path | None,
    temperature_from: str,
    as_json: bool,
    explain: bool,
) -> None:
    """Prints every step between scores and loss, and a sentence about each if ``explain``.

    Plain scores have no ``picture``, uint8 (28, 28), and no ``checkpoint``. ``temperature_from``
    is "checkpoint", "option" or "default".
    """
    sentences = _explanation(steps, temperature_from) if explain else []
    if as_json:
        value = {**_as_json(steps, checkpoint), "temperature_from": temperature_from}
        print_json({**value, "explanation": sentences} if explain else value)
    elif is_terminal(sys.stdout):
        _draw(steps, picture, _facts(steps, temperature_from), sentences)
    else:
        _print_plain(steps, _facts(steps, temperature_from), sentences)


def _as_json(steps: SoftmaxSteps, checkpoint: Path | None) -> dict[str, Any]:
    loss = steps.loss
    return {
        "classes": list(steps.classes),
        "logits": steps.logits.tolist(),
        "exponentials": steps.exponentials.tolist(),
        "probabilities": steps.probabilities.tolist(),
        "target": loss and steps.classes[loss.target],
        "one_hot": loss and loss.one_hot.tolist(),
        "loss": loss and loss.cross_entropy,
        "gradient": loss and loss.gradient.tolist(),
        "top": steps.classes[steps.top],
        "temperature": steps.temperature,
        "checkpoint": checkpoint and str(checkpoint),
    }


_Column = tuple[str, FloatArray, Callable[[float], str]]
_Fact = tuple[str, str]


def _columns(steps: SoftmaxSteps) -> list[_Column]:
    """Returns the heading, the values and the format of each column of numbers."""
    columns: list[_Column] = [("score: z", steps.logits, "{:.4g}".format)]
    z = "z"
    if steps.temperature != 1:
        z = "z/T"
        columns.append(("scaled: z/T", steps.scaled, "{:.4g}".format))
    columns += [
        (f"exponential: exp({z} - max)", steps.exponentials, "{:.3g}".format),
        (_PROBABILITY, steps.probabilities, _share),
    ]
    if steps.loss is not None:
        columns += [
            ("one-hot: y", steps.loss.one_hot, "{:.0f}".format),
            ("loss: -y log p", steps.loss.log_losses, partial(_fixed, decimals=4)),
            (_GRADIENT, steps.loss.gradient, partial(_share, sign="+")),
        ]
    return columns


def _facts(steps: SoftmaxSteps, temperature_from: str) -> list[_Fact]:
    """Returns the names and values of the lines below the table."""
    hard = ", ".join("1" if i == steps.top else "0" for i in range(len(steps.classes)))
    margins = f"{margin(steps.logits):.4g} in score"
    if steps.temperature != 1:
        margins += f", {margin(steps.logits) / steps.temperature:.4g} in z/T"
    origin = "" if temperature_from == "default" else f"  ({temperature_from})"
    facts = [
        ("temperature", f"{steps.temperature:g}{origin}"),
        ("sum of exponentials", f"{steps.exponentials.sum():.6g}"),
        ("sum of probabilities", f"{steps.probabilities.sum():.6f}"),
        ("hard max", f"{hard}  ({visible(steps.classes[steps.top])})"),
        ("soft max", ", ".join(map(_share, steps.probabilities))),
        ("margin", f"{margins}, {_share(margin(steps.probabilities))} in p"),
    ]
    if (loss := steps.loss) is not None:
        facts += [
            ("target", visible(steps.classes[loss.target])),
            ("loss, LogSoftmax + NLLLoss", _fixed(loss.nll, 6)),
            ("loss, CrossEntropyLoss", _fixed(loss.cross_entropy, 6)),
            ("loss if softmax came twice", _fixed(loss.double_softmax, 6)),
        ]
    return facts


def _print_plain(steps: SoftmaxSteps, facts: list[_Fact], sentences: list[str]) -> None:
    columns = _columns(steps)
    print_line("\t".join(["class", *(heading for heading, _, _ in columns)]))
    for i, name in enumerate(steps.classes):
        cells = [form(float(values[i])) for _, values, form in columns]
        print_line("\t".join([visible(name), *cells]))
    print_line("")
    for name, value in facts:
        print_line(f"{name}\t{value}")
    for sentence in sentences:
        print_line(sentence)


def _draw(
    steps: SoftmaxSteps, picture: np.ndarray | None, facts: list[_Fact], sentences: list[str]
) -> None:
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
    print_whole(*_tables(steps), grid)
    for sentence in sentences:
        topic, text = sentence.split(": ", 1)
        console.print()
        console.print(Text.assemble((f"{topic}: ", "bold cyan"), text))


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


def _explanation(steps: SoftmaxSteps, temperature_from: str) -> list[str]:
    """Returns a sentence about each step, with the numbers at hand."""
    names = [visible(name) for name in steps.classes]
    ranking = np.argsort(-steps.logits, kind="stable").tolist()
    return [
        *_softmax_sentences(steps, names, ranking, temperature_from),
        *_loss_sentences(steps, names, ranking),
    ]


def _softmax_sentences(
    steps: SoftmaxSteps, names: list[str], ranking: list[int], temperature_from: str
) -> list[str]:
    first, second = ranking[:2]
    gap = float(steps.scaled[first] - steps.scaled[second])
    ratio = f"e^{gap:.4g} = {math.exp(gap):.4g}" if gap < 700 else f"e^{gap:.4g}"  # no overflow
    temperature = []
    if steps.temperature != 1:
        effect = "flattens" if steps.temperature > 1 else "sharpens"
        reason = ""
        if temperature_from == "checkpoint":
            reason = "; the checkpoint has it so that answers are right as often as they claim"
        temperature = [
            f"Temperature: the scores z are divided by T = {steps.temperature:g} first, which "
            f"{effect} the probabilities and leaves their order alone; {names[first]} led "
            f"{names[second]} by {margin(steps.logits):.4g}, and leads by {gap:.4g} now{reason}."
        ]
    return [
        f"One-hot: numbered 0, 1, 2, the third class would be 2 away from the first but only 1 "
        f"from the second, an order that classes do not have; as one-hot vectors any two of the "
        f"{len(names)} classes here are equally far apart, √2 = {math.sqrt(2):.3f}, and at right "
        f"angles.",
        *temperature,
        f"Exponentials: they turn a difference of scores into a ratio, so 2.1 against 1.9 becomes "
        f"e^0.2 = {math.exp(0.2):.3f} to 1; here {names[first]} leads {names[second]} by "
        f"{gap:.4g}, which becomes {ratio} to 1. The largest score is subtracted first: no "
        f"ratio changes, and nothing overflows.",
        f"Softmax: divided by their sum {steps.exponentials.sum():.6g}, the exponentials become "
        f"probabilities; {names[first]} gets {_share(steps.probabilities[first])} where a hard "
        f"max would give it 1 and hide that {names[second]} still has "
        f"{_share(steps.probabilities[second])}.",
    ]


def _loss_sentences(steps: SoftmaxSteps, names: list[str], ranking: list[int]) -> list[str]:
    if (loss := steps.loss) is None:
        return [
            "Loss: it measures how far the probabilities are from the right answer; name that "
            "with --target to see the loss and its gradient."
        ]
    target, gradient = loss.target, [_share(value, sign="+") for value in loss.gradient]
    others = [i for i in ranking if i != target]
    lowered = ", ".join(f"{names[i]} ({gradient[i]})" for i in others[:3])
    if len(others) > 3:
        lowered += f" and {len(others) - 3} more by less"
    # a certain and right answer of a network whose probabilities go through softmax again
    least_double = math.log(math.e + len(names) - 1) - 1
    return [
        f"Logarithm: only the target counts, and the loss is -log p = {_fixed(loss.cross_entropy)} "
        f"for p = {_share(steps.probabilities[target])}; a sure and right answer (p = 1) costs 0, "
        f"p = 0.5 costs {math.log(2):.3f}, p = 0.01 costs {-math.log(0.01):.3f}: being sure and "
        f"wrong is punished without bound.",
        f"Gradient: training steps against p - y, so it raises the score of {names[target]} "
        f"({gradient[target]}) and lowers the others, each in proportion to its own probability: "
        f"{lowered}. The steps add up to 0, and fade as p nears y.",
        f"Twice: CrossEntropyLoss applies softmax itself; given probabilities in place of scores "
        f"it would report {loss.double_softmax:.4f}, and could never fall below "
        f"{least_double:.4f} with {len(names)} classes.",
    ]


def _share(value: float, sign: str = "") -> str:
    """Formats a probability, or a difference of two: only exactly 1 is shown as 1."""
    return _fixed(below_one(value, decimals=3), sign=sign)


def _fixed(value: float, decimals: int = 3, sign: str = "") -> str:
    """Formats a number with fixed decimals, and one too small for them with an exponent."""
    large = abs(value) >= 10**-decimals or value == 0
    return f"{value:{sign}.{decimals}f}" if large else f"{value:{sign}.1e}"
