"""HTML pages in one file: filling in their templates, writing them, embedding images."""

import base64
import io
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from markupsafe import Markup, escape
from PIL import Image

from digitcli._version import __version__
from digitcli.core.errors import DigitcliError
from digitcli.core.files.atomic import check_writable, write_atomically, write_errors
from digitcli.text import fixed, percent, visible

if TYPE_CHECKING:
    from jinja2 import Template

_THIN_SPACE = "\u202f"
"""Space between a number and its unit, at which browsers break no line."""

_NEXT_STEP = "choose another place with --report"


def check_page(path: Path) -> None:
    """Checks, before the work, that a page can be written.

    Only a path with the suffix of a page is accepted, so that an image or a checkpoint named by
    mistake is not overwritten.

    Raises:
        DigitcliError: The suffix is another, or the file cannot be written.
    """
    if path.suffix.lower() not in (".html", ".htm"):
        raise DigitcliError(f"{path.name} is not the name of an HTML page", "name it report.html")
    with write_errors(path, _NEXT_STEP):
        check_writable(path)


def write_page(path: Path, template: str, **values: object) -> None:
    """Fills in a template and writes it atomically: a reader sees the old page or the new one.

    ``template`` names a file in ``templates``, and ``values`` are its variables.

    Raises:
        DigitcliError: The page cannot be written.
    """
    stream = open_template(template).stream(**values)
    with write_errors(path, _NEXT_STEP):
        write_atomically(path, lambda file: stream.dump(file, encoding="utf-8"))


def fill(text: str, /, **values: object) -> Markup:
    """Returns a message, which may have markup of its own, with escaped values."""
    return Markup(text).format(**{name: _visible(each) for name, each in values.items()})  # noqa: S704


def open_template(name: str, gettext: Callable[..., Markup] = fill) -> "Template":
    """Returns a file in ``templates`` with the filters that the pages use.

    ``gettext`` is called with the page's messages and their values, and returns what the page
    shows: by default the message, which is English.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("digitcli.report"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_visible,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals |= {"version": __version__, "gettext": gettext}
    environment.filters |= {
        "percent": _percent,
        "count": "{:,}".format,
        "decimals": lambda number, digits=4: f"{number:.{digits}f}",
        "fixed": fixed,
    }
    return environment.get_template(name)


def _visible(value: Any) -> Any:
    """Escapes control characters in all text, as on the console; Jinja escapes HTML after it."""
    return visible(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _percent(share: float | None, digits: int = 2, unit: str = "%") -> Markup:
    if share is None:
        return Markup("–")
    return escape(percent(share, digits, unit and f"{_THIN_SPACE}{unit}"))


def picture_uri(image: npt.NDArray[np.uint8]) -> str:
    """Returns a gray image as a data URI."""
    file = io.BytesIO()
    Image.fromarray(image).save(file, "PNG", optimize=True)
    return data_uri(file.getvalue())


def data_uri(content: bytes) -> str:
    """Returns the content of a PNG or JPEG file as a data URI."""
    kind = "png" if content.startswith(b"\x89PNG") else "jpeg"
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"


def bars(
    probabilities: dict[str, float], answer: str, target: str | None = None, most: int = 10
) -> list[dict[str, Any]]:
    """Returns the rows of a bar chart of class probabilities, in the order of the classes.

    It has at most ``most`` rows, those of the most probable classes, and one for ``target``, the
    right class, if that is known.
    """
    shown = {target, *sorted(probabilities, key=lambda name: -probabilities[name])[:most]}
    return [
        {
            "name": name,
            "probability": probability,
            "answer": name == answer,
            "target": name == target,
        }
        for name, probability in probabilities.items()
        if name in shown
    ]
