"""Numbers and messages as people read them."""

import re
import sys

import pytest
from paths import ROOT

from digitcli.core.errors import DigitcliError
from digitcli.core.imports import install_extra
from digitcli.data.images.kinds import FORMATS, GIVE_ANOTHER
from digitcli.text import decimal_share, fixed, percent


@pytest.mark.parametrize(
    ("share", "shown", "decimal"),
    [
        (0, "0.00%", "0.0000"),
        (1e-12, "<0.01%", "1.0e-12"),
        (0.00004, "<0.01%", "4.0e-05"),
        (0.0001, "0.01%", "0.0001"),
        (0.5, "50.00%", "0.5000"),
        (0.99999, "99.99%", "0.9999"),
        (1, "100.00%", "1.0000"),
    ],
)
def test_only_0_and_1_are_shown_as_0_and_1(share: float, shown: str, decimal: str) -> None:
    assert percent(share) == shown
    assert percent(share, unit="") == shown.removesuffix("%")
    assert decimal_share(share) == decimal
    assert percent(0.0004, 1) == "<0.1%"


def test_a_number_too_small_for_its_decimals_has_an_exponent() -> None:
    assert [fixed(value) for value in (0, 0.00042, 0.001, 1.5)] == [
        *("0.000", "4.2e-04", "0.001", "1.500")
    ]
    assert fixed(-0.00042, 2, "+") == "-4.2e-04"
    assert fixed(-0.0) == "0.000"


@pytest.mark.parametrize(
    ("problem", "step", "line"),
    [
        ("there is no file", "name one", "there is no file; name one"),
        ("Did you mean 'eval'?", "see --help", "Did you mean 'eval'? See --help"),
        ("It is lost.", "look", "It is lost. Look"),
        ("there is no file", "", "there is no file"),
    ],
)
def test_a_sentence_that_ended_is_not_continued(problem: str, step: str, line: str) -> None:
    assert str(DigitcliError(problem, step)) == line


def test_without_torch_an_extra_is_installed_by_its_libraries(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    assert install_extra("heic") == "run pip install pillow-heif"
    assert install_extra("onnx") == "run pip install onnx onnxruntime"


def test_extras_are_named_in_one_way() -> None:
    assert install_extra("heic") == "run pip install 'digitcli[heic]'"
    extras = ("heic", "onnx", "plot", "tensorboard")
    libraries = ("pillow-heif", "matplotlib", "onnx", "onnxruntime", "tensorboard")
    files = [*(ROOT / "digitcli").rglob("*.py"), *(ROOT / "digitcli").rglob("*.md")]
    for file in [ROOT / "README.md", *files]:
        for argument in re.findall(r"pip install (\S+)", file.read_text("utf-8")):
            name = argument.strip("'`\",")
            if (file.name, name) == ("README.md", "pillow-heif"):  # for people without torch
                continue
            assert name not in libraries, file
            if any(extra in name for extra in extras):
                assert re.fullmatch(r"digitcli\[[a-z,]+\]", name), file


def test_the_page_and_the_message_list_the_same_formats() -> None:
    text = " ".join((ROOT / "README.md").read_text("utf-8").split())
    listed = ", ".join(FORMATS.values())
    assert f"**Formats**: {listed}, and HEIC with the extra" in text
    assert f"give a {listed} or HEIC file" == GIVE_ANOTHER
