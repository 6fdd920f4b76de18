"""What a download leaves in the data folder."""

from pathlib import Path

from drawn_digits import SmallMnist, md5


def raw(folder: Path) -> Path:
    return folder / "data" / "MNIST" / "raw"


def is_whole(folder: Path, mnist: SmallMnist) -> bool:
    """All four files and their archives, byte for byte, and nothing else."""
    there = {path.name: md5(path.read_bytes()) for path in raw(folder).iterdir()}
    return there == {
        **{file.name: file.md5 for file in mnist.files},
        **{file.archive: file.archive_md5 for file in mnist.files},
    }
