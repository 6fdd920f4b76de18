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

_TOLERANCE = 1e-4
"""Greatest difference of a loss or weight between a replayed step and an ordinary one: the kernels
may add up in another order, and a wrong step of the lesson moves a weight by more."""


def capture_step(
    step: Step,
    *,
    plain: Step,
    state: Sequence[Tensor],
    size: int,
    device: torch.device,
    callbacks: Sequence[Callback],
    rank: Rank,
) -> Step:
    """Returns a step that is captured and replayed, on CUDA in a single process; else ``step``.

    If that fails, ``callbacks`` are called and ``plain`` is taken every time; see ``CapturedStep``.
    """
    if device.type != "cuda" or rank.size > 1:
        return step

    def on_failure(reason: str) -> None:
        for callback in callbacks:
            callback.on_capture_failed(reason)

    return CapturedStep(
        step,
        plain=plain,
        state=state,
        size=size,
        device=device,
        graphs=CudaGraphs(device),
        on_failure=on_failure,
    )


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

    The first replay is compared with ``plain`` on the same batch. If they differ, or if anything
    fails before, the state is restored and ``plain`` is taken from then on.

    Args:
        step: The step to capture. It reads and changes tensors on the device in place, and decides
            nothing by their values.
        plain: A step that computes the same; it may be ``step`` itself.
        state: The tensors that a step changes.
        size: Labelled images of a full batch; the smaller last batch of an epoch is not replayed.
        device: Device of the step.
        graphs: Captures the step.
        on_failure: Called with the reason if steps are not replayed.
    """

    def __init__(
        self,
        step: Step,
        *,
        plain: Step,
        state: Sequence[Tensor],
        size: int,
        device: torch.device,
        graphs: CudaGraphs,
        on_failure: Callable[[str], None],
    ) -> None:
        self._step, self._plain, self._state = step, plain, state
        self._size, self._graphs, self._on_failure = size, graphs, on_failure
        self._lr = torch.empty((), device=device)
        self._batch: Batch | None = None
        self._captured: tuple[Callable[[], None], Tensor] | None = None
        self._warmed_up, self._failed = 0, False

    def __call__(self, batch: Batch, lr: float | Tensor) -> Tensor:
        """Takes a step; see ``Step``. The loss is valid until the next step."""
        self._lr.fill_(lr)
        if self._failed or len(batch.labels) != self._size:
            return (self._plain if self._failed else self._step)(batch, self._lr)
        if self._batch is None:
            self._batch = batch._replace(
                images=torch.empty_like(batch.images), labels=torch.empty_like(batch.labels)
            )
        self._batch.images.copy_(batch.images)
        self._batch.labels.copy_(batch.labels)
        if self._captured is None:
            return self._prepare(self._batch)
        replay, loss = self._captured
        replay()
        return loss

    def _prepare(self, batch: Batch) -> Tensor:
        """Takes a step on the way to replaying: a few to warm up, then the one that is captured."""
        before = _copies(self._state)
        work = partial(self._step, batch, self._lr)
        try:
            if self._warmed_up < _WARM_UP:
                loss = self._graphs.warm_up(work)
                self._warmed_up += 1
                return loss
            self._captured = self._capture(work, before, batch)
            return self._captured[1]
        except RuntimeError as error:
            self._failed = True
            self._restore(before)
            self._on_failure(_first_cause(error))
            return self._plain(batch, self._lr)

    def _capture(
        self, work: Callable[[], Tensor], before: list[Tensor], batch: Batch
    ) -> tuple[Callable[[], None], Tensor]:
        """Captures the step, and takes it once, if that gives what the plain step gives.

        Raises:
            RuntimeError: It does not, or cannot be captured.
        """
        replay, loss = self._graphs.capture(work)
        expected = _copies([self._plain(batch, self._lr), *self._state])
        self._restore(before)
        replay()
        for ours, theirs in zip([loss, *self._state], expected, strict=True):
            if not torch.allclose(ours, theirs, rtol=0, atol=_TOLERANCE, equal_nan=True):
                raise RuntimeError("a replayed step differs from an ordinary one")
        return replay, loss

    def _restore(self, before: list[Tensor]) -> None:
        with torch.no_grad():
            for tensor, value in zip(self._state, before, strict=True):
                tensor.copy_(value)


def _copies(tensors: Sequence[Tensor]) -> list[Tensor]:
    return [tensor.detach().clone() for tensor in tensors]


def _first_cause(error: BaseException) -> str:
    """Returns the first line of the first error: ending a failed capture fails as well."""
    while error.__context__ is not None:
        error = error.__context__
    return str(error).partition("\n")[0]
