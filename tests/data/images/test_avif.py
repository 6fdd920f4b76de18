"""What an AVIF file makes libavif decode, whatever size it claims."""

import contextlib
import functools
import io
import struct
from collections.abc import Sequence
from pathlib import Path

import pytest
from drawn_digits import draw_digit
from hypothesis import example, given
from hypothesis import strategies as st
from measured import measured
from PIL import Image

from digitcli.core.errors import PictureError
from digitcli.data.images.avif import decoded_pixels
from digitcli.data.images.grayscale import read_gray

pytestmark = pytest.mark.usefixtures("checkpoint")


def encoded(image: Image.Image, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "AVIF", **options)
    return buffer.getvalue()


@functools.cache
def large() -> bytes:
    return encoded(Image.new("RGB", (6000, 6000), "gray"), speed=10, subsampling="4:4:4")


def claiming(data: bytes, width: int, height: int) -> bytes:
    """Returns a file whose images claim another size."""
    size = data[data.index(b"ispe") : data.index(b"ispe") + 16]
    return data.replace(size, size[:8] + struct.pack(">2I", width, height))


def box(kind: bytes, *parts: bytes) -> bytes:
    content = b"".join(parts)
    return struct.pack(">I4s", 8 + len(content), kind) + content


def full_box(kind: bytes, *parts: bytes, version: int = 0) -> bytes:
    return box(kind, bytes([version, 0, 0, 0]), *parts)


@functools.cache
def settings_of_streams() -> bytes:
    data = encoded(Image.new("L", (28, 28)))
    at = data.index(b"av1C") - 4
    return data[at : at + struct.unpack_from(">I", data, at)[0]]


def stream_of(image: Image.Image) -> bytes:
    data = encoded(image)
    return data[data.index(b"mdat") + 4 :]


def container(
    streams: Sequence[bytes], columns: int, size: tuple[int, int], *, extents: int = 1
) -> bytes:
    """Returns an AVIF file of a grid, its parts in a box of the file's header, cut into extents."""
    numbers = range(2, 2 + len(streams))
    kinds = [(1, b"grid"), *((number, b"av01") for number in numbers)]
    rows = len(streams) // columns
    area = struct.pack(">2H", size[0] * columns, size[1] * rows)
    contents = [bytes([0, 0, rows - 1, columns - 1]) + area, *streams]
    location, start = b"", 0
    for (number, _), content in zip(kinds, contents, strict=True):
        parts = [content] if number == 1 else [content[i::extents] for i in range(extents)]
        if extents > 1 and number > 1:  # consecutive
            step = -(-len(content) // extents)
            parts = [content[at : at + step] for at in range(0, len(content), step)]
        location += struct.pack(">4H", number, 1, 0, len(parts))
        for part in parts:
            location += struct.pack(">2I", start, len(part))
            start += len(part)
    properties = box(
        b"ipco",
        full_box(b"ispe", struct.pack(">2I", size[0] * columns, size[1] * rows)),
        full_box(b"ispe", struct.pack(">2I", *size)),
        full_box(b"pixi", bytes([1, 8])),
        settings_of_streams(),
    )
    linked = struct.pack(">IHBBB", len(kinds), 1, 2, 1, 3)
    linked += b"".join(struct.pack(">HBBBB", number, 3, 2, 3, 0x84) for number in numbers)
    parts_of_grid = b"".join(struct.pack(">H", number) for number in numbers)
    handler = full_box(b"hdlr", bytes(4), b"pict", bytes(13))
    return box(b"ftyp", b"avif", bytes(4), b"avifmif1miaf") + full_box(
        b"meta",
        handler,
        full_box(b"pitm", struct.pack(">H", 1)),
        full_box(b"iloc", bytes([0x44, 0]), struct.pack(">H", len(kinds)), location, version=1),
        full_box(
            b"iinf",
            struct.pack(">H", len(kinds)),
            *(full_box(b"infe", struct.pack(">HH4sB", n, 0, k, 0), version=2) for n, k in kinds),
        ),
        full_box(b"iref", box(b"dimg", struct.pack(">2H", 1, len(streams)), parts_of_grid)),
        box(b"iprp", properties, full_box(b"ipma", linked)),
        box(b"idat", b"".join(contents)),
    )  # fmt: skip


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA"])
@pytest.mark.parametrize("subsampling", ["4:4:4", "4:2:0"])
def test_a_valid_image_costs_its_own_pixels(mode: str, subsampling: str) -> None:
    image = Image.new(mode, (300, 201), 1)
    assert decoded_pixels(encoded(image, subsampling=subsampling)) == 300 * 201


def test_of_an_animation_one_image_is_decoded() -> None:
    others = [draw_digit(digit, size=100) for digit in range(5)]
    data = encoded(draw_digit(7, size=100), save_all=True, append_images=others)
    assert decoded_pixels(data) == 100 * 100


def test_a_small_claim_does_not_hide_a_large_image(tmp_path: Path) -> None:
    path = tmp_path / "a.avif"
    path.write_bytes(claiming(large(), 28, 28))
    assert path.stat().st_size < 10_000
    assert decoded_pixels(path.read_bytes()) == 36_000_000
    refused = measured("predict", path)
    assert refused.code == 2
    assert "the 784 pixels of the image cost as much memory or time as 215,738," in refused.errors
    allowed = measured("predict", path, "--max-pixels", refused.errors.split()[-1])
    assert "the image is blank" in allowed.errors
    assert refused.megabytes + 100 < allowed.megabytes


@pytest.mark.parametrize("extents", [1, 3])
def test_the_parts_of_a_grid_are_added_up(extents: int) -> None:
    shown = [draw_digit(digit, size=100) for digit in range(6)]
    data = container([*map(stream_of, shown)], 3, (100, 100), extents=extents)
    image = Image.open(io.BytesIO(data))
    assert image.size == (300, 200)
    image.load()
    assert decoded_pixels(data) == 300 * 200
    assert read_gray(data).shape == (200, 300)


def test_a_grid_of_parts_that_claim_to_be_small() -> None:
    streams = [stream_of(Image.new("L", (1500, 1500)))] * 9
    data = container(streams, 3, (100, 100))
    assert decoded_pixels(data) == 9 * 1500 * 1500
    with pytest.raises(PictureError, match="the 90,000 pixels of the image cost as much"):
        read_gray(data)


def test_frames_that_are_kept_count() -> None:
    stream = stream_of(Image.new("L", (100, 100)))
    frame = stream[stream.index(b"\x32") :]
    whole = container([stream + frame * 8], 1, (100, 100))
    assert decoded_pixels(whole) == 100 * 100 * 3


@pytest.mark.parametrize(
    "data",
    [
        box(b"free") * 200_000,
        full_box(b"meta", full_box(b"iloc", b"\0\0\0\2", b"\0\1\0\1\0\0\xff\xff" * 2, version=1)),
        container([b"\x12\0" * 200_000], 1, (28, 28)),
        full_box(b"meta", full_box(b"iref", *[box(b"dimg", bytes(2), b"\xff\xff" * 65_537)] * 2)),
    ],
    ids=["boxes", "extents", "units", "references"],
)
def test_a_file_of_endless_parts_is_refused(data: bytes) -> None:
    with pytest.raises(PictureError, match="too many parts"):
        decoded_pixels(data)


def test_extents_that_overlap_are_not_copied_without_end() -> None:
    extents = struct.pack(">2H", 1, 0) + struct.pack(">H", 1000) + struct.pack(">2I", 0, 0) * 1000
    data = full_box(b"meta", full_box(b"iloc", b"\x44\0\0\1", extents)) + bytes(1_000_000)
    with pytest.raises(PictureError, match="overlap"):
        decoded_pixels(data)


class Bits:
    """Writes a sequence header."""

    def __init__(self) -> None:
        self.text = ""

    def add(self, value: int, count: int) -> int:
        assert value < 2**count
        self.text += f"{value:0{count}b}" if count else ""
        return value

    @property
    def content(self) -> bytes:
        size = -(-len(self.text) // 8)
        return int("0" + self.text.ljust(size * 8, "1"), 2).to_bytes(size)


@given(st.data())
def test_headers_of_every_form(data: st.DataObject) -> None:  # noqa: PLR0912
    bits = Bits()

    def flag() -> int:
        return bits.add(data.draw(st.integers(0, 1)), 1)

    def field(count: int) -> int:
        return bits.add(data.draw(st.integers(0, 2**count - 1)), count)

    field(3), flag()  # profile, still picture
    time_bits = is_even = 0
    if reduced := flag():
        field(5)
    else:
        delay_bits = 0
        if flag():
            field(32), field(32)
            if is_even := flag():
                zeros = data.draw(st.integers(0, 31))
                bits.add(1, zeros + 1)
                field(zeros) if zeros else None
            if flag():
                delay_bits = field(5) + 1
                field(32), field(5)
                time_bits = field(5) + 1
        has_delays = flag()
        for _ in range(field(5) + 1):
            field(12)
            if field(5) > 7:
                flag()
            if delay_bits and flag():
                field(delay_bits), field(delay_bits), flag()
            if has_delays and flag():
                field(4)
    across, down = field(4) + 1, field(4) + 1
    width, height = field(across) + 1, field(down) + 1
    id_bits, screen_content, integer_motion = 0, 2, 2
    if not reduced:
        if flag():
            id_bits = field(4) + 2
            id_bits += field(3) + 1
        field(7)
        if flag():  # order hints
            field(2)
        screen_content = 2 if flag() else flag()
        if screen_content:
            integer_motion = 2 if flag() else flag()
    headers, own_size = unit(10, bits.content), False
    for _ in range(data.draw(st.integers(0, 2))):
        bits = Bits()
        # an earlier frame is not shown again
        if not reduced and not flag():
            kind, is_shown = field(2), flag()
            field(0 if is_even else time_bits) if is_shown else flag()
            flag() if kind != 3 and (kind != 0 or not is_shown) else None  # resilience to errors
            flag()
            uses_screen = flag() if screen_content == 2 else screen_content
            flag() if uses_screen and integer_motion == 2 else None
            field(id_bits)
            own_size |= kind == 3 or bool(flag())
        headers += unit(data.draw(st.sampled_from([26, 50, 58])), bits.content + b"\xff")
    pixels = 2**across * 2**down if own_size else width * height
    found = decoded_pixels(container([b"\x12\0" + headers], 1, (28, 28)))
    frames = sum(kind in (26, 50) for kind in headers_of(headers))
    assert found == pixels * (3 + max(1, frames)) // 4


def unit(header: int, content: bytes) -> bytes:
    return bytes([header, len(content) % 128 | 128, len(content) // 128]) + content


def headers_of(units: bytes) -> list[int]:
    kinds, at = [], 0
    while at < len(units):
        kinds.append(units[at])
        at += 3 + units[at + 1] % 128 + 128 * units[at + 2]
    return kinds


def test_frames_of_a_size_of_their_own_and_several_headers_count_as_the_largest_frame() -> None:
    def headers(*heights: int, own_size: int) -> bytes:
        units = b"\x12\0"
        for height in heights:
            bits = Bits()
            for value, count in ((0, 3 + 1 + 1), (0, 1), (0, 1), (0, 5), (0, 12), (0, 5)):
                bits.add(value, count)
            for value, count in ((9, 4), (9, 4), (99, 10), (height - 1, 10)):
                bits.add(value, count)
            bits.add(0, 1 + 3 + 4 + 1)
            bits.add(0, 2)  # no screen content
            units += unit(10, bits.content)
        bits = Bits()
        bits.add(0b0001, 4)  # a key frame that is shown
        bits.add(0, 1)
        bits.add(own_size, 1)
        return units + unit(50, bits.content)

    def pixels(stream: bytes) -> int:
        return decoded_pixels(container([stream], 1, (28, 28)))

    assert pixels(headers(50, own_size=0)) == pixels(headers(50, 50, own_size=0)) == 100 * 50
    assert pixels(headers(50, own_size=1)) == pixels(headers(50, 51, own_size=0)) == 1024 * 1024
    with pytest.raises(ValueError, match="before its sequence header"):
        pixels(unit(50, b"\x10"))


@pytest.mark.parametrize("count", [1, 3])
def test_twelve_megapixels_with_a_full_header_are_within_the_default_limit(count: int) -> None:
    photo = Image.new("L", (4032, 3024), 200)
    others = [photo] * (count - 1)
    data = encoded(photo, speed=10, save_all=True, append_images=others)
    assert decoded_pixels(data) == 4032 * 3024
    assert read_gray(data).size


SMALL = container([stream_of(Image.new("L", (28, 28)))] * 2, 2, (28, 28), extents=2)
MOVING = encoded(
    Image.new("L", (28, 28)), save_all=True, append_images=[Image.new("L", (28, 28), 9)]
)


@given(st.sampled_from([SMALL, MOVING]), st.data())
def test_damaged_files_end_in_a_number_or_an_expected_error(
    whole: bytes, data: st.DataObject
) -> None:
    broken = bytearray(whole)
    for _ in range(data.draw(st.integers(1, 6))):
        at = data.draw(st.integers(0, len(broken) - 1))
        broken[at] = data.draw(st.integers(0, 255))
    del broken[data.draw(st.integers(len(broken) // 2, len(broken))) :]
    with contextlib.suppress(PictureError, ValueError):
        assert decoded_pixels(bytes(broken)) >= 0


@given(st.binary(max_size=200))
@example(box(b"meta", b"\0"))
@example(full_box(b"meta", box(b"iref"), box(b"iloc"), box(b"iinf")))
def test_bytes_that_are_no_file(data: bytes) -> None:
    try:
        assert decoded_pixels(data) >= 0
    except ValueError as error:
        assert "cut off" in str(error) or "shorter" in str(error)
