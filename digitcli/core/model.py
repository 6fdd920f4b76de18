"""The lesson's network as a torch module."""

from itertools import pairwise

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from typing_extensions import override

from digitcli.core.checkpointing.checkpoint import Weights

_BATCH = 10_000
"""Images per forward pass: 20 MB of activations."""


class MLP(nn.Module):
    """A multilayer perceptron: linear layers with ReLU between them, and logits as the output.

    The layers are named ``l1``, ``l2``, ... as in the lesson, with torch's default initialization.

    Args:
        sizes: Widths from input to output, such as (784, 512, 256, 128, 64, 10).
        batch_norm: Class of the batch normalization before each ReLU, for training only:
            ``extract_weights`` folds it into the layers. None for none.
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
            # no running mean and variance: ``update_batch_norm`` sets them
            batch_norm(width, momentum=0.0) if batch_norm else nn.Identity()
            for width in sizes[1:-1]
        )

    @override
    def forward(self, x: Tensor) -> Tensor:
        """Maps normalized pixels, float32 (batch, 784), to logits, float32 (batch, classes)."""
        *hidden, output = self.layers
        for layer, norm in zip(hidden, self.norms, strict=True):
            x = torch.relu(norm(layer(x)))
        return output(x)  # no softmax: cross_entropy takes logits


@torch.no_grad()
def update_batch_norm(model: MLP, x: Tensor, *, neutral: bool = False) -> None:
    """Sets the mean and variance of batch normalization to those of a sample.

    A running average would be of weights that have changed since, by a lot in a short run (Wu and
    Johnson, "Rethinking 'Batch' in BatchNorm", 2021).

    Args:
        model: The network; without batch normalization it is left as it is.
        x: Normalized pixels, float32 (count, 784), as from ``BatchLoader.sample``.
        neutral: Set gain and offset as well, such that they undo the normalization.
    """
    for layer, norm in zip(model.layers, model.norms, strict=False):  # not the output layer
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
def extract_weights(model: MLP) -> Weights:
    """Copies the weights to NumPy, named as in a checkpoint, batch normalization folded in."""
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


def load_mlp(weights: Weights, device: torch.device) -> MLP:
    """Builds the network of a checkpoint's weights on a device."""
    outputs = [len(weights[f"l{number}.bias"]) for number in range(1, len(weights) // 2 + 1)]
    with torch.device("meta"):  # random weights would be drawn from the run's generator
        model = MLP((weights["l1.weight"].shape[1], *outputs))
    tensors = {name: torch.from_numpy(np.array(weight)) for name, weight in weights.items()}
    model.load_state_dict(tensors, assign=True)
    return model.to(device)


def normalize(images: np.ndarray, mean: float, std: float, device: torch.device) -> Tensor:
    """Normalizes images to the network's input, on a device.

    Args:
        images: uint8 (count, 28, 28).
        mean: Mean of the pixels in 0..1.
        std: Standard deviation of the pixels in 0..1.
        device: Device of the result.

    Returns:
        float32 (count, 784).
    """
    pixels = torch.from_numpy(images).to(device).flatten(start_dim=1)
    return pixels.float().div_(255).sub_(mean).div_(std)


@torch.inference_mode()
def compute_logits(model: MLP, x: Tensor) -> Tensor:
    """Returns the logits, float32 (count, classes), of normalized pixels, float32 (count, 784)."""
    return torch.cat([model(batch) for batch in x.split(_BATCH)])
