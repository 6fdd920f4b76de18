"""Softmax and cross-entropy: their properties, and the values that torch computes."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional

from digitcli.core.errors import ScoresError
from digitcli.core.softmax import FloatArray, LossSteps, log_softmax, margin, softmax, softmax_steps

scores = st.lists(st.floats(-1e4, 1e4, allow_subnormal=False), min_size=2, max_size=12)


def loss_steps(
    logits: list[float] | FloatArray, target: int, temperature: float = 1.0
) -> LossSteps:
    steps = softmax_steps(logits, target=target, temperature=temperature).loss
    assert steps is not None
    return steps


@given(scores)
def test_probabilities_sum_to_one_and_keep_the_order(logits: list[float]) -> None:
    p = softmax(logits)
    assert p.sum() == pytest.approx(1)
    assert (p >= 0).all()
    assert p[int(np.argmax(logits))] == p.max()


@given(scores, st.floats(-1e4, 1e4))
def test_a_constant_added_to_all_scores_changes_nothing(logits: list[float], shift: float) -> None:
    assert softmax(np.array(logits) + shift) == pytest.approx(softmax(logits), abs=1e-9)


@given(scores, st.data())
def test_equals_torch(logits: list[float], data: st.DataObject) -> None:
    target = data.draw(st.integers(0, len(logits) - 1))
    tensor = torch.tensor(logits, dtype=torch.float64, requires_grad=True)
    loss = functional.cross_entropy(tensor[None], torch.tensor([target]))
    (gradient,) = torch.autograd.grad(loss, tensor)
    steps = loss_steps(logits, target)
    probabilities = torch.softmax(tensor, 0).detach().numpy()
    assert softmax_steps(logits).probabilities == pytest.approx(probabilities)
    assert log_softmax(logits) == pytest.approx(torch.log_softmax(tensor, 0).detach().numpy())
    assert steps.cross_entropy == pytest.approx(loss.item(), abs=1e-9)
    assert steps.nll == pytest.approx(loss.item(), abs=1e-9)
    assert steps.gradient == pytest.approx(gradient.numpy(), abs=1e-9)


@given(scores, st.floats(0.05, 20), st.data())
def test_temperature_divides_the_scores(
    logits: list[float], temperature: float, data: st.DataObject
) -> None:
    target = data.draw(st.integers(0, len(logits) - 1))
    scaled = np.array(logits) / temperature
    warm = softmax_steps(logits, target=target, temperature=temperature)
    assert warm.probabilities == pytest.approx(softmax_steps(scaled).probabilities)
    loss = loss_steps(logits, target, temperature).cross_entropy
    assert loss == pytest.approx(loss_steps(scaled, target).cross_entropy)
    assert list(warm.logits) == logits


def test_the_lessons_example() -> None:
    steps = softmax_steps([2, 1, 0.1], classes=["cat", "dog", "person"], target=0)
    assert [f"{p:.3f}" for p in steps.probabilities] == ["0.659", "0.242", "0.099"]
    assert steps.classes[steps.top] == "cat"
    assert margin(steps.logits) == 1


def test_softmax_twice_is_the_loss_that_torch_computes_from_probabilities() -> None:
    probabilities = torch.tensor(softmax([2, 1, 0.1]))
    twice = functional.cross_entropy(probabilities[None], torch.tensor([0]))
    assert loss_steps([2, 1, 0.1], 0).double_softmax == pytest.approx(twice.item())


@pytest.mark.parametrize("size", [1000, 1e6, 1e300])
def test_huge_scores_do_not_overflow(size: float) -> None:
    scores = [size, 0, -size]
    assert list(softmax_steps(scores).probabilities) == [1, 0, 0]
    assert loss_steps(scores, 2).cross_entropy == pytest.approx(2 * size)


def test_a_certain_and_correct_answer_has_no_loss() -> None:
    assert loss_steps([1000, 0], 0).cross_entropy == 0


@pytest.mark.parametrize(
    ("logits", "options", "problem"),
    [
        ([1], {}, "two scores or more, not 1"),
        ([1, math.nan], {}, "finite"),
        ([1, math.inf], {}, "finite"),
        ([1, 2], {"classes": ["a"]}, "2 scores but 1 classes"),
        ([1, 2], {"temperature": 0.0}, "temperature 0.0"),
        ([1, 2], {"temperature": math.nan}, "temperature nan"),
        ([1e300, 0], {"temperature": 1e-300}, "overflow at temperature 1e-300"),
        ([1, 2], {"temperature": 1e-320}, "overflow at temperature 1e-320"),
        ([-1, -2, 0], {"temperature": 5e-324}, "overflow at temperature 5e-324"),
        ([1e308, -1e308], {"target": 1}, "overflow at temperature 1.0"),
        ([1e308, -1e308], {"temperature": 2.0}, "overflow at temperature 2.0"),
        ([1, -1], {"temperature": 1e-308}, "overflow at temperature 1e-308"),
        ([1, 2], {"classes": ["a", "a"]}, "names must be unique"),
        ([1, 2], {"classes": ["a", ""]}, "and not empty"),
    ],
)
def test_invalid_input(logits: list[float], options: dict[str, float], problem: str) -> None:
    with pytest.raises(ScoresError, match=problem):
        softmax_steps(logits, **options)  # type: ignore[arg-type]
