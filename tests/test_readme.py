"""The pages agree with the code: options, screens, versions; and their links lead somewhere."""

import re
from pathlib import Path
from urllib.parse import unquote

import pytest
import readme
from paths import README, ROOT, SHARED_MNIST
from typer.testing import CliRunner

from digitcli import __version__
from digitcli.cli.app import app
from digitcli.core.checkpointing.metadata import FORMAT_VERSION
from digitcli.core.checkpointing.training_state import STATE_VERSION

TEXT = README.read_text(encoding="utf-8")
PAGES = sorted(
    [
        *ROOT.glob("*.md"),
        *(
            page
            for name in ("checkpoints", "digitcli", "tests")
            for page in ROOT.glob(f"{name}/**/*.md")
        ),
    ]
)

WRITE = "run 'python tests/readme.py' to write it again"


@pytest.fixture
def mnist() -> None:
    if not SHARED_MNIST.is_dir():
        pytest.skip("no ../shared/mnist here")
    downloaded = CliRunner().invoke(app, ["download", "--mirror", str(SHARED_MNIST)])
    assert downloaded.exit_code == 0


def drawn(name: str) -> str:
    return (readme.SCREENS / f"{name}.svg").read_text(encoding="utf-8")


def without_code(page: Path) -> str:
    return re.sub(r"^```.*?^```$", "", page.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)


def anchors(page: Path) -> set[str]:
    """Returns the anchors that GitHub gives to the headings of a page."""
    headings = re.findall(r"^#+ (.+)$", without_code(page), re.MULTILINE)
    found = [re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings]
    assert len(found) == len(set(found)), f"{page} has two headings of one name"
    return set(found)


def broken_links(page: Path) -> list[str]:
    """Returns the relative links of a page that lead to no file or no heading."""
    broken = []
    for link in re.findall(r"\]\(([^)]+)\)", without_code(page)):
        path, _, anchor = unquote(link).partition("#")
        target = page.parent / path if path else page
        if "://" in link:
            continue
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(link)
    return broken


def test_the_options_are_those_of_the_commands() -> None:
    page = readme.OPTIONS_PAGE.read_text(encoding="utf-8")
    assert readme.with_options(page) == page, WRITE


def test_the_screens_shown_are_those_that_are_drawn() -> None:
    shown = re.findall(r"!\[[^]]+\]\(tests/screens/(.+?)\.svg\)", TEXT)
    there = [path.stem for path in readme.SCREENS.iterdir()]
    assert sorted(shown) == sorted(there) == sorted(readme.ON_MNIST | readme.ANYWHERE)


@pytest.mark.parametrize("name", readme.ANYWHERE)
def test_a_screen_shows_what_the_command_prints(name: str, tmp_path: Path) -> None:
    now = readme.screen(readme.ANYWHERE[name], tmp_path)
    assert readme.text_of(now) == readme.text_of(drawn(name)), WRITE


@pytest.mark.usefixtures("mnist")
@pytest.mark.parametrize(
    "name", [pytest.param("train", marks=pytest.mark.slow), *(readme.ON_MNIST.keys() - {"train"})]
)
def test_a_picture_shows_the_tables_of_the_command(name: str, tmp_path: Path) -> None:
    def words(svg: str) -> str:  # the figures are of the machine that drew it
        return re.sub(r"[0-9.,%│█▉▊▋▌▍▎▏]+", "#", readme.text_of(svg))

    now = readme.screen(readme.ON_MNIST[name], tmp_path)
    assert words(now) == words(drawn(name)), WRITE


def test_the_changelog_names_this_version_and_its_files() -> None:
    entry = TEXT.split("## Changelog")[1].split(f"### {__version__}")[1].split("\n### ")[0]
    assert f"format version {FORMAT_VERSION}" in entry
    assert f"training states, version {STATE_VERSION}" in entry


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_to_a_file_and_a_heading(page: Path) -> None:
    assert broken_links(page) == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_the_modules_that_a_page_names_exist(page: Path) -> None:
    modules = [
        path.as_posix() for name in ("digitcli", "tests") for path in ROOT.glob(f"{name}/**/*.py")
    ]
    for named in re.findall(r"`(?:python )?([\w/]+\.py)\b", without_code(page)):
        assert any(module.endswith(f"/{named}") for module in modules), named


def test_broken_links_are_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "# A\n[1](#a) [2](#b) [3](other.md) [4](https://example.org#b) [5](page.md#c)\n"
    )
    assert broken_links(page) == ["#b", "other.md", "page.md#c"]
