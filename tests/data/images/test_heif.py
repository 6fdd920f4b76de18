"""HEIC images, and what they may cost. All but the last test need the extra heic."""

import io
import struct
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from commands import Run
from drawn_digits import draw_digit
from measured import measured
from PIL import Image

from digitcli.core.errors import PictureError
from digitcli.data.images.decode import OpenImage
from digitcli.data.images.grayscale import read_gray
from digitcli.data.images.heif import _Parts, heif_cost, is_heif
from digitcli.data.images.limits import MAX_PIXELS

SEVEN = draw_digit(7, size=300).convert("RGB")


@pytest.fixture
def heif() -> Any:
    return pytest.importorskip("pillow_heif")


def heic(heif: Any, image: Image.Image = SEVEN, **options: object) -> bytes:
    buffer = io.BytesIO()
    heif.from_pillow(image).save(buffer, **{"quality": 60, **options})
    return buffer.getvalue()


def white(side: int) -> Image.Image:
    return Image.new("RGB", (side, side), (255, 255, 255))


def with_sizes(content: bytes, before: tuple[int, int], after: tuple[int, int]) -> bytes:
    """Changes a size that a HEIC declares of its parts."""
    old, new = (b"ispe\0\0\0\0" + struct.pack(">2I", *size) for size in (before, after))
    assert old in content
    return content.replace(old, new)


def test_a_heic_is_read_as_the_same_png(heif: Any, run: Run) -> None:
    Path("seven.heic").write_bytes(heic(heif))
    Path("tiles").write_bytes(heic(heif, SEVEN.resize((1200, 1200)), tile_size=512))
    result = run("predict", "seven.heic", "tiles", "-q", "--checkpoint", "pretrained")
    assert (result.exit_code, result.stdout) == (0, "7\n7\n")
    expected = np.asarray(SEVEN.convert("L"), dtype=np.float32) / 255
    assert np.abs(read_gray(Path("seven.heic")) - expected).mean() < 0.01
    assert is_heif(Path("seven.heic").read_bytes())
    assert "HEIF" not in Image.OPEN  # other parts of a program that read images are left alone


@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_orientation_is_applied_once(heif: Any, orientation: int) -> None:
    wide = white(300)
    wide = wide.resize((400, 300))
    wide.paste(SEVEN, (20, 0))
    exif = Image.Exif()
    exif[0x112] = orientation
    inverse = {1: None, 2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}[orientation]
    stored = wide if inverse is None else wide.transpose(Image.Transpose(inverse))
    with OpenImage(heic(heif, stored, exif=exif.tobytes()), MAX_PIXELS) as image:
        upright = image.decode().convert("L")
        assert image.size == (400, 300)
    assert np.abs(np.asarray(upright, float) - np.asarray(wide.convert("L"), float)).mean() < 2


def test_several_images_and_transparency(heif: Any) -> None:
    buffer = io.BytesIO()
    file = heif.from_pillow(SEVEN)
    file.add_from_pillow(draw_digit(3).convert("RGB"))
    file.save(buffer)
    with OpenImage(buffer.getvalue(), MAX_PIXELS) as image:
        image.decode()
        assert image.warning == "only the main one of 2 images is read"
    clear = Image.new("RGBA", (300, 300), (255, 255, 255, 0))
    clear.paste(SEVEN.crop((60, 60, 240, 240)), (60, 60))
    with OpenImage(heic(heif, clear), MAX_PIXELS) as image:
        assert image.decode().mode == "RGBA"
        assert image.cost > 2 * 16 * 300 * 300  # transparency is an image of its own


@pytest.mark.parametrize(
    ("side", "options", "pixels"),
    [
        (1000, {}, 1000**2),
        (1000, {"tile_size": 512}, 1000**2 + 512**2),
        (64, {}, 64**2),
    ],
)
def test_the_cost_counts_the_image_and_its_tiles(
    heif: Any, side: int, options: dict[str, int], pixels: int
) -> None:
    assert heif_cost(io.BytesIO(heic(heif, white(side), **options))) == 16 * pixels


def test_a_large_heic_is_refused_and_takes_no_memory(heif: Any, tmp_path: Path) -> None:
    content = with_sizes(heic(heif, white(1024)), (1024, 1024), (8000, 4000))
    with pytest.raises(PictureError, match="the 32,000,000 pixels of the image cost"):
        OpenImage(content, MAX_PIXELS)
    small, large = tmp_path / "small.heic", tmp_path / "large.heic"
    small.write_bytes(heic(heif, white(64)))
    large.write_bytes(heic(heif, white(1600)))
    with OpenImage(large, MAX_PIXELS) as image:
        allowed = image.cost // 2**20
    before, done = (
        measured("predict", path, "--checkpoint", "pretrained") for path in (small, large)
    )
    assert "the image is blank" in done.errors
    assert done.megabytes - before.megabytes < allowed


def test_metadata_that_takes_memory_is_refused(heif: Any) -> None:
    with OpenImage(heic(heif, SEVEN, xmp=b"a" * 2**20), MAX_PIXELS) as image:
        image.decode()
    for xmp in (b"a" * 9 * 2**20, b"a" * 40 * 2**20):
        with pytest.raises(PictureError, match="the size of the image cannot be determined"):
            OpenImage(heic(heif, SEVEN, xmp=xmp), MAX_PIXELS)


def test_pieces_that_overlap_are_counted_each(heif: Any) -> None:
    content = heic(heif, SEVEN, xmp=b"a" * 2**20)
    parts = _Parts(types={2: b"mime"}, extents={2: (False, [(100, 2**20)] * 20)})
    assert parts.metadata_size(len(content)) == 20 * 2**20
    parts.extents[2] = False, [(100, 0)]
    assert parts.metadata_size(len(content)) == len(content)


def test_a_coded_image_larger_than_it_declares_is_not_decoded(heif: Any, tmp_path: Path) -> None:
    lie = with_sizes(heic(heif, white(1600)), (1600, 1600), (64, 64))
    (tmp_path / "lie.heic").write_bytes(lie)
    done = measured("predict", tmp_path / "lie.heic", "--checkpoint", "pretrained")
    assert done.code == 2
    assert "the image is damaged" in done.errors
    small = tmp_path / "small.heic"
    small.write_bytes(heic(heif, white(64)))
    honest = measured("predict", small, "--checkpoint", "pretrained")
    assert done.megabytes - honest.megabytes < 10


def test_a_grid_larger_than_it_declares_is_refused(heif: Any) -> None:
    content = heic(heif, white(1024), tile_size=512)
    grid = struct.pack(">2B2H", 1, 1, 1024, 1024)
    assert content.count(grid) == 1
    huge = content.replace(grid, struct.pack(">2B2H", 1, 1, 60_000, 60_000))
    with pytest.raises(PictureError, match="cost as much memory"):
        OpenImage(with_sizes(huge, (1024, 1024), (64, 64)), MAX_PIXELS)
    tiles = with_sizes(content, (512, 512), (4000, 4000))  # 64 million pixels for one million
    with pytest.raises(PictureError, match="the size of the image cannot be determined"):
        OpenImage(tiles, MAX_PIXELS)


def test_every_cut_and_damaged_structure_is_an_error_in_a_line(heif: Any) -> None:
    content = heic(heif, white(256), tile_size=128)
    start = content.index(b"meta")
    (size,) = struct.unpack(">I", content[start - 4 : start])
    rng = np.random.default_rng(0)
    for _ in range(150):
        damaged = bytearray(content)
        for at in rng.integers(start - 4, start + size - 4, 3):
            damaged[at] = rng.integers(256)
        try:
            with OpenImage(bytes(damaged), MAX_PIXELS) as image:
                image.decode()
        except PictureError:
            continue
    for end in range(20, start + size, 7):
        with pytest.raises(PictureError):
            OpenImage(content[:end], MAX_PIXELS)
    twice = content[: start - 4] + content[start - 4 : start + size - 4] * 2
    with pytest.raises(PictureError, match="the size of the image cannot be determined"):
        OpenImage(twice + content[start + size - 4 :], MAX_PIXELS)


def test_the_library_keeps_its_settings(heif: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    options = heif.options
    monkeypatch.setattr(options, "DECODE_THREADS", 3)
    read_gray(heic(heif))
    assert options.DECODE_THREADS == 3


def test_without_the_extra_the_error_names_it(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    Path("scan").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(40))
    Path("generic").write_bytes(b"\0\0\0\x18ftypmif1\0\0\0\0mif1heic" + bytes(40))
    result = run("predict", "scan", "generic")
    assert result.exit_code == 2
    assert result.stderr.splitlines() == [
        f"digitcli: error: {name}: HEIC images need pillow-heif; run pip install "
        "'digitcli[heic]', or save the image as JPEG"
        for name in ("scan", "generic")
    ]
