"""Choosing the device to compute on."""

import torch
from torch import Tensor

from digitcli.core.errors import DigitcliError


def choose_device(name: str) -> torch.device:
    """Returns the device of a name.

    Args:
        name: "auto" (CUDA, else MPS, else the CPU), "cpu", "cuda", "cuda:N" or "mps".

    Raises:
        DigitcliError: There is no such device, or this build of torch cannot use it.
    """
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    kind, _, index = name.partition(":")
    if kind not in ("cpu", "cuda", "mps") or (
        ":" in name and not (kind == "cuda" and index.isdecimal())
    ):
        raise DigitcliError(f"there is no device {name!r}", "choose auto, cpu, cuda, cuda:N or mps")
    if kind == "cuda":
        _check_cuda(int(index or 0))
    if kind == "mps" and not torch.backends.mps.is_available():
        raise DigitcliError(
            f"torch {torch.__version__} finds no Metal (MPS) device on this machine",
            "use --device cpu",
        )
    return torch.device(name)


def send(tensor: Tensor, device: torch.device) -> Tensor:
    """Copies a small tensor to a device without waiting for the work queued there.

    On CUDA only copies from pinned memory are asynchronous; torch keeps it until the copy is done.
    """
    if device.type == "cuda":
        return tensor.pin_memory().to(device, non_blocking=True)
    return tensor.to(device)


def _check_cuda(index: int) -> None:
    if not torch.cuda.is_available():
        if torch.version.cuda is None:
            raise DigitcliError(
                f"torch {torch.__version__} is built without CUDA",
                "install a CUDA build (https://pytorch.org/get-started/locally/) "
                "or use --device cpu",
            )
        raise DigitcliError(
            f"torch {torch.__version__} is built for CUDA {torch.version.cuda}, but finds no CUDA "
            "device",
            "install an NVIDIA driver for it ('nvidia-smi' shows the present one) "
            "or use --device cpu",
        )
    if index >= (count := torch.cuda.device_count()):
        raise DigitcliError(
            f"there is no CUDA device {index}, the last is {count - 1}",
            f"use --device cuda:{count - 1}",
        )
