"""Starting a run from trained weights in place of random ones."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from digitcli.core.checkpointing.checkpoint import Checkpoint, load_checkpoint
from digitcli.core.errors import CheckpointError, error_reason
from digitcli.core.model import MLP
from digitcli.core.training.loader import TrainingData

_NAME_ANOTHER = "name another with --from"


@dataclass(frozen=True)
class InitialWeights:
    """Weights to start from.

    Attributes:
        checkpoint: Holds them.
        checksum: Of its file, as "sha256:...".
        name: What the user calls it.
    """

    checkpoint: Checkpoint
    checksum: str
    name: str

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes that it knows, in the order of its outputs."""
        return self.checkpoint.metadata.classes

    def classes_with(self, classes: tuple[str, ...]) -> tuple[str, ...]:
        """Returns the classes of a network that starts from it.

        Args:
            classes: Those to be learned. Where it knows them all, it keeps its own; else the
                network has just these, and its output layer is new.
        """
        return self.classes if set(classes) <= set(self.classes) else classes


def load_initial_weights(path: Path, name: str) -> InitialWeights:
    """Reads a checkpoint to start from.

    Args:
        path: Where it is.
        name: What the user calls it.

    Raises:
        CheckpointError: It cannot be read; see ``load_checkpoint``.
    """
    try:
        checkpoint = load_checkpoint(path)
        with path.open("rb") as file:
            checksum = hashlib.file_digest(file, "sha256").hexdigest()
    except CheckpointError as error:
        raise CheckpointError(error.problem, _NAME_ANOTHER) from error
    except OSError as error:
        raise CheckpointError(
            f"cannot read {path}: {error_reason(error)}", _NAME_ANOTHER
        ) from error
    return InitialWeights(checkpoint, f"sha256:{checksum}", name)


@torch.no_grad()
def copy_weights(model: MLP, start: InitialWeights, data: TrainingData) -> None:
    """Gives a new model the weights of a checkpoint, so that it answers as that does.

    Pixels that are normalised otherwise are allowed for in the first layer. An output layer for
    other classes stays as it was drawn. Batch normalisation, which no checkpoint has, is yet to be
    made neutral with ``measure``.

    Args:
        model: On the CPU; its classes are ``start.classes_with`` those of the data.
        start: The weights.
        data: What will be trained on.
    """
    metadata, weights = start.checkpoint.metadata, start.checkpoint.weights
    same = data.classes == metadata.classes
    for number, layer in enumerate(model.layers if same else model.layers[:-1], start=1):
        layer.weight.copy_(torch.from_numpy(np.array(weights[f"l{number}.weight"])))
        layer.bias.copy_(torch.from_numpy(np.array(weights[f"l{number}.bias"])))
    first = model.layers[0]
    first.bias.add_(first.weight.sum(dim=1), alpha=(data.mean - metadata.mean) / metadata.std)
    first.weight.mul_(data.std / metadata.std)
