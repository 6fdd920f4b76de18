"""Finding the digits of an image that stand apart from each other and from its borders.

``find_digit`` compares other shapes with the one that it takes for the digit. If that is the table
around a sheet, which outweighs all digits on it, or if digits near each other are grouped, it finds
no others. Here the network shows which components are digits.
"""

import numpy as np

from digitcli.data.arrays import Boxes, Classify, Gray, sizes
from digitcli.data.preprocessing.binarize import separate_ink, stroke_mask
from digitcli.data.preprocessing.components import DIGIT_MASS, DIGIT_SIDE, find_components
from digitcli.data.preprocessing.mnist_form import is_bar, to_mnist_form
from digitcli.data.preprocessing.ruled_lines import remove_ruled_lines

_AT_BORDER = 0.01  # maximum distance of what touches a border, fraction of the shorter side
_MIN_PIXELS = 8  # minimum pixels of a digit's longer side
_MIN_SIDE = 0.04  # the same as a fraction of the image's longer side
_MIN_PROBABILITY = 0.9
_MOST = 50  # maximum number of components that are classified, the heaviest


def find_whole_digits(gray: Gray, classify: Classify) -> Boxes:
    """Returns the boxes of recognized digits of about one size that touch no border.

    Bars alone are no digits.

    Raises:
        BlankPictureError: There is no ink in the image.
    """
    ink = remove_ruled_lines(separate_ink(gray))
    components = find_components(stroke_mask(ink), ink, _MOST)
    boxes, ends = components.boxes, np.array(ink.shape[::-1])
    near = max(2, round(_AT_BORDER * min(ink.shape)))
    sides = sizes(boxes).max(axis=1)
    whole = (boxes[:, :2] > near).all(axis=1) & (boxes[:, 2:] < ends - near).all(axis=1)
    possible = np.flatnonzero(whole & (sides >= max(_MIN_PIXELS, _MIN_SIDE * max(ink.shape))))
    if not len(possible):
        return boxes[:0]
    images = np.stack([to_mnist_form(components.ink_of(i, ink)) for i in possible.tolist()])
    recognized = classify(images).max(axis=1) >= _MIN_PROBABILITY
    digits = possible[recognized]
    if all(map(is_bar, images[recognized])):  # or none is recognized
        return boxes[:0]
    heavy = components.mass[digits] >= DIGIT_MASS * components.mass[digits[0]]
    return boxes[digits[heavy & (sides[digits] >= DIGIT_SIDE * sides[digits[0]])]]
