"""Softmax and cross-entropy, step by step, in NumPy."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from digitcli.core.errors import ScoresError

FloatArray = npt.NDArray[np.float64]


def log_softmax(logits: npt.ArrayLike) -> FloatArray:
    """Returns the logarithm of softmax over the last axis.

    The largest score is subtracted first (the log-sum-exp trick), so scores of any finite size
    neither overflow nor lose the small probabilities.

    Args:
        logits: Scores, shape (..., classes).

    Returns:
        float64 of the same shape.
    """
    scores = np.asarray(logits, dtype=np.float64)
    shifted = scores - scores.max(axis=-1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True)))


def softmax(logits: npt.ArrayLike, temperature: float = 1.0) -> FloatArray:
    """Turns scores into probabilities over the last axis.

    Args:
        logits: Scores, shape (..., classes).
        temperature: T > 0; softmax is taken of z / T.

    Returns:
        float64 of the same shape; each row is positive and sums to one.
    """
    scaled = np.asarray(logits, dtype=np.float64) / temperature
    exponentials = np.exp(scaled - scaled.max(axis=-1, keepdims=True))
    return np.asarray(exponentials / exponentials.sum(axis=-1, keepdims=True))


@dataclass(frozen=True)
class SoftmaxSteps:
    """Every quantity between a row of scores and its loss.

    The arrays are float64 of shape (classes,). Where no target is known, ``target`` and all that
    follows from it is None.

    Attributes:
        classes: The classes' names.
        logits: The scores z.
        temperature: T; softmax is taken of z / T.
        exponentials: exp(z / T - max(z / T)).
        probabilities: Softmax of z / T.
        top: Index of the most probable class, the first among equals.
        score_margin: The largest score less the second largest.
        probability_margin: The same for the probabilities.
        target: Index of the right class.
        one_hot: 1 for the target, 0 elsewhere.
        log_losses: -y log p for each class.
        gradient: p - y, the derivative of the loss by the scaled scores z / T.
        loss: Cross-entropy computed at once, as the log-sum-exp of the scores less the target's.
        nll_loss: The same loss as LogSoftmax followed by NLLLoss.
        double_softmax_loss: The loss if softmax were applied to the probabilities once more, the
            mistake of giving CrossEntropyLoss probabilities in place of scores.
    """

    classes: tuple[str, ...]
    logits: FloatArray
    temperature: float
    exponentials: FloatArray
    probabilities: FloatArray
    top: int
    score_margin: float
    probability_margin: float
    target: int | None
    one_hot: FloatArray | None
    log_losses: FloatArray | None
    gradient: FloatArray | None
    loss: float | None
    nll_loss: float | None
    double_softmax_loss: float | None

    @property
    def scaled(self) -> FloatArray:
        """The scaled scores z / T, which softmax is taken of."""
        return self.logits / self.temperature


def softmax_steps(
    logits: Sequence[float] | FloatArray,
    *,
    classes: Sequence[str] | None = None,
    target: int | None = None,
    temperature: float = 1.0,
) -> SoftmaxSteps:
    """Works out softmax, and cross-entropy where the target is known, keeping every step.

    Args:
        logits: At least two finite scores.
        classes: A name per score; the indices 0, 1, 2, ... where none are given.
        target: Index of the right class.
        temperature: T > 0; above 1 flattens the probabilities, below 1 sharpens them
            (Hinton, Vinyals and Dean 2015).

    Raises:
        ScoresError: The scores, classes, target or temperature do not fit the above.
    """
    scores = np.asarray(logits, dtype=np.float64)
    if scores.size < 2:
        raise ScoresError(
            f"softmax needs two scores or more, not {scores.size}", "try --logits 2,1,0.1"
        )
    if not np.isfinite(scores).all():
        raise ScoresError(
            "the scores must be finite numbers, not nan or inf", "try --logits 2,1,0.1"
        )
    names = tuple(classes) if classes is not None else tuple(map(str, range(scores.size)))
    if len(names) != scores.size:
        raise ScoresError(
            f"there are {scores.size} scores but {len(names)} classes", "name one class per score"
        )
    if not (math.isfinite(temperature) and temperature > 0):
        raise ScoresError(
            f"the temperature {temperature} is not a positive number", "try --temperature 1"
        )
    if len(set(names)) != len(names) or not all(names):
        raise ScoresError("a class has no name or the name of another", "name each differently")
    with np.errstate(over="ignore"):
        scaled = scores / temperature
    if not np.isfinite(scaled).all():
        raise ScoresError(
            f"divided by the temperature {temperature} the scores overflow",
            "raise --temperature, or give smaller scores",
        )
    with np.errstate(over="ignore"):
        spread = max(np.ptp(scores), np.ptp(scaled))
    if not np.isfinite(spread):
        raise ScoresError(
            "the scores are so far apart that their differences overflow",
            "give smaller scores, or raise --temperature",
        )

    exponentials = np.exp(scaled - scaled.max())
    probabilities = exponentials / exponentials.sum()
    second, first = np.sort(scores)[-2:]
    p_second, p_first = np.sort(probabilities)[-2:]
    one_hot = log_losses = gradient = None
    loss = nll_loss = double_softmax_loss = None
    if target is not None:
        one_hot = np.zeros_like(scores)
        one_hot[target] = 1.0
        log_probabilities = log_softmax(scaled)
        # 0 - x rather than -x, which would print the other classes' zeros as -0
        log_losses = 0.0 - one_hot * log_probabilities
        gradient = probabilities - one_hot
        nll_loss = float(log_losses.sum())
        loss = float(np.log(exponentials.sum()) - (scaled[target] - scaled.max()))
        double_softmax_loss = float(-log_softmax(probabilities)[target])
    return SoftmaxSteps(
        classes=names,
        logits=scores,
        temperature=temperature,
        exponentials=exponentials,
        probabilities=probabilities,
        top=int(scores.argmax()),
        score_margin=float(first - second),
        probability_margin=float(p_first - p_second),
        target=target,
        one_hot=one_hot,
        log_losses=log_losses,
        gradient=gradient,
        loss=loss,
        nll_loss=nll_loss,
        double_softmax_loss=double_softmax_loss,
    )
