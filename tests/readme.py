"""Writes the generated parts of the pages: the options of every command, sample images, screens.

``python tests/readme.py`` writes all of them, ``python tests/readme.py options`` the options only.
The screens of ``train`` and ``eval`` need MNIST in ``DIGITCLI_DATA_DIR``.
"""

import html
import io
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

sys.path.insert(0, str(Path(__file__).with_name("helpers")))

import sample_images
import typer
from paths import BUNDLED, ROOT
from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from digitcli.cli.app import app

OPTIONS_PAGE = ROOT / "digitcli" / "cli" / "README.md"
SCREENS = Path(__file__).with_name("screens")
IMAGES = Path(__file__).with_name("images")

BEGIN = "<!-- written by tests/readme.py -->\n"
END = "<!-- end -->"

NOT_RUN = {"https://example.org": "needs the network", "--device cuda": "needs a GPU"}
"""Why no test runs an example of a help text, by a part of it."""

SLOW = ("train", "eval")
"""Commands whose examples together take half a minute."""

ON_MNIST = {"train": "digitcli train --recipe quick", "eval": "digitcli eval"}
ANYWHERE = {
    "predict": "digitcli predict tests/images/seven.png --top 3",
    "multi": "digitcli predict --multi tests/images/postcode.png",
    "inspect-softmax": "digitcli inspect-softmax --logits 2,1,0.1 --classes cat,dog,person "
    "--target cat",
    "inspect-softmax-zh": "digitcli inspect-softmax --logits 2,1,0.1 --classes 猫,狗,人 "
    "--target 猫 --explain",
}
"""Commands whose screens are shown, by the name of the SVG."""

_ON_TERMINAL = """\
from digitcli.console import streams
streams.is_terminal = lambda stream: stream.name == "<stdout>"
streams.is_animated = lambda stream: False
from digitcli.__main__ import main
main()
"""
"""Program that runs a command as on a terminal, without animations."""

COLUMNS = 92

CELL_WIDTH = 12.2
"""Width of a character cell in rich's SVG, in its units."""

_WIDTH = 120


def options() -> str:
    """Returns every command with its arguments and options as Markdown."""
    commands: dict[str, Any] = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    return "\n".join(_command(name, command) for name, command in commands.items())


def _command(name: str, command: Any) -> str:
    context = typer.Context(command, info_name=f"digitcli {name}")
    usage = command.get_usage(context).removeprefix("Usage: ")
    about = [_wrapped(part) for part in re.split(r"\n\s*\n", command.help)]
    entries = [_entry(parameter, context) for parameter in command.params]
    shown = re.findall(r"^  \$ (.+)$", command.epilog, re.MULTILINE)
    return (
        "\n\n".join(
            [
                f"### `{usage}`",
                *about,
                "\n".join(entries),
                *_examples(name, shown),
            ]
        )
        + "\n"
    )


def _examples(name: str, commands: list[str]) -> Iterator[str]:
    """Yields the commands that a test runs as one block, and each of the others as its own."""

    def block(commands: list[str]) -> str:
        return "\n".join(["```sh", *commands, "```"])

    def reason(command: str) -> str | None:
        return next((why for part, why in NOT_RUN.items() if part in command), None)

    mark = "<!-- slow -->\n" if name in SLOW else ""
    yield mark + block([command for command in commands if reason(command) is None])
    for command in commands:
        if why := reason(command):
            yield f"<!-- not run: {why} -->\n{block([command])}"


def _entry(parameter: Any, context: typer.Context) -> str:
    names, text = parameter.get_help_record(context)
    names = names.partition(" <")[0]  # drops the Python type of a parameter with a metavar
    return _wrapped(f"- `{names}`: {text}", subsequent_indent="  ")


def _wrapped(text: str, **how: Any) -> str:
    return textwrap.fill(
        " ".join(text.split()), _WIDTH, break_on_hyphens=False, break_long_words=False, **how
    )


def with_options(page: str) -> str:
    """Returns a page with its list of options replaced by the current one."""
    before, rest = page.split(BEGIN)
    _, after = rest.split(END)
    return f"{before}{BEGIN}\n{options()}\n{END}{after}"


def screen(command: str, folder: Path) -> str:
    """Runs a command as on a terminal and draws its output.

    Args:
        command: As typed by a user.
        folder: An empty folder to run the command in, which gets the sample images and the bundled
            weights.

    Returns:
        An SVG.
    """
    weights = folder / "checkpoints" / "pretrained.safetensors"
    weights.parent.mkdir()
    shutil.copy(BUNDLED, weights)
    shutil.copytree(IMAGES, folder / "tests" / "images")
    environment = {
        **{
            name: value
            for name, value in os.environ.items()
            if name not in ("NO_COLOR", "LANGUAGE")
        },
        "DIGITCLI_CHECKPOINT": str(weights.relative_to(folder)),
        "FORCE_COLOR": "1",
        "COLORTERM": "truecolor",
        "TERM": "xterm-256color",
        "COLUMNS": str(COLUMNS),
        "LC_ALL": "zh_CN.UTF-8" if "猫" in command else "C.UTF-8",
    }
    done = subprocess.run(
        [sys.executable, "-c", _ON_TERMINAL, *shlex.split(command)[1:]],
        cwd=folder, env=environment, check=True, capture_output=True, text=True,
    )  # fmt: skip
    console = Console(
        record=True,
        width=COLUMNS,
        file=io.StringIO(),
        force_terminal=True,
        color_system="truecolor",
        legacy_windows=False,
    )
    console.print(Text(f"$ {command}"), soft_wrap=True)
    console.print(Text.from_ansi(done.stdout.rstrip("\n")), soft_wrap=True)
    return _with_wide_characters(console.export_svg(title="", unique_id="digitcli"))


def _with_wide_characters(svg: str) -> str:
    """Returns rich's SVG with the length of each text in cells; rich counts characters."""

    def measured(match: re.Match[str]) -> str:
        before, after, text = match.groups()
        cells = cell_len(html.unescape(text))
        return f'{before}textLength="{CELL_WIDTH * cells:g}"{after}{text}</text>'

    return re.sub(r'(<text [^>]*)textLength="[^"]*"([^>]*>)(.*?)</text>', measured, svg)


def text_of(svg: str) -> str:
    """Returns the text of an SVG without blanks, which rich may draw in more than one way."""
    root = ElementTree.fromstring(svg)  # noqa: S314  our own file
    texts = root.iter("{http://www.w3.org/2000/svg}text")
    return "".join("".join(text.text.split()) for text in texts if text.text)


def main() -> None:
    page = OPTIONS_PAGE.read_text(encoding="utf-8")
    OPTIONS_PAGE.write_text(with_options(page), encoding="utf-8")
    if sys.argv[1:] == ["options"]:
        return
    IMAGES.mkdir(exist_ok=True)
    for name, image in sample_images.COMMITTED.items():
        image().save(IMAGES / f"{name}.png")
    SCREENS.mkdir(exist_ok=True)
    for name, command in (ON_MNIST | ANYWHERE).items():
        with tempfile.TemporaryDirectory() as folder:
            (SCREENS / f"{name}.svg").write_text(screen(command, Path(folder)), encoding="utf-8")


if __name__ == "__main__":
    main()
