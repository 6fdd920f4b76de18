"""Scoring the network after every epoch."""

from dataclasses import dataclass

from digitcli.core.checkpointing.checkpoint import Weights
from digitcli.core.evaluation.calibration import choose_temperature
from digitcli.core.model import (
    MLP,
    compute_logits,
    extract_weights,
    load_mlp,
    normalize,
    update_batch_norm,
)
from digitcli.core.recipes import Recipe
from digitcli.core.training.data import TrainingData
from digitcli.core.training.loader import BatchLoader


@dataclass(frozen=True)
class Score:
    """Weights and scores of the network after an epoch."""

    weights: Weights  # with batch normalization folded in
    accuracy: float  # fraction of the scored images classified correctly, in 0..1
    temperature: float  # fitted on a validation split, else the recipe's


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
