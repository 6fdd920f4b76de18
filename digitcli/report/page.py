"""Pages that need nothing but themselves: how they are filled in, and how they are written."""

import base64
import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from markupsafe import Markup
from PIL import Image

from digitcli.core.errors import DigitcliError, error_reason
from digitcli.core.files.atomic import check_writable, write_atomically
from digitcli.text import below_one, visible

if TYPE_CHECKING:
    from jinja2 import Environment

_THIN = "\u202f"
"""The narrow space between a number and its unit, at which no line is broken."""


def check_page(path: Path) -> None:
    """Makes sure, before the work, that a page can be written.

    Another ending than a page's is refused: a picture or a checkpoint that is named by mistake is
    not overwritten.

    Raises:
        DigitcliError: The ending is another, or the file cannot be written.
    """
    if path.suffix.lower() not in (".html", ".htm"):
        raise DigitcliError(f"a report is no file named {path.name}", "name it report.html")
    try:
        check_writable(path)
    except OSError as error:
        raise _unwritable(path, error) from error


def write_page(path: Path, template: str, **values: object) -> None:
    """Fills in a template and writes it in one step: the old page or the new, never a part.

    Args:
        path: The page.
        template: A file of ``templates``.
        values: What the template names.

    Raises:
        DigitcliError: It cannot be written.
    """
    stream = _environment().get_template(template).stream(**values)
    try:
        write_atomically(path, lambda file: stream.dump(file, encoding="utf-8"))
    except OSError as error:
        raise _unwritable(path, error) from error


def _environment() -> "Environment":
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("digitcli.report"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_spelled,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "percent": _percent,
        "count": _count,
        "fixed": _fixed,
        "below_one": below_one,
    }
    return environment


def _spelled(value: Any) -> Any:
    """Makes all text that comes from outside visible, as the console does; then it is escaped."""
    return visible(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _percent(share: float | None, digits: int = 2) -> Markup:
    return Markup("–" if share is None else f"{share * 100:.{digits}f}{_THIN}%")  # noqa: S704


def _count(number: int) -> str:
    return f"{number:,}"


def _fixed(number: float, digits: int = 4) -> str:
    return f"{number:.{digits}f}"


def picture_uri(picture: npt.NDArray[np.uint8]) -> str:
    """Puts a picture in grey into an address of its own, so that no file is fetched for it."""
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "PNG", optimize=True)
    return data_uri(file.getvalue())


def data_uri(content: bytes) -> str:
    """Puts a PNG or JPEG file into an address of its own."""
    kind = "png" if content.startswith(b"\x89PNG") else "jpeg"
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"


def bars(
    probabilities: dict[str, float], answer: str, target: str | None = None, most: int = 10
) -> list[dict[str, Any]]:
    """Lists what the bars of an answer show, in the order of the classes.

    Args:
        probabilities: Of every class by its name, in 0..1.
        answer: The class that was answered.
        target: The right one, where it is known.
        most: Where there are more classes than these, the most probable are shown, and the right.
    """
    ranking = sorted(probabilities, key=lambda name: -probabilities[name])[:most]
    return [
        {
            "name": name,
            "probability": probability,
            "answer": name == answer,
            "target": name == target,
        }
        for name, probability in probabilities.items()
        if name in ranking or name == target
    ]


def _unwritable(path: Path, error: OSError) -> DigitcliError:
    return DigitcliError(
        f"cannot write {path}: {error_reason(error)}", "choose another place by --report"
    )
