"""Training steps on CUDA as one launch in place of some eighty.

The device finishes a step of this network before Python can launch its kernels one by one. So the
kernels are captured in a CUDA graph once, and every further step replays the graph on inputs that
are copied to where it reads them.
"""

from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor

from digitcli.core.distributed.rank import Rank
from digitcli.core.training.callbacks.callback import Callback
from digitcli.core.training.loader import Batch

Step = Callable[[Batch, float | Tensor], Tensor]
"""Takes a training step on a batch at a learning rate and returns the loss, float32 ()."""

_WARM_UP = 3
"""Steps before the capture, in which libraries initialize what they must not within it; torch's
notes on CUDA graphs use as many."""


def capture_step(
    step: Step, size: int, device: torch.device, callbacks: Sequence[Callback], rank: Rank
) -> Step:
    """Returns a step that is captured and replayed, on CUDA in a single process; else ``step``.

    If the capture fails, ``callbacks`` are called and the ordinary step is taken every time.
    """
    if device.type != "cuda" or rank.size > 1:
        return step

    def on_failure(reason: str) -> None:
        for callback in callbacks:
            callback.on_capture_failed(reason)

    return CapturedStep(step, size, device, CudaGraphs(device), on_failure)


class CudaGraphs:
    """Captures work in CUDA graphs, on a stream of its own."""

    def __init__(self, device: torch.device) -> None:
        self._stream = torch.cuda.Stream(device)

    def warm_up(self, work: Callable[[], Tensor]) -> Tensor:
        """Does the work kernel by kernel, on the stream of the capture."""
        current = torch.cuda.current_stream(self._stream.device)
        self._stream.wait_stream(current)
        with torch.cuda.stream(self._stream):
            result = work()
        current.wait_stream(self._stream)
        return result

    def capture(self, work: Callable[[], Tensor]) -> tuple[Callable[[], None], Tensor]:
        """Captures the work without doing it.

        Returns:
            A function that replays it, and the tensor that then holds its result.

        Raises:
            RuntimeError: The work cannot be captured.
        """
        graph = torch.cuda.CUDAGraph()
        current = torch.cuda.current_stream(self._stream.device)
        # after a failed capture torch 2.11 leaves the capture's stream as the current one
        with torch.cuda.stream(current), torch.cuda.graph(graph, stream=self._stream):
            result = work()
        return graph.replay, result


class CapturedStep:
    """A step that is captured once and replayed for every full batch.

    Args:
        step: An ordinary step. It reads and changes tensors on the device in place, and decides
            nothing by their values.
        size: Labelled images of a full batch; the smaller last batch of an epoch takes the
            ordinary step.
        device: Device of the step.
        graphs: Captures the step.
        on_failure: Called with the reason if the step cannot be captured.
    """

    def __init__(
        self,
        step: Step,
        size: int,
        device: torch.device,
        graphs: CudaGraphs,
        on_failure: Callable[[str], None],
    ) -> None:
        self._step, self._size, self._graphs, self._on_failure = step, size, graphs, on_failure
        self._lr = torch.empty((), device=device)
        self._batch: Batch | None = None
        self._captured: tuple[Callable[[], None], Tensor] | None = None
        self._warmed_up, self._failed = 0, False

    def __call__(self, batch: Batch, lr: float | Tensor) -> Tensor:
        """Takes a step; see ``Step``. The loss is valid until the next step."""
        self._lr.fill_(lr)
        if self._failed or len(batch.labels) != self._size:
            return self._step(batch, self._lr)
        if self._batch is None:
            self._batch = batch._replace(
                images=torch.empty_like(batch.images), labels=torch.empty_like(batch.labels)
            )
        self._batch.images.copy_(batch.images)
        self._batch.labels.copy_(batch.labels)

        work = partial(self._step, self._batch, self._lr)
        if self._warmed_up < _WARM_UP:
            self._warmed_up += 1
            return self._graphs.warm_up(work)
        if self._captured is None:
            try:
                self._captured = self._graphs.capture(work)
            except RuntimeError as error:
                self._failed = True
                self._on_failure(_first_cause(error))
                return work()
        replay, loss = self._captured
        replay()
        return loss


def _first_cause(error: BaseException) -> str:
    """Returns the first line of the first error: ending a failed capture fails as well."""
    while error.__context__ is not None:
        error = error.__context__
    return str(error).partition("\n")[0]
