"""Runs of training, the same way for every test, benchmark and storm."""

from typing import Any

import torch

from digitcli.core.recipes import Recipe
from digitcli.core.training.callbacks.callback import EpochResult
from digitcli.core.training.loader import TrainingData
from digitcli.core.training.loop import train

CPU = torch.device("cpu")


def run_training(
    data: TrainingData,
    recipe: Recipe,
    *,
    seed: int = 0,
    log_every: int = 5,
    device: torch.device = CPU,
    **options: Any,
) -> EpochResult:
    """Trains as ``digitcli.core.training.loop.train`` does; ``options`` are further ones of it."""
    return train(data, recipe, seed=seed, log_every=log_every, device=device, **options)
