"""Whether probabilities mean what they say: calibration, coverage, and the temperature for both."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from digitcli.core.recipes import TEMPERATURES

BINS = 15
"""Bins of equal width over 0..1, as Guo and others have them."""

MINIMUMS = (0.5, 0.9, 0.99)
"""The probabilities at which coverage is reported."""


@dataclass(frozen=True)
class Bin:
    """The answers whose probability is above ``low`` and at most ``high``; all but count in 0..1.

    Attributes:
        low: Lower edge.
        high: Upper edge.
        count: Answers in the bin.
        probability: Their mean probability; None where there are none.
        accuracy: Share of them that is right; None where there are none.
    """

    low: float
    high: float
    count: int
    probability: float | None
    accuracy: float | None


@dataclass(frozen=True)
class Calibration:
    """How far the probabilities of answers are from how often the answers are right.

    Attributes:
        ece: Expected calibration error in 0..1: the distance between mean probability and
            accuracy of each bin, averaged over the answers.
        bins: The reliability table, ``BINS`` rows from 0 to 1.
    """

    ece: float
    bins: tuple[Bin, ...]


@dataclass(frozen=True)
class Coverage:
    """What is left where an answer must have a minimum probability.

    Attributes:
        min_probability: The minimum.
        count: Answers that reach it.
        coverage: Share of all answers that reaches it, in 0..1.
        accuracy: Share of those that is right, in 0..1; None where there are none.
    """

    min_probability: float
    count: int
    coverage: float
    accuracy: float | None


def calibration(
    probabilities: npt.NDArray[np.float64], right: npt.NDArray[np.bool_]
) -> Calibration:
    """Compares the probabilities of answers with how often they are right.

    The measure is that of Guo, Pleiss, Sun and Weinberger, "On Calibration of Modern Neural
    Networks", 2017, with 15 bins that are open below and closed above.

    Args:
        probabilities: The probability of each answer, the most probable class; (count,), at
            least one.
        right: Whether the answer was right; (count,).
    """
    edges = np.arange(BINS + 1) / BINS
    rows = np.searchsorted(edges[1:-1], probabilities, side="left")
    counts = np.bincount(rows, minlength=BINS)
    mass = np.bincount(rows, weights=probabilities, minlength=BINS)
    hits = np.bincount(rows, weights=right, minlength=BINS)
    bins = tuple(
        Bin(
            low=float(edges[i]),
            high=float(edges[i + 1]),
            count=int(counts[i]),
            probability=float(mass[i] / counts[i]) if counts[i] else None,
            accuracy=float(hits[i] / counts[i]) if counts[i] else None,
        )
        for i in range(BINS)
    )
    return Calibration(float(np.abs(hits - mass).sum() / len(probabilities)), bins)


def coverage(
    probabilities: npt.NDArray[np.float64],
    right: npt.NDArray[np.bool_],
    minimums: Sequence[float] = MINIMUMS,
) -> tuple[Coverage, ...]:
    """Counts, for each minimum probability, the answers that reach it and how many are right.

    Args:
        probabilities: The probability of each answer; (count,), at least one.
        right: Whether the answer was right; (count,).
        minimums: Probabilities in 0..1.
    """
    rows = []
    for minimum in minimums:
        kept = probabilities >= minimum  # as --min-probability has it
        count = int(kept.sum())
        accuracy = float(right[kept].mean()) if count else None
        rows.append(Coverage(minimum, count, count / len(probabilities), accuracy))
    return tuple(rows)


_Z = 1.96
"""Standard deviations to either side that hold 95 % of a normal distribution."""


def likely_range(right: int, count: int) -> tuple[float, float]:
    """Returns how far chance may have moved a share: its interval of 95 % confidence, in 0..1.

    The interval is Wilson's ("Probable Inference, the Law of Succession, and Statistical
    Inference", 1927), which holds for few answers too, and where all are right.

    Args:
        right: Answers that are right.
        count: Answers, at least one.
    """
    share, spread = right / count, _Z**2 / count
    middle = (share + spread / 2) / (1 + spread)
    half = math.sqrt(share * (1 - share) * spread + spread**2 / 4) / (1 + spread)
    return max(0.0, middle - half), min(1.0, middle + half)


FEWEST = 500
"""Pictures that a temperature is fitted on at least.

Of a network that read 98.2 % of MNIST's test set, as many of its pictures, drawn 200 times, gave
0.57 to 0.81 nine times in ten, where all 10,000 gave 0.72; 100 gave anything from 0.05 on, and of
20 two draws in three had no mistake in them, which asks for the lowest temperature there is.
"""


def temperature_for(logits: npt.ArrayLike, labels: npt.NDArray[np.int64]) -> float:
    """Fits a temperature where there is enough to fit it on.

    Args:
        logits: As for ``fit_temperature``.
        labels: Likewise.

    Returns:
        What that finds; 1 for fewer than ``FEWEST`` pictures, and where it comes upon an end of
        its range: then it is the pictures that say no more, and the true one is not known.
    """
    if len(labels) < FEWEST:
        return 1.0
    fitted = fit_temperature(logits, labels)
    return 1.0 if fitted in TEMPERATURES else fitted


def fit_temperature(logits: npt.ArrayLike, labels: npt.NDArray[np.int64]) -> float:
    """Finds the temperature T at which softmax(z / T) gives the labels the highest likelihood.

    This is the temperature scaling of Guo and others (2017): it minimises the mean negative
    log-likelihood. That is convex in 1 / T, so its one stationary point is found by Newton's
    steps, with bisection where such a step would leave the bracket.

    Args:
        logits: Finite scores, shape (count, classes), at least one row. To say anything of other
            pictures, they must come from pictures that the network was not trained on.
        labels: The right classes, shape (count,).

    Returns:
        T within ``TEMPERATURES``. Where the likelihood still rises at an end of that range, that
        end: the lowest T where every answer is right, the highest where the scores are worse
        than none. 1 where T makes no difference, as where each row's scores are all equal.
    """
    scores = np.asarray(logits, dtype=np.float64)
    gaps = scores - scores.max(axis=1, keepdims=True)
    right = gaps[np.arange(len(labels)), labels]

    def slopes(sharpness: float) -> tuple[float, float]:
        """Returns the first and second derivative of the mean loss by 1 / T."""
        p = np.exp(sharpness * gaps)
        p /= p.sum(axis=1, keepdims=True)
        mean = (p * gaps).sum(axis=1)
        variance = (p * (gaps - mean[:, None]) ** 2).sum(axis=1)
        return float((mean - right).mean()), float(variance.mean())

    coldest, hottest = TEMPERATURES
    low, high = 1 / hottest, 1 / coldest
    slope, _ = slopes(low)
    if slope >= 0:
        return hottest if slope > 0 else 1.0
    if slopes(high)[0] <= 0:  # 0 where all is so right that the loss underflows
        return coldest
    sharpness = 1.0
    for _ in range(_MOST_STEPS):
        slope, curvature = slopes(sharpness)
        if slope > 0:
            high = sharpness
        elif slope < 0:
            low = sharpness
        else:
            break
        following = sharpness - slope / curvature if curvature > 0 else low
        if not low < following < high:
            following = (low + high) / 2
        if abs(following - sharpness) <= _CLOSE * sharpness:
            break
        sharpness = following
    return 1 / sharpness


_CLOSE = 1e-9
"""Relative step at which the temperature is found, far below its statistical error."""

_MOST_STEPS = 100
"""More than bisection alone takes from the whole range down to ``_CLOSE``."""
