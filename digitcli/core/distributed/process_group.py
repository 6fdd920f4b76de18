"""The processes that train one network together: those of torchrun, or a single one.

Every process draws the same random numbers and holds the same weights. It computes its share of
each batch; gradients, sums and flags are added up over all processes. The result is that of a
single process, to rounding.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch
import torch.distributed as dist
from torch import Tensor, nn

from digitcli.core.batch_norm import GlobalBatchNorm, LocalBatchNorm
from digitcli.core.device import choose_device
from digitcli.core.distributed.rank import Rank, rank_from_environment
from digitcli.core.errors import DigitcliError


class ProcessGroup(Rank):
    """This process among the others, which it can communicate with."""

    @property
    def batch_norm(self) -> type[nn.BatchNorm1d]:
        """Class of batch normalization over the whole batch."""
        return LocalBatchNorm if self.size == 1 else GlobalBatchNorm

    def sum(self, tensor: Tensor) -> Tensor:
        """Returns the sum of a tensor over all processes; every process must call this."""
        if self.size == 1:
            return tensor
        total = tensor.clone()
        dist.all_reduce(total)
        return total

    def any(self, flag: bool) -> bool:
        """Returns True if any process passes True; every process must call this."""
        if self.size == 1:
            return flag
        device = "cuda" if dist.get_backend() == "nccl" else "cpu"
        return bool(self.sum(torch.tensor(float(flag), device=device)) > 0)

    def wrap(self, model: nn.Module) -> nn.Module:
        """Returns a module whose gradients are the mean over all processes."""
        if self.size == 1:
            return model
        from torch.nn.parallel import DistributedDataParallel

        return DistributedDataParallel(model)

    def scaled(self, objective: Tensor) -> Tensor:
        """Scales this process's share of a loss: the gradients of all shares are averaged."""
        return objective if self.size == 1 else objective * self.size


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
        device: This process's device: on CUDA they communicate over NCCL, else over gloo.

    Raises:
        DigitcliError: The others cannot be reached, or one of them has ended.
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
        yield ProcessGroup(rank.rank, rank.size)
    except RuntimeError as error:
        if not (isinstance(error, dist.DistError) or "/gloo/" in str(error)):
            raise
        raise DigitcliError(
            "another process has ended", "see its error, or torchrun's report"
        ) from error
    # not after an error: the others end when they miss this one, which has reported it by then
    dist.destroy_process_group()
