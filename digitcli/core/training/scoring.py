"""Scoring the network after every epoch."""

from dataclasses import dataclass

import numpy as np

from digitcli.core.checkpointing.checkpoint import Checkpoint, Weights
from digitcli.core.evaluation.calibration import choose_temperature
from digitcli.core.inference import forward
from digitcli.core.model import (
    MLP,
    compute_logits,
    extract_weights,
    load_mlp,
    normalize,
    update_batch_norm,
)
from digitcli.core.recipes import Recipe
from digitcli.core.training.data import Labels, TrainingData
from digitcli.core.training.loader import BatchLoader

_RARE = 0.5
"""Fraction of the mean number of training images of a class, below which a class is rare."""

_CHUNK = 4096
"""Images classified at a time; each takes 10 kB."""


@dataclass(frozen=True)
class Score:
    """Weights and scores of the network after an epoch."""

    weights: Weights  # with batch normalization folded in
    accuracy: float  # fraction of the scored images classified correctly, in 0..1
    temperature: float  # fitted on a validation split, else the recipe's


def initial_accuracy(initial: Checkpoint, data: TrainingData) -> float | None:
    """Returns the accuracy of the initial weights on the images that a run is scored on, in 0..1.

    None if the weights are for other classes: the output layer is then new.
    """
    if initial.metadata.classes != data.classes:
        return None
    return float((_answers(initial, data) == data.scored_labels).mean())


def rare_unanswered_classes(checkpoint: Checkpoint, data: TrainingData) -> tuple[str, ...]:
    """Returns the classes with few training images that are the answer to no scored image.

    Only classes that some scored image shows are among them.
    """
    counts = data.class_counts(data.train_labels)
    few = _RARE * len(data.train_labels) / len(counts)
    answered = set(_answers(checkpoint, data).tolist())
    return tuple(
        name
        for name in data.class_counts(data.scored_labels)
        if counts[name] < few and data.classes.index(name) not in answered
    )


def _answers(checkpoint: Checkpoint, data: TrainingData) -> Labels:
    parts = range(0, len(data.scored_images), _CHUNK)
    images = (data.scored_images[start : start + _CHUNK] for start in parts)
    return np.concatenate([forward(checkpoint, chunk).argmax(axis=1) for chunk in images])


class Scorer:
    """Scores the plain network that a checkpoint holds.

    Args:
        data: The images to score on.
        recipe: Batch normalization, and the temperature if none is fitted.
        model: The network to be trained, on its device.
        loader: Draws the sample that batch normalization is measured on.
        neutral: Initialize batch normalization without an effect: the weights are trained ones.
    """

    def __init__(
        self, data: TrainingData, recipe: Recipe, model: MLP, loader: BatchLoader, *, neutral: bool
    ) -> None:
        self.data = data
        self._recipe, self._model = recipe, model
        device = next(model.parameters()).device
        self._sample = loader.sample() if recipe.batch_norm else None
        if self._sample is not None and neutral:
            update_batch_norm(model, self._sample, neutral=True)
        self._x = normalize(data.scored_images, data.mean, data.std, device)

    def measure_batch_norm(self) -> None:
        """Measures the mean and variance of batch normalization for the present weights."""
        if self._sample is not None:
            update_batch_norm(self._model, self._sample)

    def score(self) -> Score:
        """Scores the network; ``measure_batch_norm`` comes first."""
        data, weights = self.data, extract_weights(self._model)
        logits = compute_logits(load_mlp(weights, self._x.device), self._x).cpu().numpy()
        accuracy = float((logits.argmax(axis=1) == data.scored_labels).mean())
        temperature = self._recipe.temperature  # nothing is fitted on a test set
        if data.scored_on == "validation":
            temperature = choose_temperature(logits, data.scored_labels)
        return Score(weights, accuracy, temperature)
