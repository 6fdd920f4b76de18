"""Files of several images, and kinds of images that are not read."""

import io
import json
import struct
from pathlib import Path

import pytest
from commands import Run
from drawn_digits import draw_digit
from image_folders import fill
from PIL import Image

from digitcli.classifier import Classifier
from digitcli.core.errors import NotAPictureError, PictureError
from digitcli.data.images.decode import OpenImage
from digitcli.data.images.limits import MAX_PIXELS

DIGITS = [draw_digit(digit) for digit in (3, 4, 5)]


def pages(format_: str, images: list[Image.Image] = DIGITS, **options: object) -> bytes:
    buffer = io.BytesIO()
    first, *others = (image.copy() for image in images)
    first.save(buffer, format_, save_all=True, append_images=others, **options)
    return buffer.getvalue()


def warning(content: bytes) -> str | None:
    with OpenImage(content, MAX_PIXELS) as image:
        image.decode()
        return image.warning


def tiff(order: str, *directories: dict[int, int]) -> bytes:
    """Returns a TIFF of directories of tags, whose values are whole numbers."""
    content = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}L", 8)
    for number, tags in enumerate(directories, start=1):
        content += struct.pack(f"{order}H", len(tags))
        content += b"".join(
            struct.pack(f"{order}HHLL", tag, 4, 1, value) for tag, value in tags.items()
        )
        following = len(content) + 4 if number < len(directories) else 0
        content += struct.pack(f"{order}L", following)
    return content + bytes(600)


SMALL = {256: 8, 257: 8, 258: 8, 259: 1, 262: 1, 273: 8, 277: 1, 278: 8, 279: 64}


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (pages("TIFF"), "only the first of 3 pages is read"),
        (pages("TIFF", big_tiff=True), "only the first of 3 pages is read"),
        (pages("GIF"), "only the first of 3 frames is read"),
        (pages("WEBP", lossless=True), "only the first of 3 frames is read"),
        (pages("PNG"), "only the first of 3 frames is read"),
        (pages("AVIF"), "only the first of 3 frames is read"),
        (pages("MPO"), None),  # a JPEG with its previews
        *((pages(each, DIGITS[:1]), None) for each in ("TIFF", "GIF", "WEBP", "PNG", "AVIF")),
        (tiff("<", SMALL, {**SMALL, 254: 1}), None),  # a smaller copy of the first page
        (tiff(">", SMALL, {**SMALL, 254: 0}), "only the first of 2 pages is read"),
        (tiff("<", *[SMALL] * 1100), "only the first of 1,000 or more pages is read"),
        (pages("GIF")[:-40], "only the first of 3 frames is read"),
    ],
)
def test_only_one_image_of_a_file_is_read(content: bytes, expected: str | None) -> None:
    assert warning(content) == expected


def test_pages_in_a_circle_and_beyond_the_end() -> None:
    two = tiff("<", SMALL, SMALL)
    link = struct.pack("<L", 8)
    at = 8 + 2 + 12 * len(SMALL)
    assert warning(two[:at] + link + two[at + 4 :]) is None
    assert warning(two[:at] + b"\xff\xff\xff\x7f" + two[at + 4 :]) is None


def test_the_warning_is_in_every_record(run: Run) -> None:
    Path("scans").mkdir()
    Path("scans/pages.tif").write_bytes(pages("TIFF"))
    DIGITS[0].save("scans/single.tif")
    expected = "only the first of 3 pages is read"
    for flags in ((), ("--multi",)):
        result = run("predict", "scans", *flags, "--json")
        first, second = map(json.loads, result.stdout.splitlines())
        assert (first["warning"], second["warning"]) == (expected, None)
        assert f"digitcli: scans/pages.tif: {expected}\n" in result.stderr
    classifier = Classifier.load("pretrained")
    assert classifier.predict(Path("scans/pages.tif")).warning == expected
    assert classifier.read(Path("scans/pages.tif")).warning == expected


def test_the_warning_comes_before_that_of_the_answer(run: Run) -> None:
    blot = Image.new("L", (64, 64), 255)
    blot.paste(0, (20, 20, 44, 44))
    Path("two.gif").write_bytes(pages("GIF", [blot, DIGITS[0]]))
    warning = json.loads(run("predict", "two.gif", "--json").stdout)["warning"]
    assert warning.startswith("only the first of 2 frames is read; ")


def test_a_blank_first_page_names_the_others(run: Run) -> None:
    Path("scan.tif").write_bytes(pages("TIFF", [Image.new("L", (64, 64), 255), DIGITS[0]]))
    for flags in ((), ("--multi",)):
        (record,) = map(
            json.loads, run("predict", "scan.tif", *flags, "--json").stdout.splitlines()
        )
        assert record["error"] == "the image is blank; only the first of 2 pages is read"
        assert record["warning"] is None


def test_training_reports_files_of_several_images(run: Run) -> None:
    fill(Path("mine"), {"3": 3, "5": 5}, 4)
    Path("mine/3/pages.tif").write_bytes(pages("TIFF"))
    result = run("train", "--dataset", "folder:mine", "--epochs", 1, "--batch-size", 2)
    assert result.exit_code == 0, result.stderr
    line = "digitcli: mine/3/pages.tif: only the first of 3 pages is read\n"
    assert line in result.stderr


def saved(format_: str) -> bytes:
    buffer = io.BytesIO()
    DIGITS[0].save(buffer, format_)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"%PDF-1.7\n", "a PDF"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "an SVG"),
        (b"<?xml version='1.0'?>\n<!-- a drawing -->\n<svg >", "an SVG"),
        (saved("TGA"), "a TGA image"),
        (saved("EPS"), "a PostScript file"),
        (saved("PCX"), "a PCX image"),
        (saved("SGI"), "an SGI image"),
        (saved("DDS"), "a DDS image"),
        (b"8BPS\0\1", "a Photoshop file"),
        (b"\0\0\0\x0cJXL \r\n\x87\n", "a JPEG XL"),
        (b"\xff\x0a\0\0", "a JPEG XL"),
        (b"SIMPLE  =                    T", "a FITS image"),
        (bytes(128) + b"DICM", "a DICOM image"),
        (b"\0\0\0\x18ftypcrx \0\0\0\0", "a camera's raw image"),
        (tiff("<", {**SMALL, 258: 64, 339: 3}), "a TIFF of 64-bit floats with compression 1"),
        (tiff(">", {**SMALL, 258: 7}), "a TIFF of 7-bit integers with compression 1"),
    ],
)
def test_kinds_that_are_not_read_are_named(content: bytes, kind: str) -> None:
    with pytest.raises(PictureError) as caught:
        OpenImage(content, MAX_PIXELS)
    assert caught.value.problem == f"{kind}, which is not supported"
    assert not isinstance(caught.value, NotAPictureError)


def test_a_tga_without_a_signature_is_known_by_its_name(tmp_path: Path) -> None:
    old = saved("TGA")[:-26]
    with pytest.raises(NotAPictureError):
        OpenImage(old, MAX_PIXELS)
    (tmp_path / "scan.TGA").write_bytes(old)
    with pytest.raises(PictureError, match="a TGA image, which is not supported"):
        OpenImage(tmp_path / "scan.TGA", MAX_PIXELS)
    (tmp_path / "notes.tga").write_text("no image at all")
    with pytest.raises(NotAPictureError):
        OpenImage(tmp_path / "notes.tga", MAX_PIXELS)


@pytest.mark.parametrize("content", [b"II*\0", b"MM\0*\0\0\0\x99", b"II*\0\x08\0\0\0\0\0"])
def test_a_tiff_without_tags_is_damaged(content: bytes) -> None:
    with pytest.raises(PictureError, match="a damaged TIFF"):
        OpenImage(content, MAX_PIXELS)


def test_in_a_folder_they_fail_and_other_files_are_ignored(run: Run) -> None:
    Path("scans").mkdir()
    Path("scans/film.mp4").write_bytes(b"\0\0\0\x18ftypisom\0\0\0\0")
    Path("scans/form.pdf").write_bytes(b"%PDF-1.7\n")
    Path("scans/notes.txt").write_text("no image")
    DIGITS[0].save("scans/three.png")
    result = run("predict", "scans", "-q")
    assert (result.exit_code, result.stdout) == (1, "3\n")
    assert result.stderr == (
        "digitcli: error: scans/form.pdf: a PDF, which is not supported; save it as PNG or JPEG\n"
    )
