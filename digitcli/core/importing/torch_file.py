"""Reading files of torch.save, of which only tensors and plain values are loaded."""

import io
import re
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from digitcli.core.errors import DigitcliError
from digitcli.core.importing.layers import Arrays

_KEYS = ("model", "state_dict", "model_state_dict")
"""Usual names of the state dict in a dict that holds more, such as an optimizer's state."""

_SAVE_WEIGHTS = "save the weights alone with torch.save(model.state_dict(), 'weights.pth')"


def read_state_dict(path: Path, content: bytes, max_size: int) -> Arrays:
    """Returns the tensors of a state dict, or of the one in a dict that holds more.

    Args:
        path: The file's name in messages.
        content: The file.
        max_size: Maximum size of all tensors in bytes; a file may claim more than it holds.

    Returns:
        The tensors by name, in the file's order; those of 16 bits as float32.

    Raises:
        DigitcliError: The file is damaged, or holds objects of classes, or no state dict.
    """
    tensors = _state_dict(path, _load(path, content))
    if sum(tensor.numel() * tensor.element_size() for tensor in tensors.values()) > max_size:
        raise DigitcliError(
            f"the tensors of {path} take more than {max_size:,} bytes", _SAVE_WEIGHTS
        )
    arrays = {}
    for name, tensor in tensors.items():
        if tensor.layout is not torch.strided or tensor.device.type != "cpu" or tensor.is_quantized:
            raise DigitcliError(
                f"{path} holds {name:.80}, which is sparse, quantized or without values",
                _SAVE_WEIGHTS,
            )
        half = tensor.dtype in (torch.float16, torch.bfloat16)  # NumPy has no bfloat16
        arrays[name] = (tensor.float() if half else tensor).numpy(force=True)
    return arrays


def _load(path: Path, content: bytes) -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of a file that nobody can change
            return torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises errors of any kind for damaged files
        found = re.search(r"GLOBAL ([\w.]{1,100})", str(error))
        if found is None:
            (reason, *_) = [*str(error).splitlines(), type(error).__name__]
            raise DigitcliError(
                f"{path} is a damaged file of torch.save ({reason:.100})", _SAVE_WEIGHTS
            ) from error
        raise DigitcliError(
            f"{path} holds more than tensors, a pickled {found[1]}, and loading that can run code",
            _SAVE_WEIGHTS,
        ) from error


def _state_dict(path: Path, loaded: Any) -> dict[str, Tensor]:
    if _is_state_dict(loaded):
        return dict(loaded)
    held = dict(loaded) if isinstance(loaded, Mapping) else {}
    names = [name for name in held if isinstance(name, str) and _is_state_dict(held[name])]
    chosen = [name for name in names if name in _KEYS] or names
    if len(chosen) == 1:
        return dict(held[chosen[0]])
    if chosen:
        listed = ", ".join(f"{name:.40}" for name in chosen[:6])
        raise DigitcliError(f"{path} holds several state dicts ({listed})", _SAVE_WEIGHTS)
    if isinstance(loaded, Mapping):
        listed = ", ".join(f"{name!s:.40}" for name in list(held)[:6] if isinstance(name, str))
        raise DigitcliError(
            f"{path} holds no state dict (found {listed or 'nothing'})", _SAVE_WEIGHTS
        )
    raise DigitcliError(f"{path} holds a {type(loaded).__name__}, no state dict", _SAVE_WEIGHTS)


def _is_state_dict(value: Any) -> bool:
    return (
        isinstance(value, Mapping)
        and len(value) > 0
        and all(isinstance(name, str) for name in value)
        and all(isinstance(tensor, Tensor) for tensor in value.values())
    )
