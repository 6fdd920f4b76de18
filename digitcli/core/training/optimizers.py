"""The update of the weights.

The functions behind torch.optim's classes, because making one of these imports torch's compiler,
which takes as long as an epoch.
"""

from typing import Protocol

import torch
from torch import Tensor
from torch.optim.adamw import adamw
from torch.optim.sgd import sgd

from digitcli.core.recipes import Recipe


class Optimizer(Protocol):
    """Changes parameters in place, and remembers what it needs for the next step."""

    def step(self, gradients: list[Tensor], lr: float | Tensor) -> None:
        """Takes a step of a learning rate, float32 () if a tensor; a gradient per parameter."""

    def memory(self) -> dict[str, Tensor]:
        """Returns what it remembers, by name: the tensors themselves, not copies."""


class SGD:
    """Stochastic gradient descent with momentum, Nesterov's or the classical one."""

    def __init__(self, parameters: list[Tensor], recipe: Recipe) -> None:
        self._parameters, self._recipe = parameters, recipe
        self._velocities = [torch.zeros_like(p) for p in parameters]

    @torch.no_grad()
    def step(self, gradients: list[Tensor], lr: float | Tensor) -> None:
        """See ``Optimizer``."""
        sgd(
            self._parameters,
            gradients,
            list[Tensor | None](self._velocities),
            lr=lr,
            momentum=self._recipe.momentum,
            nesterov=self._recipe.nesterov,
            weight_decay=self._recipe.weight_decay,
            dampening=0,
            maximize=False,
            fused=True,
        )

    def memory(self) -> dict[str, Tensor]:
        """See ``Optimizer``."""
        return _numbered(velocity=self._velocities)


class AdamW:
    """Adam with decoupled weight decay (Loshchilov and Hutter 2019)."""

    def __init__(self, parameters: list[Tensor], recipe: Recipe) -> None:
        self._parameters, self._recipe = parameters, recipe
        self._means = [torch.zeros_like(p) for p in parameters]
        self._squares = [torch.zeros_like(p) for p in parameters]
        self._steps = [torch.zeros((), device=p.device) for p in parameters]

    @torch.no_grad()
    def step(self, gradients: list[Tensor], lr: float | Tensor) -> None:
        """See ``Optimizer``."""
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

    def memory(self) -> dict[str, Tensor]:
        """See ``Optimizer``."""
        return _numbered(mean=self._means, square=self._squares, steps=self._steps)


_BETA2 = 0.99
"""Decay of the squared gradients' mean: over a hundred steps rather than Adam's thousand."""


def _numbered(**tensors: list[Tensor]) -> dict[str, Tensor]:
    return {f"{name}.{i}": one for name, many in tensors.items() for i, one in enumerate(many)}


def optimizer_for(recipe: Recipe, parameters: list[Tensor]) -> Optimizer:
    """Returns the recipe's optimizer."""
    return AdamW(parameters, recipe) if recipe.optimizer == "adamw" else SGD(parameters, recipe)
