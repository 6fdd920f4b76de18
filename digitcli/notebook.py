"""How answers show themselves in a notebook: HTML that loads nothing and fits both themes."""

import base64
import io
from collections.abc import Iterable
from html import escape
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image

from digitcli.text import percent, visible

_MAX_DIGITS = 60
"""Maximum number of digits of an image that are shown."""

_ROW = 'style="border:0;background:none;text-align:left;padding:0 8px 0 0;white-space:nowrap"'


class Answered(NamedTuple):
    """A digit and its probability, as they are shown."""

    label: str
    probability: float  # in 0..1
    picture: npt.NDArray[np.uint8]  # the network's input, (28, 28)


def single_digit(
    answer: Answered, probabilities: Iterable[tuple[str, float]], warning: str | None
) -> str:
    """Returns HTML of a digit: what the network saw, a bar for every class, and the warning."""
    rows = "".join(
        f"<tr><th {_ROW}>{_text(name)}</th>"
        f'<td {_ROW}><div style="width:160px"><div style="height:10px;min-width:1px;opacity:.55;'
        f'width:{share * 100:.2f}%;background:currentColor"></div></div></td>'
        f"<td {_ROW}>{_percent(share)}</td></tr>"
        for name, share in probabilities
    )
    table = f'<table style="border-collapse:collapse;margin:0">{rows}</table>'
    return _figure(f"{_picture(answer, 112)}{table}", _title([answer], answer.probability), warning)


def several_digits(digits: list[Answered], probability: float, warning: str | None) -> str:
    """Returns HTML of all digits of an image, in reading order, and the warning."""
    cells = [
        f'<div style="text-align:center">{_picture(digit, 56)}<div>{_text(digit.label)}</div>'
        f'<div style="font-size:smaller">{_percent(digit.probability)}</div></div>'
        for digit in digits[:_MAX_DIGITS]
    ]
    if more := len(digits) - len(cells):
        cells.append(f"<div>and {more} more</div>")
    return _figure("".join(cells), _title(digits, probability), warning)


def _figure(content: str, title: str, warning: str | None) -> str:
    note = "" if warning is None else f"<p>&#9888;&#xFE0E; {_text(warning)}</p>"
    style = "display:flex;flex-wrap:wrap;gap:12px;align-items:center"
    return f'<div><p>{title}</p><div style="{style}">{content}</div>{note}</div>'


def _title(digits: list[Answered], probability: float) -> str:
    labels = [digit.label for digit in digits]
    text = (" " if any(len(label) > 1 for label in labels) else "").join(labels)
    return f'<b style="font-size:larger">{_text(text)}</b> {_percent(probability)}'


def _picture(answer: Answered, size: int) -> str:
    buffer = io.BytesIO()
    Image.fromarray(answer.picture).save(buffer, "PNG")
    data = base64.b64encode(buffer.getvalue()).decode()
    alternative = f"What the network saw as {_text(answer.label)}"
    return (
        f'<img src="data:image/png;base64,{data}" alt="{alternative}" width="{size}" '
        f'height="{size}" style="image-rendering:pixelated;margin:0">'
    )


def _percent(share: float) -> str:
    return f"{escape(percent(share, unit=''))}&#8239;%"


def _text(text: str) -> str:
    return escape(visible(text))
