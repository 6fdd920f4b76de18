"""Batches of training images: the whole set on the device, in random order, augmented."""

import itertools
from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from digitcli.core.device import send
from digitcli.core.distributed.process_group import SINGLE_PROCESS, ProcessGroup
from digitcli.core.distributed.rank import Rank
from digitcli.core.errors import DigitcliError
from digitcli.core.model import normalize
from digitcli.core.recipes import Recipe
from digitcli.core.training.augmentation import Augmenter
from digitcli.core.training.data import TrainingData

_SAMPLE = 10_000
"""Maximum number of images that batch normalization is measured on: 20 batches of ``best``, which
take a tenth of a second forward."""


class Batch(NamedTuple):
    """This process's share of a batch."""

    images: Tensor  # normalized pixels, float32 (labels + outliers, 784), the outliers last
    labels: Tensor  # of the images before the outliers, synthetic digits included, int64 (labels,)
    share: float  # fraction of the batch's labelled images that is here; 1 in a single process
    outlier_share: float  # fraction of the batch's outliers that is here


class BatchLoader:
    """Serves the training images batch by batch.

    The images are normalized once and stay on the device. All random numbers are drawn on the CPU,
    by every process for the whole batch, so that every device and every process sees the same
    batches.
    """

    def __init__(
        self,
        data: TrainingData,
        recipe: Recipe,
        device: torch.device,
        group: ProcessGroup = SINGLE_PROCESS,
    ) -> None:
        self._group, self._device = group, device
        self.images = len(data.train_images)
        self.batches = data.batches_per_epoch(recipe.batch_size)
        self._batch_size = recipe.batch_size
        self._outlier_fraction, self._synthetic_fraction = recipe.outliers, recipe.synthetic
        self._x = normalize(data.train_images, data.mean, data.std, device)
        self._y = torch.from_numpy(data.train_labels).to(device)
        self._outliers: Tensor | None = None
        if data.outliers is not None and recipe.outliers:
            self._outliers = normalize(data.outliers, data.mean, data.std, device)
        self._synthetic: tuple[Tensor, Tensor] | None = None
        if data.synthetic_images is not None and recipe.synthetic:
            synthetic = normalize(data.synthetic_images, data.mean, data.std, device)
            self._synthetic = synthetic, torch.as_tensor(data.synthetic_labels, device=device)
        self._augment: Augmenter | None = None
        if recipe.deformation:
            background = -data.mean / data.std
            self._augment = Augmenter.on(device, recipe.deformation, background)

    @property
    def full_batch(self) -> int:
        """Labelled images of a full batch in all processes, synthetic digits included."""
        return self._batch_size + self._synthetic_count(self._batch_size)

    def draw_order(self) -> Tensor:
        """Draws the order of the images in an epoch: int64 (images,), on the CPU."""
        return torch.randperm(self.images)

    def epoch(self, order: Tensor, skip: int = 0) -> Iterator[Batch]:
        """Yields this process's share of every batch of an epoch.

        Args:
            order: Order of the images, as from ``draw_order``.
            skip: Number of batches to skip, for which nothing is drawn.
        """
        for rows in order[skip * self._batch_size :].to(self._device).split(self._batch_size):
            yield self._batch(rows, self._group)

    def sample(self) -> Tensor:
        """Draws augmented images, synthetic digits and outliers to measure batch normalization on.

        Equal seeds give equal samples in every process; the run's own random numbers are not
        disturbed.

        Returns:
            Normalized pixels, float32 (count, 784).
        """
        with torch.random.fork_rng(devices=[]):  # all random numbers come from the CPU's generator
            # in random order: every second image of MNIST has less ink than those between
            rows = self.draw_order()[:_SAMPLE].to(self._device)
            batches = [self._batch(part, SINGLE_PROCESS) for part in rows.split(self._batch_size)]
        return torch.cat([batch.images for batch in batches])

    def _batch(self, rows: Tensor, group: ProcessGroup) -> Batch:
        """Makes a process's share of the batch of some images, by their indices."""
        count, synthetic, outliers = len(rows), self._synthetic_count(len(rows)), 0
        mine = group.shard(count)
        images, labels = self._x[rows[mine]], self._y[rows[mine]]
        if self._synthetic is not None:
            x, y = self._synthetic
            drawn = send(torch.randint(len(x), (synthetic,))[group.shard(synthetic)], self._device)
            images, labels = torch.cat([images, x[drawn]]), torch.cat([labels, y[drawn]])
        if self._outliers is not None:
            outliers = max(1, round(self._outlier_fraction * count))
            drawn = torch.randint(len(self._outliers), (outliers,))[group.shard(outliers)]
            images = torch.cat([images, self._outliers[send(drawn, self._device)]])
        if self._augment is not None:
            sizes = [count, synthetic, outliers]
            parts = torch.arange(sum(sizes)).split(sizes)
            ours = torch.cat([part[group.shard(len(part))] for part in parts])
            images = self._augment(images, self._augment.draw(sum(sizes)).of(ours))
        here = len(images) - len(labels)
        share = len(labels) / (count + synthetic)
        return Batch(images, labels, share, here / outliers if outliers else 0.0)

    def _synthetic_count(self, images: int) -> int:
        """Returns the number of synthetic digits beside a number of the data set's images."""
        if self._synthetic is None:
            return 0
        return max(1, round(self._synthetic_fraction * images))


def check_batches(data: TrainingData, recipe: Recipe, rank: Rank) -> None:
    """Checks that a recipe's batches can be made of a data set, and shared by processes.

    Raises:
        DigitcliError: The batch size does not fit the data or the number of processes, or the
            recipe needs outliers or synthetic digits and the data lacks them.
    """
    if recipe.synthetic and data.synthetic_images is None:
        raise DigitcliError(
            f"the recipe {recipe.name} needs synthetic digits, and the data lacks them",
            "make some with digitcli.data.datasets.synthetic",
        )
    if recipe.outliers and data.outliers is None:
        raise DigitcliError(
            f"the recipe {recipe.name} needs outliers, and the data lacks them",
            "make some with digitcli.data.datasets.outliers",
        )
    count, size = len(data.train_images), recipe.batch_size
    last = count % size or size
    if size > count:
        problem = f"the batch size {size} is larger than the {count} training images"
    elif size % rank.size:
        problem = f"{rank.size} processes cannot share a batch of {size} images evenly"
    elif last < rank.size:
        problem = f"{rank.size} processes cannot share an epoch's last batch, of {last} images"
    elif last < _smallest_batch(recipe, rank):
        problem = "batch normalization needs at least 2 images per batch"
    else:
        return
    fitting = fitting_batch_size(count, recipe, rank)
    advice = f"give --batch-size {fitting}" if fitting else "add images"
    if rank.size > 1:
        advice += ", or start another number of processes"
    raise DigitcliError(problem, advice)


def fitting_batch_size(images: int, recipe: Recipe, rank: Rank) -> int | None:
    """Returns the batch size nearest to the recipe's that fits the images and the processes.

    The last batch of an epoch must fit too.

    Returns:
        The largest size up to the recipe's, else the smallest above; None if none fits.
    """
    size, least = recipe.batch_size, _smallest_batch(recipe, rank)
    candidates = itertools.chain(range(min(size, images), 0, -1), range(size + 1, images + 1))
    return next((n for n in candidates if not n % rank.size and (images % n or n) >= least), None)


def _smallest_batch(recipe: Recipe, rank: Rank) -> int:
    """Returns the smallest batch that all processes can share, and that can be normalized."""
    alone = not (recipe.outliers or recipe.synthetic)
    return max(rank.size, 2 if recipe.batch_norm and alone else 1)
