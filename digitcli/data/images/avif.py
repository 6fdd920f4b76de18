"""The pixels that an AVIF file makes libavif decode, which may exceed the size that it claims.

libavif takes the size of an image from a property (``ispe``), decodes what the AV1 stream holds,
whatever its size, and then scales the result to the claimed size. So the streams are found as
libavif finds them, and their own headers are read.

Numbers in comments are sections of ISO/IEC 14496-12:2022 (boxes), ISO/IEC 23008-12:2022 (HEIF) and
the AV1 Bitstream & Decoding Process Specification, version 1.0.0 with Errata 1.
"""

import struct
from collections.abc import Iterator
from typing import NamedTuple

from digitcli.core.errors import PictureError

_MAX_PARTS = 100_000
"""Maximum number of boxes, extents and AV1 units that are looked at: more keep a reader busy."""

_MAX_SEQUENCE_HEADER = 1024
"""Bytes of a sequence header that are read; the longest valid one has 500."""

_SEQUENCE_HEADER, _FRAME_HEADER, _FRAME, _REDUNDANT_FRAME_HEADER = 1, 3, 6, 7
"""Types of AV1 units (AV1, 6.2.2)."""

_MAX_FRAME_HEADER_START = 32
"""Bytes of a frame header that are read: more than the longest start of one, up to its size."""

_KEY_FRAME, _SWITCH_FRAME = 0, 3
"""Types of frames (AV1, 6.8.2)."""

_SELECT = 2
"""Value of a choice that each frame makes for itself (AV1, 3)."""

_FRAME_SHARE = 4
"""Parts of the memory of an image, of which each frame after the first takes one: a decoder keeps
up to eight frames that later ones refer to."""


def decoded_pixels(data: bytes) -> int:
    """Returns the number of pixels that libavif decodes at most for the first image of a file.

    Frames after the first in a stream count as a fraction of their pixels. The parts of a grid are
    added up, other images of the file are not: only one is decoded, with its alpha channel.

    Raises:
        PictureError: The file has too many parts.
        ValueError: The file is damaged.
    """
    return _Container(data).decoded_pixels()


class _Container:
    """The boxes of a file."""

    def __init__(self, data: bytes) -> None:
        self._data = memoryview(data)
        self._parts_left = _MAX_PARTS
        self._copies_left = len(data)  # bytes of streams that are joined from several extents

    def decoded_pixels(self) -> int:
        most = max((self._stream_pixels(sample) for sample in self._first_samples()), default=0)
        for meta in self._boxes(self._data, b"meta"):
            children = meta[4:]
            streams = self._av1_items(children)
            pixels = {
                item: self._stream_pixels(stream)
                for item, stream in self._item_content(children)
                if item in streams
            }
            grids = (sum(pixels.get(item, 0) for item in grid) for grid in self._grids(children))
            most = max([most, *pixels.values(), *grids])
        return most

    def _count_part(self) -> None:
        self._parts_left -= 1
        if self._parts_left < 0:
            raise PictureError("the image has too many parts", "save it again, or use another")

    def _boxes(self, data: memoryview, *path: bytes) -> Iterator[memoryview]:
        """Yields the content of the boxes of the types of a path (14496-12, 4.2.2)."""
        for kind, content in self._children(data):
            if kind == path[0]:
                yield from self._boxes(content, *path[1:]) if path[1:] else [content]

    def _children(self, data: memoryview) -> Iterator[tuple[bytes, memoryview]]:
        at = 0
        while at + 8 <= len(data):
            self._count_part()
            size, kind = struct.unpack_from(">I4s", data, at)
            start, end = at + 8, at + size
            if size == 1:  # a size of 64 bits follows
                start, end = at + 16, at + _Fields(data[at + 8 : at + 16]).take(64)
            elif size == 0:  # up to the end of the file
                end = len(data)
            if end < start:
                raise ValueError("a box is shorter than its header")
            yield kind, data[start:end]
            at = end

    def _first_samples(self) -> Iterator[memoryview]:
        """Yields the first sample of each AV1 track: one image of an animation is decoded."""
        for table in self._boxes(self._data, b"moov", b"trak", b"mdia", b"minf", b"stbl"):
            found = dict(self._children(table))
            formats = [kind for kind, _ in self._children(found.get(b"stsd", table[:0])[8:])]
            is_long = b"co64" in found
            if b"av01" not in formats or b"stsz" not in found or not (is_long or b"stco" in found):
                continue
            sizes, offsets = (
                _Fields(found[b"stsz"]),
                _Fields(found[b"co64" if is_long else b"stco"]),
            )
            sizes.take(32)  # 8.7.3.2: version and flags, size of all samples or 0, count, sizes
            size, count = sizes.take(32), sizes.take(32)
            offsets.take(32)  # 8.7.5.2: version and flags, count, offsets of chunks
            if count and offsets.take(32):
                start = offsets.take(64 if is_long else 32)
                yield self._data[start : start + (size or sizes.take(32))]

    def _av1_items(self, meta: memoryview) -> set[int]:
        """Returns the numbers of the items that are AV1 streams (14496-12, 8.11.6)."""
        found = set()
        for info in self._boxes(meta, b"iinf"):
            for entry in self._boxes(info[6 if bytes(info[:1]) == b"\0" else 8 :], b"infe"):
                fields = _Fields(entry)
                version, _ = fields.take(8), fields.take(24)
                number, _ = fields.take(32 if version > 2 else 16), fields.take(16)
                if version > 1 and fields.take(32) == int.from_bytes(b"av01"):
                    found.add(number)
        return found

    def _item_content(self, meta: memoryview) -> Iterator[tuple[int, memoryview]]:
        """Yields the items by number (14496-12, 8.11.3)."""
        inner = next(self._boxes(meta, b"idat"), memoryview(b""))
        for location in self._boxes(meta, b"iloc"):
            fields = _Fields(location)
            version, _ = fields.take(8), fields.take(24)
            offset, length, base, index = (8 * fields.take(4) for _ in range(4))
            for _ in range(fields.take(32 if version > 1 else 16)):
                self._count_part()
                number = fields.take(32 if version > 1 else 16)
                method = fields.take(16) & 15 if version else 0
                fields.take(16)  # reference to another file, which libavif does not read
                first = fields.take(base)
                extents = []
                for _ in range(fields.take(16)):
                    self._count_part()
                    fields.take(index if version else 0)
                    start = first + fields.take(offset)
                    whole = inner if method == 1 else self._data
                    size = fields.take(length)
                    extents.append(whole[start : start + size] if size else whole[start:])
                yield number, self._joined(extents)

    def _joined(self, extents: list[memoryview]) -> memoryview:
        if len(extents) == 1:
            return extents[0]
        self._copies_left -= sum(map(len, extents))
        if self._copies_left < 0:
            raise PictureError("parts of the image overlap", "save it again, or use another")
        return memoryview(b"".join(extents))

    def _grids(self, meta: memoryview) -> Iterator[list[int]]:
        """Yields the items that each derived image consists of (23008-12, 6.6.2.3)."""
        for references in self._boxes(meta, b"iref"):  # 14496-12, 8.11.12
            width = 16 if bytes(references[:1]) == b"\0" else 32
            for reference in self._boxes(references[4:], b"dimg"):
                fields = _Fields(reference)
                fields.take(width)
                yield [self._counted(fields.take(width)) for _ in range(fields.take(16))]

    def _counted(self, value: int) -> int:
        self._count_part()
        return value

    def _stream_pixels(self, stream: memoryview) -> int:
        """Returns the pixels of the frames of a stream.

        Frames have the size of the sequence header unless they have one of their own, of as many
        bits. Of several sequence headers a decoder may take another one than is read here.
        """
        headers: set[bytes] = set()
        sequence: _SequenceHeader | None = None
        most = maximum = frames = 0
        has_own_size = False
        for kind, unit in self._units(stream):
            if kind == _SEQUENCE_HEADER:
                start = unit[:_MAX_SEQUENCE_HEADER]
                headers.add(bytes(start))
                sequence = _read_sequence_header(_Fields(start))
                most = max(most, sequence.width * sequence.height)
                maximum = max(maximum, sequence.max_frame_pixels)
            elif kind in (_FRAME_HEADER, _FRAME, _REDUNDANT_FRAME_HEADER):
                frames += kind != _REDUNDANT_FRAME_HEADER
                if sequence is None:  # libavif's decoder would use that of another stream
                    raise ValueError("a frame comes before its sequence header")
                fields = _Fields(unit[:_MAX_FRAME_HEADER_START])
                has_own_size = has_own_size or _has_own_size(fields, sequence)
        if has_own_size or len(headers) > 1:
            most = maximum
        return most * (_FRAME_SHARE - 1 + max(1, frames)) // _FRAME_SHARE

    def _units(self, stream: memoryview) -> Iterator[tuple[int, memoryview]]:
        """Yields the types and contents of open bitstream units (AV1, 5.3)."""
        at = 0
        while at < len(stream):
            self._count_part()
            header = stream[at]
            at += 2 if header & 4 else 1  # with an extension
            size = len(stream) - at
            if header & 2:  # the size follows, 7 bits a byte (AV1, 4.10.5)
                size = 0
                for shift in range(0, 56, 7):
                    byte = stream[at] if at < len(stream) else 0
                    at += 1
                    size |= (byte & 127) << shift
                    if byte < 128:
                        break
            yield header >> 3 & 15, stream[at : at + size]
            at += size


class _SequenceHeader(NamedTuple):
    """What the start of a sequence header tells (AV1, 5.5.1)."""

    is_reduced: bool  # of a still image, whose frame has no size of its own
    max_frame_pixels: int  # of a frame that has a size of its own
    width: int
    height: int
    time_bits: int  # of the presentation time in a frame header
    id_bits: int  # of the number in a frame header
    screen_content: int  # 0, 1 or _SELECT
    integer_motion: int  # 0, 1 or _SELECT


def _read_sequence_header(header: "_Fields") -> _SequenceHeader:
    """Reads a sequence header up to what is needed to find the size of a frame (AV1, 5.5.1)."""
    header.take(4)  # profile, still picture
    is_reduced = bool(header.take(1))
    time_bits = 0
    if is_reduced:
        header.take(5)  # level
    else:
        time_bits = _skip_operating_points(header)
    width_bits, height_bits = header.take(4) + 1, header.take(4) + 1
    width, height = header.take(width_bits) + 1, header.take(height_bits) + 1
    if is_reduced:
        return _SequenceHeader(True, width * height, width, height, 0, 0, _SELECT, _SELECT)
    id_bits = 0
    if header.take(1):  # frames have numbers
        id_bits = header.take(4) + 2
        id_bits += header.take(3) + 1
    header.take(3 + 4)  # superblocks and filters; compound prediction, motion, filters
    if header.take(1):  # order hints
        header.take(2)
    screen_content = _SELECT if header.take(1) else header.take(1)
    integer_motion = _SELECT
    if screen_content and not header.take(1):
        integer_motion = header.take(1)
    own = 1 << width_bits + height_bits  # AV1, 5.9.5
    return _SequenceHeader(
        False, own, width, height, time_bits, id_bits, screen_content, integer_motion
    )


def _has_own_size(header: "_Fields", sequence: _SequenceHeader) -> bool:
    """Returns True if a frame has a size of its own (AV1, 5.9.2: ``frame_size_override_flag``)."""
    if sequence.is_reduced or header.take(1):  # or an earlier frame is shown
        return False
    kind = header.take(2)
    is_shown = header.take(1)
    if is_shown:
        header.take(sequence.time_bits)
    else:
        header.take(1)  # whether it can be shown later
    if kind != _SWITCH_FRAME and not (kind == _KEY_FRAME and is_shown):
        header.take(1)  # resilience to errors
    header.take(1)  # adaptation of probabilities
    screen_content = sequence.screen_content
    if screen_content == _SELECT:
        screen_content = header.take(1)
    if screen_content and sequence.integer_motion == _SELECT:
        header.take(1)
    header.take(sequence.id_bits)
    return kind == _SWITCH_FRAME or bool(header.take(1))


def _skip_operating_points(header: "_Fields") -> int:
    """Skips the operating points; returns the number of bits of a frame's presentation time."""
    delay_bits = time_bits = 0
    is_even = 0
    if header.take(1):  # timing
        header.take(64)
        is_even = header.take(1)
        if is_even:  # equal intervals, of a length in unary (AV1, 4.10.3)
            zeros = 0
            while not header.take(1):
                zeros += 1
            header.take(zeros if zeros < 32 else 0)
        if header.take(1):  # a model of the decoder
            delay_bits = header.take(5) + 1
            header.take(32 + 5)
            time_bits = header.take(5) + 1
    has_delays = header.take(1)
    for _ in range(header.take(5) + 1):
        header.take(12)
        if header.take(5) > 7:  # levels that have a tier
            header.take(1)
        if delay_bits and header.take(1):
            header.take(2 * delay_bits + 1)
        if has_delays and header.take(1):
            header.take(4)
    return 0 if is_even else time_bits


class _Fields:
    """Unsigned integers of any number of bits, one after the other."""

    def __init__(self, data: memoryview) -> None:
        self._data, self._at = data, 0

    def take(self, bits: int) -> int:
        """Returns the next integer; raises a ``ValueError`` at the end."""
        start, self._at = self._at, self._at + bits
        end = -(-self._at // 8)
        if end > len(self._data):
            raise ValueError("a box or header is cut off")
        value = int.from_bytes(self._data[start // 8 : end])
        return value >> 8 * end - self._at & (1 << bits) - 1
