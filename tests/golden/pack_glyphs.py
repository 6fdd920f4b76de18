"""Packs glyphs of freely licensed fonts for ``digitcli.data.datasets.glyphs``.

    python tests/golden/pack_glyphs.py FOLDER

Fetches the packages ``@fontsource/NAME`` with npm into FOLDER, unless they are there already, and
writes ``glyphs.png`` and ``glyphs.csv`` into ``digitcli/data/datasets``. Needs npm and fontTools.
"""

import csv
import io
import json
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from fontTools.ttLib import TTFont
from PIL import Image, ImageDraw, ImageFont

from digitcli.data.datasets.glyphs import CELL, COLUMN_NAMES, COLUMNS, FOLDER

MARGIN = 2  # pixels of a cell on each side of a glyph
LEVELS = 8  # of gray
DIGITS = "0123456789"

TRAIN = """\
abel alata aldrich alegreya-sans alfa-slab-one alice amatic-sc anonymous-pro anton
architects-daughter archivo-narrow arvo audiowide b612-mono balsamiq-sans bangers
barlow-condensed bebas-neue besley black-ops-one bodoni-moda bowlby-one-sc bubblegum-sans
cabin-sketch caladea cantarell cascadia-code caveat cedarville-cursive chakra-petch changa-one
chewy comfortaa comic-neue courgette courier-prime covered-by-your-grace crimson-pro damion
dancing-script dm-mono dm-sans dosis dotgothic16 doto dseg7
encode-sans-condensed exo-2 finger-paint fira-code fira-sans fira-sans-extra-condensed fjalla-one
fredoka gaegu gelasio gloria-hallelujah gochi-hand goldman graduate grandstander handlee hepta-slab
homemade-apple iceland ibm-plex-mono ibm-plex-sans ibm-plex-serif inconsolata indie-flower inter
iosevka jersey-10 jetbrains-mono josefin-sans kalam kanit kaushan-script knewave lato league-gothic
lekton lexend libre-baskerville libre-franklin lilita-one literata lobster-two londrina-solid
luckiest-guy m-plus-rounded-1c mansalva marck-script merriweather michroma montserrat mouse-memoirs
nanum-gothic-coding nanum-pen-script neucha norwester noto-sans noto-sans-mono noto-serif
nova-square nunito open-sans orbitron oswald oxanium overpass-mono pacifico passion-one
patrick-hand patua-one paytone-one permanent-marker pixelify-sans playfair-display playpen-sans
press-start-2p pt-mono pt-sans pt-serif quantico quattrocento rajdhani recursive red-hat-mono
reenie-beanie righteous roboto roboto-condensed roboto-slab rock-salt rubik rubik-mono-one
saira-condensed saira-stencil-one schoolbell shadows-into-light share-tech-mono short-stack
sigmar-one silkscreen sniglet source-code-pro source-sans-3 source-serif-4 space-grotesk
special-elite staatliches sue-ellen-francisco teko titan-one ubuntu ubuntu-mono unbounded
unifontex varela-round vt323 yanone-kaffeesatz zen-dots zen-kurenaido zilla-slab libre-caslon-text
cormorant-infant old-standard-tt"""
"""Families whose digits are trained on; without DejaVu and kin of Liberation, for benchmarks."""

VALIDATION = """\
abeezee aleo annie-use-your-telescope asap-condensed atkinson-hyperlegible baloo-2
big-shoulders-display bitter carlito caveat-brush comic-relief delius domine eb-garamond exo
fira-mono fragment-mono gothic-a1 iceberg karla kode-mono micro-5 monda mukta nanum-brush-script
nanum-gothic overpass oxygen poppins pt-sans-narrow quicksand roboto-mono roboto-serif rokkitt
russo-one share-tech signika space-mono sriracha stix-two-text the-girl-next-door tiny5
titillium-web ubuntu-condensed urbanist victor-mono work-sans yusei-magic swanky-and-moo-moo
rowdies"""
"""Families held out."""

FEW_WEIGHTS = "dotgothic16 doto jersey-10 pixelify-sans press-start-2p silkscreen unifontex vt323"
"""Families that get one face: their weights hardly differ."""

LEFT_OUT = {("Tiny5", "400"): "five pixels high"}
"""Faces left out, by family and style, with the reason."""

LATIN = "ABCDEFGHJKLMNPRTUVWXYacdefhjkmnprtuvwxy"
"""Letters that are not also ways to write a digit, such as O, I, l, S, Z, Q, b, g and q."""

SIGNS = "&?#@%+*$=^<>€£¥←→↑↓"

LETTERS = """\
abel alegreya-sans arvo cascadia-code comic-neue courier-prime crimson-pro
dm-mono dm-sans fira-sans fjalla-one fredoka gaegu gochi-hand handlee ibm-plex-serif
inconsolata inter jetbrains-mono josefin-sans kalam lato lekton libre-baskerville neucha noto-serif
nunito oswald patrick-hand permanent-marker playpen-sans pt-serif recursive roboto-slab rubik
schoolbell share-tech-mono short-stack special-elite ubuntu vt323 zilla-slab"""
"""Families whose letters and signs are non-digits."""

VALIDATION_LETTERS = (
    "aleo atkinson-hyperlegible bitter delius karla roboto-mono space-mono work-sans"
)

NUMERALS = {
    "noto-sans-devanagari": "५६",
    "noto-sans-bengali": "৫",
    "noto-sans-thai": "๒๓๔๕๗",
    "sarabun": "๒๓๔๕๗",
    "noto-sans-arabic": "٣٤٧٨",
    "amiri": "٣٤٧٨",
    "noto-sans-tamil": "௧௪௫௬௭௮௯",
    "noto-sans-kannada": "೫೮೯",
    "noto-sans-khmer": "២៤៥៧",
    "zcool-xiaowei": "四五九十",
    "long-cang": "四五九十",
}
"""Numerals of other scripts, without those that resemble a European digit."""


@dataclass(frozen=True)
class Face:
    """A face's file and where it comes from."""

    family: str
    style: str  # weight and, if it is, italic
    package: str
    licence: str
    copyright: str
    content: bytes


def fetch(name: str, folder: Path) -> Path:
    """Returns the archive of a package, from the folder or from the registry."""
    if not (found := sorted(folder.glob(f"fontsource-{name}-[0-9]*.tgz"))):
        subprocess.run(["npm", "pack", "--silent", f"@fontsource/{name}"], cwd=folder, check=True)
        found = sorted(folder.glob(f"fontsource-{name}-[0-9]*.tgz"))
    return found[-1]


def faces(name: str, folder: Path, subset: str) -> Iterator[Face]:
    """Yields all faces of a package: those with a subset of the characters."""
    with tarfile.open(fetch(name, folder)) as archive:

        def read(path: str) -> bytes:
            file = archive.extractfile(f"package/{path}")
            assert file is not None
            return file.read()

        about = json.loads(read("metadata.json"))
        version = json.loads(read("package.json"))["version"]
        licence = about["license"]
        if isinstance(licence, str):  # DSEG's, an address
            licence = {"type": "OFL-1.1", "attribution": "Copyright (c) 2020, keshikan"}
        attribution = " ".join(licence["attribution"].split())
        for member in sorted(archive.getnames()):
            stem, _, ending = member.removeprefix("package/files/").rpartition(".")
            *_, weight, slant = ("", "", *stem.split("-"))
            if ending != "woff" or stem != f"{name}-{subset}-{weight}-{slant}":
                continue
            yield Face(
                family=about.get("family") or about["fontName"],
                style=weight + (" italic" if slant == "italic" else ""),
                package=f"@fontsource/{name} {version}",
                licence=licence["type"],
                copyright=attribution[:120],
                content=read(f"files/{stem}.woff"),
            )


def chosen(all_faces: list[Face], few: bool, position: int) -> list[Face]:
    """Returns the regular and the boldest face, and of every third family a light or italic one."""
    upright = {int(face.style): face for face in all_faces if "italic" not in face.style}
    regular = min(upright, key=lambda weight: abs(weight - 400))
    picked = [upright[regular]]
    if few:
        return picked
    if (boldest := max(upright)) >= regular + 200:
        picked.append(upright[boldest])
    lightest = min((weight for weight in upright if weight >= 200), default=regular)
    if position % 2 == 0 and lightest <= regular - 100:
        picked.append(upright[lightest])
    if position % 3 == 0:
        picked += [face for face in all_faces if face.style == f"{regular} italic"]
    return picked


def render(face: Face, text: str) -> tuple[str, list[npt.NDArray[np.uint8]]]:
    """Returns the characters of a text that a face has, and their cells."""
    characters, cells = "", []
    known = TTFont(io.BytesIO(face.content)).getBestCmap()
    font = ImageFont.truetype(io.BytesIO(face.content), 160)
    for character in text:
        if ord(character) not in known:
            continue
        canvas = Image.new("L", (480, 480))
        ImageDraw.Draw(canvas).text((240, 240), character, 255, font, "mm")
        box = canvas.point(lambda level: 255 * (level > 25)).getbbox()
        if box is None:
            continue
        glyph = canvas.crop(box)
        inner = CELL - 2 * MARGIN
        scale = inner / max(glyph.size)
        width, height = (max(1, round(side * scale)) for side in glyph.size)
        small = glyph.resize((width, height), Image.Resampling.HAMMING)
        cell = Image.new("L", (CELL, CELL))
        cell.paste(small, ((CELL - width) // 2, (CELL - height) // 2))
        characters += character
        cells.append(np.asarray(cell))
    return characters, cells


def main(folder: Path) -> None:
    rows: list[dict[str, str]] = []
    cells: list[npt.NDArray[np.uint8]] = []

    def add(face: Face, split: str, text: str) -> None:
        if (face.family, face.style) in LEFT_OUT:
            return
        characters, made = render(face, text)
        if not characters or (text == DIGITS and characters != text):
            print("skipped:", face.family, face.style)
            return
        values = (face.family, face.style, split, face.licence, face.package, face.copyright)
        rows.append(dict(zip(COLUMN_NAMES, (*values, characters), strict=True)))
        cells.extend(made)

    for split, names in (("train", TRAIN.split()), ("validation", VALIDATION.split())):
        for i, name in enumerate(names):
            found = list(faces(name, folder, "classic" if name == "dseg7" else "latin"))
            for face in chosen(found, name in FEW_WEIGHTS.split(), i):
                add(face, split, DIGITS)
    for split, names in (
        ("train", LETTERS.split()),
        ("validation", VALIDATION_LETTERS.split()),
    ):
        for name in names:
            add(chosen(list(faces(name, folder, "latin")), True, 0)[0], split, LATIN + SIGNS)
    for name, text in NUMERALS.items():
        subsets = ("devanagari", "bengali", "thai", "arabic", "tamil", "kannada", "khmer")
        for subset in (*subsets, "chinese-simplified"):
            if found := list(faces(name, folder, subset)):
                add(chosen(found, True, 0)[0], "train", text)
    lines = -(-len(cells) // COLUMNS)
    sheet = np.zeros((lines * CELL, COLUMNS * CELL), np.uint8)
    for i, cell in enumerate(cells):
        top, left = i // COLUMNS * CELL, i % COLUMNS * CELL
        sheet[top : top + CELL, left : left + CELL] = cell
    levels = Image.fromarray(np.rint(sheet / 255 * (LEVELS - 1)).astype(np.uint8))
    levels.putpalette([round(255 * i / (LEVELS - 1)) for i in range(LEVELS) for _ in range(3)])
    levels.save(FOLDER / "glyphs.png", bits=4, optimize=True)
    with (FOLDER / "glyphs.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, COLUMN_NAMES, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    print(len(rows), "faces", len(cells), "glyphs", (FOLDER / "glyphs.png").stat().st_size)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
