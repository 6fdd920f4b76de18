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

from digitcli.core.training.loader import Batch

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
        usual = torch.cuda.current_stream(self._stream.device)
        # where the capture fails, torch 2.11 leaves its stream the current one
        with torch.cuda.stream(usual), torch.cuda.graph(graph, stream=self._stream):
            result = work()
        return graph.replay, result


class Replayed:
    """A step that is replayed for every full batch.

    Args:
        step: What it is without that. It reads the device's tensors and changes them in place, and
            takes no decision that hangs on their values.
        size: Pictures of a full batch; the last of an epoch may be smaller, and is not replayed.
        device: Where the step is taken.
        graphs: Captures it there.
        on_plain: Told why it cannot be captured, if so: every step is then the plain one.
    """

    def __init__(
        self,
        step: Step,
        size: int,
        device: torch.device,
        graphs: Graphs,
        on_plain: Callable[[str], None],
    ) -> None:
        self._step, self._size, self._graphs, self._on_plain = step, size, graphs, on_plain
        self._lr = torch.empty((), device=device)
        self._batch: Batch | None = None
        self._captured: tuple[Callable[[], None], Tensor] | None = None
        self._warmed, self._is_plain = 0, False

    def __call__(self, batch: Batch, lr: float | Tensor) -> Tensor:
        """Takes a step; see ``Step``. The loss is good until the next one."""
        self._lr.fill_(lr)
        if self._is_plain or len(batch.y) != self._size:
            return self._step(batch, self._lr)
        if self._batch is None:
            self._batch = batch._replace(x=torch.empty_like(batch.x), y=torch.empty_like(batch.y))
        self._batch.x.copy_(batch.x)
        self._batch.y.copy_(batch.y)

        work = partial(self._step, self._batch, self._lr)
        if self._warmed < _WARM_UP:
            self._warmed += 1
            return self._graphs.warm(work)
        if self._captured is None:
            try:
                self._captured = self._graphs.capture(work)
            except RuntimeError as error:
                self._is_plain = True
                self._on_plain(_reason(error))
                return work()
        replay, loss = self._captured
        replay()
        return loss


def _reason(error: BaseException) -> str:
    """Says in a line what went wrong first: the end of a capture that failed fails as well."""
    while error.__context__ is not None:
        error = error.__context__
    return str(error).partition("\n")[0]


def fastest(step: Step, size: int, device: torch.device, on_plain: Callable[[str], None]) -> Step:
    """Returns what takes a step soonest on a device: the replayed one on CUDA, else itself.

    Args:
        step: A plain step.
        size: Pictures of a full batch.
        device: Where it is taken.
        on_plain: Told why steps cannot be replayed where they should be.
    """
    if device.type != "cuda":
        return step
    return Replayed(step, size, device, CudaGraphs(device), on_plain)
