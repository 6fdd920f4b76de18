"""Shared by the stress tests: small data instead of MNIST, and checks of the data folder."""

import json
import os
import sys
from dataclasses import asdict
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "helpers"))  # servers and data

from drawn_digits import SmallMnist, md5, save_digit, write_small_mnist
from faulty_server import CERTIFICATE, FaultyServer, closed_port, dripping_handshake, serve

__all__ = [
    "CERTIFICATE",
    "FaultyServer",
    "SmallWorld",
    "closed_port",
    "dripping_handshake",
    "save_digit",
    "serve",
    "write_small_mnist",
]


class SmallWorld:
    """A mirror's folder, a data folder, and the command line that uses them.

    Attributes:
        mnist: The four small archives.
        raw: Folder of the downloaded files.
        listing: File that lists the archives for ``small_cli.py``.
        environment: Environment of the command line.
    """

    def __init__(self, folder: Path, *, mirror: SmallMnist | None = None) -> None:
        folder.mkdir(exist_ok=True)
        self.mnist = mirror or write_small_mnist(folder / "mirror")
        self.raw = folder / "data" / "MNIST" / "raw"
        self.listing = folder / "files.json"
        self.listing.write_text(json.dumps([list(asdict(f).values()) for f in self.mnist.files]))
        self.environment = {**os.environ, "DIGITCLI_DATA_DIR": str(folder / "data")}

    def command(self, *arguments: str) -> list[str]:
        """Returns the command line that runs digitcli on the small data."""
        program = Path(__file__).parents[1] / "helpers" / "small_cli.py"
        return [sys.executable, str(program), str(self.listing), *arguments]

    def damaged(self) -> list[str]:
        """Returns the names of damaged files."""
        return [
            name
            for file in self.mnist.files
            for name, expected in ((file.name, file.md5), (file.archive, file.archive_md5))
            if (self.raw / name).exists() and md5((self.raw / name).read_bytes()) != expected
        ]

    def missing(self) -> list[str]:
        """Returns the names of missing files."""
        return [f.name for f in self.mnist.files if not (self.raw / f.name).exists()]

    def others(self) -> list[str]:
        """Returns the names of other files in the folder."""
        known = {name for file in self.mnist.files for name in (file.name, file.archive)}
        if not self.raw.exists():
            return []
        return sorted(path.name for path in self.raw.iterdir() if path.name not in known)
