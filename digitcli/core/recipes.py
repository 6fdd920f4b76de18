"""Recipes: everything that decides how a training run goes, in plain immutable records."""

import math
from dataclasses import dataclass, replace

from digitcli.core.errors import DigitcliError

TEMPERATURES = (0.05, 20.0)
"""The lowest and the highest temperature of a checkpoint: beyond them softmax is all but a hard
maximum or all but even, which is never what a validation split asks for."""


@dataclass(frozen=True)
class Deformation:
    """How far training pictures are deformed at random, each in its own way; zeros: not at all.

    Attributes:
        rotation: Degrees at most, either way.
        scale: Share by which width and height are each stretched or shrunk at most.
        shear: Slant at most, in pixels sideways per pixel of height.
        shift: Pixels at most, along each axis.
        elastic: Standard deviation in pixels, along each axis, of a smooth displacement field.

    Raises:
        DigitcliError: A value is negative or not finite.
    """

    rotation: float = 0.0
    scale: float = 0.0
    shear: float = 0.0
    shift: float = 0.0
    elastic: float = 0.0

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not (math.isfinite(value) and value >= 0):
                raise DigitcliError(
                    f"a deformation with {name} {value} is impossible", "give 0 or more"
                )

    def __bool__(self) -> bool:
        """Says whether anything is deformed."""
        return any(vars(self).values())


@dataclass(frozen=True)
class Recipe:
    """How to train, in minibatches.

    Attributes:
        name: What the checkpoint records.
        epochs: Passes over the training set, at least 1.
        batch_size: Pictures per step, at least 1; the last batch of an epoch may be smaller.
        lr: Learning rate, finite and above 0; the highest, where it changes.
        momentum: Share of the last update that goes into the next, in [0, 1); Adam's beta1.
        nesterov: Look ahead along the momentum (Nesterov 1983; Sutskever and others 2013).
        schedule: "constant", or "one-cycle": the learning rate climbs for ``_CLIMB`` of the steps
            and falls to nothing, both as half a cosine (Smith and Topin 2019).
        optimizer: "sgd", or "adamw".
        weight_decay: Share of a weight, times the learning rate, that each step takes off it.
        batch_norm: Normalise each hidden layer over the batch while training (Ioffe and Szegedy
            2015). What is saved is the plain network, with the normalisation folded into it.
        deformation: How each training picture is deformed anew whenever it is seen.
        frozen: How many layers, from the first, keep the weights that the run starts from.
        outliers: Pictures of no digit that are shown in addition, as a share of a batch; the
            network learns to have no answer for them.
        temperature: What the scores are divided by before softmax, within ``TEMPERATURES``;
            fitted on a validation split of a run of this recipe, or 1 where none was.

    Raises:
        DigitcliError: A value is outside its range.
    """

    name: str
    epochs: int
    batch_size: int
    lr: float
    momentum: float
    nesterov: bool = False
    schedule: str = "constant"
    optimizer: str = "sgd"
    weight_decay: float = 0.0
    batch_norm: bool = False
    frozen: int = 0
    deformation: Deformation = Deformation()
    outliers: float = 0.0
    temperature: float = 1.0

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
        if self.nesterov and self.optimizer != "sgd":
            raise DigitcliError("only SGD looks ahead along the momentum", "leave nesterov out")
        if self.nesterov and self.momentum == 0:
            raise DigitcliError(
                f"the recipe {self.name} looks ahead along the momentum, which cannot be 0",
                "try --momentum 0.9",
            )
        if not (math.isfinite(self.weight_decay) and self.weight_decay >= 0):
            raise DigitcliError(
                f"the weight decay {self.weight_decay} is not 0 or more", "give 0 for none"
            )
        if not 0 <= self.frozen <= _MOST_FROZEN:
            raise DigitcliError(
                f"{self.frozen} frozen layers are not 0 to {_MOST_FROZEN}", "give 0 for none"
            )
        if self.frozen and self.batch_norm:
            raise DigitcliError(
                "batch normalisation would change layers that are frozen", "leave one of them out"
            )
        if not 0 <= self.outliers <= 1:
            raise DigitcliError(
                f"the share {self.outliers} of outliers is outside 0 to 1", "give 0 for none"
            )
        if self.schedule not in ("constant", "one-cycle") or self.optimizer not in ("sgd", "adamw"):
            raise DigitcliError(
                f"there is no schedule {self.schedule!r} with optimizer {self.optimizer!r}",
                "choose constant or one-cycle, with sgd or adamw",
            )
        coldest, hottest = TEMPERATURES
        if not coldest <= self.temperature <= hottest:
            raise DigitcliError(
                f"the temperature {self.temperature} is outside {coldest:g} to {hottest:g}",
                "give 1 where none was fitted",
            )

    def lr_at(self, progress: float) -> float:
        """Returns the learning rate of a step.

        Args:
            progress: Share of all steps of the run that are done before it, in 0..1.
        """
        if self.schedule == "constant":
            return self.lr
        if progress < _CLIMB:
            share = 0.5 - 0.5 * math.cos(math.pi * progress / _CLIMB)
            return self.lr * (_START + (1 - _START) * share)
        return self.lr * (0.5 + 0.5 * math.cos(math.pi * (progress - _CLIMB) / (1 - _CLIMB)))


_MOST_FROZEN = 4
"""Layers; the network has five, and one has to learn."""

_CLIMB = 0.3
_START = 0.04
"""The cycle's usual proportions: 0.3 of the steps upwards, from a twenty-fifth of the highest."""

LESSON = Recipe(name="lesson", epochs=10, batch_size=64, lr=0.01, momentum=0.5)
"""The lesson's own settings, for MNIST's 60,000 pictures."""

OPTDIGITS = Recipe(name="optdigits", epochs=40, batch_size=16, lr=0.1, momentum=0.5)
"""For the 1,437 training pictures of optdigits, where ten lesson epochs are only 230 steps.

Chosen on a validation split of the training pictures: ``tests/benchmarks/choose_recipe.py``.
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
"""For MNIST in a hurry: three epochs to more than the lesson's ten reach.

Chosen on a validation split of the training pictures: ``tests/benchmarks/choose_recipe.py``.
"""

BEST = Recipe(
    name="best",
    epochs=200,
    batch_size=512,
    lr=0.004,
    momentum=0.9,
    schedule="one-cycle",
    optimizer="adamw",
    weight_decay=0.03,
    batch_norm=True,
    deformation=Deformation(rotation=8.0, scale=0.08, shear=0.08, shift=1.0, elastic=1.4),
    outliers=0.2,
    temperature=0.99,
)
"""For MNIST, and for people's own pictures: as right as this network gets in ten minutes.

Chosen on a validation split of the training pictures: ``tests/benchmarks/choose_recipe.py best``;
the temperature is what ``digitcli train --recipe best --validation 10000`` fits.
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
"""To learn a few hundred pictures more, of classes that the network knows, and forget little.

Chosen on 100 training pictures of optdigits, which digitcli's own weights read badly: others of
them go from 88.0 to 96.2 %, and MNIST's training pictures lose 0.1 points. Deforming the pictures
loses 0.26, and learning in all layers 3.5: ``tests/benchmarks/finetune.py choose``.
"""

TRANSFER = replace(FINETUNE, name="transfer", lr=0.001)
"""To learn other classes from trained weights; chosen likewise, with optdigits' digits renamed."""

RECIPES = {recipe.name: recipe for recipe in (LESSON, QUICK, BEST, OPTDIGITS, FINETUNE, TRANSFER)}

_BY_DATASET = dict.fromkeys(("mnist", "fashion-mnist", "kmnist", "qmnist"), LESSON)
"""Where the lesson's settings fit: 60,000 training pictures. All others are small. USPS has 7,291,
and as many of MNIST's at 16x16 pixels were learned to 96.3 % with the recipe for optdigits, to
87.8 % with the lesson's."""


def default_recipe(dataset: str) -> Recipe:
    """Returns the recipe of a data set, for training from nothing."""
    return _BY_DATASET.get(dataset, OPTDIGITS)


def find_recipe(name: str) -> Recipe:
    """Returns the recipe of a name.

    Raises:
        DigitcliError: There is none of that name.
    """
    if name not in RECIPES:
        raise DigitcliError(f"there is no recipe {name!r}", f"choose {', '.join(RECIPES)}")
    return RECIPES[name]
