"""``predict --show-steps``: the drawing of how an image was prepared."""

from pathlib import Path

import numpy as np
import pytest
from commands import Run
from drawn_digits import as_grey, draw_digit, save_digit
from PIL import Image

from digitcli.data.preprocessing.mnist_form import prepare
from digitcli.report.drawings import Steps

pytestmark = pytest.mark.usefixtures("checkpoint")


def test_the_drawing_shows_the_input_and_changes_no_output(run: Run) -> None:
    save_digit(Path("5.png"), 5)
    for flags in ([], ["--json"], ["--quiet"], ["--top", "3"]):
        plain = run("predict", "5.png", *flags)
        shown = run("predict", "5.png", *flags, "--show-steps", "steps.png")
        assert (shown.exit_code, shown.stdout) == (0, plain.stdout)
        assert shown.stderr.startswith(plain.stderr)
    with Image.open("steps.png") as sheet:
        assert sheet.format == "PNG"
        pixels = np.asarray(sheet.convert("L"))
    # The last tile is what the network sees, each of its pixels a square of 7x7.
    seen = prepare(as_grey(draw_digit(5))).image
    large = np.kron(seen, np.ones((7, 7), np.uint8))
    assert np.array_equal(pixels[-12 - 196 : -12, -12 - 196 : -12], large)


def test_every_step_has_a_tile() -> None:
    names: list[str] = []
    steps = Steps()

    def watch(name: str, stage: np.ndarray) -> None:
        names.append(name)
        assert stage.min() >= 0
        assert stage.max() <= (255 if stage.dtype == np.uint8 else 1.001)
        steps(name, stage)

    grey = as_grey(draw_digit(5, size=200))
    watched = prepare(grey, watch)
    assert names == ["image", "ink", "ruled lines removed", "digit", "stroke width", "MNIST form"]
    assert np.array_equal(watched.image, prepare(grey).image)
    many = steps.draw()
    few = Steps()
    prepare(as_grey(Image.fromarray(watched.image)), few)
    two = few.draw()
    assert many.width == 12 + 6 * 208
    assert two.width == 12 + 2 * 208


@pytest.mark.parametrize("name", ["s.png", "S.JPG", "new/s.webp", "s.tiff", "s.bmp", "s.gif"])
def test_the_extension_decides_the_format(run: Run, name: str) -> None:
    save_digit(Path("5.png"), 5)
    assert run("predict", "5.png", "--show-steps", name).exit_code == 0
    with Image.open(name) as sheet:
        assert sheet.size == (12 + 6 * 208, 196 + 26 + 24)
        assert Image.registered_extensions()[Path(name).suffix.lower()] == sheet.format


@pytest.mark.parametrize(
    "name",
    [
        *("steps", "steps.xyz", "steps.pdf", "steps.eps", "steps.blp", "steps.h5", "steps.psd"),
        *("steps.ico", "steps.pgm", "steps.j2c"),  # Pillow writes an icon, PPM, and JP2
    ],
)
def test_extensions_that_are_not_images(run: Run, name: str) -> None:
    save_digit(Path("5.png"), 5)
    result = run("predict", "5.png", "--show-steps", name)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == (f"digitcli: error: cannot write images as {name}; name it steps.png\n")
    assert not Path(name).exists()


def test_only_one_image_is_drawn(run: Run) -> None:
    save_digit(Path("scans/5.png"), 5)
    Path("list").write_text("scans/5.png\n")
    for arguments in (
        ["scans/5.png", "scans/5.png"],
        ["scans"],
        ["-"],
        ["--files-from", "list"],
        ["scans/5.png", "--files-from", "list"],
    ):
        result = run("predict", *arguments, "--show-steps", "steps.png")
        assert (result.exit_code, result.stdout) == (2, "")
        assert "--show-steps draws one image" in result.stderr
        assert len(result.stderr.splitlines()) == 1
    assert not Path("steps.png").exists()


def test_paths_that_cannot_be_written(run: Run) -> None:
    save_digit(Path("5.png"), 5)
    Path("folder.png").mkdir()
    Path("plain").write_text("")
    for path in ("folder.png", "plain/steps.png", "a" * 300 + ".png"):
        result = run("predict", "5.png", "--show-steps", path)
        assert (result.exit_code, result.stdout) == (2, "")
        assert f"cannot write {path}" in result.stderr
        assert "--show-steps" in result.stderr
        assert len(result.stderr.splitlines()) == 1
    assert run("predict", "5.png", "--show-steps", "").exit_code == 2


@pytest.mark.parametrize("place", ["5.png", "./5.png", "link.png"])
def test_the_image_itself_is_never_overwritten(run: Run, place: str) -> None:
    content = save_digit(Path("5.png"), 5).read_bytes()
    Path("link.png").symlink_to("5.png")
    result = run("predict", "5.png", "--show-steps", place)
    assert (result.exit_code, result.stdout) == (2, "")
    assert "is the image itself" in result.stderr
    assert Path("5.png").read_bytes() == content


@pytest.mark.parametrize("flags", [(), ("--multi",)])
def test_the_drawing_that_was_written_or_replaced_is_named(run: Run, flags: tuple[str]) -> None:
    save_digit(Path("5.png"), 5)
    for verb in ("wrote", "replaced"):
        result = run("predict", "5.png", *flags, "--show-steps", "steps.png")
        assert result.stderr.splitlines()[-1] == f"digitcli: {verb} the drawing steps.png"
    result = run("predict", "5.png", *flags, "--show-steps", "steps.png", "--quiet")
    assert (result.stdout, result.stderr) == ("5\n", "")


def test_the_words_of_a_caption_stand_apart() -> None:
    """Pillow's font has a narrow space, and moves an f under the bar of a T before it."""
    steps = Steps()
    steps("MNIST form", np.zeros((28, 28), np.uint8))
    caption = np.asarray(steps.draw().convert("L"))[8:36]
    inked = np.flatnonzero((caption > 100).any(axis=0))
    gaps = sorted(int(gap) - 1 for gap in np.diff(inked))
    assert gaps[-3] <= 4  # within "1.", "MNIST" and "form"
    assert gaps[-2] >= 6  # between them


def test_images_that_cannot_be_read(run: Run) -> None:
    Image.new("L", (50, 50), 200).save("blank.png")
    Path("bad.png").write_text("no picture")
    for name, code in (("blank.png", 1), ("bad.png", 2), ("missing.png", 2), ("a" * 300, 2)):
        result = run("predict", name, "--show-steps", "steps.png")
        plain = run("predict", name)
        assert (result.exit_code, result.stdout) == (code, "")
        drawn = "digitcli: wrote the drawing steps.png\n" * (name == "blank.png")
        assert result.stderr == plain.stderr + drawn
        # for a blank image, the steps so far
        assert Path("steps.png").exists() == (name == "blank.png")
        Path("steps.png").unlink(missing_ok=True)
