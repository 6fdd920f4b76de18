"""What the pages show is what happens: their commands, programs and links."""

import re
import shutil
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import page_blocks
import pytest
from drawn_digits import SmallMnist
from page_blocks import (
    Block,
    agrees,
    blocks,
    broken_links,
    name_of,
    pages,
    sentences,
    shown,
    without_code,
)
from page_world import PageWorld
from paths import ROOT

from digitcli.core.checkpointing.checkpoint import Checkpoint

if TYPE_CHECKING:
    from _pytest.mark import ParameterSet

LANGUAGES = {"sh", "console", "python"}
NOT_CODE = {"", "text", "json", "yaml"}

REASONS = (
    "needs the network",
    "needs another machine",
    "needs a GPU",
    "needs OpenCV",
    r"takes .*(minutes|hours?)",
    r"interactive.*",
)
"""Why a block is not run."""

TOOLS = {"jq"}
"""Programs on the pages that are not everywhere."""

every_page = pytest.mark.parametrize("page", pages(), ids=name_of)


def run_blocks(page: Path) -> list[Block]:
    return [
        block for block in blocks(page) if block.language in LANGUAGES and block.not_run is None
    ]


@pytest.fixture
def world(tmp_path: Path, small_mnist: SmallMnist, trained: Checkpoint) -> PageWorld:
    return PageWorld(tmp_path, small_mnist, trained)


def pages_with_blocks() -> Iterator["ParameterSet"]:
    """Yields each page with its blocks that are quick, and with all if some are slow."""
    for page in pages():
        found = run_blocks(page)
        quick = [block for block in found if not block.slow]
        if quick:
            yield pytest.param(quick, id=name_of(page))
        if found != quick:
            yield pytest.param(found, id=f"{name_of(page)}, all", marks=pytest.mark.slow)


def check_probabilities(names: dict[str, Any]) -> None:
    """Compares probabilities that a program computed with the answers of digitcli."""
    if "probabilities" in names:
        expected = [list(answer.probabilities.values()) for answer in names["answers"]]
        np.testing.assert_allclose(names.pop("probabilities"), expected, atol=1e-5)


@pytest.mark.parametrize("run", list(pages_with_blocks()))
def test_the_commands_and_programs_of_a_page(
    run: list[Block], world: PageWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The blocks run in their order, in one folder; programs keep the names of those before."""
    for tool in TOOLS:
        if shutil.which(tool) is None and any(f"{tool} " in block.text for block in run):
            pytest.skip(f"no {tool} here")
    monkeypatch.chdir(world.folder)
    names: dict[str, object] = {}
    for block in run:
        if block.language == "python":
            program = compile(block.text, str(block), "exec")
            exec(program, names)  # noqa: S102  our own
            check_probabilities(names)
        else:
            world.run(block)


@every_page
def test_a_block_that_is_not_run_has_a_reason(page: Path) -> None:
    for block in blocks(page):
        assert block.language in LANGUAGES | NOT_CODE, f"{block}: {block.language}"
        if block.not_run is not None:
            known = any(re.fullmatch(reason, block.not_run) for reason in REASONS)
            assert known, f"{block}: {block.not_run}; write one of {REASONS}"


@every_page
def test_every_mark_is_before_a_block(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    used = sum((block.not_run is not None) + block.varies + block.slow for block in blocks(page))
    assert len(re.findall(r"<!-- (?:not run|output varies|slow)\b", text)) == used


@every_page
def test_links_lead_to_a_file_and_a_heading(page: Path) -> None:
    assert broken_links(page) == []


@every_page
def test_headings_have_anchors_of_their_own(page: Path) -> None:
    found = page_blocks.anchors(page)
    assert len(found) == len(set(found))


@every_page
def test_the_modules_that_a_page_names_exist(page: Path) -> None:
    modules = [
        path.as_posix() for name in ("digitcli", "tests") for path in ROOT.glob(f"{name}/**/*.py")
    ]
    for named in re.findall(r"`(?:python )?([\w/]+\.py)\b", without_code(page)):
        assert any(module.endswith(f"/{named}") for module in modules), named


def test_broken_links_are_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "# A [b](page.md)\n[1](#a-b) [2](#b) [3](other.md) [4](https://a.org#b) [5](page.md#c)\n"
        '<img src="none.svg"> <a href="page.md">\n[six]: seven.md\n'
    )
    assert broken_links(page) == ["#b", "other.md", "page.md#c", "seven.md", "none.svg"]


PAGE = """\
<!-- output varies -->

```console
$ one \\
    --more
1 line of 20 kB
...
$ two <<END
> words
> END
```
<!-- not run: needs a GPU -->
```sh
three
```
"""


def test_blocks_are_found_with_their_marks(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(PAGE)
    first, second = blocks(page)
    assert (first.language, first.line, first.varies, first.not_run) == ("console", 3, True, None)
    assert (second.language, second.line, second.not_run) == ("sh", 13, "needs a GPU")
    one, two = shown(first)
    assert (one.command, one.output) == ("one \\\n    --more", "1 line of 20 kB\n...")
    assert (two.command, two.output) == ("two <<END\nwords\nEND", "")


@pytest.mark.parametrize(
    ("expected", "printed", "same", "same_words"),
    [
        ("a 1.5 s\n", "a 1.5 s  \n\n", True, True),
        ("a 1.5 s", "a 12 s\n", False, True),
        ("a 1.5 s", "a 12 m\n", False, False),
        ("a\n...\nz", "a\nz\n", True, True),
        ("a\n...\nz", "a\nb\nc\nz\n", True, True),
        ("a\n...", "b\n", False, False),
        ("a ... z", "a\nz\n", False, False),
        ("a, ..., z", "a, b, z\n", True, True),
        ("9,000 bytes; 2e-06", "12 bytes; 1.5e-7\n", False, True),
    ],
)
def test_outputs_agree(expected: str, printed: str, same: bool, same_words: bool) -> None:
    assert agrees(expected, printed, varies=False) is same
    assert agrees(expected, printed, varies=True) is same_words


WINDOW = 10
"""Words in a row that two pages may not share."""

FIGURE = re.compile(r"\b\d+\.\d+ ?(?:%|s|ms|MB|GB|minutes|points)(?!\w)")

HEADLINE = {("99.43 %", "README.md")}
"""Figures that the first page repeats, as links to the page that they are from."""


def shared(parts: Callable[[Path], Iterable[str]]) -> dict[str, list[str]]:
    """Returns the parts that several pages have, with the names of the pages."""
    where: dict[str, set[str]] = defaultdict(set)
    for page in pages():
        for part in parts(page):
            where[part].add(name_of(page))
    return {part: sorted(names) for part, names in where.items() if len(names) > 1}


def phrases(page: Path) -> Iterator[str]:
    for sentence in sentences(page):
        words = sentence.split()
        for start in range(max(1, len(words) - WINDOW + 1)):
            yield " ".join(words[start : start + WINDOW])


def figures(page: Path) -> Iterator[str]:
    for figure in FIGURE.findall(without_code(page)):
        if (figure, name_of(page)) not in HEADLINE:
            yield figure


def test_no_sentence_is_on_two_pages() -> None:
    found = shared(phrases)
    assert not found, "\n".join(f"{', '.join(names)}: {part}" for part, names in found.items())


def test_a_measured_figure_is_on_one_page() -> None:
    found = shared(figures)
    assert not found, "\n".join(f"{', '.join(names)}: {part}" for part, names in found.items())


def test_a_headline_figure_is_a_link_to_its_page() -> None:
    for figure, name in HEADLINE:
        text = (ROOT / name).read_text(encoding="utf-8")
        uses = re.findall(rf"(\[?){re.escape(figure)}(?:\]\(([^)]+)\))?", text)
        assert all(link.startswith("checkpoints/README.md") for _, link in uses), (figure, uses)
