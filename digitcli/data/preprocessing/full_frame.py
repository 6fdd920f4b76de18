"""Preparation of images read as a whole, such as garments: they contain no digit to find."""

import numpy as np
from PIL import Image

from digitcli.core.errors import BlankPictureError
from digitcli.data.arrays import Gray
from digitcli.data.preprocessing.mnist_form import SIDE, OnStep, PreparedDigit, crop, ignore_step

FULL_FRAME_DATASETS = frozenset({"fashion-mnist", "kmnist"})
"""Data sets whose images fill all 28x28 pixels and are not centered by mass."""

_MIN_CONTRAST = 0.1  # minimum difference between the background and the brightest pixel
_NEXT_STEP = "choose an image that shows something"


def prepare_full_frame(gray: Gray, on_step: OnStep = ignore_step) -> PreparedDigit:
    """Brings an image to 28x28, light on dark.

    The image is inverted if its background, the median of the outermost pixels, is light. If it is
    not 28x28 already, it is cropped, fitted into 28x28 with its aspect ratio and placed in the
    middle, as in Fashion-MNIST (Xiao, Rasul and Vollgraf 2017).

    Raises:
        BlankPictureError: The image has no contrast.
    """
    on_step("image", gray)
    background = float(np.median(np.concatenate([gray[0], gray[-1], gray[:, 0], gray[:, -1]])))
    light = 1 - gray if background > 0.5 else gray
    if np.abs(light - light[0, 0]).max() < _MIN_CONTRAST:
        raise BlankPictureError(next_step=_NEXT_STEP)
    on_step("light on dark", light)
    if light.shape != (SIDE, SIDE):
        light = _fitted((light - min(background, 1 - background)).clip(0))
    image = np.rint(light * 255).astype(np.uint8)
    on_step("28x28", image)
    return PreparedDigit(image)


def _fitted(light: Gray) -> Gray:
    """Crops to what is light and scales that to 28 pixels the longer way, in the middle."""
    if not (light > _MIN_CONTRAST).any():
        raise BlankPictureError(next_step=_NEXT_STEP)
    content = crop(light)
    height, width = (max(1, round(side * SIDE / max(content.shape))) for side in content.shape)
    scaled = np.asarray(Image.fromarray(content).resize((width, height), Image.Resampling.HAMMING))
    canvas = np.zeros((SIDE, SIDE), dtype=np.float32)
    top, left = (SIDE - height) // 2, (SIDE - width) // 2
    canvas[top : top + height, left : left + width] = scaled
    return canvas
