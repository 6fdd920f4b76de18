"""The weights that a run starts from: random ones, or those of a checkpoint."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from digitcli.core.checkpointing.checkpoint import Checkpoint, load_with_checksum
from digitcli.core.checkpointing.training_state import Settings
from digitcli.core.distributed.process_group import ProcessGroup
from digitcli.core.errors import CheckpointError
from digitcli.core.model import MLP
from digitcli.core.training.data import TrainingData

_NAME_ANOTHER = "name another with --from"


@dataclass(frozen=True)
class InitialWeights:
    """Trained weights to start from."""

    checkpoint: Checkpoint
    checksum: str  # of the checkpoint's file, as "sha256:..."
    name: str  # the name that the user gave

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names of the checkpoint, in the order of its outputs."""
        return self.checkpoint.metadata.classes

    @property
    def hidden(self) -> tuple[int, ...]:
        """Widths of the checkpoint's hidden layers."""
        return self.checkpoint.metadata.layer_sizes[1:-1]

    @property
    def new_layers(self) -> int:
        """Number of layers, from the output on, that are new in a network for other classes.

        The output layer, and the last hidden one if there are several: if that was trained with
        outlier exposure, it is nearly silent on images of other classes, and an output layer alone
        learns too slowly from it.
        """
        return 2 if len(self.hidden) > 1 else 1

    def classes_with(self, classes: tuple[str, ...]) -> tuple[str, ...]:
        """Returns the classes of a network that starts from these weights.

        Args:
            classes: The classes to learn. If the checkpoint has them all, it keeps its own; else
                the network gets just these, and ``new_layers``.
        """
        return self.classes if set(classes) <= set(self.classes) else classes


def load_initial_weights(path: Path, name: str) -> InitialWeights:
    """Reads a checkpoint to start from, which the user named ``name``.

    Raises:
        CheckpointError: It cannot be read; see ``load_checkpoint``.
    """
    try:
        return InitialWeights(*load_with_checksum(path), name)
    except CheckpointError as error:
        step = error.next_step if "digitcli import" in error.next_step else _NAME_ANOTHER
        raise CheckpointError(error.problem, step) from error


def build_model(
    data: TrainingData, settings: Settings, initial: InitialWeights | None, group: ProcessGroup
) -> MLP:
    """Creates the network of a run, on the CPU, with the weights that it starts from."""
    recipe = settings.recipe
    batch_norm = group.batch_norm if recipe.batch_norm else None
    model = MLP(settings.layer_sizes, batch_norm=batch_norm)
    if initial is not None:
        copy_weights(model, initial, data)
    for layer in model.layers[: recipe.frozen]:
        layer.requires_grad_(False)
    return model


@torch.no_grad()
def copy_weights(model: MLP, initial: InitialWeights, data: TrainingData) -> None:
    """Copies the weights of a checkpoint into a new model, so that both give the same answers.

    The first layer accounts for another normalization of the pixels. The ``new_layers`` for other
    classes (see ``classes_with``) keep their random weights.
    """
    metadata, weights = initial.checkpoint.metadata, initial.checkpoint.weights
    same = data.classes == metadata.classes
    copied = len(model.layers) - (0 if same else initial.new_layers)
    for number, layer in enumerate(model.layers[:copied], start=1):
        layer.weight.copy_(torch.from_numpy(np.array(weights[f"l{number}.weight"])))
        layer.bias.copy_(torch.from_numpy(np.array(weights[f"l{number}.bias"])))
    first = model.layers[0]
    first.bias.add_(first.weight.sum(dim=1), alpha=(data.mean - metadata.mean) / metadata.std)
    first.weight.mul_(data.std / metadata.std)
