"""Which checkpoint a command reads: the named one, the latest trained here, or the bundled one.

Separate from ``checkpoint`` because options and help pages need these names without NumPy.
"""

import os
from pathlib import Path

from digitcli.core.errors import CheckpointError

LATEST = Path("checkpoints/latest.safetensors")
"""Default output of ``train`` and default input of the other commands, in the current folder."""

CHECKPOINT_VARIABLE = "DIGITCLI_CHECKPOINT"
"""Environment variable that names a checkpoint if no option does."""

PRETRAINED = "pretrained"
"""Name of the bundled checkpoint; a file of that name is given as ``./pretrained``."""

_PACKAGE = Path(__file__).parents[2]
BUNDLED_PATHS = (
    _PACKAGE / "pretrained.safetensors",  # installed: the wheel puts it into the package
    _PACKAGE.parent / "checkpoints" / "pretrained.safetensors",  # in the repository
)
"""Possible paths of the bundled checkpoint."""


def find_checkpoint(named: str | os.PathLike[str] | None) -> Path:
    """Returns ``named``, existing or not; else ``LATEST`` if anything is there; else the bundled.

    Args:
        named: The user's choice, by ``--checkpoint`` or the environment. The text ``PRETRAINED``
            is the bundled checkpoint, whatever files exist; a ``Path`` is always a file.

    Raises:
        CheckpointError: The bundled checkpoint is wanted and missing.
    """
    if named == PRETRAINED:
        return find_bundled()
    if named is not None:
        return Path(named)
    return LATEST if _exists(LATEST) else find_bundled()


def find_bundled() -> Path:
    """Returns the path of the bundled checkpoint, or raises a ``CheckpointError`` if missing."""
    for path in BUNDLED_PATHS:
        if path.is_file():
            return path
    raise CheckpointError(
        f"the bundled weights are missing, {BUNDLED_PATHS[0]}",
        "install digitcli again, or train new ones with 'digitcli train'",
    )


def is_bundled(path: Path) -> bool:
    """Returns True if a path from ``find_checkpoint`` is the bundled checkpoint."""
    return path in BUNDLED_PATHS


def weights_name(path: Path) -> str:
    """Returns the name of a path from ``find_checkpoint`` in texts."""
    return "the bundled weights" if is_bundled(path) else str(path)


def checkpoint_option(path: Path) -> str:
    """Returns the value of ``--checkpoint`` that names a path from ``find_checkpoint``."""
    if is_bundled(path):
        return PRETRAINED
    return os.path.join(os.curdir, path) if str(path) == PRETRAINED else str(path)  # noqa: PTH118


def _exists(path: Path) -> bool:
    """Returns True if anything is at a path, even a dangling link or an unreachable file.

    Such a file is the user's, and loading it fails; the bundled weights would hide that error.
    """
    try:
        os.lstat(path)
    except OSError as error:
        return not isinstance(error, FileNotFoundError | NotADirectoryError)
    return True
