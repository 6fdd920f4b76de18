"""Random deformations of training pictures, made where the network trains.

Simard, Steinkraus and Platt (2003) showed that affine and elastic distortions of the training
pictures are worth more to a multilayer perceptron on MNIST than more layers or more pictures are.
"""

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from digitcli.core.device import sent
from digitcli.core.recipes import Deformation

_SIDE = 28

_CONTROLS, _BUMP = 5, 4.5
"""Control points of the displacement field along each side, and the standard deviation in pixels
of the Gaussian bump by which each bends its surroundings; chosen on a validation split."""


class DeformationParameters(NamedTuple):
    """What was drawn at random for the deformation of pictures, on the CPU.

    Attributes:
        affine: float32 (count, 6), in -1..1.
        noise: float32 (count, 2, controls, controls), displacements at control points.
    """

    affine: Tensor
    noise: Tensor

    def of(self, rows: Tensor) -> "DeformationParameters":
        """Picks those of some of the pictures, int64 (some,)."""
        return DeformationParameters(self.affine[rows], self.noise[rows])


@dataclass(frozen=True)
class Augmenter:
    """Deforms batches of pictures, each picture in its own way.

    Every picture is looked at through a grid of points that is rotated, stretched, sheared, moved
    and bent at random. Draws come from torch's CPU generator, so that every kind of device sees
    the same pictures.

    Attributes:
        deformation: How far each of these goes.
        paper: The value of a pixel without ink.
        bend: float32 (28, controls), from displacements at control points to those of pixels.
        grid: float32 (3, 784): x and y of each pixel in -1..1, and 1.
    """

    deformation: Deformation
    paper: float
    bend: Tensor
    grid: Tensor

    @staticmethod
    def on(device: torch.device, deformation: Deformation, paper: float) -> "Augmenter":
        """Prepares to deform pictures that live on a device."""
        pixels = torch.arange(_SIDE, dtype=torch.float32)
        controls = torch.linspace(-2, _SIDE + 1, _CONTROLS)
        bumps = torch.exp(-0.5 * ((pixels[:, None] - controls) / _BUMP) ** 2)
        bend = bumps / bumps.square().sum(dim=1, keepdim=True).sqrt()  # unit variance everywhere
        middles = (2 * pixels + 1) / _SIDE - 1
        y, x = torch.meshgrid(middles, middles, indexing="ij")
        grid = torch.stack([x.flatten(), y.flatten(), torch.ones(_SIDE * _SIDE)])
        return Augmenter(deformation, paper, bend.to(device), grid.to(device))

    def draw(self, count: int) -> DeformationParameters:
        """Draws how so many pictures will be deformed."""
        affine = 2 * torch.rand(count, 6) - 1
        return DeformationParameters(affine, torch.randn(count, 2, _CONTROLS, _CONTROLS))

    def __call__(self, images: Tensor, how_each: DeformationParameters) -> Tensor:
        """Deforms a batch.

        Args:
            images: float32 (batch, 784).
            how_each: Drawn for as many.

        Returns:
            float32 of the same shape; what comes in from outside is paper.
        """
        batch, how, device = len(images), self.deformation, images.device
        draws = sent(how_each.affine, device)
        noise = sent(how_each.noise.flatten(end_dim=1), device)
        angle = draws[:, 0] * math.radians(how.rotation)
        across, down = 1 + how.scale * draws[:, 1], 1 + how.scale * draws[:, 2]
        shear = how.shear * draws[:, 3]
        to_x, to_y = (how.shift * 2 / _SIDE * draws[:, i] for i in (4, 5))
        cos, sin = angle.cos(), angle.sin()
        affine = torch.stack(
            [cos * across, shear - sin * down, to_x, sin * across, cos * down, to_y], dim=1
        ).view(batch, 2, 3)
        bent = (self.bend @ noise @ self.bend.T).view(batch, 2, _SIDE * _SIDE)
        points = torch.baddbmm(
            bent, affine, self.grid.expand(batch, 3, -1), beta=how.elastic * 2 / _SIDE
        )
        seen = functional.grid_sample(
            (images - self.paper).view(batch, 1, _SIDE, _SIDE),
            points.transpose(1, 2).view(batch, _SIDE, _SIDE, 2),
            align_corners=False,
        )
        return seen.view(batch, -1) + self.paper
