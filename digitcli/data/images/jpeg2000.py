"""The memory that OpenJPEG takes for the parts of a JPEG 2000 image, before it decodes a pixel.

Each tile has a copy of the header, and each precinct its tables: 150 bytes of file can ask for
tiles or precincts of one pixel. Markers are searched in the whole file, since boxes, other markers
and tiles may come before them.
"""

import re
import struct

_SIZ = re.compile(rb"\xff\x51(?=(..)..(.{32})(..))", re.DOTALL)
"""The marker of sizes: its length; sizes and offsets of image and tiles; number of components."""

_LAYERS = re.compile(rb"\xff\x52(?=\0[\x0c-\x2d][\0-\7].(..))", re.DOTALL)
"""The marker of the coding style, with its number of layers."""

_PRECINCTS = re.compile(
    rb"\xff(?:\x52(?=\0(.)[\1\3\5\7]....([\0-\x20])....(.{1,33}))"
    rb"|\x53(?=\0(.).\1([\0-\x20])....(.{1,33})))",
    re.DOTALL,
)
"""The same marker, or that of one component, where it sets precincts: its length, the number of
halvings, and the exponents of the precincts' sides in each resolution, smallest first."""

_TILE_BYTES, _COMPONENT_BYTES = 9000, 1500
"""Bytes per tile, and per component of a tile. Measured: 9,700 with one component."""

_PRECINCT_BYTES = 2500
"""Bytes per precinct of a component: three bands, each with tables and a code block. Measured:
1,700."""

_PACKET_BYTES = 20
"""Bytes charged for each layer of a precinct: 2 of memory, and 0.1 µs."""


def overhead(data: bytes, size: tuple[int, int], components: int) -> int:
    """Returns the maximum bytes of the structures of a file's tiles and precincts.

    Args:
        data: Content of the file.
        size: Width and height of the image.
        components: Number of color channels.
    """
    layers = max((int.from_bytes(found[1]) for found in _LAYERS.finditer(data)), default=0)
    precincts = max(
        (_precinct_bytes(found, size, layers) for found in _PRECINCTS.finditer(data)), default=0
    )
    return max(map(_tile_bytes, _SIZ.finditer(data)), default=0) + components * precincts


def _tile_bytes(marker: re.Match[bytes]) -> int:
    length, components = (int.from_bytes(marker[group]) for group in (1, 3))
    width, height, _, _, across, down, left, top = struct.unpack(">8I", marker[2])
    if length != 38 + 3 * components or not (across and down):
        return 0  # no such marker, or an invalid one
    tiles = -(-max(0, width - left) // across) * -(-max(0, height - top) // down)
    # OpenJPEG refuses more than 65,535 tiles
    return min(tiles, 2**16) * (_TILE_BYTES + components * _COMPONENT_BYTES)


def _precinct_bytes(marker: re.Match[bytes], size: tuple[int, int], layers: int) -> int:
    length, levels, exponents = marker.groups()[:3] if marker[1] else marker.groups()[3:]
    if length[0] - levels[0] != (13 if marker[1] else 10):
        return 0  # no such marker
    counts = []
    for halvings, exponent in enumerate(reversed(exponents[: levels[0] + 1])):
        width, height = ((side >> halvings) + 2 for side in size)
        counts.append(-(-width // 2 ** (exponent & 15)) * -(-height // 2 ** (exponent >> 4)))
    # packets are counted as if every resolution had as many precincts as the one with most
    return _PRECINCT_BYTES * sum(counts) + _PACKET_BYTES * layers * len(counts) * max(counts)
