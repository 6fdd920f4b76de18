"""Softmax and cross-entropy, step by step, in NumPy."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from digitcli.core.errors import ScoresError

FloatArray = npt.NDArray[np.float64]

SUM_TOLERANCE = 0.015
"""Maximum difference of the sum of given probabilities from 1: they may be rounded."""


def log_softmax(logits: npt.ArrayLike) -> FloatArray:
    """Returns the logarithm of softmax over the last axis, float64 of the shape of ``logits``.

    The largest score is subtracted first (the log-sum-exp trick), so scores of any finite size
    neither overflow nor lose the small probabilities.
    """
    scores = np.asarray(logits, dtype=np.float64)
    shifted = scores - scores.max(axis=-1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True)))


def margin(values: FloatArray) -> float:
    """Returns the largest of at least two values less the second largest."""
    second, first = np.sort(values)[-2:]
    return float(first - second)


def softmax(logits: npt.ArrayLike, temperature: float = 1.0) -> FloatArray:
    """Returns the softmax of z / T over the last axis, float64 of the shape of ``logits``."""
    scaled = np.asarray(logits, dtype=np.float64) / temperature
    exponentials = np.exp(scaled - scaled.max(axis=-1, keepdims=True))
    return np.asarray(exponentials / exponentials.sum(axis=-1, keepdims=True))


@dataclass(frozen=True)
class LossSteps:
    """The steps from probabilities to cross-entropy; arrays are float64 (classes,)."""

    target: int  # index of the right class
    one_hot: FloatArray  # y: 1 for the target, 0 elsewhere
    log_losses: FloatArray  # -y log p
    gradient: FloatArray  # p - y, the derivative of the loss by z / T
    cross_entropy: float  # computed at once: log-sum-exp of z / T less the target's z / T
    nll: float  # the same loss as LogSoftmax followed by NLLLoss
    double_softmax: float  # the loss if CrossEntropyLoss is given probabilities by mistake


@dataclass(frozen=True)
class DescentStep:
    """A step of gradient descent on the scores themselves; arrays are float64 (classes,)."""

    lr: float  # learning rate
    logits: FloatArray  # z - lr (p - y) / T
    probabilities: FloatArray  # their softmax at the same temperature
    loss: float  # their cross-entropy


@dataclass(frozen=True)
class SoftmaxSteps:
    """The steps from scores to probabilities and loss; arrays are float64 (classes,).

    Of probabilities that did not come from scores, the scores are log p: those softmax gives p for.
    """

    classes: tuple[str, ...]
    logits: FloatArray  # the scores z
    temperature: float  # T
    scaled: FloatArray  # z / T
    powers: FloatArray  # exp(z / T), infinite where that overflows
    exponentials: FloatArray  # exp(z / T - max(z / T))
    probabilities: FloatArray  # p, softmax of z / T
    loss: LossSteps | None  # None if the right class is not known
    step: DescentStep | None = None
    from_scores: bool = True

    @property
    def top(self) -> int:
        """Index of the most probable class, the first among equals."""
        return int(self.logits.argmax())


def softmax_steps(
    logits: Sequence[float] | FloatArray,
    *,
    classes: Sequence[str] | None = None,
    target: int | None = None,
    temperature: float = 1.0,
    lr: float | None = None,
) -> SoftmaxSteps:
    """Computes softmax, and cross-entropy if there is a target, keeping every step.

    Args:
        logits: At least two finite scores.
        classes: A name per score; by default the indices 0, 1, 2, ...
        target: Index of the right class.
        temperature: T > 0; above 1 flattens the probabilities, below 1 sharpens them
            (Hinton, Vinyals and Dean 2015).
        lr: Learning rate of a step of gradient descent on the scores, which needs a target.

    Raises:
        ScoresError: The scores, classes, temperature or learning rate do not fit the above.
    """
    scores = np.asarray(logits, dtype=np.float64)
    names = tuple(classes) if classes is not None else tuple(map(str, range(scores.size)))
    _check(scores, names, temperature)
    scaled = scores / temperature
    exponentials = np.exp(scaled - scaled.max())
    probabilities = exponentials / exponentials.sum()
    with np.errstate(over="ignore"):
        powers = np.exp(scaled)
    loss = None if target is None else _loss_steps(scaled, exponentials, probabilities, target)
    return SoftmaxSteps(
        classes=names,
        logits=scores,
        temperature=temperature,
        scaled=scaled,
        powers=powers,
        exponentials=exponentials,
        probabilities=probabilities,
        loss=loss,
        step=None if lr is None else _descent_step(scores, loss, temperature, lr),
    )


def probability_steps(
    probabilities: Sequence[float], *, classes: Sequence[str] | None = None, target: int | None
) -> SoftmaxSteps:
    """Computes the cross-entropy of probabilities, which need no softmax.

    Args:
        probabilities: At least two, which sum to 1 within ``SUM_TOLERANCE``.
        classes: A name per probability; by default the indices 0, 1, 2, ...
        target: Index of the right class; None if it is not known.

    Raises:
        ScoresError: The probabilities or classes do not fit the above.
    """
    p = np.asarray(probabilities, dtype=np.float64)
    names = tuple(classes) if classes is not None else tuple(map(str, range(p.size)))
    if p.size < 2:
        problem = f"probabilities are of two classes or more, not {p.size}"
        raise ScoresError(problem, "try --probabilities 0.7,0.2,0.1")
    if not ((p >= 0) & (p <= 1)).all() or abs(p.sum() - 1) > SUM_TOLERANCE:
        problem = f"probabilities are in 0..1 and sum to 1, and these sum to {p.sum():.6g}"
        raise ScoresError(problem, "give scores with --logits, whose softmax sums to 1")
    _check_names(names, p.size, "probabilities")
    with np.errstate(divide="ignore"):
        logits = np.log(p)
    loss = None
    if target is not None:
        one_hot = np.eye(p.size)[target]
        log_losses = np.where(one_hot == 1, 0.0 - logits, 0.0)
        total = float(log_losses.sum())
        double = float(-log_softmax(p)[target])
        loss = LossSteps(target, one_hot, log_losses, p - one_hot, total, total, double)
    return SoftmaxSteps(
        classes=names,
        logits=logits,
        temperature=1.0,
        scaled=logits,
        powers=p,
        exponentials=p / p.max(),
        probabilities=p,
        loss=loss,
        from_scores=False,
    )


def _descent_step(
    scores: FloatArray, loss: LossSteps | None, temperature: float, lr: float
) -> DescentStep:
    if loss is None:
        raise ScoresError("a step needs the right class", "name it with --target")
    if not (math.isfinite(lr) and lr > 0):
        raise ScoresError(f"the learning rate {lr} is not a positive number", "try --step 1")
    with np.errstate(over="ignore"):
        after = scores - lr * (loss.gradient / temperature)
    if not np.isfinite(after).all():
        raise ScoresError(f"the scores overflow at learning rate {lr}", "try --step 1")
    _check_spread(after, temperature)
    cross_entropy = float(-log_softmax(after / temperature)[loss.target])
    return DescentStep(lr, after, softmax(after, temperature), cross_entropy)


def _check_names(names: tuple[str, ...], count: int, what: str) -> None:
    if len(names) != count:
        raise ScoresError(
            f"there are {count} {what} but {len(names)} classes",
            f"name one class for each of the {what}",
        )
    if len(set(names)) != len(names) or not all(names):
        raise ScoresError("class names must be unique and not empty", "name each class")


def _check(scores: FloatArray, names: tuple[str, ...], temperature: float) -> None:
    if scores.size < 2:
        raise ScoresError(
            f"softmax needs two scores or more, not {scores.size}", "try --logits 2,1,0.1"
        )
    if not np.isfinite(scores).all():
        raise ScoresError(
            "the scores must be finite numbers, not nan or inf", "try --logits 2,1,0.1"
        )
    _check_names(names, scores.size, "scores")
    if not (math.isfinite(temperature) and temperature > 0):
        raise ScoresError(
            f"the temperature {temperature} is not a positive number", "try --temperature 1"
        )
    _check_spread(scores, temperature)


def _check_spread(scores: FloatArray, temperature: float) -> None:
    with np.errstate(over="ignore", invalid="ignore"):  # inf or nan if any of this overflows
        spreads = np.ptp(scores), np.ptp(scores / temperature)
    if not np.isfinite(spreads).all():
        raise ScoresError(
            f"the differences of the scores overflow at temperature {temperature}",
            "give smaller scores, or raise --temperature",
        )


def _loss_steps(
    scaled: FloatArray, exponentials: FloatArray, probabilities: FloatArray, target: int
) -> LossSteps:
    one_hot = np.zeros_like(scaled)
    one_hot[target] = 1.0
    # 0 - x rather than -x, which would print the other classes' zeros as -0
    log_losses = 0.0 - one_hot * log_softmax(scaled)
    return LossSteps(
        target=target,
        one_hot=one_hot,
        log_losses=log_losses,
        gradient=probabilities - one_hot,
        cross_entropy=float(np.log(exponentials.sum()) - (scaled[target] - scaled.max())),
        nll=float(log_losses.sum()),
        double_softmax=float(-log_softmax(probabilities)[target]),
    )
