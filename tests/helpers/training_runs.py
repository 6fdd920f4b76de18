"""Runs of training, the same way for every test, benchmark and storm."""

from typing import Any

import torch

from digitcli.core.checkpointing.training_state import Settings, TrainingState
from digitcli.core.recipes import Recipe
from digitcli.core.training.callbacks.callback import EpochResult
from digitcli.core.training.data import TrainingData
from digitcli.core.training.initial_weights import InitialWeights
from digitcli.core.training.loop import train

CPU = torch.device("cpu")


def run_training(
    data: TrainingData,
    recipe: Recipe,
    *,
    seed: int = 0,
    log_every: int = 5,
    device: torch.device = CPU,
    initial: InitialWeights | None = None,
    resume: TrainingState | None = None,
    **options: Any,
) -> EpochResult:
    """Trains with the settings that the data and the recipe make; ``options`` go to ``train``."""
    start = resume.settings.start if resume else initial.checksum if initial else None
    validation = len(data.scored_labels) if data.scored_on == "validation" else None
    settings = Settings(data.name, data.classes, start, validation, recipe, seed, log_every)
    return train(data, settings, device=device, initial=initial, resume=resume, **options)
