"""Digits as sequences of pen strokes, which tests replay on the page to draw on."""

import itertools
import math

import numpy as np

Point = tuple[float, float]
Stroke = list[Point]


def _arc(center: Point, radii: Point, start: float, end: float) -> Stroke:
    """Returns an elliptic arc; degrees, clockwise from the right."""
    turns = np.radians(np.linspace(start, end, 24))
    return [(center[0] + radii[0] * math.cos(t), center[1] + radii[1] * math.sin(t)) for t in turns]


DIGITS: tuple[list[Stroke], ...] = (
    [_arc((0.5, 0.5), (0.32, 0.48), -90, 270)],
    [[(0.4, 0.15), (0.55, 0), (0.55, 1)]],
    [[*_arc((0.5, 0.25), (0.3, 0.25), 190, 380), (0.15, 1), (0.85, 1)]],
    [_arc((0.48, 0.25), (0.3, 0.25), 200, 440) + _arc((0.48, 0.74), (0.34, 0.26), -85, 160)],
    [[(0.6, 0), (0.12, 0.62), (0.88, 0.62)], [(0.66, 0.35), (0.66, 1)]],
    [
        [(0.25, 0), (0.2, 0.45), *_arc((0.47, 0.7), (0.34, 0.3), -120, 150)],
        [(0.25, 0), (0.8, 0)],
    ],
    [[(0.65, 0), (0.3, 0.45), *_arc((0.5, 0.7), (0.29, 0.3), 180, 545)]],
    [[(0.12, 0), (0.86, 0), (0.42, 1)]],
    [_arc((0.5, 0.24), (0.26, 0.24), 90, 450) + _arc((0.5, 0.74), (0.31, 0.26), -90, 270)],
    [[*_arc((0.48, 0.28), (0.29, 0.28), 0, 360), (0.77, 0.28), (0.68, 1)]],
)
"""The strokes of each digit in a unit square, x to the right and y down."""


def hand(digit: int, seed: int) -> list[Stroke]:
    """Returns a digit as one hand draws it: strokes on a paper of 280x280, from 90 to 240 high.

    It is slanted, turned, stretched, unsteady, and anywhere on the paper.
    """
    rng = np.random.default_rng((digit, seed))
    height = rng.uniform(90, 240)
    slant, turn, width = rng.uniform(-0.15, 0.25), rng.uniform(-0.12, 0.12), rng.uniform(0.7, 1.0)
    rotation = np.array([[math.cos(turn), -math.sin(turn)], [math.sin(turn), math.cos(turn)]])
    shape = height * rotation @ np.array([[width, -slant], [0, 1]])
    strokes = []
    for stroke in DIGITS[digit]:
        points = np.concatenate([np.linspace(a, b, 5) for a, b in itertools.pairwise(stroke)])
        waves, phases = rng.normal(0, 4, (2, 2)), rng.uniform(0, 2 * math.pi, 2)
        strokes.append((points + 0.012 * np.sin(points @ waves + phases) - 0.5) @ shape.T)
    every = np.concatenate(strokes)
    low, high = every.min(axis=0), every.max(axis=0)
    room = np.maximum(280 - (high - low) - 30, 0)
    shift = 15 - low + rng.uniform(0, 1, 2) * room
    return [[(float(x), float(y)) for x, y in stroke + shift] for stroke in strokes]
