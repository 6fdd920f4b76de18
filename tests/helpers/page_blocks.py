"""The Markdown pages of the repository, their blocks of code, and the links between them.

A line before a block may mark it: ``<!-- output varies -->`` if figures in what is printed may
differ, ``<!-- not run: REASON -->`` if the block cannot be run here, ``<!-- slow -->`` if only
``pytest -m slow`` runs it.
"""

import re
import subprocess
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from urllib.parse import unquote

from paths import ROOT

_MARK = r"<!-- (?:output varies|slow|not run: [^\n]+?) -->\n\n?"
_BLOCK = re.compile(rf"^((?:{_MARK})*)```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_FIGURE = re.compile(r"\d+(?:[.,]\d+)*(?:e-?\d+)?")

ANY_LINES = "..."
"""A line of an output that stands for any lines; within a line it stands for any text."""


MIN_WORDS = 8
"""Words of a sentence that must not be on two pages."""


@dataclass(frozen=True)
class Block:
    """A block of code on a page.

    Attributes:
        line: Line of the page that the block begins at, from 1.
        not_run: Reason not to run the block, or None.
        varies: Figures of its output may differ.
        slow: It is left out unless slow tests are run.
    """

    page: Path
    line: int
    language: str
    text: str
    not_run: str | None
    varies: bool
    slow: bool

    def __str__(self) -> str:
        return f"{name_of(self.page)}:{self.line}"


@dataclass(frozen=True)
class Shown:
    """A command of a console block and the output shown below it."""

    command: str
    output: str

    @property
    def interrupted(self) -> bool:
        """True if Ctrl-C is shown in the output."""
        return "^C" in self.output


@cache
def pages() -> tuple[Path, ...]:
    """Returns the Markdown pages that git tracks, or outside of a checkout all that are there."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.md"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        return tuple(sorted(ROOT.glob("*.md")) + sorted(ROOT.glob("[a-z]*/**/*.md")))
    found = (ROOT / name for name in sorted(set(done.stdout.splitlines())))
    return tuple(page for page in found if page.exists())


def name_of(page: Path) -> str:
    """Returns the path of a page as seen from the repository."""
    return page.relative_to(ROOT).as_posix()


def blocks(page: Path) -> list[Block]:
    """Returns the blocks of code of a page, in their order."""
    text = page.read_text(encoding="utf-8")
    found = []
    for match in _BLOCK.finditer(text):
        marks, language, code = match.groups()
        reason = re.search(r"<!-- not run: (.+?) -->", marks)
        found.append(
            Block(
                page=page,
                line=text[: match.end(1)].count("\n") + 1,
                language=language,
                text=code,
                not_run=reason.group(1) if reason else None,
                varies="<!-- output varies -->" in marks,
                slow="<!-- slow -->" in marks,
            )
        )
    return found


def without_code(page: Path) -> str:
    """Returns the text of a page without its blocks of code."""
    return _BLOCK.sub("", page.read_text(encoding="utf-8"))


def shown(block: Block) -> list[Shown]:
    """Splits a console block into its commands and their outputs."""
    found: list[tuple[list[str], list[str]]] = []
    for line in block.text.splitlines():
        if line.startswith("$ "):
            found.append(([line.removeprefix("$ ")], []))
            continue
        assert found, f"{block}: a console block begins with '$ '"
        command, output = found[-1]
        if not output and (command[-1].endswith("\\") or line.startswith("> ")):
            command.append(line.removeprefix("> "))
        else:
            output.append(line)
    return [
        Shown("\n".join(command), "".join(f"{line}\n" for line in output).rstrip("\n"))
        for command, output in found
    ]


def agrees(expected: str, printed: str, *, varies: bool) -> bool:
    """Returns True if a command printed what its page shows.

    Blanks at the ends of lines, and lines at the end that are empty, do not count.
    """

    def compared(text: str) -> str:
        lines = (line.rstrip() for line in text.rstrip().splitlines())
        joined = "".join(f"{line}\n" for line in lines)
        return _FIGURE.sub("#", joined) if varies else joined

    parts = re.split(rf"^{re.escape(ANY_LINES)}\n", compared(expected), flags=re.MULTILINE)
    text = (re.escape(part).replace(re.escape(ANY_LINES), ".*?") for part in parts)
    pattern = r"(?:.*\n)*?".join(text)
    return re.fullmatch(pattern, compared(printed)) is not None


def anchors(page: Path) -> list[str]:
    """Returns the anchors that GitHub gives to the headings of a page."""
    headings = re.findall(r"^#+ (.+)$", without_code(page), re.MULTILINE)
    plain = (re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading).lower() for heading in headings)
    return [re.sub(r"[^\w -]", "", heading).replace(" ", "-") for heading in plain]


def broken_links(page: Path) -> list[str]:
    """Returns the relative links of a page that lead to no file or no heading."""
    text = without_code(page)
    links = re.findall(r"\]\(([^)\s]+)\)", text)
    links += re.findall(r"^\[[^]]+\]: (\S+)", text, re.MULTILINE)
    links += re.findall(r"\b(?:href|src|srcset)=\"([^\"]+)\"", text)
    broken = []
    for link in links:
        path, _, anchor = unquote(link).partition("#")
        target = page.parent / path if path else page
        if "://" in link or link.startswith("mailto:"):
            continue
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(link)
    return broken


def sentences(page: Path) -> list[str]:
    """Returns the sentences of a page outside of code, in lower case and without punctuation.

    Cells of tables, items of lists and headings are sentences too; those of fewer than
    ``MIN_WORDS`` words are left out.
    """
    text = re.sub(r"<!--.*?-->", "\n\n", without_code(page), flags=re.DOTALL)
    text = re.sub(r"\]\([^)]*\)", "]", text)
    parts = re.split(r"\n\s*\n|\n(?=#|\s*[-*|]|\s*\d+\.\s)|\||[.!?:;](?=\s|\*|$)", text)
    words = (re.findall(r"[\w%.'-]*\w", part.lower()) for part in parts)
    return [" ".join(found) for found in words if len(found) >= MIN_WORDS]
