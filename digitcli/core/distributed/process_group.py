"""The processes that train one network together: torchrun's, or a single one.

Every process draws the same random numbers and holds the same weights. Of each batch it takes its
part, and gradients, sums and wishes are added up over all: what comes out is what one process would
have made, to rounding.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.nn.functional import all_reduce

from digitcli.core.device import choose_device
from digitcli.core.distributed.rank import Rank, rank_from_environment
from digitcli.core.errors import DigitcliError


class ProcessGroup(Rank):
    """This process among the others, which it can reach."""

    @property
    def batch_norm(self) -> type[nn.BatchNorm1d]:
        """The batch normalisation that is over the whole of a batch."""
        return nn.BatchNorm1d if self.size == 1 else GlobalBatchNorm

    def total(self, tensor: Tensor) -> Tensor:
        """Returns the sum of a tensor over all processes; each must ask for it."""
        if self.size == 1:
            return tensor
        total = tensor.clone()
        dist.all_reduce(total)
        return total

    def any(self, wish: bool) -> bool:
        """Says whether any process wishes so; each must ask."""
        if self.size == 1:
            return wish
        device = "cuda" if dist.get_backend() == "nccl" else "cpu"
        return bool(self.total(torch.tensor(float(wish), device=device)) > 0)

    def joined(self, model: nn.Module) -> nn.Module:
        """Returns a model whose gradients are the mean over all processes."""
        if self.size == 1:
            return model
        from torch.nn.parallel import DistributedDataParallel

        return DistributedDataParallel(model)

    def gradients(self, objective: Tensor, parameters: list[Tensor]) -> list[Tensor]:
        """Differentiates a loss that is the mean over all processes' pictures.

        Args:
            objective: This process's part of it: the parts add up to the loss.
            parameters: By what it is differentiated.
        """
        if self.size == 1:
            return list(torch.autograd.grad(objective, parameters))
        for parameter in parameters:
            parameter.grad = None
        (objective * self.size).backward()  # DistributedDataParallel takes the mean of the parts
        return [parameter.grad for parameter in parameters if parameter.grad is not None]


SINGLE_PROCESS = ProcessGroup()


def local_device(device: torch.device) -> torch.device:
    """Returns this process's own device of a kind.

    Raises:
        DigitcliError: There are fewer devices than processes.
    """
    if device.type == "cuda" and device.index is None and "LOCAL_RANK" in os.environ:
        return choose_device(f"cuda:{os.environ['LOCAL_RANK']}")
    return device


@contextmanager
def join(device: torch.device) -> Iterator[ProcessGroup]:
    """Joins the processes that torchrun started, until the block ends.

    Args:
        device: Where this process computes, which decides how they talk: NCCL on CUDA, else gloo.

    Raises:
        DigitcliError: The others cannot be reached, or one of them has ended before this one.
    """
    rank = rank_from_environment()
    if rank.size == 1:
        yield SINGLE_PROCESS
        return
    try:
        if device.type == "cuda":
            torch.cuda.set_device(device)
        dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    except (RuntimeError, ValueError) as error:
        raise DigitcliError(
            f"the other processes cannot be reached ({str(error).splitlines()[0]})",
            "start all of them with torchrun",
        ) from error
    try:
        yield ProcessGroup(rank.number, rank.size)
    except RuntimeError as error:
        if not (isinstance(error, dist.DistError) or "/gloo/" in str(error)):
            raise
        raise DigitcliError(
            "another process has ended", "its own lines or torchrun's report say why"
        ) from error
    # Not after a fault: the others end when they miss this one, which has told it by then.
    dist.destroy_process_group()


class GlobalBatchNorm(nn.BatchNorm1d):
    """Batch normalisation over the parts that all processes have of a batch.

    torch's own ``SyncBatchNorm`` does so on GPUs alone. It takes the place of ``nn.BatchNorm1d``,
    whose parameters and buffers it has; the buffers are not its to change.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Normalises float32 (part, width) with the mean and variance over all parts."""
        count = all_reduce(torch.tensor(float(len(x)), device=x.device))
        mean = all_reduce(x.sum(dim=0)) / count
        centred = x - mean
        variance = all_reduce(centred.square().sum(dim=0)) / count
        normalised: Tensor = centred * torch.rsqrt(variance + self.eps) * self.weight + self.bias
        return normalised
