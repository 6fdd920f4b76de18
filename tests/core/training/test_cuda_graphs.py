"""Steps that are captured and replayed are the steps that they were captured from."""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from drawn_digits import drawn_data
from torch import Tensor
from training_runs import CPU, run_training

from digitcli.core.checkpointing.checkpoint import Checkpoint
from digitcli.core.checkpointing.training_state import TrainingState
from digitcli.core.recipes import BEST, QUICK, Recipe
from digitcli.core.training import loop, optimizers
from digitcli.core.training.callbacks.callback import Callback
from digitcli.core.training.cuda_graphs import CapturedStep, CudaGraphs, Step
from digitcli.core.training.data import TrainingData
from digitcli.core.training.loader import Batch

RECIPES = {
    "lesson": Recipe("small", epochs=2, batch_size=8, lr=0.05, momentum=0.5),
    "quick": replace(QUICK, epochs=2, batch_size=8),
    "best": replace(BEST, epochs=2, batch_size=16),
}
"""Of 100 pictures the last batch is smaller, and not replayed."""


class TapeGraphs(CudaGraphs):
    """Stands in for CUDA graphs: repeats the captured work, on the tensors of the capture.

    Args:
        fault: Message of the error that a capture ends in.
        lie: Changes what a replay has computed.
    """

    def __init__(self, fault: str | None = None, lie: Callable[[Tensor], object] = id) -> None:
        self.fault, self.lie = fault, lie
        self.warmed = self.captured = self.replayed = 0

    def warm_up(self, work: Callable[[], Tensor]) -> Tensor:
        self.warmed += 1
        return work()

    def capture(self, work: Callable[[], Tensor]) -> tuple[Callable[[], None], Tensor]:
        if self.fault is not None:
            try:
                raise RuntimeError(self.fault)
            finally:  # as torch does, which ends the capture all the same
                raise RuntimeError("operation failed due to a previous error during capture")
        self.captured += 1
        result = torch.full((), np.nan)

        def again() -> None:
            self.replayed += 1
            result.copy_(work())
            self.lie(result)

        return again, result


class Listener(Callback):
    def __init__(self) -> None:
        self.told: list[str] = []

    def on_capture_failed(self, reason: str) -> None:
        self.told.append(reason)


@pytest.fixture(scope="module")
def data() -> TrainingData:
    return drawn_data(outliers=50, synthetic=40)


def trained(
    data: TrainingData, recipe: Recipe, device: torch.device = CPU, who: Sequence[Callback] = ()
) -> Checkpoint:
    done = run_training(data, recipe, seed=3, device=device, callbacks=who)
    return done.checkpoint


class Captured(NamedTuple):
    """The arguments of ``capture_step`` that decide what is computed."""

    step: Step
    plain: Step
    state: Sequence[Tensor]
    size: int
    on_failure: Callable[[str], None]


Make = Callable[[Captured], Step]


def taking(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    def capture(step: Step, *, callbacks: Sequence[Callback], **others: Any) -> Step:
        def on_failure(reason: str) -> None:
            for callback in callbacks:
                callback.on_capture_failed(reason)

        del others["device"], others["rank"]
        return make(Captured(step, on_failure=on_failure, **others))

    monkeypatch.setattr(loop, "capture_step", capture)


def by(graphs: TapeGraphs) -> Make:
    return lambda what: CapturedStep(**what._asdict(), device=CPU, graphs=graphs)


@pytest.mark.parametrize("name", RECIPES)
def test_replayed_steps_are_the_plain_ones(
    data: TrainingData, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = RECIPES[name]
    # the rate of a replayed step is a tensor, and so a float32
    taking(lambda what: lambda batch, lr: what.step(batch, torch.tensor(lr)), monkeypatch)
    plain = trained(data, recipe)
    graphs = TapeGraphs()
    taking(by(graphs), monkeypatch)
    replayed = trained(data, recipe)

    full = 2 * (100 // recipe.batch_size)
    assert (graphs.warmed, graphs.captured, graphs.replayed) == (3, 1, full - 3)
    assert replayed.metadata == plain.metadata
    for weight, expected in zip(replayed.weights.values(), plain.weights.values(), strict=True):
        assert np.array_equal(weight, expected)


def test_going_on_at_a_smaller_batch_replays_the_full_ones(
    data: TrainingData, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Keeper(Callback):
        state: TrainingState | None = None

        def on_state(self, state: TrainingState) -> None:
            self.state = self.state or state

    recipe, keeper = replace(RECIPES["lesson"], epochs=3), Keeper()
    full = 100 // recipe.batch_size
    run_training(data, recipe, seed=3, callbacks=[keeper], save_every=full)
    graphs = TapeGraphs()
    taking(by(graphs), monkeypatch)
    run_training(data, recipe, seed=3, resume=keeper.state)
    assert (graphs.warmed, graphs.captured, graphs.replayed) == (3, 1, 2 * full - 3)


WRONG = "a replayed step differs from an ordinary one"


@pytest.mark.parametrize(
    ("graphs", "reason"),
    [
        (TapeGraphs(fault="operation not permitted\nand so on"), "operation not permitted"),
        (TapeGraphs(lie=lambda loss: loss.add_(2e-4)), WRONG),
        (TapeGraphs(lie=lambda loss: loss.fill_(np.nan)), WRONG),
    ],
)
def test_what_cannot_be_replayed_is_told_once_and_trained_all_the_same(
    data: TrainingData, graphs: TapeGraphs, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def as_it_should_be(what: Captured) -> Step:
        steps = itertools.chain([what.step] * 3, itertools.repeat(what.plain))
        return lambda batch, lr: next(steps)(batch, torch.tensor(lr))

    taking(as_it_should_be, monkeypatch)
    expected = trained(data, RECIPES["lesson"])
    taking(by(graphs), monkeypatch)
    listener = Listener()
    fallen_back = trained(data, RECIPES["lesson"], who=[listener])

    assert listener.told == [reason]
    for weight, value in zip(fallen_back.weights.values(), expected.weights.values(), strict=True):
        assert np.array_equal(weight, value)


def test_a_replay_that_computes_other_weights_is_not_trusted(
    data: TrainingData, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []

    def make(what: Captured) -> Step:
        def lie(_: Tensor) -> None:
            what.state[2][0, 0] += 2e-4

        on_failure = told.append
        return by(TapeGraphs(lie=lie))(what._replace(on_failure=on_failure))

    plain = trained(data, RECIPES["quick"])
    taking(make, monkeypatch)
    fallen_back = trained(data, RECIPES["quick"])
    assert told == [WRONG]
    for weight, value in zip(fallen_back.weights.values(), plain.weights.values(), strict=True):
        np.testing.assert_allclose(weight, value, rtol=0, atol=1e-5, equal_nan=False)


@pytest.mark.parametrize("name", RECIPES)
def test_a_step_asks_the_device_for_no_value(
    data: TrainingData, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Torch's meta device holds no values and refuses to give one, or to mix devices."""

    class SeenError(Exception):
        pass

    def once(what: Captured) -> Step:
        def take(batch: Batch, lr: float | Tensor) -> Tensor:  # noqa: ARG001
            assert len(batch.labels) == what.size
            loss = what.step(batch, torch.empty((), device=batch.images.device))
            assert loss.device.type == batch.images.device.type == "meta"
            raise SeenError

        return take

    def update(parameters: list[Tensor], gradients: list[Tensor], *_: object, **__: object) -> None:
        assert [g.shape for g in gradients] == [p.shape for p in parameters]

    taking(once, monkeypatch)
    for name_ in ("sgd", "adamw"):  # their kernels have no form without values
        monkeypatch.setattr(optimizers, name_, update)
    with pytest.raises(SeenError):
        trained(data, RECIPES[name], torch.device("meta"))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("name", RECIPES)
def test_cuda_replays_the_steps_of_the_cpu(
    data: TrainingData, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    replays = 0
    replay = torch.cuda.CUDAGraph.replay

    def counted(graph: torch.cuda.CUDAGraph) -> None:
        nonlocal replays
        replays += 1
        replay(graph)

    monkeypatch.setattr(torch.cuda.CUDAGraph, "replay", counted)
    listener = Listener()
    theirs = trained(data, RECIPES[name], torch.device("cuda"), [listener])
    assert listener.told == []
    assert replays == 2 * (100 // RECIPES[name].batch_size) - 3
    ours = trained(data, RECIPES[name])
    losses = [[each.loss for each in one.metadata.losses] for one in (theirs, ours)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-3)
