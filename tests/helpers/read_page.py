"""Reads a page as a browser without styles would: its tables, pictures and words."""

import base64
import io
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

VOID = {"meta", "link", "img", "input", "br", "line", "path", "circle"}


@dataclass
class Element:
    """An element, with its attributes and all that is in it, in order."""

    tag: str
    attributes: dict[str, str | None]
    inside: "list[Element | str]" = field(default_factory=list)

    @property
    def text(self) -> str:
        """Its words, with single spaces, a narrow one being such."""
        parts = (each if isinstance(each, str) else each.text for each in self.inside)
        return " ".join(" ".join(parts).split()) if self.tag != "style" else ""

    def all(self, tag: str, of: str = "") -> "list[Element]":
        """Lists the elements below it of a tag, and of a class where one is given."""
        found = []
        for each in self.inside:
            if isinstance(each, Element):
                classes = (each.attributes.get("class") or "").split()
                if tag in (each.tag, "*") and (not of or of in classes):
                    found.append(each)
                found += each.all(tag, of)
        return found

    def one(self, tag: str, of: str = "") -> "Element":
        (found,) = self.all(tag, of)
        return found

    def table(self, caption: str) -> list[list[str]]:
        """Returns the body of the table of this caption."""
        (table,) = [each for each in self.all("table") if each.one("caption").text == caption]
        return [
            [cell.text for cell in row.inside if isinstance(cell, Element)]
            for row in table.one("tbody").all("tr")
        ]

    def picture(self) -> npt.NDArray[np.uint8]:
        """Decodes an ``img``, which must carry its own content."""
        kind, content = str(self.attributes["src"]).split(",")
        assert kind in ("data:image/png;base64", "data:image/jpeg;base64")
        with Image.open(io.BytesIO(base64.b64decode(content, validate=True))) as image:
            return np.asarray(image)


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.open = [Element("", {})]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        element = Element(tag, dict(attrs))
        assert len(attrs) == len(element.attributes)
        self.open[-1].inside.append(element)
        if tag not in VOID:
            self.open.append(element)

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop().tag == tag

    def handle_data(self, data: str) -> None:
        self.open[-1].inside.append(data)


def read_page(path: Path) -> Element:
    """Reads a page, every element of which must be closed where it was opened."""
    reader = _Reader()
    reader.feed(path.read_text(encoding="utf-8"))
    reader.close()
    assert len(reader.open) == 1
    return reader.open[0]


def check_page(page: Element) -> None:
    """Makes sure that a page needs nothing else, and can be used without eyes and mouse."""
    assert not page.all("script")
    assert not page.all("iframe")
    for element in page.all("*"):
        assert not any(name.startswith("on") for name in element.attributes)
        for name in ("src", "href"):
            address = element.attributes.get(name)
            assert address is None or address.startswith(("data:", "#"))
    assert "url(" not in "".join(map(str, page.one("style").inside))
    assert "default-src 'none'" in str(page.all("meta")[1].attributes["content"])

    assert page.one("html").attributes["lang"] == "en"
    assert page.one("title").text == page.one("h1").text
    for landmark in ("header", "main", "footer"):
        page.one(landmark)
    ids = [element.attributes["id"] for element in page.all("*") if "id" in element.attributes]
    assert len(ids) == len(set(ids))
    for link in page.all("a"):
        assert str(link.attributes["href"])[1:] in ids
    assert page.all("a")[0].attributes["href"] == "#main"
    for section in page.all("section"):
        assert section.attributes["aria-labelledby"] in ids
    for image in page.all("img"):
        assert image.attributes["alt"]
    for drawing in page.all("svg"):
        assert drawing.attributes["role"] == "img"
        assert drawing.attributes["aria-label"]
    for table in page.all("table"):
        assert table.one("caption").text
        assert all("scope" in cell.attributes for cell in table.all("th"))
    for scrolled in page.all("div", "scroll"):
        assert scrolled.attributes["tabindex"] == "0"
        assert scrolled.attributes["aria-label"]
    for field_ in page.all("input"):
        assert field_.attributes["type"] == "radio"
    assert len(page.all("label")) == len(page.all("input"))
