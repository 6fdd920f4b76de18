"""Recipes: named sets of hyperparameters that decide how a training run goes.

To add a recipe, define a constant like ``LESSON`` below and list it in ``RECIPES``. If it is the
default of a data set, name the data set in ``_DEFAULTS`` too.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from digitcli.core.errors import DigitcliError

TEMPERATURES = (0.05, 20.0)
"""Lowest and highest temperature of a checkpoint. Beyond them softmax is nearly a hard maximum or
nearly uniform, which no validation split asks for."""

_MAX_FROZEN = 4
"""Maximum number of frozen layers; the lesson's network has five, and at least one must learn."""

_CHECKS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "epochs": (lambda epochs: epochs >= 1, "give --epochs 1 or more"),
    "batch_size": (lambda size: size >= 1, "give --batch-size 1 or more"),
    "lr": (lambda lr: 0 < lr < math.inf, "give --lr above 0, for example 0.01"),
    "momentum": (lambda momentum: 0 <= momentum < 1, "give --momentum from 0 to below 1"),
    "schedule": (lambda name: name in ("constant", "one-cycle"), "choose constant or one-cycle"),
    "optimizer": (lambda name: name in ("sgd", "adamw"), "choose sgd or adamw"),
    "weight_decay": (lambda decay: 0 <= decay < math.inf, "give 0 or more"),
    "frozen": (lambda layers: 0 <= layers <= _MAX_FROZEN, f"give 0 to {_MAX_FROZEN}"),
    "outliers": (lambda fraction: 0 <= fraction <= 1, "give 0 to 1"),
    "synthetic": (lambda fraction: 0 <= fraction <= 1, "give 0 to 1"),
    "temperature": (
        lambda temperature: TEMPERATURES[0] <= temperature <= TEMPERATURES[1],
        "give {:g} to {:g}".format(*TEMPERATURES),
    ),
}
"""Valid values of a recipe's fields: a test, and what to do about a value that fails it."""

_WARMUP = 0.3
"""Fraction of the steps of a one-cycle schedule in which the learning rate rises."""

_WARMUP_START = 0.04
"""Fraction of the highest learning rate that a one-cycle schedule starts from; both fractions are
the schedule's usual ones."""


@dataclass(frozen=True)
class Deformation:
    """Ranges of the random deformation of training images; zeros for none.

    Raises:
        DigitcliError: A value is negative or not finite.
    """

    rotation: float = 0.0  # maximum angle in degrees, either way
    scale: float = 0.0  # maximum fraction by which width and height are each stretched or shrunk
    shear: float = 0.0  # maximum slant, in pixels sideways per pixel of height
    shift: float = 0.0  # maximum shift in pixels along each axis
    elastic: float = 0.0  # standard deviation of a smooth displacement field in pixels per axis

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not 0 <= value < math.inf:
                problem = f"a deformation with {name} {value} is impossible"
                raise DigitcliError(problem, "give 0 or more")

    def __bool__(self) -> bool:
        """Returns True if images are deformed at all."""
        return any(vars(self).values())


@dataclass(frozen=True)
class Recipe:
    """Hyperparameters of a training run.

    Attributes:
        schedule: "constant", or "one-cycle": the learning rate rises for ``_WARMUP`` of the steps
            and falls to 0, both as half a cosine (Smith and Topin 2019).
        batch_norm: Batch normalization of each hidden layer while training (Ioffe and Szegedy
            2015). The saved network is plain, with the normalization folded into its weights.
        outliers: Non-digit images per batch, as a fraction of its size, for outlier exposure: the
            network learns a uniform distribution for them.
        synthetic: Synthetic digits per batch, in styles that MNIST lacks, as a fraction of its
            size; they come in addition to the data set's images.
        temperature: Divisor of the logits before softmax, within ``TEMPERATURES``; fitted on a
            validation split of a run of this recipe, or 1 if none was.

    Raises:
        DigitcliError: A value is invalid.
    """

    name: str
    epochs: int  # passes over the training set
    batch_size: int  # images per step; the last batch of an epoch may be smaller
    lr: float  # learning rate; the highest one if the schedule changes it
    momentum: float  # fraction of the last update that goes into the next; Adam's beta1
    nesterov: bool = False  # Nesterov momentum (Nesterov 1983; Sutskever and others 2013)
    schedule: str = "constant"
    optimizer: str = "sgd"  # or "adamw"
    weight_decay: float = 0.0  # fraction of a weight, times lr, subtracted in each step
    batch_norm: bool = False
    frozen: int = 0  # layers, from the first, that keep the weights the run starts from
    deformation: Deformation = Deformation()  # of training images, drawn again for every epoch
    outliers: float = 0.0
    synthetic: float = 0.0
    temperature: float = 1.0

    def __post_init__(self) -> None:
        for name, (is_valid, next_step) in _CHECKS.items():
            value = getattr(self, name)
            if not is_valid(value):
                raise DigitcliError(f"the recipe's {name} is {value!r}", next_step)
        if self.nesterov and (self.optimizer != "sgd" or self.momentum == 0):
            problem = f"the recipe {self.name}'s Nesterov momentum needs SGD and a momentum above 0"
            raise DigitcliError(problem, "try --momentum 0.9")
        if self.frozen and self.batch_norm:
            problem = "batch normalization would change frozen layers"
            raise DigitcliError(problem, "leave one of them out")

    def lr_at(self, progress: float) -> float:
        """Returns the learning rate of a step.

        Args:
            progress: Fraction of the run's steps done before this one, in 0..1.
        """
        if self.schedule == "constant":
            return self.lr
        if progress < _WARMUP:
            rise = 0.5 - 0.5 * math.cos(math.pi * progress / _WARMUP)
            return self.lr * (_WARMUP_START + (1 - _WARMUP_START) * rise)
        return self.lr * (0.5 + 0.5 * math.cos(math.pi * (progress - _WARMUP) / (1 - _WARMUP)))


LESSON = Recipe(name="lesson", epochs=10, batch_size=64, lr=0.01, momentum=0.5)
"""The lesson's own settings, for MNIST's 60,000 images."""

OPTDIGITS = Recipe(name="optdigits", epochs=40, batch_size=16, lr=0.1, momentum=0.5)
"""For the 1,437 training images of optdigits, where ten lesson epochs are only 230 steps.

Chosen on a validation split of the training images: ``tests/benchmarks/choose_recipe.py``.
"""

QUICK = Recipe(
    name="quick",
    epochs=3,
    batch_size=128,
    lr=0.15,
    momentum=0.9,
    nesterov=True,
    schedule="one-cycle",
)
"""For MNIST in three epochs, with a higher accuracy than the lesson's ten.

Chosen on a validation split of the training images: ``tests/benchmarks/choose_recipe.py``.
"""

BEST = Recipe(
    name="best",
    epochs=300,
    batch_size=512,
    lr=0.004,
    momentum=0.9,
    schedule="one-cycle",
    optimizer="adamw",
    weight_decay=0.03,
    batch_norm=True,
    deformation=Deformation(rotation=8.0, scale=0.08, shear=0.08, shift=1.0, elastic=1.4),
    outliers=0.25,
    synthetic=0.25,
    temperature=0.99,
)
"""For MNIST and for people's own images: the highest accuracy of this network.

Chosen on a validation split of the training images: ``tests/benchmarks/choose_recipe.py best``.
The temperature is the one that ``digitcli train --recipe best --validation 10000`` fitted before
the recipe had synthetic digits.
"""

FINETUNE = Recipe(
    name="finetune",
    epochs=20,
    batch_size=16,
    lr=0.0001,
    momentum=0.9,
    schedule="one-cycle",
    optimizer="adamw",
    frozen=1,
)
"""For a few hundred more images of classes that the network knows, with little forgetting.

Chosen on 100 training images of optdigits. Measured: the accuracy on other images of optdigits
rises from 96.8 to 98.2 %, and on MNIST's training images falls by 0.02 points; if all layers learn,
it falls to 93.6 %, and by 1.5 points: ``tests/benchmarks/finetune.py choose``.
"""

TRANSFER = replace(FINETUNE, name="transfer", lr=0.001, epochs=40)
"""For other classes, from trained weights, with new last layers (``InitialWeights.new_layers``).

Chosen as ``FINETUNE`` was, with optdigits' digits renamed, and on ten images of each of three drawn
shapes.
"""

RECIPES = {recipe.name: recipe for recipe in (LESSON, QUICK, BEST, OPTDIGITS, FINETUNE, TRANSFER)}
"""Every recipe that ``--recipe`` accepts, by name."""

_DEFAULTS = dict.fromkeys(("mnist", "fashion-mnist", "kmnist", "qmnist"), LESSON)
"""Default recipe by data set: ``LESSON`` for 60,000 training images, ``OPTDIGITS`` for all others,
which are small. USPS has 7,291 training images. Measured on as many of MNIST's at 16x16 pixels:
96.3 % accuracy with ``OPTDIGITS``, 87.8 % with ``LESSON``."""


def default_recipe(dataset: str) -> Recipe:
    """Returns the recipe for training from random weights on a data set."""
    return _DEFAULTS.get(dataset, OPTDIGITS)


def find_recipe(name: str) -> Recipe:
    """Returns the recipe of a name, or raises a ``DigitcliError`` if there is none."""
    if name not in RECIPES:
        raise DigitcliError(f"there is no recipe {name!r}", f"choose {', '.join(RECIPES)}")
    return RECIPES[name]
