"""The generated parts of the pages agree with the code: options, screens, images, versions."""

import re
import tomllib
from collections import defaultdict
from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import readme
import sample_images
from page_blocks import pages
from paths import README, ROOT, SHARED_MNIST
from PIL import Image
from rich.cells import cell_len
from typer.testing import CliRunner

from digitcli import Classifier, __version__
from digitcli.cli.app import app
from digitcli.core.checkpointing.metadata import FORMAT_VERSION
from digitcli.core.checkpointing.training_state import STATE_VERSION

CHANGELOG = ROOT / "digitcli" / "CHANGELOG.md"
TEXT = README.read_text(encoding="utf-8")
WRITE = "run 'python tests/readme.py' to write it again"


@pytest.fixture
def mnist() -> None:
    if not SHARED_MNIST.is_dir():
        pytest.skip("no ../shared/mnist here")
    downloaded = CliRunner().invoke(app, ["download", "--mirror", str(SHARED_MNIST)])
    assert downloaded.exit_code == 0


def drawn(name: str) -> str:
    return (readme.SCREENS / f"{name}.svg").read_text(encoding="utf-8")


def test_the_options_are_those_of_the_commands() -> None:
    page = readme.OPTIONS_PAGE.read_text(encoding="utf-8")
    assert readme.with_options(page) == page, WRITE


def test_the_screens_shown_are_those_that_are_drawn() -> None:
    texts = (page.read_text(encoding="utf-8") for page in pages())
    shown = re.findall(r"!\[[^]]+\]\([./]*tests/screens/(.+?)\.svg\)", "".join(texts))
    there = [path.stem for path in readme.SCREENS.iterdir()]
    assert sorted(shown) == sorted(there) == sorted(readme.ON_MNIST | readme.ANYWHERE)


@pytest.mark.parametrize("name", readme.ANYWHERE)
def test_a_screen_shows_what_the_command_prints(name: str, tmp_path: Path) -> None:
    now = readme.screen(readme.ANYWHERE[name], tmp_path)
    assert readme.text_of(now) == readme.text_of(drawn(name)), WRITE


@pytest.mark.parametrize("name", readme.ON_MNIST | readme.ANYWHERE)
def test_texts_of_a_screen_do_not_overlap(name: str) -> None:
    places: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for text in ElementTree.fromstring(drawn(name)).iter(  # noqa: S314  our own file
        "{http://www.w3.org/2000/svg}text"
    ):
        if "textLength" in text.attrib and (text.text or "").strip():
            assert float(text.attrib["textLength"]) == pytest.approx(
                readme.CELL_WIDTH * cell_len(text.text or "")
            )
            x = float(text.attrib["x"])
            places[text.attrib["y"]].append((x, x + float(text.attrib["textLength"])))
    for line in places.values():
        assert all(end <= start + 0.1 for (_, end), (start, _) in pairwise(sorted(line)))


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
    entry = CHANGELOG.read_text(encoding="utf-8").split(f"## {__version__}")[1].split("\n## ")[0]
    words = " ".join(entry.split())
    assert f"format version {FORMAT_VERSION} (checkpoints)" in words
    assert f"state version {STATE_VERSION} (training states)" in words


@pytest.mark.parametrize("name", sample_images.COMMITTED)
def test_the_sample_images_are_those_that_are_drawn(name: str) -> None:
    committed = Image.open(readme.IMAGES / f"{name}.png")
    now = np.asarray(sample_images.COMMITTED[name](), dtype=float)
    assert np.abs(np.asarray(committed, dtype=float) - now).mean() < 1, WRITE


def test_the_sample_images_are_read_without_a_doubt() -> None:
    classifier = Classifier.load("pretrained")
    seven = classifier.predict(readme.IMAGES / "seven.png")
    assert (seven.label, seven.warning) == ("7", None)
    postcode = classifier.read(readme.IMAGES / "postcode.png")
    assert (postcode.text, postcode.warning) == ("90245", None)
    assert min(seven.probability, postcode.probability) > 0.99


def test_the_classifiers_name_the_versions_that_ci_runs() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    named = re.findall(r"Python :: (3\.\d+)", "\n".join(project["classifiers"]))
    workflow = (ROOT / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8")
    run = re.findall(r"python: (\[.*\])", workflow)
    assert run[0] == str(named).replace("'", '"')
    assert project["requires-python"] == f">={named[0]}"


def test_the_test_command_is_the_one_that_ci_runs() -> None:
    commands = re.findall(r"pip install (?:-e )?'.\[test\]' && pytest", TEXT)
    assert commands, "no 'pip install '.[test]' && pytest' in README.md"
    tested = (ROOT / ".ci" / "run").read_text(encoding="utf-8").replace("--quiet ", "")
    assert commands[0].replace("-e ", "") in tested
