"""Images of unknown origin: an answer or one line of error, within limits of memory and time."""

import io
import json
import os
import random
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from commands import Run
from drawn_digits import draw_digit, save_digit
from measured import measured
from mutations import mutated, real_pictures
from PIL import Image

from digitcli.core.errors import PictureError
from digitcli.data.images.decode import OpenImage
from digitcli.data.images.discover import LeftOut, find_files
from digitcli.data.images.grayscale import read_gray
from digitcli.data.images.kinds import GIVE_ANOTHER
from digitcli.data.images.parallel import prepare_all
from digitcli.data.images.source import ImageSource
from digitcli.data.preprocessing.mnist_form import prepare

pytestmark = pytest.mark.usefixtures("checkpoint")

SIGNATURE = b"\x89PNG\r\n\x1a\n"


def chunk(name: bytes, data: bytes) -> bytes:
    checksum = zlib.crc32(name + data)
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", checksum)


def png(width: int, height: int, *, rows: int) -> bytes:
    """Returns a white RGB PNG that contains only its first rows."""
    packer = zlib.compressobj(1)
    row = b"\0" + b"\xff" * 3 * width if rows else b""
    data = b"".join([packer.compress(row) for _ in range(rows)])
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return SIGNATURE + b"".join(
        [chunk(b"IHDR", header), chunk(b"IDAT", data + packer.flush()), chunk(b"IEND", b"")]
    )


def encoded(image: Image.Image, format_: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format_, **options)
    return buffer.getvalue()


def problem(data: bytes, max_pixels: int = 100_000_000) -> str:
    """Returns the error message of an image that cannot be read."""
    with pytest.raises(PictureError) as caught:
        read_gray(data, max_pixels)
    assert len(str(caught.value)) < 300
    return str(caught.value)


def test_a_decompression_bomb_is_reported_with_its_pixels_and_the_limit() -> None:
    assert problem(png(20_000, 10_000, rows=1)) == (
        "the image has 200,000,000 pixels, more than 100,000,000; scale it down, or give 'digitcli "
        "predict' --max-pixels 200000000"
    )
    assert problem(png(2**31 - 1, 2**31 - 1, rows=0)).endswith(
        "more than 100,000,000; scale it down"
    )


def test_the_user_sets_the_limit(run: Run) -> None:
    Path("7.png").write_bytes(encoded(draw_digit(7, size=300), "PNG"))
    refused = run("predict", "7.png", "--max-pixels", "89999")
    assert refused.exit_code == 2
    assert "the image has 90,000 pixels, more than 89,999" in refused.stderr
    assert run("predict", "7.png", "-q", "--max-pixels", "90000").stdout == "7\n"
    assert run("predict", "7.png", "--max-pixels", "0").exit_code == 2
    steps = run("predict", "7.png", "--max-pixels", "5", "--show-steps", "steps.png")
    assert steps.exit_code == 2
    assert not Path("steps.png").exists()


@pytest.mark.parametrize(
    ("format_", "share"), [("WEBP", 4.5), ("AVIF", 6), ("JPEG2000", 7.5), ("PPM", 51)]
)
def test_costly_formats_may_have_fewer_pixels(format_: str, share: float) -> None:
    if format_ == "PPM":
        data = b"P5 2000 1500 100\n" + bytes(3_000_000)  # decoded in Python
    else:
        data = encoded(Image.new("RGB", (2000, 1500)), format_)
    message = problem(data, 3_000_000)
    assert "the 3,000,000 pixels of the image cost as much memory or time as" in message
    wanted = int(message.split()[-1])
    assert wanted == pytest.approx(3_000_000 * share, rel=0.1)
    with OpenImage(data, wanted) as picture:
        assert picture.cost <= 4 * wanted + 2**20


def test_a_large_jpeg_costs_what_is_decoded() -> None:
    data = encoded(Image.new("RGB", (8000, 6000)), "JPEG")
    with OpenImage(data, 48_000_000) as picture:  # decoded to 2000x1500, then halved
        assert picture.cost < 50_000_000  # several are read at once
        picture.decode()
        assert picture.size == (8000, 6000)


def test_almost_100_million_pixels_take_less_than_512_megabytes(tmp_path: Path) -> None:
    path = tmp_path / "large.png"
    path.write_bytes(png(10_000, 9_900, rows=9_900))
    done = measured("predict", path)
    assert (done.code, "the image is blank" in done.errors) == (1, True)
    assert 300 < done.megabytes < 512


def test_truncated_images_do_not_stay_in_memory(tmp_path: Path) -> None:
    for number in range(12):  # of 48 MB each
        (tmp_path / f"{number}.png").write_bytes(png(4000, 3000, rows=3000)[:-4000])
    done = measured("predict", tmp_path)
    assert done.code == 2
    assert done.errors.count("the image is damaged (image file is truncated") == 12
    assert done.megabytes < 250


def test_a_jpeg_of_a_thousand_passes_is_refused() -> None:
    whole = encoded(Image.new("L", (4000, 4000), 200), "JPEG", progressive=True)
    last = whole[whole.rfind(b"\xff\xda") : -2]
    assert read_gray(whole).shape == (1000, 1000)
    assert "the image has 1,006 scans or more" in problem(whole[:-2] + last * 1000 + whole[-2:])


def test_scans_in_a_preview_or_after_the_end_are_not_counted() -> None:
    photo = encoded(draw_digit(7, size=900), "JPEG")
    preview = b"\xff\xe5" + struct.pack(">H", 2 + 40_000) + b"\xff\xda\0\2" * 10_000
    assert read_gray(photo[:2] + preview + photo[2:] + b"\xff\xda\0\2" * 10_000).shape


@pytest.mark.parametrize("part", [b"\xff\xec\0\2", b"\0"])
def test_a_jpeg_of_endless_segments_is_refused(part: bytes) -> None:
    photo = encoded(draw_digit(7), "JPEG")
    assert "too many parts" in problem(photo[:4] + part * 3_000_000 + photo[4:]) or part == b"\0"


def test_profiles_and_texts_that_decompress_to_much() -> None:
    whole = png(28, 28, rows=28)
    at = len(SIGNATURE) + 25
    for name in (b"iCCP", b"zTXt"):
        bomb = chunk(name, b"k\0\0" + zlib.compress(bytes(30_000_000)))
        assert "the image is damaged" in problem(whole[:at] + bomb + whole[at:])
    assert "too many parts" in problem(whole[:at] + chunk(b"quUX", b"") * 300_000 + whole[at:])


def test_large_icons_are_refused() -> None:
    inner = png(3000, 3000, rows=1)
    entry = struct.pack("<HHHBBBBHHII", 0, 1, 1, 0, 0, 0, 0, 1, 32, len(inner), 22)
    assert "the image is too large for an icon" in problem(entry + inner)
    assert "the image is too large for an icon" in problem(entry + bytes(3_000_000))


@pytest.mark.parametrize("frame", [(60_000, 60_000), (10_001, 10_000)])
def test_a_gif_whose_frame_is_larger_than_its_screen(frame: tuple[int, int]) -> None:
    whole = encoded(draw_digit(7), "GIF")
    at = whole.index(b",", 13) + 5
    assert "more than 100,000,000" in problem(
        whole[:at] + struct.pack("<HH", *frame) + whole[at + 4 :]
    )


def test_broken_exif_is_ignored() -> None:
    for exif in (b"II*\0\xff\xff\xff\xff", b"MM\0*\0\0\0\x08\xff\xff" + b"\xff" * 500, b"", b"\0"):
        photo = encoded(draw_digit(7, size=200), "JPEG", exif=b"Exif\0\0" + exif)
        assert read_gray(photo).shape == (200, 200)


@pytest.mark.parametrize("size", [(1, 1), (100_000, 1), (1, 100_000), (100_000, 3), (2, 30_000)])
@pytest.mark.parametrize("inked", [False, True])
def test_images_of_extreme_shapes(run: Run, size: tuple[int, int], inked: bool) -> None:
    image = Image.new("L", size, 255)
    if inked:
        image.paste(0, (size[0] // 3, size[1] // 3, size[0] // 3 + 1 + size[0] // 9, size[1]))
    image.save("a.png")
    result = run("predict", "a.png")
    assert result.exit_code in (0, 1)
    assert len(result.stdout.splitlines()) + result.stderr.count("error: ") == 1


@pytest.mark.filterwarnings("error")
def test_values_whose_range_exceeds_float32() -> None:
    values = np.full((60, 60), 3e38, np.float32)
    values[10:50, 25:35] = -3e38
    grey = read_gray(encoded(Image.fromarray(values), "TIFF"))
    assert (grey.min(), grey.max()) == (0, 1)
    assert prepare(grey).image.any()
    almost_even = encoded(Image.fromarray(values * np.float32(1e-38) * np.float32(1e-7)), "TIFF")
    assert read_gray(almost_even).shape == (60, 60)


def test_an_image_without_pixels() -> None:
    assert problem(b"P5 0 5 255\n")
    assert problem(png(0, 5, rows=0))


def test_two_formats_in_one_file_with_the_wrong_extension(run: Run) -> None:
    photo = encoded(draw_digit(7, size=200), "JPEG")
    Path("a.gif").write_bytes(photo + encoded(draw_digit(1, size=200), "PNG") + b"PK\3\4")
    assert run("predict", "a.gif", "-q").stdout == "7\n"


@pytest.mark.parametrize("format_", ["GIF", "PNG", "WEBP", "TIFF", "AVIF"])
def test_the_first_frame_of_an_animation_is_read(run: Run, format_: str) -> None:
    others = [draw_digit(1, size=200)] * 5
    draw_digit(7, size=200).save("a", format_, save_all=True, append_images=others)
    assert run("predict", "a", "-q").stdout == "7\n"


def test_pipes_and_devices_are_not_opened(tmp_path: Path) -> None:
    (tmp_path / "pictures").mkdir()
    names = [tmp_path / "pictures" / f"{kind}.png" for kind in ("fifo", "zero", "loop", "one")]
    os.mkfifo(names[0])
    names[1].symlink_to("/dev/zero")
    names[2].symlink_to(names[2])
    (tmp_path / "pictures" / "around").symlink_to(tmp_path)
    save_digit(names[3], 1)
    done = measured("predict", *names, "/dev/zero", "/dev/full", "/proc/self/mem", "-q")
    assert (done.code, done.output) == (1, "1\n")
    assert [line.rsplit(": ", 1)[1].split(";")[0] for line in done.errors.splitlines()] == [
        "not a file",
        "not a file",
        "Too many levels of symbolic links",
        "not a file",
        "not a file",
        "the file is empty",
    ]
    done = measured("predict", tmp_path, "-q")
    assert (done.code, done.output) == (1, "1\n")
    assert done.errors.count("\n") == 1
    assert "loop.png: cannot be read: Too many levels of symbolic links" in done.errors


@pytest.mark.parametrize("limit", [10**12, 10**20])  # more than memory, more than 64 bits
def test_a_limit_larger_than_memory_is_allowed(limit: int) -> None:
    Path("7.png").write_bytes(encoded(draw_digit(7), "PNG"))
    done = measured("predict", "7.png", "-", "-q", "--max-pixels", str(limit), stdin=Path("7.png"))
    assert (done.code, done.output) == (0, "7\n7\n"), done.errors


def test_endless_standard_input_is_refused() -> None:
    done = measured("predict", "-", "--max-pixels", "5000000", stdin=Path("/dev/zero"))
    assert done.code == 2
    assert done.errors.count("\n") == 1
    assert done.megabytes < 150


@pytest.fixture
def deep() -> Iterator[Path]:
    """Nested folders whose path is longer than allowed, so created and removed one by one."""
    save_digit(Path("deep/1.png"), 1)
    here = Path.cwd()
    os.chdir("deep")
    for _ in range(2100):
        Path("d").mkdir()
        os.chdir("d")
    os.chdir(here)
    yield Path("deep")
    os.chdir("deep")
    for _ in range(2100):
        os.chdir("d")
    for _ in range(2100):
        os.chdir("..")
        Path("d").rmdir()
    os.chdir(here)


def test_folders_deeper_than_a_path_can_be(run: Run, deep: Path) -> None:
    result = run("predict", deep, "-q")
    assert (result.exit_code, result.stdout) == (1, "1\n")
    assert "File name too long" in result.stderr
    assert result.stderr.count("\n") == 1


def test_a_folder_that_cannot_be_listed_is_found_itself(tmp_path: Path) -> None:
    assert list(find_files(tmp_path / "gone", LeftOut())) == [tmp_path / "gone"]


def test_broken_files_named_as_images_are_reported_in_a_folder(run: Run) -> None:
    save_digit(Path("scans/1.png"), 1)
    Path("scans/2.png").touch()
    Path("scans/3.JPG").write_bytes(bytes(5000))
    Path("scans/4.heic").write_bytes(b"no picture")
    Path("scans/notes.txt").touch()
    Path("scans/film.mp4").write_bytes(b"\0\0\0\x18ftypisom" + bytes(5000))
    result = run("predict", "scans", "-q")
    assert (result.exit_code, result.stdout) == (1, "1\n")
    assert [line.split(": ")[2:] for line in result.stderr.splitlines()] == [
        ["scans/2.png", f"the file is empty; {GIVE_ANOTHER}"],
        ["scans/3.JPG", f"not an image; {GIVE_ANOTHER}"],
        ["scans/4.heic", f"not an image; {GIVE_ANOTHER}"],
    ]


def test_every_image_has_a_line_of_json(run: Run) -> None:
    save_digit(Path("1.png"), 1)
    Path("2.png").touch()
    Path("empty").mkdir()
    result = run("predict", "2.png", "1.png", "gone.png", "empty", "--json")
    assert result.exit_code == 1
    records = [json.loads(line) for line in result.stdout.splitlines()]
    assert [(record["path"], record["digit"], record.get("error")) for record in records] == [
        ("2.png", None, "the file is empty"),
        ("1.png", 1, None),
        ("gone.png", None, "cannot be read: No such file or directory"),
        ("empty", None, "the folder has no images"),
    ]
    assert result.stderr.count("digitcli: error: ") == 3


@pytest.mark.parametrize("compression", ["tiff_lzw", "tiff_deflate", "packbits", "jpeg", "zstd"])
def test_libtiff_prints_nothing(tmp_path: Path, compression: str) -> None:
    whole = encoded(Image.merge("RGB", [draw_digit(7)] * 3), "TIFF", compression=compression)
    broken = bytearray(whole)
    broken[8:300] = bytes(292)
    (tmp_path / "a.tif").write_bytes(broken)
    done = measured("predict", tmp_path / "a.tif")
    assert done.code in (0, 1, 2)
    assert all(line.startswith("digitcli: ") for line in done.errors.splitlines())


def test_mutated_images_are_refused_or_answered(capfd: pytest.CaptureFixture[str]) -> None:
    files = real_pictures()
    sources = (
        ImageSource(f"{name} {number}", mutated(data, list(files.values()), random.Random(number)))  # noqa: S311
        for name, data in files.items()
        for number in range(6)
    )
    refused = answered = 0
    for batch in prepare_all([sources], prepare):
        for _, result in batch:
            if isinstance(result, PictureError):
                assert len(str(result)) < 400
                refused += 1
            else:
                assert result.image.shape == (28, 28)
                answered += 1
    assert refused > 100 < answered + 60
    assert capfd.readouterr() == ("", "")


def test_the_images_are_readable_before_mutation() -> None:
    for name, data in real_pictures().items():
        grey = read_gray(data)
        assert grey.shape in ((96, 96), (64, 64), (32, 32)), name
        assert np.isfinite(grey).all()


def tiff(*tags: tuple[int, str, int], data: bytes) -> bytes:
    """Returns a TIFF of a directory with these numbers of the given type, and of its data."""
    at, length = 8 + len(data), 2 + 12 * len(tags) + 4
    entries, extra = b"", b""
    for number, kind, value in tags:
        raw = struct.pack(f"<{kind}", value)
        if len(raw) > 4:
            extra, raw = extra + raw, struct.pack("<I", at + length + len(extra))
        type_ = {"H": 3, "I": 4, "q": 17}[kind]
        entries += struct.pack("<HHI", number, type_, 1) + raw.ljust(4, b"\0")
    head = b"II*\0" + struct.pack("<I", at) + data + struct.pack("<H", len(tags))
    return head + entries + bytes(4) + extra


def tiled(*tile: tuple[int, str, int], samples: int = 1, compression: int = 5) -> bytes:
    """Returns a TIFF of 28x28 pixels with these tags of its tiles, and of another length."""
    data = b"\x80" * 1000
    size = [(256, "I", 28), (257, "I", 28), (258, "H", 8), (259, "H", compression)]
    color = [(262, "H", 1 if samples == 1 else 6), (277, "H", samples)]
    return tiff(*size, *color, *tile, (324, "I", 8), (325, "I", len(data)), data=data)


@pytest.mark.parametrize("side", [32_000, 46_000])
def test_a_tile_larger_than_its_image_costs_what_is_decoded(side: int) -> None:
    tags = (322, "I", side), (323, "I", side)
    assert "the 784 pixels of the image cost as much memory or time as" in problem(tiled(*tags))
    assert "the image is damaged" in problem(tiled(*tags), side * side)  # as the user allows
    color = problem(tiled(*tags, samples=3, compression=7))
    assert int(color.split()[-1]) > 6 * side * side / 4  # converted in a second buffer


@pytest.mark.parametrize(
    "more", [[], [(322, "I", 28), (323, "I", 28)]], ids=["alone", "with a second entry"]
)
def test_a_tile_whose_size_pillow_cannot_read(more: list[tuple[int, str, int]]) -> None:
    whole = tiled((322, "q", 32_000), (323, "q", 32_000), *more)
    assert problem(whole).startswith("the size of the image cannot be determined; ")


def test_a_strip_of_more_rows_than_the_image_is_cut_off() -> None:
    data = zlib.compress(bytes(784))
    size = [(256, "I", 28), (257, "I", 28), (258, "H", 8), (259, "H", 8), (262, "H", 1)]
    strip = [(273, "I", 8), (277, "H", 1), (278, "I", 2**31 - 1), (279, "I", len(data))]
    assert read_gray(tiff(*size, *strip, data=data)).shape == (28, 28)


@pytest.mark.parametrize("whole_file", [False, True])
def test_a_jpeg2000_of_tiles_of_one_pixel(whole_file: bool) -> None:
    data = bytearray(encoded(Image.new("L", (255, 257)), "JPEG2000", no_jp2=not whole_file))
    struct.pack_into(">2I", data, data.index(b"\xff\x51") + 22, 1, 1)
    assert "cost as much memory or time" in problem(bytes(data))


@pytest.mark.parametrize(("side", "layers"), [(1500, 1), (60, 65535)])
def test_a_jpeg2000_of_precincts_of_one_pixel(side: int, layers: int) -> None:
    image = Image.new("L", (side, side))
    data = bytearray(encoded(image, "JPEG2000", no_jp2=True, precinct_size=(128, 128)))
    assert read_gray(bytes(data)).shape
    at = data.index(b"\xff\x52") + 4
    struct.pack_into(">H", data, at + 2, layers)
    data[at + 10 : at + 11 + data[at + 5]] = b"\0" + b"\x11" * data[at + 5]
    assert "cost as much memory or time" in problem(bytes(data))


@pytest.mark.parametrize("depth", [8, 32])
def test_a_bitmap_in_an_icon_that_claims_to_be_large(depth: int) -> None:
    size = struct.pack("<IiiHHIIiiII", 40, 30_000, 60_000, 1, depth, 0, 0, 0, 0, 256, 0)
    entry = struct.pack("<HHHBBBBHHII", 0, 1, 1, 28, 28, 0, 0, 1, depth, 2**31, 22)
    assert "the image is too large for an icon" in problem(entry + size + bytes(2000))
    icon = encoded(draw_digit(7, size=96), "ICO", bitmap_format="bmp")
    assert read_gray(icon).shape == (64, 64)


@pytest.mark.parametrize("kind", ["P1", "P2", "P3"])
def test_an_image_in_text_with_many_comments(kind: str) -> None:
    numbers = " 1" * 3 * 784
    head = f"{kind}\n#a\n28 28\n" + "255\n" * (kind != "P1")
    assert "the image has 100,001 comments" in problem((head + "#a\n" * 100_000 + numbers).encode())
    assert read_gray((head + "#a\n" * 900 + numbers).encode()).shape == (28, 28)


def test_a_jpeg_of_many_small_profiles_is_refused() -> None:
    photo = encoded(draw_digit(7), "JPEG")
    for part in (b"\xff\xe1\0\x36Exif\0\0", b"\xff\xe2\0\x36ICC_PROFILE\0\1\1"):
        segment = part.ljust(56, b"a")
        assert "too many parts" in problem(photo[:2] + segment * 130_000 + photo[2:])
        assert read_gray(photo[:2] + segment * 500 + photo[2:]).shape
