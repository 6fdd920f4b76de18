"""The update of the weights.

torch.optim's own functions, without its classes: creating one of those imports torch's compiler,
which takes as long as an epoch.
"""

from abc import ABC, abstractmethod

import torch
from torch import Tensor
from torch.optim.adamw import adamw
from torch.optim.sgd import sgd
from typing_extensions import override

from digitcli.core.recipes import Recipe

_BETA2 = 0.99
"""Decay of AdamW's mean squared gradients: an average over a hundred steps, not a thousand."""


class Optimizer(ABC):
    """Updates parameters in place from their gradients.

    Args:
        parameters: What is trained.
        recipe: Momentum, weight decay and so on.
    """

    def __init__(self, parameters: list[Tensor], recipe: Recipe) -> None:
        self._parameters, self._recipe = parameters, recipe

    def zero_grad(self) -> None:
        """Clears the gradients of the last step, which ``backward`` would add to."""
        for parameter in self._parameters:
            parameter.grad = None

    @torch.no_grad()
    def step(self, lr: float | Tensor) -> None:
        """Updates the parameters.

        Args:
            lr: Learning rate; float32 () if a tensor.
        """
        gradients = [p.grad for p in self._parameters if p.grad is not None]
        self._update(gradients, lr)

    @abstractmethod
    def _update(self, gradients: list[Tensor], lr: float | Tensor) -> None:
        """Updates the parameters with a gradient for each."""

    @abstractmethod
    def state(self) -> dict[str, Tensor]:
        """Returns the tensors kept from step to step, by name: the tensors themselves."""

    def _zeros(self) -> list[Tensor]:
        return [torch.zeros_like(parameter) for parameter in self._parameters]


class SGD(Optimizer):
    """Stochastic gradient descent with momentum, classical or Nesterov's.

    Attributes:
        velocities: The running sum of gradients of each parameter, which momentum decays.
    """

    def __init__(self, parameters: list[Tensor], recipe: Recipe) -> None:
        super().__init__(parameters, recipe)
        self.velocities = self._zeros()

    @override
    def _update(self, gradients: list[Tensor], lr: float | Tensor) -> None:
        sgd(
            self._parameters,
            gradients,
            list[Tensor | None](self.velocities),
            lr=lr,
            momentum=self._recipe.momentum,
            nesterov=self._recipe.nesterov,
            weight_decay=self._recipe.weight_decay,
            dampening=0,
            maximize=False,
            fused=True,
        )

    @override
    def state(self) -> dict[str, Tensor]:
        return _numbered(velocity=self.velocities)


class AdamW(Optimizer):
    """Adam with decoupled weight decay (Loshchilov and Hutter 2019)."""

    def __init__(self, parameters: list[Tensor], recipe: Recipe) -> None:
        super().__init__(parameters, recipe)
        self._means, self._squares = self._zeros(), self._zeros()
        self._steps = [torch.zeros((), device=p.device) for p in parameters]

    @override
    def _update(self, gradients: list[Tensor], lr: float | Tensor) -> None:
        adamw(
            self._parameters,
            gradients,
            self._means,
            self._squares,
            [],
            self._steps,
            fused=True,
            amsgrad=False,
            beta1=self._recipe.momentum,
            beta2=_BETA2,
            lr=lr,
            weight_decay=self._recipe.weight_decay,
            eps=1e-8,
            maximize=False,
        )

    @override
    def state(self) -> dict[str, Tensor]:
        return _numbered(mean=self._means, square=self._squares, steps=self._steps)


def _numbered(**tensors: list[Tensor]) -> dict[str, Tensor]:
    return {f"{name}.{i}": one for name, many in tensors.items() for i, one in enumerate(many)}


def make_optimizer(recipe: Recipe, parameters: list[Tensor]) -> Optimizer:
    """Creates the recipe's optimizer."""
    kind = AdamW if recipe.optimizer == "adamw" else SGD
    return kind(parameters, recipe)
