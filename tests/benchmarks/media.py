"""What ink is shown on: a screen, paper, a photo of paper, a board."""

import numpy as np
from scenery import (
    Rng,
    chalked,
    colored_ink,
    cream_paper,
    dark_ink,
    grain,
    inked,
    painted,
    photographed,
    png,
    sheet,
    soft_shadow,
    to_image,
    white_paper,
)
from traced_digits import Field, Size


def size_of(share: Field) -> Size:
    return share.shape[1], share.shape[0]


def black_on_white(share: Field) -> bytes:
    return png(to_image(inked(sheet(size_of(share), (255, 255, 255)), share, (0, 0, 0))))


def in_paint(rng: Rng, share: Field) -> bytes:
    """A drawing in a paint program."""
    return png(to_image(painted(rng, share)))


def on_screen(rng: Rng, share: Field) -> bytes:
    """A screenshot, light or dark."""
    if rng.random() < 0.5:
        return in_paint(rng, share)
    return dark_on_white(rng, share)


def dark_on_white(rng: Rng, share: Field) -> bytes:
    return png(to_image(inked(sheet(size_of(share), white_paper(rng)), share, dark_ink(rng))))


def on_paper(rng: Rng, share: Field) -> bytes:
    """A scan."""
    page = grain(rng, sheet(size_of(share), cream_paper(rng)), 2)
    return png(to_image(inked(page, share, colored_ink(rng))))


def in_photo(rng: Rng, share: Field) -> bytes:
    """A photo of paper with a soft shadow."""
    page = inked(grain(rng, sheet(size_of(share), white_paper(rng)), 1.5), share, dark_ink(rng))
    return photographed(rng, page, soft_shadow(rng, size_of(share)), noise=2, blur=0.5)


def on_board(rng: Rng, share: Field) -> bytes:
    """A photo of chalk on a board."""
    return photographed(rng, chalked(rng, share), np.ones_like(share), noise=3, blur=0.4)
