"""Separating ink from the background, whatever their colors and the light on the paper."""

import numpy as np
from PIL import Image

from digitcli.core.errors import BlankPictureError
from digitcli.data.arrays import Box, Gray, Ink, Mask, pixels_of

_MIN_CONTRAST = 0.05  # minimum contrast of ink. Measured: faint pencil on a photo has 0.1
_IGNORED_PIXELS = 20  # hot or dead pixels, at either end of the gray levels; a tiny digit has 100
_MIN_THRESHOLD = 0.25  # minimum threshold of ink, as a fraction of the darkest
_NOISE_FACTOR = 1.5  # ink is cleared up to this multiple of the background's 90th percentile
_MASK_RANGE = (0.1, 0.5)  # range of the threshold for strokes: pale ink counts, a smear does not
FLAT_BORDER = 0.12  # maximum spread of a border of one color, as a fraction of the contrast
_PADDING_TOLERANCE = 0.03  # maximum deviation of padding from its color
_FILLED_EDGES = 0.9  # minimum fraction of an inner image's edges that differ from the padding
_MIN_INNER_SIDE = 24  # minimum pixels of an inner image's shorter side; less could be a stroke
_CLEAR_RATIO = 1.3  # minimum ratio of the contrasts, darker and lighter, that is a clear case
_COARSE_SIDE = 48  # pixels of the longer side at which light is estimated; shadows are large
_WINDOW = 0.25  # side of the closing's square, as a fraction of the shorter side; a marker has 0.15


def inner_image(gray: Gray) -> Box:
    """Returns the box of a smaller image with its own background, or of everything without one.

    What differs from an even border is an image, not a digit, if it fills the edges of its bounding
    box and has contrast inside.
    """
    height, width = gray.shape
    everything = Box(0, 0, width, height)
    border = _border(gray)
    if np.ptp(border) > _PADDING_TOLERANCE:
        return everything
    differs = np.abs(gray - np.median(border)) > _PADDING_TOLERANCE
    rows, columns = (np.flatnonzero(differs.any(axis=axis)) for axis in (1, 0))
    if min(len(rows), len(columns)) < _MIN_INNER_SIDE:
        return everything
    box = Box(int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1)
    inner, filled = gray[pixels_of(box)], differs[pixels_of(box)]
    if abs(float(np.median(inner) - np.median(border))) <= _PADDING_TOLERANCE:
        return everything  # the same background: this is a frame
    edges = np.concatenate([filled[0], filled[-1], filled[:, 0], filled[:, -1]])
    if edges.mean() < _FILLED_EDGES or np.ptp(_extremes(inner[1:-1, 1:-1])) < _MIN_CONTRAST:
        return everything
    return box


def separate_ink(gray: Gray, window: float = _WINDOW) -> Ink:
    """Separates ink from the background.

    If the border has one even color, this is the background. Otherwise the light is uneven, and
    the background is estimated by closing (see ``local_background``). Ink is what differs from the
    background, in the direction (darker or lighter) of the larger difference. ``window`` is the
    side of the closing's square, as a fraction of the image's shorter side.

    Raises:
        BlankPictureError: Nothing stands out from the background.
    """
    background = np.median(_border(gray))
    darkest, lightest = _extremes(gray)
    if max(background - darkest, lightest - background) < _MIN_CONTRAST:
        raise BlankPictureError
    if is_evenly_lit(gray):
        darker = background - darkest >= lightest - background
        ink = background - gray if darker else gray - background
    else:
        ink = _ink_in_uneven_light(_blurred(gray), window)
        ink -= np.median(ink)  # closing follows the lightest grain of the paper
    return _normalized(np.clip(ink, 0, None))


def is_evenly_lit(gray: Gray) -> bool:
    """Returns True if the border has one even color, which is then that of the background."""
    return border_spread(gray) <= FLAT_BORDER


def border_spread(gray: Gray) -> float:
    """Returns the spread of the gray levels along the border as a fraction of the contrast.

    The spread is between the 10th and the 90th percentile; 0 for a blank image.
    """
    low, background, high = np.percentile(_border(gray), (10, 50, 90))
    darkest, lightest = _extremes(gray)
    contrast = max(background - darkest, lightest - background)
    return float((high - low) / contrast) if contrast else 0.0


def _ink_in_uneven_light(gray: Gray, window: float) -> Ink:
    """Returns the difference to the local background, darker or lighter.

    The difference to the median around each pixel shows which of them is ink, except near a hard
    shadow, where it is as large in both directions. There the closing with more contrast decides.
    """
    below, above = _extremes(gray - _local_median(gray, window))
    if max(-below, above) > _CLEAR_RATIO * min(-below, above):
        return _closing_residue(gray if -below > above else -gray, window)
    residues = (_closing_residue(gray, window), _closing_residue(-gray, window))
    return max(residues, key=lambda ink: _extremes(ink)[1])


def _closing_residue(gray: Gray, window: float) -> Ink:
    """Returns how much darker each pixel is than the local background (black top-hat)."""
    return local_background(gray, window) - gray


def _border(gray: Gray) -> Gray:
    width = max(1, min(gray.shape) // 20)
    inner = np.zeros(gray.shape, dtype=bool)
    inner[width:-width, width:-width] = True
    return gray[~inner]


def _extremes(values: Gray) -> tuple[float, float]:
    """Returns the lowest and highest value, without a few hot or dead pixels."""
    ignored = min(0.1, 100 * _IGNORED_PIXELS / values.size)  # percent
    low, high = np.percentile(values, (ignored, 100 - ignored))
    return float(low), float(high)


def _normalized(ink: Ink) -> Ink:
    """Scales ink to 0..1 and clears the unevenness of the background."""
    _, full = _extremes(ink)
    if full < _MIN_CONTRAST:
        raise BlankPictureError
    # With little ink, Otsu's threshold would split the grain of the paper.
    threshold = max(otsu(ink), _MIN_THRESHOLD * full)
    below = ink[ink <= threshold]
    unevenness = float(np.percentile(below, 90)) if below.size else 0.0
    floor = min(_NOISE_FACTOR * unevenness, threshold)
    above = ink[ink > threshold]
    full = max(float(np.median(above)) if above.size else full, floor + 1e-3)
    return np.clip((ink - floor) / (full - floor), 0, 1).astype(np.float32)


def local_background(gray: Gray, window: float = _WINDOW) -> Gray:
    """Estimates a light background beneath dark strokes by morphological closing (Serra 1982).

    The highest value in a square around each pixel, then the lowest of these: strokes narrower than
    the square vanish, straight edges of shadows stay in place. Beyond the border the image is
    continued with its slope there, or a dark corner would be taken for ink.
    """
    size = 2 * (round(window * min(gray.shape)) // 2) + 1
    margins = [(min(size, side - 1),) * 2 for side in gray.shape]
    padded = np.pad(gray, margins, mode="reflect", reflect_type="odd")
    closed = -_max_filter(-_max_filter(padded, size), size)
    (top, _), (left, _) = margins
    return closed[top : top + gray.shape[0], left : left + gray.shape[1]]


def _max_filter(gray: Gray, size: int) -> Gray:
    """Returns the highest value in a square of odd side around each pixel."""
    for axis in (0, 1):
        reach = 1
        values = np.moveaxis(gray, axis, 0)
        padding = np.full((size // 2, *values.shape[1:]), -np.inf, dtype=np.float32)
        values = np.concatenate([padding, values, padding])
        while reach < size:  # each comparison doubles the window
            step = min(reach, size - reach)
            values = np.maximum(values[step:], values[:-step])
            reach += step
        gray = np.moveaxis(values, 0, axis)
    return gray


def _local_median(gray: Gray, window: float) -> Gray:
    """Returns the median around each pixel, in twice the closing's window.

    Unlike closing, a median needs no knowledge of which of ink and background is lighter.
    """
    height, width = gray.shape
    scale = min(1.0, _COARSE_SIDE / max(height, width))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    small = np.asarray(Image.fromarray(gray).resize(size, Image.Resampling.BOX))
    reach = max(1, int(window * min(small.shape)))
    windows = np.lib.stride_tricks.sliding_window_view(
        np.pad(small, reach, mode="edge"), (2 * reach + 1, 2 * reach + 1)
    )
    median = np.median(windows.reshape(*small.shape, -1), axis=2).astype(np.float32)
    return np.asarray(Image.fromarray(median).resize((width, height), Image.Resampling.BILINEAR))


def _blurred(gray: Gray) -> Gray:
    """Averages 3x3 pixels against the grain of paper and sensor."""
    padded = np.pad(gray, 1, mode="edge")
    rows = padded[:-2] + padded[1:-1] + padded[2:]
    return (rows[:, :-2] + rows[:, 1:-1] + rows[:, 2:]) / np.float32(9)


def stroke_mask(ink: Ink) -> Mask:
    """Returns True for the pixels of strokes, by Otsu's threshold within ``_MASK_RANGE``."""
    return ink > float(np.clip(otsu(ink), *_MASK_RANGE))


def otsu(values: Gray) -> float:
    """Returns the threshold with the highest variance between two groups of values (Otsu 1979).

    If the groups do not overlap, many thresholds are equally good: the middle one is returned.
    """
    lowest, highest = float(values.min()), float(values.max())
    width = max(highest - lowest, 1e-12) / 256
    bins = ((values - np.float32(lowest)) / np.float32(width)).astype(np.intp).ravel()
    counts = np.bincount(bins.clip(max=255), minlength=256)
    centers = lowest + (np.arange(256) + 0.5) * width
    weight = np.cumsum(counts)
    rest = weight[-1] - weight
    mass = np.cumsum(counts * centers)
    with np.errstate(divide="ignore", invalid="ignore"):
        between = weight * rest * (mass / weight - (mass[-1] - mass) / rest) ** 2
    between = np.nan_to_num(between)
    best = np.flatnonzero(between >= between.max() * (1 - 1e-9))
    return lowest + (1 + int(best[len(best) // 2])) * width
