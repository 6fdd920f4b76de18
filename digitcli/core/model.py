"""The lesson's network as a torch module."""

from itertools import pairwise

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from digitcli.core.checkpointing.checkpoint import Weights

_BATCH = 10_000
"""Pictures per forward pass: 20 MB of activations, and few calls."""


class MLP(nn.Module):
    """A multilayer perceptron: linear layers with ReLU between them, and logits out.

    The layers are named ``l1``, ``l2``, ... as in the lesson, and start from torch's default
    initialisation.

    Args:
        sizes: Widths from input to output, such as (784, 512, 256, 128, 64, 10).
        batch_norm: How to normalise before each ReLU, for training alone: ``weights_of`` folds it
            away. None for not at all.
    """

    def __init__(
        self, sizes: tuple[int, ...], *, batch_norm: type[nn.BatchNorm1d] | None = None
    ) -> None:
        super().__init__()
        self.layers = []
        for number, (inputs, outputs) in enumerate(pairwise(sizes), start=1):
            layer = nn.Linear(inputs, outputs)
            self.add_module(f"l{number}", layer)
            self.layers.append(layer)
        self.norms = nn.ModuleList(
            # the running mean and variance stand still: ``measure`` sets them
            batch_norm(width, momentum=0.0) if batch_norm else nn.Identity()
            for width in sizes[1:-1]
        )

    def forward(self, x: Tensor) -> Tensor:
        """Maps normalised pixels, float32 (batch, 784), to logits, float32 (batch, classes)."""
        *hidden, output = self.layers
        for layer, norm in zip(hidden, self.norms, strict=True):
            x = torch.relu(norm(layer(x)))
        logits: Tensor = output(x)  # no activation: cross-entropy takes the logits
        return logits


@torch.no_grad()
def measure(model: MLP, x: Tensor, *, neutral: bool = False) -> None:
    """Sets the mean and variance of batch normalisation to those that pictures have right now.

    An average over the last batches would be of weights that have changed since, by a lot where
    the run is short. To measure anew is Wu and Johnson's advice ("Rethinking 'Batch' in
    BatchNorm", 2021). A model without batch normalisation stays as it is.

    Args:
        model: The network, on the device of ``x``.
        x: Normalised pixels, float32 (count, 784), as ``BatchLoader.sample`` has them.
        neutral: Set gain and offset too, such that they undo the normalisation.
    """
    for layer, norm in zip(model.layers, model.norms, strict=False):  # the output layer has none
        x = layer(x)
        if isinstance(norm, nn.BatchNorm1d):
            variance, mean = torch.var_mean(x, dim=0, correction=0)
            norm.get_buffer("running_mean").copy_(mean)
            norm.get_buffer("running_var").copy_(variance)
            if neutral:
                norm.weight.copy_(torch.sqrt(variance + norm.eps))
                norm.bias.copy_(mean)
            x = functional.batch_norm(x, mean, variance, norm.weight, norm.bias, eps=norm.eps)
        x = torch.relu(x)


@torch.no_grad()
def weights_of(model: MLP) -> Weights:
    """Copies a model's weights to NumPy, under the names that a checkpoint uses.

    Batch normalisation is folded into the layer before it: with the mean and variance that
    ``measure`` set it is one more linear map.
    """
    weights = {}
    norms = [*model.norms, nn.Identity()]
    for number, (layer, norm) in enumerate(zip(model.layers, norms, strict=True), start=1):
        weight, bias = layer.weight.detach(), layer.bias.detach()
        if isinstance(norm, nn.BatchNorm1d):
            mean, variance = norm.get_buffer("running_mean"), norm.get_buffer("running_var")
            gain = norm.weight / torch.sqrt(variance + norm.eps)
            weight, bias = weight * gain[:, None], (bias - mean) * gain + norm.bias
        weights[f"l{number}.weight"] = weight.cpu().numpy().copy()
        weights[f"l{number}.bias"] = bias.cpu().numpy().copy()
    return weights


def plain_mlp(weights: Weights, device: torch.device) -> MLP:
    """Builds the torch module of a checkpoint's weights, on a device."""
    hidden = [len(weights[f"l{number}.bias"]) for number in range(1, len(weights) // 2 + 1)]
    with torch.device("meta"):  # no initial weights: they would be drawn from the run's generator
        model = MLP((weights["l1.weight"].shape[1], *hidden))
    tensors = {name: torch.from_numpy(np.array(weight)) for name, weight in weights.items()}
    model.load_state_dict(tensors, assign=True)
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
