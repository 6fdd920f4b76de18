"""Checks of the data folder after a download."""

from pathlib import Path

from drawn_digits import SmallMnist, md5


def raw(folder: Path) -> Path:
    return folder / "data" / "MNIST" / "raw"


def is_whole(folder: Path, mnist: SmallMnist) -> bool:
    """Returns True if the folder has exactly the four files and their archives, all valid."""
    found = {path.name: md5(path.read_bytes()) for path in raw(folder).iterdir()}
    return found == {
        **{file.name: file.md5 for file in mnist.files},
        **{file.archive: file.archive_md5 for file in mnist.files},
    }
