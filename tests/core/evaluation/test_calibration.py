"""Calibration: errors computed by hand, and temperatures recovered by the fit."""

import numpy as np
import pytest

from digitcli.core.evaluation.calibration import (
    MIN_FIT_IMAGES,
    calibration,
    choose_temperature,
    coverage,
    fit_temperature,
)
from digitcli.core.recipes import TEMPERATURES
from digitcli.core.softmax import log_softmax, softmax


def sampled(logits: np.ndarray, temperature: float = 1.0) -> np.ndarray:
    """Samples a label for each row from the softmax at a temperature."""
    rng = np.random.default_rng(0)
    p = softmax(logits, temperature).cumsum(axis=1)
    return np.asarray((rng.random((len(p), 1)) > p[:, :-1]).sum(axis=1))


def some_logits(count: int) -> np.ndarray:
    return np.random.default_rng(1).normal(0, 3, (count, 10))


def test_the_error_equals_one_computed_by_hand() -> None:
    probabilities = np.array([0.95, 0.97, 0.70, 0.72, 0.30])
    correct = np.array([True, False, True, True, False])
    result = calibration(probabilities, correct)
    # bins: (14/15, 1] 1 of 2 correct at 0.96; (10/15, 11/15] 2 of 2 at 0.71; 0.30 wrong
    assert result.ece == pytest.approx((2 * 0.46 + 2 * 0.29 + 0.30) / 5)
    assert [b.count for b in result.bins] == [0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 2, 0, 0, 0, 2]
    last = result.bins[-1]
    assert (last.low, last.high, last.accuracy) == (14 / 15, 1, 0.5)
    assert last.probability == pytest.approx(0.96)
    assert (result.bins[0].probability, result.bins[0].accuracy) == (None, None)


def test_an_edge_belongs_to_the_bin_below_it() -> None:
    edges = np.array([0.0, 0.2, 1 / 3, 0.6, 1.0])
    counts = [b.count for b in calibration(edges, np.ones(5, bool)).bins]
    assert [i for i, count in enumerate(counts) if count] == [0, 2, 4, 8, 14]


def test_calibrated_probabilities_have_no_error_and_sharpened_ones_have() -> None:
    logits = some_logits(100_000)
    labels = sampled(logits)
    errors = []
    for temperature in (1.0, 0.5):
        p = softmax(logits, temperature)
        errors.append(calibration(p.max(axis=1), p.argmax(axis=1) == labels).ece)
    assert errors[0] < 0.005
    assert errors[1] > 0.05


def test_coverage_equals_one_computed_by_hand() -> None:
    rows = coverage(np.array([0.99, 0.9, 0.6, 0.4]), np.array([True, False, True, False]))
    assert [(row.min_probability, row.count, row.coverage, row.accuracy) for row in rows] == [
        (0.5, 3, 0.75, pytest.approx(2 / 3)),
        (0.9, 2, 0.5, 0.5),
        (0.99, 1, 0.25, 1.0),
    ]
    assert coverage(np.array([0.3]), np.array([True]))[0].accuracy is None


@pytest.mark.parametrize("temperature", [0.2, 0.7, 1.0, 2.5, 9.0])
def test_the_fit_recovers_the_temperature_that_scaled_the_scores(temperature: float) -> None:
    logits = some_logits(50_000)
    labels = sampled(logits)
    found = fit_temperature((logits * temperature).astype(np.float32), labels)
    assert found == pytest.approx(temperature, rel=0.03)


def test_the_fitted_temperature_has_the_lowest_loss() -> None:
    logits = some_logits(200) * 4
    labels = sampled(logits, 6)
    found = fit_temperature(logits, labels)

    def loss(temperature: float) -> float:
        return float(-log_softmax(logits / temperature)[np.arange(200), labels].mean())

    assert TEMPERATURES[0] < found < TEMPERATURES[1]
    for factor in (0.999, 1.001):
        assert loss(found * factor) > loss(found)


def test_the_bounds_of_the_range() -> None:
    logits = some_logits(1000)
    coldest, hottest = TEMPERATURES
    assert fit_temperature(logits, logits.argmax(axis=1)) == coldest
    assert fit_temperature(1000 * logits, logits.argmax(axis=1)) == coldest
    assert fit_temperature(logits, logits.argmin(axis=1)) == hottest
    assert fit_temperature(np.ones((5, 10)), np.arange(5)) == 1


def test_too_few_or_too_easy_images_are_not_fitted() -> None:
    logits = some_logits(MIN_FIT_IMAGES)
    labels = sampled(logits, 2)
    assert choose_temperature(logits, labels) == fit_temperature(logits, labels) != 1
    assert choose_temperature(logits[1:], labels[1:]) == 1
    assert choose_temperature(logits, logits.argmax(axis=1)) == 1  # all correct
    assert choose_temperature(logits, logits.argmin(axis=1)) == 1
