"""Folders of drawn digits, one for each class."""

from pathlib import Path

import numpy as np
from drawn_digits import draw_digit


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
