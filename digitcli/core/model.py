"""The lesson's network as a torch module."""

from itertools import pairwise

import numpy as np
import torch
from torch import Tensor, nn

from digitcli.core.checkpoint import Checkpoint, Weights

_BATCH = 10_000
"""Pictures per forward pass: 20 MB of activations, and few calls."""


class MLP(nn.Module):
    """A multilayer perceptron: linear layers with ReLU between them, and logits out.

    The layers are named ``l1``, ``l2``, ... as in the lesson, and start from torch's default
    initialisation.

    Args:
        sizes: Widths from input to output, such as (784, 512, 256, 128, 64, 10).
    """

    def __init__(self, sizes: tuple[int, ...]) -> None:
        super().__init__()
        for layer, (inputs, outputs) in enumerate(pairwise(sizes), start=1):
            self.add_module(f"l{layer}", nn.Linear(inputs, outputs))

    def forward(self, x: Tensor) -> Tensor:
        """Maps normalised pixels, float32 (batch, 784), to logits, float32 (batch, classes)."""
        *hidden, output = self.children()
        for layer in hidden:
            x = torch.relu(layer(x))
        logits: Tensor = output(x)  # no activation: cross-entropy takes the logits
        return logits


def weights_of(model: MLP) -> Weights:
    """Copies a model's weights to NumPy, under the names that a checkpoint uses."""
    return {name: tensor.detach().cpu().numpy().copy() for name, tensor in model.named_parameters()}


def model_of(checkpoint: Checkpoint, device: torch.device) -> MLP:
    """Builds the torch module that a checkpoint describes, with its weights, on a device."""
    model = MLP(checkpoint.metadata.layer_sizes)
    model.load_state_dict(
        {name: torch.from_numpy(np.array(weight)) for name, weight in checkpoint.weights.items()}
    )
    return model.to(device)


def normalised(images: np.ndarray, mean: float, std: float, device: torch.device) -> Tensor:
    """Turns pictures into the network's input, on the device that will use it.

    Args:
        images: uint8 (count, 28, 28).
        mean: Of pixels in 0..1.
        std: Standard deviation of pixels in 0..1.
        device: Where the result lies.

    Returns:
        float32 (count, 784).
    """
    pixels = torch.from_numpy(images).to(device).flatten(start_dim=1)
    return pixels.float().div_(255).sub_(mean).div_(std)


@torch.inference_mode()
def predict_logits(model: MLP, x: Tensor) -> Tensor:
    """Runs the model over many pictures, batch by batch.

    Args:
        model: The network, on the device of ``x``.
        x: Normalised pixels, float32 (count, 784).

    Returns:
        Logits, float32 (count, classes), on the same device.
    """
    return torch.cat([model(batch) for batch in x.split(_BATCH)])
