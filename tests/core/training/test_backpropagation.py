"""The step with backpropagation written out is the one that PyTorch's autograd takes."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from drawn_digits import drawn_data
from torch import Tensor
from torch.nn.functional import cross_entropy
from training_runs import CPU, run_training

from digitcli.core.distributed.rank import Rank
from digitcli.core.model import MLP
from digitcli.core.recipes import LESSON, RECIPES
from digitcli.core.training import loop
from digitcli.core.training.backpropagation import BackpropagationStep, covers
from digitcli.core.training.loader import Batch
from digitcli.core.training.optimizers import SGD


def batches(sizes: list[int], classes: int) -> list[Batch]:
    generator = torch.Generator().manual_seed(4)
    return [
        Batch(
            torch.randn(size, 784, generator=generator),
            torch.randint(classes, (size,), generator=generator),
            share=1.0,
            outlier_share=0.0,
        )
        for size in sizes
    ]


@pytest.mark.parametrize("as_tensor", [False, True])
@pytest.mark.parametrize("momentum", [0.0, 0.5, 0.9])
@pytest.mark.parametrize("widths", [(784, 512, 256, 128, 64, 10), (784, 20, 3), (784, 2)])
def test_weights_and_velocities_are_those_of_autograd(
    widths: tuple[int, ...], momentum: float, as_tensor: bool
) -> None:
    torch.manual_seed(1)
    recipe = replace(LESSON, momentum=momentum)
    ours, theirs = MLP(widths), MLP(widths)
    theirs.load_state_dict(ours.state_dict())
    mine, others = (SGD(list(model.parameters()), recipe) for model in (ours, theirs))
    step = BackpropagationStep(ours, mine, recipe, 64)
    lr: float | Tensor = torch.tensor(0.05) if as_tensor else 0.05
    for batch in batches([64, 64, 17, 1, 64], widths[-1]):
        others.zero_grad()
        expected = cross_entropy(theirs(batch.images), batch.labels)
        expected.backward()
        others.step(0.05)
        assert step(batch, lr).item() == pytest.approx(expected.item(), abs=1e-6)
    compared = [(ours.state_dict(), theirs.state_dict())]
    if momentum:  # without it torch keeps no velocities
        compared.append((mine.state(), others.state()))
    for changed, reference in compared:
        for name, value in reference.items():
            torch.testing.assert_close(changed[name], value, rtol=0, atol=1e-6)


def test_it_trains_where_it_can() -> None:
    cuda, one = torch.device("cuda"), Rank()
    covered = {name for name, recipe in RECIPES.items() if covers(recipe, CPU, one)}
    assert covered == {"lesson", "optdigits"}
    assert covers(LESSON, cuda, one)
    assert not covers(LESSON, torch.device("mps"), one)
    assert not covers(LESSON, CPU, Rank(0, 2))


def test_a_run_ends_with_the_weights_of_the_readable_step(monkeypatch: pytest.MonkeyPatch) -> None:
    data, recipe = drawn_data(), replace(LESSON, epochs=3, batch_size=16)
    fast = run_training(data, recipe, seed=5).checkpoint
    monkeypatch.setattr(loop, "covers", lambda *_: False)
    readable = run_training(data, recipe, seed=5).checkpoint
    for name, weight in readable.weights.items():
        np.testing.assert_allclose(fast.weights[name], weight, rtol=0, atol=1e-6)
    assert [point.loss for point in fast.metadata.losses] == pytest.approx(
        [point.loss for point in readable.metadata.losses], abs=1e-6
    )
