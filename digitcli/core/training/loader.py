"""What a network is trained on: the whole set on the device, shuffled by index."""

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from digitcli.core.device import sent
from digitcli.core.distributed.process_group import SINGLE_PROCESS, ProcessGroup
from digitcli.core.distributed.rank import Rank
from digitcli.core.errors import DigitcliError
from digitcli.core.model import normalised
from digitcli.core.recipes import Recipe
from digitcli.core.training.augmentation import Augmenter

Images = npt.NDArray[np.uint8]
Labels = npt.NDArray[np.int64]


@dataclass(frozen=True)
class TrainingData:
    """What a run learns from and is measured on.

    Attributes:
        name: The data set's name.
        classes: Class names in the order of the labels.
        mean: Subtracted from pixels in 0..1.
        std: What the difference is divided by.
        train_images: uint8 (count, 28, 28).
        train_labels: int64 (count,), indices of classes.
        scored_images: As the training images; none of them is trained on.
        scored_labels: As the training labels.
        scored_on: What the scored pictures are: "test", or "validation", on which the temperature
            is fitted too.
        checksums: Of what the pictures were read from.
        outliers: Pictures of none of the classes, as the training images, for recipes with some.
    """

    name: str
    classes: tuple[str, ...]
    mean: float
    std: float
    train_images: Images
    train_labels: Labels
    scored_images: Images
    scored_labels: Labels
    scored_on: str = "test"
    checksums: dict[str, str] = field(default_factory=dict)
    outliers: Images | None = None

    @property
    def validation(self) -> int | None:
        """How many training pictures are held out to be scored; None if the test set is."""
        return len(self.scored_labels) if self.scored_on == "validation" else None


class Batch(NamedTuple):
    """A process's part of a batch.

    Attributes:
        x: Pictures, float32 (part + outliers, 784), the outliers last.
        y: Labels of those before them, int64 (part,).
        share: How much of the batch's pictures this is, 1 for one process.
        outlier_share: How much of its outliers.
    """

    x: Tensor
    y: Tensor
    share: float
    outlier_share: float


def check_batches(data: TrainingData, recipe: Recipe, world: Rank) -> None:
    """Makes sure that a recipe's batches can be made of a data set.

    Args:
        data: Holds the pictures.
        recipe: How many a batch.
        world: The processes that share each batch.

    Raises:
        DigitcliError: The batches do not fit the data, or the processes.
    """
    pictures, size = len(data.train_images), recipe.batch_size
    fitting = fitting_batch(pictures, recipe, world)
    advice = f"give --batch-size {fitting}" if fitting else "bring more pictures"
    if world.size > 1:
        advice += ", or start another number of processes"
    if size > pictures:
        raise DigitcliError(
            f"a batch of {size} is more than the {pictures} training pictures", advice
        )
    if recipe.outliers and data.outliers is None:
        raise DigitcliError(
            f"the recipe {recipe.name} needs outliers, and the data has none",
            "make some with digitcli.data.datasets.outliers",
        )
    if size % world.size:
        raise DigitcliError(f"{world.size} processes cannot share a batch of {size} evenly", advice)
    last = pictures % size or size
    if last < world.size:
        raise DigitcliError(
            f"{world.size} processes cannot share the last batch of an epoch, of {last}", advice
        )
    if last < _least(recipe, world):
        raise DigitcliError("a batch is a single picture, which cannot be normalised", advice)


def fitting_batch(pictures: int, recipe: Recipe, world: Rank) -> int | None:
    """Returns the size of batches that fits the pictures and the processes.

    Args:
        pictures: How many an epoch has.
        recipe: How many a batch has, if that can be.
        world: The processes that share each batch, the last of an epoch included.

    Returns:
        The largest up to the recipe's, else the smallest above it; None where none fits.
    """
    size = recipe.batch_size
    candidates = itertools.chain(range(min(size, pictures), 0, -1), range(size + 1, pictures + 1))
    least = _least(recipe, world)
    return next(
        (n for n in candidates if not n % world.size and (pictures % n or n) >= least), None
    )


def _least(recipe: Recipe, world: Rank) -> int:
    """Returns how many pictures a batch has at least: one is no sample to normalise by."""
    return max(world.size, 2 if recipe.batch_norm and not recipe.outliers else 1)


class BatchLoader:
    """The training pictures of a run, batch by batch.

    They are normalised once and stay on the device. What is random about them is drawn on the CPU,
    so that every kind of device sees the same batches.

    Args:
        data: Holds the pictures.
        recipe: How many a batch, deformed how, and with how many outliers.
        device: Where they live.
        world: The processes that share each batch. Each draws all that is random about the whole.
    """

    def __init__(
        self,
        data: TrainingData,
        recipe: Recipe,
        device: torch.device,
        world: ProcessGroup = SINGLE_PROCESS,
    ) -> None:
        self._world = world
        self.pictures = len(data.train_images)
        self._size, self._device = recipe.batch_size, device
        self._x = normalised(data.train_images, data.mean, data.std, device)
        self._y = torch.from_numpy(data.train_labels).to(device)
        self._outliers: Tensor | None = None
        if data.outliers is not None and recipe.outliers:
            self._outliers = normalised(data.outliers, data.mean, data.std, device)
        self._share = recipe.outliers
        self._deform: Augmenter | None = None
        if recipe.deformation:
            self._deform = Augmenter.on(device, recipe.deformation, paper=-data.mean / data.std)

    def __len__(self) -> int:
        """BatchLoader in an epoch; the last may be smaller."""
        return math.ceil(self.pictures / self._size)

    def new_order(self) -> Tensor:
        """Draws the order of an epoch: int64 (pictures,), on the CPU."""
        return torch.randperm(self.pictures)

    def in_order(self, order: Tensor, done: int = 0) -> Iterator[Batch]:
        """Goes once through all pictures.

        Args:
            order: As ``new_order`` draws it.
            done: BatchLoader to pass over, without a draw.

        Yields:
            This process's part of each batch.
        """
        for picked in order[done * self._size :].to(self._device).split(self._size):
            yield self._batch(picked, self._world)

    def sample(self) -> Tensor:
        """Draws some of the pictures as batches have them, deformed and with outliers.

        They are the same for equal seeds in every process. The run's own draws are not disturbed.

        Returns:
            Normalised pixels, float32 (count, 784), of at most 10,000 pictures and their outliers.
        """
        with torch.random.fork_rng(devices=[]):  # all is drawn on the CPU
            # at random: every second picture of MNIST has less ink than those between
            picked = self.new_order()[:_SAMPLE].to(self._device)
            parts = [self._batch(part, SINGLE_PROCESS) for part in picked.split(self._size)]
        return torch.cat([part.x for part in parts])

    def _batch(self, picked: Tensor, world: ProcessGroup) -> Batch:
        """Makes a process's part of a batch of the pictures of some indices."""
        count, outliers = len(picked), 0
        mine = world.part(count)
        x, y = self._x[picked[mine]], self._y[picked[mine]]
        if self._outliers is not None:
            outliers = max(1, round(self._share * count))
            drawn = torch.randint(len(self._outliers), (outliers,))[world.part(outliers)]
            x = torch.cat([x, self._outliers[sent(drawn, self._device)]])
        if self._deform is not None:
            digits, others = torch.arange(count + outliers).split([count, outliers])
            rows = torch.cat([digits[mine], others[world.part(outliers)]])
            x = self._deform(x, self._deform.draw(count + outliers).of(rows))
        return Batch(x, y, len(y) / count, (len(x) - len(y)) / outliers if outliers else 0.0)


_SAMPLE = 10_000
"""Pictures at most by which batch normalisation is measured: as many as 20 batches of ``best``
have, and forward in a tenth of a second."""
