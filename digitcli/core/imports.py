"""Importing libraries that may be missing, or installed and broken."""

import platform
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from digitcli.core.errors import DigitcliError

OLDEST_TORCH = (2, 11)
"""Oldest version of torch that digitcli is tested with."""

_WITHOUT_TORCH = (
    "predict, inspect-softmax, info, import of safetensors and npz, and export to ONNX, npz and "
    "html work without torch"
)


def install_torch() -> str:
    """Returns how to install torch if it is published for this computer, and what else works."""
    unsupported = {("darwin", "x86_64"): "Intel Macs", ("win32", "ARM64"): "Windows on ARM"}
    if computer := unsupported.get((sys.platform, platform.machine())):
        return f"PyPI has no recent torch for {computer}; {_WITHOUT_TORCH}"
    return f"run pip install --upgrade torch torchvision; {_WITHOUT_TORCH}"


def install_extra(name: str) -> str:
    """Returns how to install the libraries of an extra of digitcli, such as "heic".

    With the extra's name pip would install torch as well, where it was left out on purpose.
    """
    from importlib.metadata import requires  # takes 20 ms
    from importlib.util import find_spec

    if find_spec("torch") is not None:
        return f"run pip install 'digitcli[{name}]'"
    suffix = f'; extra == "{name}"'.replace('"', "'")
    required = (each.replace('"', "'") for each in requires("digitcli") or [])
    libraries = [re.split("[><=]", each)[0] for each in required if each.endswith(suffix)]
    return f"run pip install {' '.join(libraries)}"


@contextmanager
def import_errors(need: str, next_step: str | Callable[[Exception], str]) -> Iterator[None]:
    """Raises any error of importing a library in the block as one line with its cause.

    A broken installation raises not only ``ImportError``: also ``OSError`` for a shared library
    that is missing, ``RuntimeError``, or ``ValueError`` for one built for another NumPy.

    Args:
        need: What needs which library, for example "--plot needs matplotlib".
        next_step: How to install the library; or a function that returns what to do about an error.

    Raises:
        DigitcliError: The block raised an exception.
    """
    try:
        yield
    except Exception as error:
        cause = next(iter(str(error).strip().splitlines()), type(error).__name__)
        step = next_step if isinstance(next_step, str) else next_step(error)
        raise DigitcliError(f"{need}, which cannot be imported: {cause}", step) from error


def import_torch(user: str) -> None:
    """Imports torch, which takes a second; call it before modules that import torch.

    Args:
        user: What needs torch, for example "training".

    Raises:
        DigitcliError: torch is missing, broken or too old.
    """
    with import_errors(f"{user} needs torch", lambda _: install_torch()):
        import torch

        version = str(torch.__version__)
    if tuple(map(int, version.split(".")[:2])) < OLDEST_TORCH:
        oldest = ".".join(map(str, OLDEST_TORCH))
        raise DigitcliError(f"{user} needs torch {oldest}, and this is {version}", install_torch())
