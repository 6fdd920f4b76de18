"""Reading users' pictures: any format, any mode, from files, folders or standard input."""

import io
import os
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from digitcli.core.errors import NotAPictureError, PictureError, reason
from digitcli.data.paper import Grey

FORMATS = ("PNG", "JPEG", "GIF", "BMP", "PPM", "WEBP", "TIFF", "AVIF", "ICO", "JPEG2000")
"""Raster formats that people keep pictures in, those first that Pillow has ready at once. Others
that it knows start outside programs (EPS), have no signature (TGA), or come from instruments."""

# Pillow warns of large pictures and odd metadata; where it matters, it raises.
warnings.filterwarnings("ignore", module=r"PIL\.")

_CLEARER = 1.4
"""Times the contrast of the brightness that a colour must have to be taken in its stead; colours
have more grain."""

_LARGEST_SIDE = 1000
"""Pixels; a digit in a larger photo is reduced first: 20 of them is all that it will have."""


def find_files(path: Path) -> Iterator[Path]:
    """Lists the files under a folder in the order of their names; links are not followed.

    Hidden files and folders are passed over.
    """
    for folder, subfolders, names in os.walk(path):
        subfolders[:] = sorted(name for name in subfolders if not name.startswith("."))
        for name in sorted(names):
            file = Path(folder, name)
            if not name.startswith(".") and file.is_file():
                yield file


def read_picture(source: Path | bytes) -> Grey:
    """Reads a picture as grey: upright, transparency filled with paper, colours as brightness.

    Args:
        source: A file, or a file's content.

    Returns:
        float32 (height, width) in 0..1, black to white.

    Raises:
        NotAPictureError: Its content is no picture.
        PictureError: It is missing, empty, damaged or too large.
    """
    return as_grey(read_upright(source))


def read_upright(source: Path | bytes) -> Image.Image:
    """Reads a picture in its own colours, upright; a large one reduced.

    Raises:
        NotAPictureError: Its content is no picture.
        PictureError: It is missing, empty, damaged or too large.
    """
    try:
        data = source if isinstance(source, bytes) else _read_file(source)
    except (OSError, ValueError) as error:  # ValueError: a NUL in a name from a list
        raise PictureError(
            f"cannot read it: {reason(error)}", "check the path and its permissions"
        ) from error
    if not data:
        raise NotAPictureError("the file is empty", "give a PNG, JPEG or another picture")
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            image.draft("RGB", (_LARGEST_SIDE, _LARGEST_SIDE))
            ImageOps.exif_transpose(image, in_place=True)
            upright = _reduced(image)
            upright.load()
    except UnidentifiedImageError as error:
        if data[4:12] in (b"ftypheic", b"ftypheix", b"ftypmif1"):
            raise NotAPictureError(
                "HEIC pictures are not supported", "save it as JPEG or PNG"
            ) from error
        raise NotAPictureError(
            "it is not a picture", "give a PNG, JPEG, GIF, BMP, TIFF or WebP file"
        ) from error
    except Image.DecompressionBombError as error:
        raise PictureError("it has too many pixels", "scale it down first") from error
    except Exception as error:  # Pillow's readers raise anything on damaged files
        raise PictureError(f"it is damaged ({error})", "save it again, or take another") from error
    return upright


def grey_of(image: Image.Image) -> Grey:
    """Makes a picture in memory grey, as ``read_picture`` does with a file; it stays as it is.

    Raises:
        PictureError: It has no pixels, or is still to be read from a file that is damaged.
    """
    if 0 in image.size:
        raise PictureError("it has no pixels", "give a picture of 1x1 or more")
    try:
        upright = _reduced(ImageOps.exif_transpose(image))
        upright.load()
    except Exception as error:  # as above
        raise PictureError(f"it is damaged ({error})", "save it again, or take another") from error
    return as_grey(upright)


def _read_file(path: Path) -> bytes:
    if not path.is_file() and path.exists():
        raise OSError(0, "not a file")
    return path.read_bytes()


def _reduced(image: Image.Image) -> Image.Image:
    factor = max(image.size) // _LARGEST_SIDE
    if factor < 2:
        return image
    if image.mode == "1":
        image = image.convert("L")
    elif image.mode in ("P", "PA"):
        image = image.convert("RGBA" if "transparency" in image.info else "RGB")
    elif image.mode.startswith("I;16"):
        image = image.convert("I")
    return image.reduce(factor)


def as_grey(image: Image.Image) -> Grey:
    """Brings a decoded picture of any mode to grey, as ``read_picture`` says."""
    if image.mode.startswith(("I", "F")):  # 16 and 32 bits per pixel
        values = np.asarray(image, dtype=np.float32)
        lowest, highest = float(values.min()), float(values.max())
        if not np.isfinite((lowest, highest)).all():
            raise PictureError("it holds values that are no numbers", "save it as PNG")
        if image.mode == "F" or lowest < 0 or highest > 65535:
            return (values - lowest) / np.float32(max(highest - lowest, 1e-30))
        return values / np.float32(65535 if highest > 255 else 255)
    if image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
        return _on_paper(image.convert("RGBA"))
    if image.mode in ("L", "1"):
        return _brightness(image)
    return _clearest(image.convert("RGB"))


def _brightness(image: Image.Image) -> Grey:
    if image.mode != "L":
        image = image.convert("L")
    return np.asarray(image, dtype=np.float32) / np.float32(255)


def _clearest(image: Image.Image) -> Grey:
    """Returns the brightness, or the one of red, green and blue that shows clearly more.

    Yellow ink on white paper is all but invisible in brightness, and dark in blue light.
    """
    brightness = _brightness(image)
    every = max(1, min(brightness.shape) // 250)
    best, most = brightness, _CLEARER * _contrast(brightness[::every, ::every])
    for channel in image.split():
        light = _brightness(channel)
        if (contrast := _contrast(light[::every, ::every])) > most:
            best, most = light, contrast
    return best


def _contrast(grey: Grey) -> float:
    darkest, lightest = np.percentile(grey, (0.5, 99.5))
    return float(lightest - darkest)


def _on_paper(image: Image.Image) -> Grey:
    """Lays a transparent picture on paper that its ink stands out from."""
    alpha = np.asarray(image.getchannel("A"), dtype=np.float32) / np.float32(255)
    brightness = _brightness(image.convert("RGB"))
    seen = brightness[alpha > 0.5]
    if not seen.size:
        seen = brightness[alpha > 0]
    if not seen.size:
        return np.ones_like(brightness)  # wholly transparent: blank
    if seen.size > brightness.size / 2:  # mostly opaque: the picture has its own paper
        paper = round(255 * float(np.median(seen)))
    else:  # the ink alone is opaque
        paper = 255 if seen.mean() < 0.5 else 0
    sheet = Image.new("RGBA", image.size, (paper, paper, paper, 255))
    return _clearest(Image.alpha_composite(sheet, image).convert("RGB"))
