"""From a file of another program to a checkpoint."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from digitcli.core.checkpointing.checkpoint import Checkpoint, Weights, weight_problems
from digitcli.core.checkpointing.metadata import (
    Metadata,
    layer_sizes,
    library_versions,
    metadata_problems,
)
from digitcli.core.errors import DigitcliError
from digitcli.core.importing.layers import Layer, extract, find_layers
from digitcli.core.importing.read import read_tensors


@dataclass(frozen=True)
class Network:
    """A network that another program saved."""

    path: Path
    checksum: str  # of the file, as "sha256:..."
    format: str  # of the file: "torch", "safetensors" or "npz"
    layers: Sequence[Layer]  # from input to output, by their names in the file
    weights: Weights  # as in a checkpoint

    @property
    def outputs(self) -> int:
        """Number of classes."""
        return self.layers[-1].outputs


def read_network(path: Path) -> Network:
    """Reads a network of unknown origin.

    Raises:
        DigitcliError: The file cannot be read, or holds another kind of network.
    """
    format_, content, tensors = read_tensors(path)
    try:
        layers = find_layers(tensors)
    except DigitcliError as error:
        raise DigitcliError(f"{path}: {error.problem}", error.next_step) from error
    checksum = f"sha256:{hashlib.sha256(content).hexdigest()}"
    return Network(path, checksum, format_, layers, extract(tensors, layers))


def make_checkpoint(
    network: Network,
    *,
    classes: tuple[str, ...],
    mean: float,
    std: float,
    dataset: str,
    command: str,
) -> Checkpoint:
    """Completes a network to a checkpoint with what its file does not tell.

    Args:
        network: The network.
        classes: A name per output.
        mean: Mean that is subtracted from pixels in 0..1.
        std: Divisor of the pixels after that.
        dataset: Name of the training data set, or ``UNKNOWN_DATASET``.
        command: Recorded as the command that makes the checkpoint.

    Raises:
        DigitcliError: A value is impossible in a checkpoint.
    """
    metadata = Metadata(
        layer_sizes=layer_sizes(
            network.outputs, tuple(layer.outputs for layer in network.layers[:-1])
        ),
        classes=classes,
        mean=mean,
        std=std,
        dataset=dataset,
        recipe=None,
        epochs=0,
        seed=0,
        device="cpu",
        losses=(),
        accuracies=(),
        scored_on="test",
        temperature=1.0,
        command=command,
        data_checksums={"imported file": network.checksum},
        versions=library_versions(),
    )
    for problems, step in (
        (metadata_problems(network.path, metadata), "see 'digitcli import --help'"),
        (weight_problems(network.path, network.weights, metadata), "train the network again"),
    ):
        for problem in problems:
            raise DigitcliError(problem, step)
    return Checkpoint(network.weights, metadata)
