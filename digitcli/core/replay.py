"""Steps on CUDA as one launch in place of some eighty.

A step of this network is over sooner on the device than Python can launch its kernels one by one.
So they are captured in a graph once, and each step replays it: the same kernels in the same order,
on inputs that were put where the graph reads them.
"""

from collections.abc import Callable
from functools import partial
from typing import Protocol

import torch
from torch import Tensor

from digitcli.core.batches import Batch

Step = Callable[[Batch, float | Tensor], Tensor]
"""Takes a step on a batch at a learning rate, and returns its loss, float32 ()."""

_WARM_UP = 3
"""Steps that are launched kernel by kernel before the capture, in which libraries set up what they
must not set up amid it; torch's notes on CUDA graphs take as many."""


class Graphs(Protocol):
    """What can capture work on a device, and replay it."""

    def warm(self, work: Callable[[], Tensor]) -> Tensor:
        """Does the work kernel by kernel, where it will be captured."""

    def capture(self, work: Callable[[], Tensor]) -> tuple[Callable[[], None], Tensor]:
        """Captures the work without doing it.

        Returns:
            What does it, and the tensor in which its result is then found.

        Raises:
            RuntimeError: It cannot be captured.
        """


class CudaGraphs:
    """CUDA's own, on a stream beside that of all other work."""

    def __init__(self, device: torch.device) -> None:
        self._stream = torch.cuda.Stream(device)

    def warm(self, work: Callable[[], Tensor]) -> Tensor:
        """See ``Graphs``."""
        usual = torch.cuda.current_stream(self._stream.device)
        self._stream.wait_stream(usual)
        with torch.cuda.stream(self._stream):
            result = work()
        usual.wait_stream(self._stream)
        return result

    def capture(self, work: Callable[[], Tensor]) -> tuple[Callable[[], None], Tensor]:
        """See ``Graphs``."""
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, stream=self._stream):
            result = work()
        return graph.replay, result


class Replayed:
    """A step that is replayed for every batch of the first one's shape.

    Args:
        step: What it is without that. It reads the device's tensors and changes them in place, and
            takes no decision that hangs on their values.
        graphs: Captures it.
        on_plain: Told why it cannot be captured, if so: every step is then the plain one.
    """

    def __init__(self, step: Step, graphs: Graphs, on_plain: Callable[[str], None]) -> None:
        self._step, self._graphs, self._on_plain = step, graphs, on_plain
        self._inputs: Batch | None = None
        self._lr = self._loss = torch.empty(())
        self._replay: Callable[[], None] | None = None
        self._warmed, self._is_plain = 0, False

    def __call__(self, batch: Batch, lr: float | Tensor) -> Tensor:
        """Takes a step; see ``Step``. The loss is good until the next one."""
        if self._inputs is None:
            self._inputs = batch._replace(x=batch.x.clone(), y=batch.y.clone())
            self._lr = torch.empty((), device=batch.x.device)
        inputs = self._inputs
        self._lr.fill_(lr)
        if self._is_plain or batch.x.shape != inputs.x.shape or batch.y.shape != inputs.y.shape:
            return self._step(batch, self._lr)

        inputs.x.copy_(batch.x)
        inputs.y.copy_(batch.y)
        work = partial(self._step, inputs, self._lr)
        if self._warmed < _WARM_UP:
            self._warmed += 1
            return self._graphs.warm(work)
        if self._replay is None:
            try:
                self._replay, self._loss = self._graphs.capture(work)
            except RuntimeError as error:
                self._is_plain = True
                self._on_plain(str(error).partition("\n")[0])
                return self._step(batch, self._lr)
        self._replay()
        return self._loss


def fastest(step: Step, device: torch.device, on_plain: Callable[[str], None]) -> Step:
    """Returns what takes a step soonest on a device: the replayed one on CUDA, else itself."""
    return Replayed(step, CudaGraphs(device), on_plain) if device.type == "cuda" else step
