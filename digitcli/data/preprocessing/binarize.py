"""Telling ink from paper, whatever the colours and the light were."""

import numpy as np
from PIL import Image

from digitcli.core.errors import BlankPictureError
from digitcli.data.arrays import Gray, Ink, Mask

_FAINTEST = 0.05
"""Contrast of ink to paper under which a picture is blank; faint pencil on a photo has 0.1."""

_HOT = 20
"""Pixels that may be out of the way without meaning anything; a tiny digit has a hundred."""

_LEAST = 0.25
"""Share of the darkest ink under which there is none."""

_CLEARANCE = 1.5
"""Times the unevenness of paper, which nine tenths of it are under, that is cleared away."""

_MASK = (0.1, 0.5)
"""Least and greatest ink from which a pixel is of a stroke: even pale ink, but no smear."""

_EVEN = 0.12
"""Spread of the border, as a share of the contrast, up to which the paper is one flat colour."""

_PADDING, _FILLED = 0.03, 0.9
"""How far padding departs from one colour at most, and what share of the edges of a picture within
it departs further."""

_LEAST_PICTURE = 24
"""Pixels of the shorter side from which something solid is a picture rather than a stroke."""

_CLEARLY = 1.3
"""Times the contrast to one side that the other has where there is no doubt."""

_COARSE = 48
"""Pixels of the longer side at which the light on the paper is judged: shadows are large."""

WINDOW = 0.25
"""Side of the window that bridges strokes, as a share of the picture's; a marker has 0.15."""


def trim_padding(grey: Gray) -> Gray:
    """Cuts off an even border around a smaller picture that has its own paper."""
    return grey[inner_picture(grey)]


def inner_picture(grey: Gray) -> tuple[slice, slice]:
    """Finds a smaller picture that has its own paper within an even border.

    What differs from the border is a picture, not a digit, where it fills the edges of the
    rectangle around it, and shows something itself.

    Args:
        grey: float32 (height, width) in 0..1.

    Returns:
        The rows and columns of the inner picture, or all of them.
    """
    everything = (slice(0, grey.shape[0]), slice(0, grey.shape[1]))
    rim = _rim(grey)
    if np.ptp(rim) > _PADDING:
        return everything
    differs = np.abs(grey - np.median(rim)) > _PADDING
    rows, columns = np.flatnonzero(differs.any(axis=1)), np.flatnonzero(differs.any(axis=0))
    if min(len(rows), len(columns)) < _LEAST_PICTURE:
        return everything
    box = (slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1))
    inner, filled = grey[box], differs[box]
    if abs(float(np.median(inner) - np.median(rim))) <= _PADDING:
        return everything  # the same paper: it is a frame
    edges = np.concatenate([filled[0], filled[-1], filled[:, 0], filled[:, -1]])
    if edges.mean() < _FILLED or np.ptp(_extremes(inner[1:-1, 1:-1])) < _FAINTEST:
        return everything
    return box


def separate_ink(grey: Gray, window: float = WINDOW) -> Ink:
    """Makes ink light on black.

    Where the border shows one even colour, that is the paper. Otherwise the light differs over the
    picture, and the paper is what remains when strokes are bridged (see ``local_paper``). Ink is
    what differs from the paper, to the side (darker or lighter) where it differs more.

    Args:
        grey: float32 (height, width) in 0..1.
        window: Side of the square that bridges strokes, as a share of the picture's shorter one.

    Returns:
        float32 of the same shape: 0 for paper, 1 for full ink.

    Raises:
        BlankPictureError: Nothing stands out from the paper.
    """
    rim = _rim(grey)
    paper = np.median(rim)
    darkest, lightest = _extremes(grey)
    contrast = float(max(paper - darkest, lightest - paper))
    if contrast < _FAINTEST:
        raise BlankPictureError
    low, high = np.percentile(rim, (10, 90))
    if high - low <= _EVEN * contrast:
        ink = paper - grey if paper - darkest >= lightest - paper else grey - paper
    else:
        ink = _unevenly_lit(_blurred(grey), window)
        ink -= np.median(ink)  # bridging follows the lightest grain of the paper
    return _scaled(np.clip(ink, 0, None))


def _unevenly_lit(grey: Gray, window: float) -> Ink:
    """Finds what is darker, or lighter, than the paper where the light on the paper differs.

    The difference to the light around each place tells which, but at the edge of a hard shadow it
    is as large to either side. Then it is the kind of ink that stands out more where it is bridged.
    """
    below, above = _extremes(grey - _light(grey, window))
    if max(-below, above) > _CLEARLY * min(-below, above):
        return _bridged(grey if -below > above else -grey, window)
    return max(_bridged(grey, window), _bridged(-grey, window), key=lambda ink: _extremes(ink)[1])


def _bridged(grey: Gray, window: float) -> Ink:
    """Returns how much darker than the paper beneath it each pixel is."""
    darker: Ink = local_paper(grey, window) - grey
    return darker


def _rim(grey: Gray) -> Gray:
    rim = max(1, min(grey.shape) // 20)
    inner = np.zeros(grey.shape, dtype=bool)
    inner[rim:-rim, rim:-rim] = True
    return grey[~inner]


def _extremes(values: Gray) -> tuple[float, float]:
    """Returns the least and the greatest value, but for a few pixels that are hot or dead."""
    few = min(0.1, 100 * _HOT / values.size)  # percent
    low, high = np.percentile(values, (few, 100 - few))
    return float(low), float(high)


def _scaled(ink: Ink) -> Ink:
    """Brings ink to 0..1, and clears what stays within the paper's own unevenness."""
    _, full = _extremes(ink)
    if full < _FAINTEST:
        raise BlankPictureError
    threshold = max(otsu(ink), _LEAST * full)  # where there is little ink, Otsu's parts the grain
    below = ink[ink <= threshold]
    unevenness = float(np.percentile(below, 90)) if below.size else 0.0
    floor = min(_CLEARANCE * unevenness, threshold)
    above = ink[ink > threshold]
    full = max(float(np.median(above)) if above.size else full, floor + 1e-3)
    scaled: Ink = np.clip((ink - floor) / (full - floor), 0, 1).astype(np.float32)
    return scaled


def local_paper(grey: Gray, window: float = WINDOW) -> Gray:
    """Bridges dark strokes: what a light paper looks like beneath them.

    A morphological closing (Serra 1982) with a square that no stroke is as wide as: the lightest
    value around each pixel, and then the darkest of these. The straight edge of a shadow stays
    where it is. Beyond the border the picture goes on as its slope there says, or else a dark
    corner would be taken for ink.

    Args:
        grey: float32 (height, width).
        window: Side of the square, as a share of the picture's shorter one.
    """
    size = 2 * (round(window * min(grey.shape)) // 2) + 1
    around = [(min(size, side - 1),) * 2 for side in grey.shape]
    wide = np.pad(grey, around, mode="reflect", reflect_type="odd")
    closed = -_highest(-_highest(wide, size), size)
    (top, _), (left, _) = around
    return closed[top : top + grey.shape[0], left : left + grey.shape[1]]


def _highest(grey: Gray, size: int) -> Gray:
    """Returns the highest value in the square of an odd side around each pixel."""
    for axis in (0, 1):
        reach = 1
        values = np.moveaxis(grey, axis, 0)
        padding = np.full((size // 2, *values.shape[1:]), -np.inf, dtype=np.float32)
        values = np.concatenate([padding, values, padding])
        while reach < size:  # the window doubles with each comparison
            step = min(reach, size - reach)
            values = np.maximum(values[step:], values[:-step])
            reach += step
        grey = np.moveaxis(values, 0, axis)
    return grey


def _light(grey: Gray, window: float) -> Gray:
    """Estimates the light on the paper: the median around each place.

    Its window has twice the side of the one that bridges strokes. It needs not to know which of ink
    and paper is lighter, so that is decided by it.
    """
    height, width = grey.shape
    scale = min(1.0, _COARSE / max(height, width))
    small = np.asarray(
        Image.fromarray(grey).resize(
            (max(1, round(width * scale)), max(1, round(height * scale))), Image.Resampling.BOX
        )
    )
    reach = max(1, int(window * min(small.shape)))
    windows = np.lib.stride_tricks.sliding_window_view(
        np.pad(small, reach, mode="edge"), (2 * reach + 1, 2 * reach + 1)
    )
    median = np.median(windows.reshape(*small.shape, -1), axis=2).astype(np.float32)
    return np.asarray(Image.fromarray(median).resize((width, height), Image.Resampling.BILINEAR))


def _blurred(grey: Gray) -> Gray:
    """Averages 3x3 pixels, so that grain decides nothing."""
    padded = np.pad(grey, 1, mode="edge")
    rows = padded[:-2] + padded[1:-1] + padded[2:]
    blurred: Gray = (rows[:, :-2] + rows[:, 1:-1] + rows[:, 2:]) / np.float32(9)
    return blurred


def stroke_mask(ink: Ink) -> Mask:
    """Says where a stroke is: where there is ink rather than not, by Otsu's threshold."""
    return ink > float(np.clip(otsu(ink), *_MASK))


def otsu(values: Gray) -> float:
    """Returns the threshold that best parts values into two groups (Otsu 1979).

    Between groups that are wholly apart, every threshold is as good: the middle one is taken.
    """
    lowest, highest = float(values.min()), float(values.max())
    width = max(highest - lowest, 1e-12) / 256
    bins = ((values - np.float32(lowest)) / np.float32(width)).astype(np.intp).ravel()
    counts = np.bincount(bins.clip(max=255), minlength=256)
    middles = lowest + (np.arange(256) + 0.5) * width
    weight = np.cumsum(counts)
    rest = weight[-1] - weight
    mass = np.cumsum(counts * middles)
    with np.errstate(divide="ignore", invalid="ignore"):
        between = weight * rest * (mass / weight - (mass[-1] - mass) / rest) ** 2
    between = np.nan_to_num(between)
    best = np.flatnonzero(between >= between.max() * (1 - 1e-9))
    return lowest + (1 + int(best[len(best) // 2])) * width
