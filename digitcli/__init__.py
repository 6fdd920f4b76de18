"""digitcli: train, measure, use and explain a handwritten-digit classifier.

>>> from digitcli import Classifier
>>> Classifier.load().predict("image.png").label
'7'
"""

from typing import TYPE_CHECKING

from digitcli._version import __version__ as __version__

__all__ = [
    "BlankPictureError",
    "Box",
    "CheckpointError",
    "Classifier",
    "DigitcliError",
    "NotAPictureError",
    "PictureError",
    "PlacedDigit",
    "Prediction",
    "Reading",
]

if TYPE_CHECKING:
    from digitcli.classifier import Box, Classifier, PlacedDigit, Prediction, Reading
    from digitcli.core.errors import (
        BlankPictureError,
        CheckpointError,
        DigitcliError,
        NotAPictureError,
        PictureError,
    )
else:

    def __getattr__(name: str) -> object:
        """Imports a public name on first use, so that importing this module alone is fast."""
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from importlib import import_module

        home = "digitcli.core.errors" if name.endswith("Error") else "digitcli.classifier"
        value = globals()[name] = getattr(import_module(home), name)
        return value

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})
