"""Reading images of every common format and mode as grayscale."""

import io
from pathlib import Path

import numpy as np
import pytest
from drawn_digits import as_grey, draw_digit, drawn_pictures, prepared
from PIL import Image

from digitcli.core.errors import PictureError
from digitcli.data.images.discover import LeftOut, find_files
from digitcli.data.images.grayscale import read_gray


def encoded(image: Image.Image, format_: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format_, **options)
    return buffer.getvalue()


SEVEN = draw_digit(7, size=120)
EXPECTED = prepared(as_grey(SEVEN)).astype(float)


def difference(data: bytes) -> float:
    return float(np.abs(prepared(read_gray(data)) - EXPECTED).mean())


@pytest.mark.parametrize("format_", ["PNG", "GIF", "BMP", "PPM", "TIFF", "JPEG2000", "ICO"])
def test_lossless_formats(format_: str) -> None:
    assert difference(encoded(SEVEN.resize((120, 120)), format_, **_sizes(format_))) < 1


def _sizes(format_: str) -> dict[str, object]:
    return {"sizes": [(120, 120)]} if format_ == "ICO" else {}


@pytest.mark.parametrize("format_", ["JPEG", "WEBP"])
def test_lossy_formats(format_: str) -> None:
    assert difference(encoded(SEVEN, format_, quality=90)) < 3


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA", "LA", "I;16"])
def test_modes_of_png(mode: str) -> None:
    image = (
        Image.fromarray(np.asarray(SEVEN).astype(np.uint16) * 257)
        if mode == "I;16"
        else SEVEN.convert(mode)
    )
    # black and white has no anti-aliasing
    assert difference(encoded(image, "PNG")) < (4 if mode == "1" else 1)


def test_cmyk_jpeg() -> None:
    assert difference(encoded(SEVEN.convert("CMYK"), "JPEG", quality=95)) < 3


def test_floating_point_tiff() -> None:
    assert difference(encoded(Image.fromarray(as_grey(SEVEN) * 1000), "TIFF")) < 1


@pytest.mark.parametrize("ink", [0, 90, 255])
def test_ink_of_any_color_on_a_transparent_background(ink: int) -> None:
    mask = draw_digit(7, size=120, ink=255, paper=0)
    image = Image.new("RGBA", mask.size, (0, 0, 0, 0))
    image.paste((ink, ink, ink, 255), mask=mask)
    image.putalpha(mask)
    assert difference(encoded(image, "PNG")) < 1


def test_a_mostly_opaque_image_keeps_its_background() -> None:
    image = SEVEN.convert("RGBA")
    image.paste((0, 0, 0, 0), (0, 0, 12, 120))  # a transparent strip, black underneath
    assert difference(encoded(image, "PNG")) < 1


def test_a_transparent_palette_color() -> None:
    image = SEVEN.convert("P")
    assert difference(encoded(image, "GIF", transparency=image.getpixel((0, 0)))) < 1


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation(orientation: int) -> None:
    undo = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    stored = SEVEN.transpose(undo[orientation]) if orientation in undo else SEVEN
    exif = Image.Exif()
    exif[0x0112] = orientation
    assert difference(encoded(stored, "JPEG", quality=95, exif=exif)) < 3


def test_a_large_photo() -> None:
    assert difference(encoded(draw_digit(7, size=3000), "JPEG")) < 6


def test_mnist_form_passes_unchanged_through_a_file() -> None:
    for picture in drawn_pictures(20, 5)[0]:
        for mode in ("L", "RGB", "RGBA", "P"):
            data = encoded(Image.fromarray(picture).convert(mode), "PNG")
            assert np.array_equal(prepared(read_gray(data)), picture)


def test_the_content_decides_not_the_extension(tmp_path: Path) -> None:
    path = tmp_path / "seven.txt"
    path.write_bytes(encoded(SEVEN, "PNG"))
    assert np.array_equal(prepared(read_gray(path)), EXPECTED)


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"", "empty"),
        (b"not an image", "not an image"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "a PostScript file"),
        (encoded(SEVEN, "PNG")[:200], "damaged"),
        (encoded(SEVEN, "JPEG")[:-300], "damaged"),
    ],
)
def test_invalid_images(data: bytes, problem: str) -> None:
    with pytest.raises(PictureError, match=problem):
        read_gray(data)


def test_a_missing_file_and_a_folder(tmp_path: Path) -> None:
    with pytest.raises(PictureError, match="No such file"):
        read_gray(tmp_path / "missing.png")
    with pytest.raises(PictureError, match="not a file"):
        read_gray(tmp_path)


def test_files_are_found_in_order(tmp_path: Path) -> None:
    for name in ("b.png", "a.dat", "sub/c.png", ".hidden.png", ".git/d.png"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.touch()
    (tmp_path / "sub" / "loop").symlink_to(tmp_path)
    found = [str(path.relative_to(tmp_path)) for path in find_files(tmp_path, LeftOut())]
    assert found == ["a.dat", "b.png", "sub/c.png"]


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_nan_and_infinity(value: float) -> None:
    grey = np.full((50, 50), 1.0, np.float32)
    grey[10:40, 20:30] = value
    with pytest.raises(PictureError, match="not numbers"):
        read_gray(encoded(Image.fromarray(grey), "TIFF"))


@pytest.mark.parametrize("mode", ["1", "P", "I;16", "RGBA", "LA"])
def test_large_images_of_every_mode(mode: str) -> None:
    large = SEVEN.resize((4000, 4000), Image.Resampling.BICUBIC)
    image = (
        Image.fromarray(np.asarray(large).astype(np.uint16) * 257)
        if mode == "I;16"
        else large.convert(mode)
    )
    grey = read_gray(encoded(image, "PNG"))
    assert max(grey.shape) <= 1000
    assert np.abs(prepared(grey) - EXPECTED).mean() < 6


def test_avif() -> None:
    assert difference(encoded(SEVEN, "AVIF", quality=90)) < 3
