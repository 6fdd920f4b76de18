"""Updates the catalog of translations from the code, and compiles it.

    python tests/catalog.py

New messages get an empty translation to fill in; those that the code has no more are removed.
"""

from collections.abc import Iterator
from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.extract import extract
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po

import digitcli
from digitcli.translation import CHINESE, LOCALE

PACKAGE = Path(digitcli.__file__).parent
SOURCE = LOCALE / CHINESE / "LC_MESSAGES" / "digitcli.po"
COMPILED = SOURCE.with_suffix(".mo")

METHODS = {".py": "python", ".js": "javascript", ".html": "jinja2.ext:babel_extract"}
"""Babel's extractor for each suffix of a file."""

FUNCTIONS = {"gettext": None, "message": None}
"""Functions whose first argument is a message."""


def extracted() -> Catalog:
    """Returns a catalog of the messages in the code, in the order of its files."""
    catalog = Catalog()
    for path, message in _messages():
        catalog.add(message, locations=[(path.relative_to(PACKAGE.parent).as_posix(), 0)])
    return catalog


def _messages() -> Iterator[tuple[Path, str]]:
    for path in sorted(PACKAGE.rglob("*")):
        if path.suffix in METHODS:
            with path.open("rb") as file:
                for _, text, _, _ in extract(METHODS[path.suffix], file, FUNCTIONS):
                    assert isinstance(text, str)
                    yield path, text


def translated() -> Catalog:
    """Returns the catalog of translations."""
    with SOURCE.open("rb") as file:
        return read_po(file, locale=CHINESE)


def main() -> None:
    """Updates and compiles the catalog, and prints the messages without a translation."""
    catalog = translated()
    catalog.update(extracted(), no_fuzzy_matching=True, update_creation_date=False)
    catalog.obsolete.clear()
    catalog.project, catalog.version = "digitcli", digitcli.__version__
    with SOURCE.open("wb") as file:
        write_po(file, catalog, width=100, include_lineno=False)
    with COMPILED.open("wb") as file:
        write_mo(file, catalog)
    for message in catalog:
        if message.id and not message.string:
            print(f"no translation: {message.id}")


if __name__ == "__main__":
    main()
