"""Paper, ink, light, cameras and image files, with random parameters."""

import io
import math

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFilter
from traced_digits import Field, Place, Size

Paper = npt.NDArray[np.float32]
"""(height, width, 3), 0..255."""
Color = tuple[float, float, float]
Rng = np.random.Generator


def between(rng: Rng, low: float, high: float) -> float:
    return float(rng.uniform(low, high))


def some_size(rng: Rng, low: int = 60, high: int = 1600) -> Size:
    """Returns a random width and height, log-uniform, half of them square."""
    longer = round(math.exp(between(rng, math.log(low), math.log(high))))
    shorter = longer if rng.random() < 0.5 else round(longer * between(rng, 0.6, 1))
    return (longer, shorter) if rng.random() < 0.5 else (shorter, longer)


def some_place(
    rng: Rng, size: Size, share: tuple[float, float] = (0.4, 0.75), angle: float = 4
) -> Place:
    """Returns a random place inside, near the middle."""
    length = min(size) * between(rng, *share)
    middle = [
        extent / 2 + between(rng, -0.4, 0.4) * max(0.0, extent - 1.2 * length) for extent in size
    ]
    return Place(length, (middle[0], middle[1]), between(rng, -angle, angle))


def fine(share: float, place: Place) -> float:
    """Returns a relative stroke width, but at least 1.5 pixels: finer lines vanish."""
    return max(share, 1.5 / place.length)


def dark_ink(rng: Rng) -> Color:
    level = between(rng, 0, 60)
    return (level, level, level + between(rng, 0, 25))


def colored_ink(rng: Rng) -> Color:
    inks = [(25, 50, 190), (205, 30, 40), (20, 135, 60), (240, 200, 20), (240, 125, 20)]
    r, g, b = np.clip(np.array(inks[rng.integers(5)]) + rng.normal(0, 12, 3), 0, 255)
    return (float(r), float(g), float(b))


def white_paper(rng: Rng) -> Color:
    level = between(rng, 225, 255)
    return (level, level, level)


def cream_paper(rng: Rng) -> Color:
    papers = [(252, 244, 215), (248, 232, 180), (255, 240, 140), (238, 222, 190), (250, 240, 230)]
    r, g, b = papers[rng.integers(5)]
    shade = between(rng, 0.9, 1)
    return (r * shade, g * shade, b * shade)


def generator(name: str, seed: int, index: int) -> Rng:
    """Returns the generator of one image, independent of all others."""
    return np.random.default_rng([seed, index, *name.encode()])


def sheet(size: Size, color: Color) -> Paper:
    return np.full((size[1], size[0], 3), color, dtype=np.float32)


def clouds(rng: Rng, size: Size, wave: float) -> Field:
    """Returns smooth noise with mean 0, deviation of about 1 and wavelength in pixels."""
    coarse = (max(2, math.ceil(size[0] / wave) + 1), max(2, math.ceil(size[1] / wave) + 1))
    noise = rng.standard_normal((coarse[1], coarse[0]), dtype=np.float32)
    return np.asarray(Image.fromarray(noise).resize(size, Image.Resampling.BICUBIC))


def grain(rng: Rng, paper: Paper, strength: float) -> Paper:
    """Adds the grain of paper; ``strength`` in gray levels."""
    size = (paper.shape[1], paper.shape[0])
    fibres = clouds(rng, size, between(rng, 1, 4)) + 0.5 * clouds(rng, size, 30)
    return np.asarray(paper + np.float32(strength) * fibres[..., None], np.float32)


def inked(paper: Paper, share: Field, ink: Color) -> Paper:
    """Multiplies the paper's light by that of ink."""
    returned = np.asarray(ink, np.float32) / np.float32(255)
    return np.asarray(paper * (1 - share[..., None] * (1 - returned)), np.float32)


def covered(paper: Paper, share: Field, color: Color) -> Paper:
    """Covers paper with something opaque, such as paint or chalk."""
    return paper + share[..., None] * (np.asarray(color, np.float32) - paper)


def painted(rng: Rng, share: Field) -> Paper:
    """Shows ink in white on a dark screen."""
    level = between(rng, 0, 40)
    dark = sheet((share.shape[1], share.shape[0]), (level, level, level))
    return covered(dark, share, (255, 255, 255))


def chalked(rng: Rng, share: Field) -> Paper:
    """Shows ink as chalk on a board."""
    board = [(38, 78, 60), (45, 90, 75), (34, 36, 38), (48, 50, 52)][rng.integers(4)]
    level = between(rng, 205, 245)
    page = grain(rng, sheet((share.shape[1], share.shape[0]), board), 3)
    return covered(page, share, (level, level, level))


def coordinates(size: Size) -> tuple[Field, Field]:
    """Returns x (1, width) and y (height, 1), each in -1..1."""
    x = np.linspace(-1, 1, size[0], dtype=np.float32)[None, :]
    y = np.linspace(-1, 1, size[1], dtype=np.float32)[:, None]
    return x, y


def soft_shadow(rng: Rng, size: Size) -> Field:
    """Returns light that decreases by 20 to 55 % to one side and up to 30 % to the corners."""
    x, y = coordinates(size)
    angle = between(rng, 0, 2 * math.pi)
    slope = (x * math.cos(angle) + y * math.sin(angle)) / math.sqrt(2)
    side = 1 - between(rng, 0.2, 0.55) * (slope + 1) / 2
    return np.asarray(side * (1 - between(rng, 0, 0.3) * (x * x + y * y) / 2), np.float32)


def hard_shadow(rng: Rng, size: Size) -> Field:
    """Returns the shadow of an arm or a phone: 25 to 50 % less light beyond a slanted edge."""
    x, y = coordinates(size)
    angle = between(rng, 0, 2 * math.pi)
    depth = x * math.cos(angle) + y * math.sin(angle) - between(rng, -0.5, 0.5)
    beyond = 1 / (1 + np.exp(-np.clip(depth / between(rng, 0.01, 0.06), -30, 30)))
    return np.asarray(1 - between(rng, 0.25, 0.5) * beyond, np.float32)


def photographed(rng: Rng, scene: Paper, light: Field, *, noise: float, blur: float) -> bytes:
    """Takes a photo: light, tint, blur in pixels, noise in gray levels, JPEG."""
    tint = np.asarray([between(rng, 0.9, 1), between(rng, 0.92, 1), between(rng, 0.8, 1)])
    exposed = scene * light[..., None] * tint.astype(np.float32) * between(rng, 0.8, 1)
    image = to_image(exposed).filter(ImageFilter.GaussianBlur(blur))
    pixels = np.asarray(image, np.float32)
    grains = np.float32(noise) * rng.standard_normal(light.shape, dtype=np.float32)
    pixels = pixels + grains[..., None]
    return jpeg(to_image(pixels), rng)


def to_image(pixels: Paper) -> Image.Image:
    return Image.fromarray(np.rint(pixels.clip(0, 255)).astype(np.uint8))


def png(image: Image.Image) -> bytes:
    file = io.BytesIO()
    image.save(file, "PNG", compress_level=1)
    return file.getvalue()


def jpeg(image: Image.Image, rng: Rng) -> bytes:
    file = io.BytesIO()
    image.save(file, "JPEG", quality=int(rng.integers(40, 91)))
    return file.getvalue()
