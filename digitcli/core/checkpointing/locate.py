"""Which checkpoint a command reads: the one named, the latest trained here, or digitcli's own.

Apart from ``checkpoint``, because options and help pages need these names and not NumPy.
"""

import os
from pathlib import Path

from digitcli.core.errors import CheckpointError

LATEST = Path("checkpoints/latest.safetensors")
"""Where ``train`` writes and the other commands look, from the folder the command runs in."""

CHECKPOINT_VARIABLE = "DIGITCLI_CHECKPOINT"
"""The environment variable that names a checkpoint where nothing else does."""

_PACKAGE = Path(__file__).parents[2]
BUNDLED_PATHS = (
    _PACKAGE / "pretrained.safetensors",  # installed: the wheel puts it into the package
    _PACKAGE.parent / "checkpoints" / "pretrained.safetensors",  # in the repository
)
"""Where the checkpoint that comes with digitcli may lie."""


PRETRAINED = "pretrained"
"""What names digitcli's own checkpoint; a file that is called so is named as ``./pretrained``."""


def find_checkpoint(named: str | os.PathLike[str] | None) -> Path:
    """Chooses the checkpoint to read; what it holds is not looked at.

    Args:
        named: The user's choice, by ``--checkpoint`` or the environment. It is taken as it is:
            if it is missing, loading it tells so, and nothing else is used in its stead. The text
            ``PRETRAINED`` is digitcli's own, whatever files there are; a ``Path`` is a file.

    Returns:
        ``named``, else ``LATEST`` if anything is there, else digitcli's own.

    Raises:
        CheckpointError: digitcli's own is wanted and was not installed.
    """
    if named == PRETRAINED:
        return find_bundled()
    if named is not None:
        return Path(named)
    return LATEST if _is_there(LATEST) else find_bundled()


def find_bundled() -> Path:
    """Returns where digitcli's own checkpoint lies.

    Raises:
        CheckpointError: It was not installed.
    """
    for path in BUNDLED_PATHS:
        if path.is_file():
            return path
    raise CheckpointError(
        f"digitcli's own weights are missing, {BUNDLED_PATHS[0]}",
        "install digitcli again, or train your own with 'digitcli train'",
    )


def is_bundled(path: Path) -> bool:
    """Says whether a path that ``find_checkpoint`` chose is digitcli's own."""
    return path in BUNDLED_PATHS


def _is_there(path: Path) -> bool:
    """Says whether there is anything at a path, be it a dangling link or out of reach.

    Such a file is the user's, and its fault is told; going on without it would hide the fault.
    """
    try:
        os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        return True
    return True
