"""Valid files in every format that digitcli reads, and ways to break them."""

import copy
import io
import json
import random
import struct
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
from drawn_digits import draw_digit
from PIL import Image

_NUMBERS = (0, 1, 2, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 2**31 - 1, 2**31, 2**32 - 1)
_PNG = b"\x89PNG\r\n\x1a\n"


def real_pictures() -> dict[str, bytes]:
    """Returns small images of a digit in every format, mode and compression."""
    digit = draw_digit(7, size=96)
    color = Image.merge("RGB", [draw_digit(d, size=96) for d in (7, 7, 1)])
    clear = color.convert("RGBA")
    clear.putalpha(draw_digit(7, size=96, ink=255, paper=0))
    deep = Image.fromarray(np.asarray(digit).astype(np.uint16) * 257)
    exif = Image.Exif()
    exif[0x0112] = 6
    exif[0x010E] = "a digit"
    frames = {"save_all": True, "append_images": [draw_digit(d, size=96) for d in (1, 2)]}
    pictures: dict[str, bytes] = {}

    def add(name: str, image: Image.Image, format_: str, **options: Any) -> None:
        buffer = io.BytesIO()
        image.save(buffer, format_, **options)
        pictures[name] = buffer.getvalue()

    for image in (digit, color, clear, deep, digit.convert("1"), color.convert("P"),
                  clear.convert("LA")):  # fmt: skip
        add(f"{image.mode}.png", image, "PNG")
    add("texts.png", digit, "PNG", exif=exif, icc_profile=b"profile" * 40, dpi=(300, 300))
    add("animated.png", digit, "PNG", **frames)
    add("plain.jpg", digit, "JPEG")
    add("progressive.jpg", color, "JPEG", progressive=True, subsampling=0, exif=exif)
    add("cmyk.jpg", color.convert("CMYK"), "JPEG", icc_profile=b"profile" * 40)
    add("restarts.jpg", color, "JPEG", restart_marker_rows=1)
    add("several.jpg", color, "MPO", save_all=True, append_images=[color])
    add("plain.gif", digit, "GIF")
    add("animated.gif", color.convert("P"), "GIF", transparency=3, comment="a digit", **frames)
    for image in (digit, color, clear, digit.convert("1"), color.convert("P")):
        add(f"{image.mode}.bmp", image, "BMP")
    for image in (digit, color, digit.convert("1"), deep.convert("I"), digit.convert("F")):
        add(f"{image.mode}.ppm", image, "PPM")
    pixels = np.asarray(digit)
    values = b" ".join(b"%d" % value for value in pixels.ravel())
    pictures["text.pgm"] = b"P2\n# a digit\n96 96 255\n" + values
    pictures["shallow.pgm"] = b"P5 96 96 100\n" + (pixels // 3).tobytes()
    pictures["runs.bmp"] = _runs()
    add("lossy.webp", color, "WEBP", exif=exif)
    add("lossless.webp", clear, "WEBP", lossless=True)
    add("animated.webp", color, "WEBP", **frames)
    for compression in ("raw", "tiff_lzw", "tiff_deflate", "packbits", "jpeg", "zstd"):
        add(f"{compression}.tif", color, "TIFF", compression=compression)
    for compression in ("group3", "group4", "tiff_ccitt"):
        add(f"{compression}.tif", digit.convert("1"), "TIFF", compression=compression)
    for image in (clear, deep, digit.convert("F"), color.convert("CMYK"), color.convert("LAB")):
        add(f"{image.mode}.tif", image, "TIFF", compression="tiff_deflate")
    add("turned.tif", color, "TIFF", exif=exif)
    add("big.tif", digit, "TIFF", big_tiff=True)
    add("plain.avif", color, "AVIF", exif=exif)
    add("clear.avif", clear, "AVIF")
    add("png.ico", clear, "ICO", sizes=[(16, 16), (64, 64)])
    add("bmp.ico", clear, "ICO", sizes=[(32, 32)], bitmap_format="bmp")
    add("plain.jp2", color, "JPEG2000")
    add("tiles.j2k", clear, "JPEG2000", tile_size=(32, 32), no_jp2=True, irreversible=True)
    add("deep.jp2", deep, "JPEG2000")
    return pictures


def _runs() -> bytes:
    """Returns a run-length encoded BMP, which Pillow reads but does not write."""
    rows = b"".join(b"\x20\0\x20\1\x20\0\0\0" for _ in range(96)) + b"\0\1"
    palette = b"\xff\xff\xff\0" + bytes(4 * 255)
    sizes = struct.pack("<IiiHHIIiiII", 40, 96, 96, 1, 8, 1, len(rows), 0, 0, 256, 256)
    start = 14 + len(sizes) + len(palette)
    head = b"BM" + struct.pack("<IHHI", start + len(rows), 0, 0, start)
    return head + sizes + palette + rows


def mutated(data: bytes, others: list[bytes], chance: random.Random, head: int = 600) -> bytes:
    """Breaks a file in 1 to 4 ways, half of them within its first ``head`` bytes."""
    for _ in range(chance.choice((1, 1, 1, 2, 4))):
        data = chance.choice(_WAYS)(data, others, chance, head)
    if data.startswith(_PNG) and chance.random() < 0.6:
        data = _with_true_checksums(data)
    return data


def _place(data: bytes | bytearray, chance: random.Random, head: int) -> int:
    return chance.randrange(min(len(data), head) if chance.random() < 0.5 else len(data))


def _flip(data: bytes, _: list[bytes], chance: random.Random, head: int) -> bytes:
    broken = bytearray(data or b"\0")
    for _bit in range(chance.choice((1, 1, 2, 8, 64))):
        broken[_place(broken, chance, head)] ^= 1 << chance.randrange(8)
    return bytes(broken)


def _number(data: bytes, _: list[bytes], chance: random.Random, head: int) -> bytes:
    """Overwrites bytes that may be a length, an offset or a size."""
    size = chance.choice((1, 2, 4, 4, 8))
    number: int = chance.choice((*_NUMBERS, chance.getrandbits(8 * size), len(data), 10_000))
    written: bytes = (number % 256**size).to_bytes(size, chance.choice(("little", "big")))
    at = _place(data or b"\0", chance, head)
    return data[:at] + written + data[at + size :]


def _cut(data: bytes, _: list[bytes], chance: random.Random, head: int) -> bytes:
    return data[: _place(data or b"\0", chance, head)]


def _leave_out(data: bytes, _: list[bytes], chance: random.Random, head: int) -> bytes:
    at = _place(data or b"\0", chance, head)
    return data[:at] + data[at + chance.choice((1, 2, 4, 16, 256)) :]


def _repeat(data: bytes, _: list[bytes], chance: random.Random, head: int) -> bytes:
    at = _place(data or b"\0", chance, head)
    piece = data[at : at + chance.choice((1, 4, 16, 128, 1024))]
    return data[:at] + piece * chance.choice((2, 3, 10, 300)) + data[at:]


def _insert(data: bytes, _: list[bytes], chance: random.Random, head: int) -> bytes:
    at = _place(data or b"\0", chance, head)
    return data[:at] + chance.randbytes(chance.choice((1, 2, 8, 100))) + data[at:]


def _splice(data: bytes, others: list[bytes], chance: random.Random, head: int) -> bytes:
    """Continues with the bytes of another file, from the same position or another."""
    other = chance.choice(others)
    at = _place(data or b"\0", chance, head)
    return data[:at] + other[at if chance.random() < 0.5 else _place(other, chance, head) :]


_WAYS: tuple[Callable[[bytes, list[bytes], random.Random, int], bytes], ...] = (
    _flip, _flip, _number, _number, _number, _cut, _leave_out, _repeat, _insert, _splice,
)  # fmt: skip


def _with_true_checksums(data: bytes) -> bytes:
    """Repairs the checksums of a PNG, so that the errors in its chunks are reached."""
    parts, at = [_PNG], len(_PNG)
    while at + 12 <= len(data):
        length = int.from_bytes(data[at : at + 4], "big")
        part = data[at + 4 : at + 8 + length]
        parts += [data[at : at + 4], part, zlib.crc32(part).to_bytes(4, "big")]
        at += 12 + length
    return b"".join([*parts, data[at:]])


def mutated_checkpoint(data: bytes, others: list[bytes], chance: random.Random) -> bytes:
    """Breaks a checkpoint: its bytes, its weights, its header or its metadata."""
    length = int.from_bytes(data[:8], "little")
    way = chance.random()
    if way < 0.25:
        return mutated(data, others, chance, head=8 + length)
    if way < 0.35:
        return _with_strange_weights(data, 8 + length, chance)
    header = json.loads(data[8 : 8 + length])
    document = json.loads(header["__metadata__"]["digitcli"])
    for _ in range(chance.choice((1, 1, 2, 5))):
        _change(document if way < 0.75 else header, chance)
    if way < 0.75:
        header["__metadata__"]["digitcli"] = json.dumps(document)
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data[8 + length :]


def _with_strange_weights(data: bytes, start: int, chance: random.Random) -> bytes:
    broken = bytearray(data)
    for _ in range(chance.choice((1, 10, 1000))):
        at = start + 4 * chance.randrange((len(data) - start) // 4)
        number = chance.choice((float("nan"), float("inf"), -3e38, 3e38, 1e-45, 1e10, 1.0))
        broken[at : at + 4] = struct.pack("<f", number)
    return bytes(broken)


def _change(value: Any, chance: random.Random) -> None:
    """Changes, adds or removes a value at a random place of a JSON value."""
    while True:
        keys = list(value) if isinstance(value, dict) else list(range(len(value)))
        if not keys:
            return
        key = chance.choice(keys)
        if not isinstance(value[key], dict | list) or chance.random() < 0.3:
            break
        value = value[key]
    way = chance.random()
    if way < 0.15:
        del value[key]
    elif way < 0.3 and isinstance(value, dict):
        value[chance.choice(("", "extra", "l9.weight", "\x1b[31m", "a\n"))] = value[key]
    elif way < 0.4 and isinstance(value, list):
        value *= chance.choice((2, 100))
    else:
        value[key] = copy.deepcopy(chance.choice(_STRANGE))


_DEEP: list[Any] = []
for _ in range(200):
    _DEEP = [_DEEP]

_STRANGE: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 2**31, 2**63, 2**64, -(2**64), 10**400, 0.0, -0.0, 1e308, -1e-320,
    float("nan"), float("inf"), "", "0", "\0", "\ud800", "\x1b[2J\x1b[31m", "[bold red]x[/]",
    "a\tb\nc\rd", "\u202eabc", "\u200b", "x" * 100_000, [], {}, [[]], _DEEP, [0] * 1000,
    ["a"] * 1000, [f"class {i}" for i in range(1000)], [str(i) for i in range(50)], {"a": {}},
    [784, 512, 256, 128, 64, 1000], [0, 4], [0, -4], [4, 0], [0, 2**63], "F64", "F4", "BF16", "X",
)  # fmt: skip
