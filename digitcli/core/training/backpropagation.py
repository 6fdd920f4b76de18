"""A training step with backpropagation written out, faster than by autograd.

``loop.py`` has the same step as PyTorch programs write it, which the tests compare this one with.
Here every activation and gradient has a buffer that is made once, momentum is added within the
product that computes a gradient, and all weights are updated in one pass.
"""

from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor
from torch.nn.functional import log_softmax, nll_loss

from digitcli.core.distributed.rank import Rank
from digitcli.core.model import MLP
from digitcli.core.recipes import Recipe
from digitcli.core.training.loader import Batch
from digitcli.core.training.optimizers import SGD


def covers(recipe: Recipe, device: torch.device, rank: Rank) -> bool:
    """Returns True if ``BackpropagationStep`` computes what a recipe asks for, where it runs."""
    plain_sgd = recipe.optimizer == "sgd" and not (recipe.nesterov or recipe.weight_decay)
    plain_network = not (recipe.batch_norm or recipe.outliers or recipe.frozen)
    return plain_sgd and plain_network and rank.size == 1 and device.type != "mps"  # never tried


class BackpropagationStep:
    """Takes steps of stochastic gradient descent, in a single process.

    The network's parameters become views of one tensor, and the velocities views of another.

    Args:
        model: The network.
        optimizer: Holds the velocities.
        recipe: One that ``covers`` accepts.
        size: Maximum number of images in a batch.
    """

    def __init__(self, model: MLP, optimizer: SGD, recipe: Recipe, size: int) -> None:
        self._momentum = recipe.momentum
        parameters = list[Tensor](model.parameters())
        self._flat_parameters = _flatten(parameters)
        self._flat_velocities = _flatten(optimizer.velocities)
        self._weights, self._biases = parameters[::2], parameters[1::2]
        self._weight_velocities = optimizer.velocities[::2]
        self._bias_velocities = optimizer.velocities[1::2]
        device = self._flat_parameters.device
        widths = [len(bias) for bias in self._biases]
        self._outputs = [torch.empty(size, width, device=device) for width in widths]
        self._gradients = [torch.empty(size, width, device=device) for width in widths]
        self._ones = torch.ones(size, device=device)
        self._minus_ones = -self._ones[:, None]
        self._stream = torch.cuda.Stream(device) if device.type == "cuda" else None

    @torch.inference_mode()
    def __call__(self, batch: Batch, lr: float | Tensor) -> Tensor:
        """Takes a step; see ``Step``."""
        *inputs, logits = self._forward(batch.images)
        log_probabilities = log_softmax(logits, dim=1)
        loss = nll_loss(log_probabilities, batch.labels)
        # of the mean cross-entropy by the logits: (probabilities - one-hot labels) / batch
        gradient = torch.exp(log_probabilities, out=self._gradients[-1][: len(logits)])
        gradient.scatter_add_(1, batch.labels[:, None], self._minus_ones[: len(logits)])
        self._backward(inputs, gradient.div_(len(logits)))
        if isinstance(lr, Tensor):
            self._flat_parameters.addcmul_(self._flat_velocities, lr, value=-1)
        else:
            self._flat_parameters.add_(self._flat_velocities, alpha=-lr)
        return loss

    def _forward(self, images: Tensor) -> list[Tensor]:
        """Returns the input of every layer, and the logits."""
        activations = [images]
        for weight, bias, buffer in zip(self._weights, self._biases, self._outputs, strict=True):
            output = buffer[: len(images)]
            torch.addmm(bias, activations[-1], weight.t(), out=output)
            if buffer is not self._outputs[-1]:
                output.relu_()
            activations.append(output)
        return activations

    def _backward(self, inputs: list[Tensor], gradient: Tensor) -> None:
        """Updates the velocities, from the last layer to the first.

        Args:
            inputs: The input of every layer, float32 (batch, width).
            gradient: Of the loss by the logits, float32 (batch, classes).
        """
        ones = self._ones[: len(gradient)]
        for layer in reversed(range(len(inputs))):
            with _beside(self._stream):  # only the update waits for the velocities
                self._weight_velocities[layer].addmm_(
                    gradient.t(), inputs[layer], beta=self._momentum
                )
                self._bias_velocities[layer].addmv_(gradient.t(), ones, beta=self._momentum)
            if layer:
                before = self._gradients[layer - 1][: len(gradient)]
                torch.mm(gradient, self._weights[layer], out=before)
                # the derivative of ReLU: 1 where its output is positive, else 0
                gradient = torch.ops.aten.threshold_backward(
                    before, inputs[layer], 0, grad_input=before
                )
        if self._stream is not None:
            torch.cuda.current_stream(self._stream.device).wait_stream(self._stream)


def _beside(stream: torch.cuda.Stream | None) -> AbstractContextManager[object]:
    """Lets the work in the block run beside what comes after it; without a stream, at once."""
    if stream is None:
        return nullcontext()
    stream.wait_stream(torch.cuda.current_stream(stream.device))
    return torch.cuda.stream(stream)


def _flatten(tensors: list[Tensor]) -> Tensor:
    """Makes tensors views of a single one, which is returned, with the same values."""
    flat = torch.cat([tensor.detach().flatten() for tensor in tensors])
    sizes = [tensor.numel() for tensor in tensors]
    for tensor, part in zip(tensors, flat.split(sizes), strict=True):
        tensor.data = part.view_as(tensor)
    return flat
