"""Shapes drawn as a hand draws them: strokes between randomly displaced points, with a pen.

A shape is a list of strokes, each float64 (points, 2) with x and y in about 0..1, y downwards.
"""

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFilter

from digitcli.data.arrays import Ink

Rng = np.random.Generator
Stroke = npt.NDArray[np.float64]
Strokes = list[Stroke]
Point = tuple[float, float]

_CANVAS = 104  # side in pixels of the canvas that shapes are drawn on
_SIZE = 64.0  # pixels on the canvas of a length of 1
_STEPS = 6  # points of a curve between two of the points that it passes through


def line(*points: Point) -> Stroke:
    """Returns a stroke that is straight between its points."""
    return np.array(points, dtype=np.float64)


def curve(*points: Point) -> Stroke:
    """Returns a smooth stroke through the points (a Catmull-Rom spline)."""
    through = np.array(points, dtype=np.float64)
    before, after = 2 * through[0] - through[1], 2 * through[-1] - through[-2]
    padded = np.vstack([before, through, after])
    t = np.linspace(0, 1, _STEPS, endpoint=False)[:, None]
    pieces = []
    for p0, p1, p2, p3 in zip(padded, padded[1:], padded[2:], padded[3:], strict=False):
        cubic = 3 * (p1 - p2) + p3 - p0
        square = 2 * p0 - 5 * p1 + 4 * p2 - p3
        pieces.append(p1 + 0.5 * (t * (p2 - p0) + t**2 * square + t**3 * cubic))
    return np.vstack([*pieces, through[-1:]])


def arc(center: Point, radii: Point, start: float, end: float) -> Stroke:
    """Returns a part of an ellipse; angles in degrees, 0 to the right, 90 downwards."""
    angles = np.radians(np.linspace(start, end, max(4, int(abs(end - start) / 12))))
    return np.stack(
        [center[0] + radii[0] * np.cos(angles), center[1] + radii[1] * np.sin(angles)], axis=1
    )


def draw(
    strokes: Strokes,
    rng: Rng,
    *,
    slant: tuple[float, float] = (-0.1, 0.35),
    turn: float = 6.0,
    pen: tuple[float, float] = (0.05, 0.2),
    aspect: tuple[float, float] = (0.6, 1.1),
    jitter: float = 0.02,
) -> Ink:
    """Draws strokes with one pen.

    Args:
        strokes: The shape.
        rng: Source of all random choices.
        slant: Range of the shift to the right per height.
        turn: Maximum rotation in degrees, either way.
        pen: Range of the pen's width, as a fraction of a length of 1.
        aspect: Range of the factor that widths are multiplied by.
        jitter: Standard deviation of the displacement of each corner, and of a smooth bend.

    Returns:
        Ink on a square canvas.
    """
    angle = np.radians(rng.uniform(-turn, turn))
    shear, wide = -rng.uniform(*slant), rng.uniform(*aspect)
    rotation = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    matrix = rotation @ np.array([[1, shear], [0, 1]]) @ np.diag([wide, 1])
    bend = rng.normal(0, jitter, (2, 4))
    moved = []
    for stroke in strokes:
        x, y = stroke.T
        waves = np.stack([np.sin(3 * y), np.cos(3 * y), np.sin(3 * x), np.cos(3 * x)])
        bent = stroke + (bend @ waves).T
        if len(stroke) <= 4:  # corners
            bent = bent + rng.normal(0, jitter, stroke.shape)
        moved.append(bent @ matrix.T)
    everything = np.vstack(moved)
    low, high = everything.min(axis=0), everything.max(axis=0)
    scale = _SIZE / max(high - low)
    canvas = Image.new("L", (_CANVAS, _CANVAS))
    drawing = ImageDraw.Draw(canvas)
    width = max(3, round(_SIZE * rng.uniform(*pen)))
    round_tip = rng.random() < 0.8
    for stroke in moved:
        points = (stroke - (low + high) / 2) * scale + _CANVAS / 2
        flat = [tuple(point) for point in points.tolist()]
        drawing.line(flat, fill=255, width=width, joint="curve")
        for x, y in (flat[0], flat[-1]) if round_tip else ():
            r = width / 2 - 0.5
            drawing.ellipse((x - r, y - r, x + r, y + r), fill=255)
    if rng.random() < 0.3:
        canvas = canvas.filter(ImageFilter.GaussianBlur(rng.uniform(0.4, 2.0)))
    return np.asarray(canvas).astype(np.float32) / np.float32(255)
