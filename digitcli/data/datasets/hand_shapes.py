"""Letters, signs and arrows as strokes of a hand: shapes that are not also a way to write a digit.

To add one, add its strokes to ``_SHAPES``; O, I, S, Z, g, q and the like are digits to some hands.
"""

import numpy as np

from digitcli.data.datasets.strokes import Rng, Stroke, Strokes, arc, curve, line

_BOWL = ((0.0, 0.0), (0.5, 0.03), (0.56, 0.26), (0.4, 0.46), (0.0, 0.48))
_LOW_BOWL = ((0.0, 0.48), (0.5, 0.5), (0.64, 0.75), (0.45, 0.98), (0.0, 1.0))
_STEM = line((0, 0), (0, 1))
_ARCH = ((0.0, 0.3), (0.12, 0.05), (0.36, 0.05), (0.45, 0.35), (0.45, 1.0))

_SHAPES: dict[str, Strokes] = {
    "A": [line((0, 1), (0.4, 0), (0.8, 1)), line((0.13, 0.62), (0.67, 0.62))],
    "round A": [
        curve((0, 1), (0.05, 0.3), (0.4, 0), (0.7, 0.3), (0.75, 1)),
        line((0, 0.6), (0.75, 0.6)),
    ],
    "B": [_STEM, curve(*_BOWL), curve(*_LOW_BOWL)],
    "angular B": [_STEM, line((0, 0), (0.5, 0.2), (0, 0.48)), line((0, 0.48), (0.6, 0.75), (0, 1))],
    "C": [curve((0.8, 0.15), (0.5, 0), (0.12, 0.25), (0.1, 0.72), (0.45, 1), (0.82, 0.85))],
    "D": [_STEM, curve((0, 0), (0.45, 0.06), (0.7, 0.5), (0.45, 0.94), (0, 1))],
    "wide D": [
        line((0.1, 0), (0.1, 1)),
        curve((0, 0), (0.55, 0.04), (0.85, 0.5), (0.55, 0.96), (0, 1)),
    ],
    "E": [line((0.65, 0), (0, 0), (0, 1), (0.68, 1)), line((0, 0.5), (0.55, 0.5))],
    "round E": [
        curve((0.6, 0.1), (0.3, 0), (0.1, 0.25), (0.4, 0.46)),
        curve((0.4, 0.46), (0, 0.7), (0.3, 1), (0.7, 0.85)),
    ],
    "F": [line((0.65, 0), (0, 0), (0, 1)), line((0, 0.48), (0.5, 0.48))],
    "H": [_STEM, line((0.65, 0), (0.65, 1)), line((0, 0.5), (0.65, 0.5))],
    "K": [_STEM, line((0.6, 0), (0.03, 0.55), (0.65, 1))],
    "L": [line((0, 0), (0, 1), (0.65, 1))],
    "M": [line((0, 1), (0.08, 0), (0.45, 0.7), (0.8, 0), (0.9, 1))],
    "N": [line((0, 1), (0, 0), (0.65, 1), (0.65, 0))],
    "P": [_STEM, curve(*_BOWL)],
    "R": [_STEM, curve(*_BOWL), line((0.2, 0.48), (0.62, 1))],
    "T": [line((0, 0), (0.9, 0)), line((0.45, 0), (0.45, 1))],
    "U": [curve((0, 0), (0.02, 0.7), (0.35, 1), (0.68, 0.7), (0.7, 0))],
    "V": [line((0, 0), (0.4, 1), (0.8, 0))],
    "W": [line((0, 0), (0.25, 1), (0.5, 0.3), (0.75, 1), (1, 0))],
    "X": [line((0, 0), (0.75, 1)), line((0.75, 0), (0, 1))],
    "Y": [line((0, 0), (0.4, 0.5), (0.8, 0)), line((0.4, 0.5), (0.4, 1))],
    "a": [arc((0.4, 0.55), (0.36, 0.42), -20, -340), curve((0.78, 0.05), (0.77, 0.75), (0.98, 1))],
    "d": [arc((0.35, 0.7), (0.33, 0.28), 0, -360), line((0.68, 0), (0.7, 1))],
    "e": [
        curve(
            (0.1, 0.5), (0.7, 0.42), (0.5, 0.02), (0.12, 0.3), (0.12, 0.75), (0.45, 1), (0.85, 0.82)
        )
    ],
    "f": [curve((0.75, 0.08), (0.5, 0), (0.36, 0.25), (0.35, 1)), line((0.05, 0.42), (0.68, 0.42))],
    "h": [_STEM, curve((0, 0.68), (0.2, 0.45), (0.45, 0.52), (0.5, 1))],
    "k": [_STEM, line((0.5, 0.38), (0.03, 0.68), (0.55, 1))],
    "m": [_STEM, curve(*_ARCH), curve(*((x + 0.45, y) for x, y in _ARCH))],
    "n": [_STEM, curve(*((1.4 * x, y) for x, y in _ARCH))],
    "p": [_STEM, arc((0.28, 0.26), (0.28, 0.25), 180, 540)],
    "r": [_STEM, curve((0, 0.4), (0.2, 0.06), (0.6, 0.06))],
    "t": [curve((0.3, 0), (0.3, 0.8), (0.5, 1), (0.75, 0.88)), line((0, 0.3), (0.65, 0.3))],
    "u": [
        curve((0, 0), (0.02, 0.75), (0.35, 1), (0.7, 0.7), (0.72, 0)),
        line((0.72, 0), (0.75, 1), (0.9, 0.95)),
    ],
    "w": [curve((0, 0), (0.2, 0.95), (0.48, 0.4), (0.5, 0.4), (0.75, 0.98), (0.98, 0))],
    "y": [line((0, 0), (0.36, 0.52)), line((0.72, 0), (0.18, 1))],
    "lambda": [line((0.1, 0), (0.7, 1)), line((0.4, 0.5), (0, 1))],
    "delta": [line((0.4, 0), (0, 0.9), (0.8, 0.9), (0.4, 0))],
    "pi": [line((0, 0), (0.9, 0)), line((0.25, 0), (0.15, 1)), line((0.65, 0), (0.7, 1))],
    "sigma": [line((0.75, 0), (0, 0), (0.45, 0.5), (0, 1), (0.8, 1))],
    "psi": [curve((0, 0), (0.1, 0.5), (0.4, 0.6), (0.7, 0.5), (0.8, 0)), line((0.4, 0), (0.4, 1))],
    "omega": [
        curve((0, 1), (0.25, 0.95), (0.05, 0.4), (0.45, 0), (0.85, 0.4), (0.65, 0.95), (0.9, 1))
    ],
    "plus": [line((0, 0.45), (0.9, 0.45)), line((0.45, 0), (0.45, 0.9))],
    "asterisk": [
        line((0, 0.25), (0.8, 0.75)),
        line((0.8, 0.25), (0, 0.75)),
        line((0.4, 0), (0.4, 1)),
    ],
    "check mark": [line((0, 0.55), (0.28, 1), (0.95, 0))],
    "hash": [
        line((0.3, 0), (0.22, 1)),
        line((0.7, 0), (0.62, 1)),
        line((0, 0.33), (0.95, 0.33)),
        line((0, 0.67), (0.9, 0.67)),
    ],
    "equals": [line((0, 0.2), (0.9, 0.2)), line((0, 0.6), (0.9, 0.6))],
    "ampersand": [
        curve(
            (0.9, 1),
            (0.25, 0.35),
            (0.3, 0.03),
            (0.55, 0.1),
            (0.4, 0.45),
            (0.05, 0.75),
            (0.35, 1),
            (0.85, 0.55),
        )
    ],
    "at": [
        arc((0.5, 0.5), (0.18, 0.2), 0, -360),
        curve(
            (0.68, 0.35),
            (0.72, 0.7),
            (0.98, 0.55),
            (0.85, 0.1),
            (0.4, 0),
            (0.02, 0.4),
            (0.15, 0.9),
            (0.6, 1),
            (0.85, 0.9),
        ),
    ],
    "circle with a cross": [
        arc((0.5, 0.5), (0.5, 0.5), 0, 360),
        line((0, 0.5), (1, 0.5)),
        line((0.5, 0), (0.5, 1)),
    ],
    "crossed box": [
        line((0, 0), (0.9, 0), (0.9, 0.9), (0, 0.9), (0, 0)),
        line((0, 0), (0.9, 0.9)),
        line((0.9, 0), (0, 0.9)),
    ],
}


def hand_shape(rng: Rng) -> Strokes:
    """Returns the strokes of a letter or sign."""
    return list(_SHAPES.values())[rng.integers(len(_SHAPES))]


def word(rng: Rng) -> Strokes:
    """Returns the strokes of two to four letters side by side."""
    strokes: list[Stroke] = []
    for i in range(int(rng.integers(2, 5))):
        strokes += [stroke + np.array([0.8 * i, 0.0]) for stroke in hand_shape(rng)]
    return strokes


def arrow(rng: Rng) -> Strokes:
    """Returns the strokes of an arrow in any direction, its head of two strokes or filled in."""
    angle = rng.uniform(0, 2 * np.pi)
    head, spread = rng.uniform(0.22, 0.45), rng.uniform(0.4, 0.9)
    bend = rng.uniform(-0.12, 0.12)
    shaft = curve((0, 0), (0.5, bend), (1, 0))
    barbs = [(1 - head * np.cos(spread), sign * head * np.sin(spread)) for sign in (-1, 1)]
    tip = [line(barbs[0], (1, 0), barbs[1])]
    if rng.random() < 0.3:
        tip = [line(barbs[0], (1, 0), barbs[1], barbs[0])]
    if rng.random() < 0.15:  # both ends
        tip.append(line(*((1 - x, y) for x, y in (barbs[0], (1, 0), barbs[1]))))
    turned = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return [stroke @ turned.T for stroke in (shaft, *tip)]


def loops(rng: Rng) -> Strokes:
    """Returns a line of three to five loops or waves, level or upright."""
    turns = np.linspace(0, 2 * np.pi * rng.integers(3, 6), 120)
    size = rng.uniform(0.6, 2.2)
    stroke = np.stack([0.11 * (turns - size * np.sin(turns)), -0.3 * np.cos(turns)], axis=1)
    return [stroke[:, ::-1] if rng.random() < 0.3 else stroke]


def heart(rng: Rng) -> Strokes:
    """Returns the outline of a heart, or of a flower with four to seven petals."""
    angle = np.linspace(0, 2 * np.pi, 100)
    if rng.random() < 0.7:
        notch, point = rng.uniform(4.5, 8), rng.uniform(0.9, 1.3)
        x = 16 * np.sign(np.sin(angle)) * np.abs(np.sin(angle)) ** rng.uniform(2.4, 3.4)
        y = 13 * point * np.cos(angle) - notch * np.cos(2 * angle) - 2 * np.cos(3 * angle)
        return [np.stack([x, -y], axis=1) / 32]
    petals, depth = rng.integers(4, 8), rng.uniform(0.15, 0.4)
    radius = 0.4 * (1 + depth * np.cos(petals * angle + rng.uniform(0, 6)))
    outline = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1)
    return [outline, outline[::3] * rng.uniform(0.15, 0.4)] if rng.random() < 0.6 else [outline]


def zigzag(rng: Rng) -> Strokes:
    """Returns a line with four to seven sharp turns, level or upright."""
    count = int(rng.integers(5, 9))
    across = np.linspace(0, rng.uniform(0.8, 1.6), count)
    stroke = np.stack([across, np.arange(count) % 2 * rng.uniform(0.4, 0.9, count)], axis=1)
    return [stroke[:, ::-1] if rng.random() < 0.4 else stroke]
