"""Preparing pictures that are read as a whole: of a garment, say, there is no digit to be found."""

import numpy as np
from PIL import Image

from digitcli.core.errors import BlankPictureError
from digitcli.data.arrays import Gray, Image28
from digitcli.data.preprocessing.mnist_form import SIDE, Digit, Watch, crop, unwatched

WHOLE = frozenset({"fashion-mnist", "kmnist"})
"""Data sets whose pictures fill all 28x28 pixels, and are not centred by mass."""

_LEAST = 0.1
"""Share of full light that the brightest pixel differs from the ground by, where there is
something to see."""


def prepare_whole(grey: Gray, watch: Watch = unwatched) -> Digit:
    """Brings a grey picture to 28x28, light on dark.

    It is inverted where its ground, the median of its outermost pixels, is light. A picture of
    28x28 pixels is not changed otherwise; another is cropped, fitted into 28x28 with its aspect
    kept, and put into the middle, as Fashion-MNIST's were (Xiao, Rasul and Vollgraf 2017).

    Args:
        grey: float32 (height, width) in 0..1, of any size from 1x1.
        watch: Called with the name of each step and its picture: float32 in 0..1 or uint8.

    Raises:
        BlankPictureError: It is all of one grey.
    """
    watch("picture", grey)
    ground = float(np.median(np.concatenate([grey[0], grey[-1], grey[:, 0], grey[:, -1]])))
    light = 1 - grey if ground > 0.5 else grey
    if np.abs(light - light[0, 0]).max() < _LEAST:
        raise BlankPictureError(next_step="take one that shows something")
    watch("light on dark", light)
    if light.shape != (SIDE, SIDE):
        light = _fitted((light - min(ground, 1 - ground)).clip(0))
    picture: Image28 = np.rint(light * 255).astype(np.uint8)
    watch("in 28x28", picture)
    return Digit(picture)


def _fitted(light: Gray) -> Gray:
    """Scales what is light to fill 28 pixels the longer way, in the middle."""
    if not (light > _LEAST).any():
        raise BlankPictureError(next_step="take one that shows something")
    shape = crop(light)
    height, width = (max(1, round(length * SIDE / max(shape.shape))) for length in shape.shape)
    scaled = np.asarray(Image.fromarray(shape).resize((width, height), Image.Resampling.HAMMING))
    canvas = np.zeros((SIDE, SIDE), dtype=np.float32)
    top, left = (SIDE - height) // 2, (SIDE - width) // 2
    canvas[top : top + height, left : left + width] = scaled
    return canvas
