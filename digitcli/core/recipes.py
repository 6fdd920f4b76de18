"""Recipes: everything that decides how a training run goes, in plain immutable records."""

import math
from dataclasses import dataclass

from digitcli.core.errors import DigitcliError


@dataclass(frozen=True)
class Recipe:
    """How to train: minibatch stochastic gradient descent with momentum.

    Attributes:
        name: What the checkpoint records.
        epochs: Passes over the training set, at least 1.
        batch_size: Pictures per step, at least 1; the last batch of an epoch may be smaller.
        lr: Learning rate, finite and above 0.
        momentum: Share of the last update that goes into the next, in [0, 1).

    Raises:
        DigitcliError: A value is outside its range.
    """

    name: str
    epochs: int
    batch_size: int
    lr: float
    momentum: float

    def __post_init__(self) -> None:
        if self.epochs < 1:
            raise DigitcliError(f"{self.epochs} epochs train nothing", "give --epochs 1 or more")
        if self.batch_size < 1:
            raise DigitcliError(
                f"a batch of {self.batch_size} pictures is empty", "give --batch-size 1 or more"
            )
        if not (math.isfinite(self.lr) and self.lr > 0):
            raise DigitcliError(
                f"the learning rate {self.lr} is not a positive number", "try --lr 0.01"
            )
        if not 0 <= self.momentum < 1:
            raise DigitcliError(
                f"the momentum {self.momentum} is outside 0 <= momentum < 1", "try --momentum 0.5"
            )


LESSON = Recipe(name="lesson", epochs=10, batch_size=64, lr=0.01, momentum=0.5)
"""The lesson's own settings, for MNIST's 60,000 pictures."""

OPTDIGITS = Recipe(name="optdigits", epochs=40, batch_size=16, lr=0.1, momentum=0.5)
"""For the 1,437 training pictures of optdigits, where ten lesson epochs are only 230 steps.

Chosen on a validation split of the training pictures by ``tests/benchmarks/optdigits_recipe.py``.
"""

_BY_DATASET = {"mnist": LESSON, "optdigits": OPTDIGITS}


def recipe_for(dataset: str) -> Recipe:
    """Returns the recipe that a data set is trained with unless the user says otherwise."""
    return _BY_DATASET[dataset]
