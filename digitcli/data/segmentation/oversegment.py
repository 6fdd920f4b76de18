"""Oversegmentation: the components of ink that digits are made of."""

from dataclasses import dataclass, replace

import numpy as np

from digitcli.core.errors import PictureError
from digitcli.data.arrays import (
    Boxes,
    Gray,
    Image28,
    Ink,
    Labels,
    Mask,
    pixels_of,
    sizes,
    union,
)
from digitcli.data.preprocessing.binarize import inner_image, local_background, separate_ink
from digitcli.data.preprocessing.components import find_components, stroke_width
from digitcli.data.preprocessing.mnist_form import in_mnist_form
from digitcli.data.preprocessing.ruled_lines import remove_ruled_lines
from digitcli.data.segmentation.faint_ink import strengthen_faint_digits
from digitcli.data.segmentation.segments import Segments, Writing
from digitcli.data.segmentation.slant import NO_SHEAR, Shear, estimate_slope
from digitcli.data.segmentation.surroundings import (
    clear_surroundings,
    dilated,
    weighted_median,
)
from digitcli.data.segmentation.text_lines import find_rows, join_stacked

# Side of the closing's window, as a fraction of that of a square with the image's area; a strip is
# not much higher than its strokes are wide.
_WINDOW = 0.35
_MAX_COMPONENTS = 1000  # maximum number without dust; a page of 200 digits has some hundreds
_UPRIGHT_HEIGHT, _MAX_SCALE = 64, 4  # height of upright digits in pixels, and maximum enlargement
_MAX_UPRIGHT_PIXELS = 2**20  # maximum pixels of an enlarged image
_SOFT_EDGE = 0.05  # maximum width of a stroke's soft edge, as a fraction of a digit's height


@dataclass(frozen=True)
class Way:
    """An interpretation of an image of digits."""

    darker: bool | None = None  # ink is darker than the page; None: what has more contrast
    bridged: float = 0.0  # maximum gap within a digit, in stroke widths: seven segments have gaps
    bordered: bool = False  # what lies along the border is writing
    upright: bool = False  # leaning digits are made upright, and small ones larger


def oversegment(gray: Gray, way: Way = Way()) -> Segments:
    """Finds the components of ink that digits are made of.

    Raises:
        BlankPictureError: There is no ink in the image.
        PictureError: There are too many components.
    """
    return segment(separate(gray, way.darker), way)


@dataclass(frozen=True)
class Separated:
    """Ink separated from the background."""

    ink: Ink
    origin: tuple[int, int]  # column and row of the image where the ink begins
    whole: Image28 | None  # the image itself, if it is in MNIST form
    shear: Shear = NO_SHEAR  # what made it upright


def separate(gray: Gray, darker: bool | None) -> Separated:
    """Separates the ink of an image, darker or lighter than the page, or what is clearer."""
    if (whole := in_mnist_form(gray)) is not None:
        return Separated(whole.astype(np.float32) / np.float32(255), (0, 0), whole)
    inner = inner_image(gray)
    gray = gray[pixels_of(inner)]
    window = _WINDOW * float(np.sqrt(gray.size)) / min(gray.shape)
    if darker is not None:
        gray = gray if darker else 1 - gray
        gray = 1 - (local_background(gray, window) - gray)  # dark on white, in even light
        # A white border, or the polarity would be chosen again where the image's own is uneven.
        margin = max(2, min(gray.shape) // 10)
        ink = separate_ink(np.pad(gray, margin, constant_values=1), window)
        ink = ink[margin:-margin, margin:-margin]
    else:
        ink = separate_ink(gray, window)
    return Separated(remove_ruled_lines(ink), (inner.left, inner.top), None)


def make_upright(separated: Separated) -> Separated:
    """Shears leaning digits upright, and enlarges small ones, whose gaps are below a pixel."""
    segments = segment(separated, Way())
    slope = estimate_slope(np.where(segments.labels > 0, separated.ink, 0))
    height, width = separated.ink.shape
    most = np.sqrt(_MAX_UPRIGHT_PIXELS / (height * (width + abs(slope) * height)))
    scale = int(max(1, min(_UPRIGHT_HEIGHT / segments.writing.height, _MAX_SCALE, most)))
    if slope == 0 and scale == 1:
        return separated
    shear = Shear(slope, scale, len(separated.ink))
    return replace(separated, ink=shear.apply(separated.ink), shear=shear)


def segment(separated: Separated, way: Way) -> Segments:
    """Finds the components of ink that digits are made of; see ``oversegment``."""
    # The heaviest ones, and one more to tell if there are too many.
    cleared = clear_surroundings(separated.ink, _MAX_COMPONENTS + 1, bordered=way.bordered)
    ink, mask, components, usable = cleared.ink, cleared.mask, cleared.components, cleared.usable
    boxes, mass = components.boxes, components.mass
    if usable.sum() > _MAX_COMPONENTS:
        raise PictureError(
            f"the image has more than {_MAX_COMPONENTS:,} separate shapes",
            "split it into several images",
        )
    height = weighted_median(sizes(boxes)[:, 1], mass * usable)
    kept = np.flatnonzero(usable)
    width = stroke_width(ink * np.isin(components.labels, kept + 1))
    if way.bridged:
        stack = _bridged(mask, components.labels, kept, way.bridged * width)
        around = _around(boxes[kept], stack)
        height = weighted_median(
            sizes(around)[:, 1], np.bincount(stack, mass[kept]).astype(np.float64)
        )
        stack = join_stacked(around, height)[stack]
    else:
        stack = join_stacked(boxes[kept], height)
    names = np.zeros(int(components.labels.max()) + 1, np.int32)
    names[kept + 1] = stack + 1
    labels, boxes = names[components.labels], _around(boxes[kept], stack)
    reach = max(2, round(_SOFT_EDGE * height))
    labels = _with_soft_edges(labels, (ink > 0) & ~mask, reach)
    ink, labels, boxes = _with_faint_digits(ink, labels, boxes, height, width)
    rows, columns = find_rows(boxes, height), boxes[:, ::2].mean(axis=1)
    parts = np.stack([rows, np.full(len(boxes), np.nan), columns], axis=1)
    writing = Writing(
        ink, height, width, separated.origin, separated.whole, cleared.left_out, separated.shear
    )
    return Segments.in_reading_order(writing, labels, parts)


def _with_faint_digits(
    ink: Ink, labels: Labels, boxes: Boxes, height: float, width: float
) -> tuple[Ink, Labels, Boxes]:
    """Adds faint shapes in a row with dark ones to the components."""
    faint = strengthen_faint_digits(ink, labels > 0, boxes, height, width)
    if faint is None:
        return ink, labels, boxes
    ink, mask = faint
    found = find_components(mask, ink)
    labels = np.where(mask, found.labels + len(boxes), labels).astype(np.int32)
    return ink, labels, np.concatenate([boxes, found.boxes])


def _around(boxes: Boxes, groups: Boxes) -> Boxes:
    """Returns the box around each group of boxes."""
    return np.array([union(boxes[groups == i]) for i in range(groups.max() + 1)])


def _bridged(mask: Mask, labels: Labels, kept: Boxes, reach: float) -> Boxes:
    """Returns the group of each kept component; gaps in a group are shorter than ``reach``."""
    wide = dilated(mask & np.isin(labels, kept + 1), max(1, round(reach / 2)))
    groups = find_components(wide, wide.astype(np.float32)).labels
    group_of = np.zeros(int(labels.max()) + 1, np.int32)
    group_of[labels[mask]] = groups[mask]
    return np.unique(group_of[kept + 1], return_inverse=True)[1]


def _with_soft_edges(labels: Labels, free: Mask, reach: int) -> Labels:
    """Adds free pixels to the nearest component within reach: the soft edges of its strokes."""
    padded = np.pad(labels, 1)
    rows, columns = np.nonzero(np.pad(free, 1))
    steps = ((-1, 0), (0, -1), (0, 1), (1, 0), (-1, -1), (-1, 1), (1, -1), (1, 1))
    for _ in range(reach):
        nearest = np.zeros(len(rows), labels.dtype)
        for down, right in steps:
            nearest = np.where(nearest, nearest, padded[rows + down, columns + right])
        padded[rows, columns] = nearest
        left = nearest == 0
        rows, columns = rows[left], columns[left]
    return padded[1:-1, 1:-1]
