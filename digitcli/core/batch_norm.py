"""Batch normalization with the same result in any number of threads and processes."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed.nn.functional import all_reduce
from typing_extensions import override


class GlobalBatchNorm(nn.BatchNorm1d):
    """Batch normalization over the shares that all processes have of a batch.

    torch's ``SyncBatchNorm`` does this on GPUs only. The parameters and buffers are those of
    ``nn.BatchNorm1d``; the buffers are not updated here.
    """

    @override
    def forward(self, x: Tensor) -> Tensor:
        count = all_reduce(torch.tensor(float(len(x)), device=x.device))
        mean = all_reduce(x.sum(dim=0)) / count
        centered = x - mean
        variance = all_reduce(centered.square().sum(dim=0)) / count
        return centered * torch.rsqrt(variance + self.eps) * self.weight + self.bias


class LocalBatchNorm(nn.BatchNorm1d):
    """Batch normalization within a process, whose sums are those of one thread on the CPU.

    Every thread of torch's own adds up a part of the batch, so that the result depends on their
    number. The parameters and buffers are those of ``nn.BatchNorm1d``; the buffers are not updated.
    """

    @override
    def forward(self, x: Tensor) -> Tensor:
        if x.device.type != "cpu":
            return super().forward(x)
        return _OneThread.apply(x, self.weight, self.bias, self.eps)


class _OneThread(torch.autograd.Function):
    """torch's native batch normalization while training, in one thread."""

    @staticmethod
    @override
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, eps: float) -> Tensor:
        with _one_thread():
            output, mean, deviation = torch.native_batch_norm(
                x, weight, bias, None, None, training=True, momentum=0.0, eps=eps
            )
        ctx.save_for_backward(x, weight, mean, deviation)
        ctx.eps = eps
        return output

    @staticmethod
    @override
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, mean, deviation = ctx.saved_tensors
        with _one_thread():
            of_inputs = torch.ops.aten.native_batch_norm_backward(
                gradients[0], x, weight, None, None, mean, deviation, True, ctx.eps, [True] * 3
            )
        return *of_inputs, None


@contextmanager
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
