"""Random deformations of training images, computed on the device of the training.

Simard, Steinkraus and Platt (2003) showed that affine and elastic distortions help a multilayer
perceptron on MNIST more than further layers or images do.
"""

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from digitcli.core.device import send
from digitcli.core.recipes import Deformation

_SIDE = 28

_CONTROLS, _BUMP = 5, 4.5
"""Control points of the displacement field along each side, and standard deviation in pixels of the
Gaussian by which each displaces its surroundings; chosen on a validation split."""


class DeformationParameters(NamedTuple):
    """Random numbers for the deformation of images, on the CPU."""

    affine: Tensor  # float32 (count, 6), in -1..1
    noise: Tensor  # float32 (count, 2, controls, controls), displacements at control points

    def of(self, rows: Tensor) -> "DeformationParameters":
        """Returns the parameters of some of the images, by index, int64 (some,)."""
        return DeformationParameters(self.affine[rows], self.noise[rows])


@dataclass(frozen=True)
class Augmenter:
    """Deforms batches of images, each image in its own way.

    Every image is sampled on a grid of points that is randomly rotated, scaled, sheared, shifted
    and bent. The random numbers come from torch's CPU generator, so that every device sees the same
    images.
    """

    deformation: Deformation  # maximum of each kind
    background: float  # value of a pixel without ink
    bend: Tensor  # float32 (28, controls), from displacements at control points to those of pixels
    grid: Tensor  # float32 (3, 784): x and y of each pixel in -1..1, and 1

    @staticmethod
    def on(device: torch.device, deformation: Deformation, background: float) -> "Augmenter":
        """Creates an augmenter for images on a device."""
        pixels = torch.arange(_SIDE, dtype=torch.float32)
        controls = torch.linspace(-2, _SIDE + 1, _CONTROLS)
        bumps = torch.exp(-0.5 * ((pixels[:, None] - controls) / _BUMP) ** 2)
        bend = bumps / bumps.square().sum(dim=1, keepdim=True).sqrt()  # unit variance everywhere
        centers = (2 * pixels + 1) / _SIDE - 1
        y, x = torch.meshgrid(centers, centers, indexing="ij")
        grid = torch.stack([x.flatten(), y.flatten(), torch.ones(_SIDE * _SIDE)])
        return Augmenter(deformation, background, bend.to(device), grid.to(device))

    def draw(self, count: int) -> DeformationParameters:
        """Draws the parameters of ``count`` images."""
        affine = 2 * torch.rand(count, 6) - 1
        return DeformationParameters(affine, torch.randn(count, 2, _CONTROLS, _CONTROLS))

    def __call__(self, images: Tensor, parameters: DeformationParameters) -> Tensor:
        """Deforms a batch.

        Args:
            images: float32 (batch, 784).
            parameters: Parameters of as many images.

        Returns:
            float32 of the same shape; background comes in from outside.
        """
        batch, limits, device = len(images), self.deformation, images.device
        draws = send(parameters.affine, device)
        noise = send(parameters.noise.flatten(end_dim=1), device)
        angle = draws[:, 0] * math.radians(limits.rotation)
        across, down = 1 + limits.scale * draws[:, 1], 1 + limits.scale * draws[:, 2]
        shear = limits.shear * draws[:, 3]
        to_x, to_y = (limits.shift * 2 / _SIDE * draws[:, i] for i in (4, 5))
        cos, sin = angle.cos(), angle.sin()
        affine = torch.stack(
            [cos * across, shear - sin * down, to_x, sin * across, cos * down, to_y], dim=1
        ).view(batch, 2, 3)
        bent = (self.bend @ noise @ self.bend.T).view(batch, 2, _SIDE * _SIDE)
        points = torch.baddbmm(
            bent, affine, self.grid.expand(batch, 3, -1), beta=limits.elastic * 2 / _SIDE
        )
        sampled = functional.grid_sample(
            (images - self.background).view(batch, 1, _SIDE, _SIDE),
            points.transpose(1, 2).view(batch, _SIDE, _SIDE, 2),
            align_corners=False,
        )
        return sampled.view(batch, -1) + self.background
