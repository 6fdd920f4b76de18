"""Folders of drawn digits or shapes, one for each class."""

import math
from pathlib import Path

import numpy as np
from drawn_digits import draw_digit
from PIL import Image, ImageDraw

_SHAPES: dict[str, list[list[tuple[float, float]]]] = {
    "circle": [[(math.cos(t), math.sin(t)) for t in np.linspace(0, 2 * math.pi, 40)]],
    "cross": [[(-1, -1), (1, 1)], [(-1, 1), (1, -1)]],
    "triangle": [[(0, -1), (1, 0.8), (-1, 0.8), (0, -1)]],
}
"""Strokes of shapes, in a square from -1 to 1."""


def fill(root: Path, classes: dict[str, int], count: int = 20) -> Path:
    """Draws so many pictures of a digit into the folder of each class."""
    rng = np.random.default_rng(3)
    for name, digit in classes.items():
        folder = root / name
        folder.mkdir(parents=True)
        for i in range(count):
            picture = draw_digit(digit, angle=rng.uniform(-15, 15), scale=rng.uniform(0.5, 0.8))
            picture.save(folder / f"{i}.png")
    return root


def draw_shapes(root: Path, count: int, seed: int) -> Path:
    """Draws so many circles, crosses and triangles, turned and stretched, into folders."""
    rng = np.random.default_rng(seed)
    for name, strokes in _SHAPES.items():
        folder = root / name
        folder.mkdir(parents=True)
        for i in range(count):
            turn, size, pen = rng.uniform(-0.25, 0.25), rng.uniform(16, 26, 2), rng.integers(4, 8)
            rotation = np.array(
                [[math.cos(turn), -math.sin(turn)], [math.sin(turn), math.cos(turn)]]
            )
            image = Image.new("L", (80, 80), 255)
            for stroke in strokes:
                points = np.asarray(stroke) * size @ rotation + 40
                ImageDraw.Draw(image).line([(x, y) for x, y in points], 0, int(pen), "curve")
            image.save(folder / f"{i}.png")
    return root
