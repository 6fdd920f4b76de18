"""The README says what the commands say, and shows what they show."""

import re
from pathlib import Path

import pytest
import readme
from paths import README, SHARED_MNIST
from typer.testing import CliRunner

from digitcli import __version__
from digitcli.cli.app import app
from digitcli.core.checkpointing.metadata import FORMAT_VERSION
from digitcli.core.checkpointing.training_state import STATE_VERSION

TEXT = README.read_text(encoding="utf-8")

WRITE = "run 'python tests/readme.py' to write it anew"


@pytest.fixture
def mnist() -> None:
    if not SHARED_MNIST.is_dir():
        pytest.skip("no ../shared/mnist here")
    downloaded = CliRunner().invoke(app, ["download", "--mirror", str(SHARED_MNIST)])
    assert downloaded.exit_code == 0


def drawn(name: str) -> str:
    return (readme.SCREENS / f"{name}.svg").read_text(encoding="utf-8")


def test_the_options_are_those_of_the_commands() -> None:
    assert readme.with_options(TEXT) == TEXT, WRITE


def test_the_pictures_shown_are_those_that_are_drawn() -> None:
    shown = re.findall(r"!\[[^]]+\]\(tests/screens/(.+?)\.svg\)", TEXT)
    there = [path.stem for path in readme.SCREENS.iterdir()]
    assert sorted(shown) == sorted(there) == sorted(readme.ON_MNIST | readme.ANYWHERE)


@pytest.mark.parametrize("name", readme.ANYWHERE)
def test_a_picture_shows_what_the_command_prints(name: str, tmp_path: Path) -> None:
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


def test_the_changelog_tells_of_this_version_and_its_files() -> None:
    entry = TEXT.split("## Changelog")[1].split(f"### {__version__}")[1].split("\n### ")[0]
    assert f"format version {FORMAT_VERSION}" in entry
    assert f"training states, version {STATE_VERSION}" in entry


def test_links_within_lead_to_a_heading() -> None:
    headings = re.findall(r"^#+ (.+)$", TEXT, re.MULTILINE)
    anchors = {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}
    links = re.findall(r"\]\(#([^)]+)\)", TEXT)
    assert links
    assert set(links) <= anchors
