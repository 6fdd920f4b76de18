"""Deforming training pictures: where each pixel of a deformed picture was looked up."""

import math

import numpy as np
import numpy.typing as npt
import pytest
import torch
from drawn_digits import drawn_pictures

from digitcli.core.recipes import Deformation
from digitcli.core.training.augmentation import Augmenter

CPU = torch.device("cpu")
PAPER = -0.1307 / 0.3081
ALL = Deformation(rotation=12, scale=0.15, shear=0.1, shift=2, elastic=0.8)
COUNT = 400


def deformed(images: torch.Tensor, how: Deformation, seed: int = 0) -> torch.Tensor:
    torch.manual_seed(seed)
    deformer = Augmenter.on(CPU, how, PAPER)
    return deformer(images, deformer.draw(len(images)))


def sources(how: Deformation) -> npt.NDArray[np.float64]:
    """Says where the pixels near the middle of each picture are looked up.

    Ramps give that away: what is looked up in them is the place itself, in pixels from the middle.

    Returns:
        float64 (pictures, 10, 10, 2): x and y.
    """
    ramp = (torch.arange(28.0) - 13.5).repeat(28, 1)
    seen = [
        deformed((x_or_y + PAPER).reshape(1, -1).repeat(COUNT, 1), how) - PAPER
        for x_or_y in (ramp, ramp.T)
    ]
    return torch.stack(seen, dim=-1).view(-1, 28, 28, 2)[:, 9:19, 9:19].double().numpy()


def linear(how: Deformation) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Returns the matrix (pictures, 2, 2) and the offset (pictures, 2) of a map without bends."""
    found = sources(how)
    x, y = np.meshgrid(np.arange(10) - 4.5, np.arange(10) - 4.5)
    known = np.stack([x, y, np.ones_like(x)], axis=-1).reshape(-1, 3)
    fitted = np.linalg.pinv(known) @ found.reshape(COUNT, -1, 2)
    assert np.abs(known @ fitted - found.reshape(COUNT, -1, 2)).max() < 1e-4
    return fitted[:, :2].transpose(0, 2, 1), fitted[:, 2]


def spread_over(values: npt.NDArray[np.float64], limit: float) -> bool:
    """Returns True if values fill -limit..limit, and no more."""
    return bool(
        np.abs(values).max() <= limit + 1e-4
        and values.min() < -0.9 * limit
        and values.max() > 0.9 * limit
        and abs(values.mean()) < 0.15 * limit
    )


def test_nothing_at_all_leaves_pictures_alone() -> None:
    images = torch.randn(50, 784)
    assert torch.allclose(deformed(images, Deformation()), images, rtol=0, atol=1e-5)
    assert not Deformation()
    assert Deformation(shift=1)


def test_rotation_is_about_the_middle_and_keeps_sizes() -> None:
    matrix, offset = linear(Deformation(rotation=15))
    assert np.abs(matrix @ matrix.transpose(0, 2, 1) - np.eye(2)).max() < 1e-4
    assert np.linalg.det(matrix) == pytest.approx(1, abs=1e-4)
    assert np.abs(offset).max() < 1e-4
    angles = np.degrees(np.arctan2(matrix[:, 1, 0], matrix[:, 0, 0]))
    assert spread_over(angles, 15)


def test_stretching_is_of_each_axis_on_its_own() -> None:
    matrix, offset = linear(Deformation(scale=0.2))
    assert np.abs(offset).max() < 1e-4
    assert np.abs(matrix[:, [0, 1], [1, 0]]).max() < 1e-4
    across, down = matrix[:, 0, 0] - 1, matrix[:, 1, 1] - 1
    assert spread_over(across, 0.2)
    assert spread_over(down, 0.2)
    assert abs(np.corrcoef(across, down)[0, 1]) < 0.2


def test_shear_slants_sideways() -> None:
    matrix, offset = linear(Deformation(shear=0.3))
    assert np.abs(offset).max() < 1e-4
    assert spread_over(matrix[:, 0, 1], 0.3)
    matrix[:, 0, 1] = 0
    assert np.abs(matrix - np.eye(2)).max() < 1e-4


def test_shift_moves_the_centre_of_mass_by_so_many_pixels_at_most() -> None:
    matrix, offset = linear(Deformation(shift=2))
    assert np.abs(matrix - np.eye(2)).max() < 1e-4
    assert spread_over(offset[:, 0], 2)
    assert spread_over(offset[:, 1], 2)
    square = torch.full((28, 28), PAPER)
    square[10:18, 10:18] = 2
    moved = (deformed(square.reshape(1, -1).repeat(COUNT, 1), Deformation(shift=2)) - PAPER).numpy()
    mass = moved.reshape(COUNT, 28, 28)
    for axis, along in ((1, 0), (2, 1)):
        line = mass.sum(axis=3 - axis)
        centre = (line @ np.arange(28)) / line.sum(axis=1) - 13.5
        assert centre == pytest.approx(-offset[:, 1 - along], abs=1e-3)


def test_bending_is_smooth_and_as_strong_as_asked() -> None:
    bent = sources(Deformation(elastic=0.7))
    x, y = np.meshgrid(np.arange(10) - 4.5, np.arange(10) - 4.5)
    moved = bent - np.stack([x, y], axis=-1)
    for axis in (0, 1):
        assert moved[..., axis].std() == pytest.approx(0.7, rel=0.1)
        assert moved[..., axis].std(axis=0).min() > 0.5  # everywhere, and not in places alone
    assert np.abs(moved.mean(axis=0)).max() < 0.2
    assert np.diff(moved, axis=1).std() < 0.35  # neighbours go together
    assert abs(np.corrcoef(moved[:, 5, 5, 0], moved[:, 5, 5, 1])[0, 1]) < 0.2


def test_each_picture_in_its_own_way_by_the_seed_alone() -> None:
    picture = torch.from_numpy(drawn_pictures(1, 3)[0]).reshape(1, -1) / 255
    same = picture.repeat(8, 1)
    first = deformed(same, ALL, seed=1)
    assert first.shape == (8, 784)
    assert first.dtype == torch.float32
    assert len(first.unique(dim=0)) == 8
    assert torch.equal(first, deformed(same, ALL, seed=1))
    assert not torch.equal(first, deformed(same, ALL, seed=2))


def test_paper_stays_paper() -> None:
    blank = torch.full((20, 784), PAPER)
    assert torch.allclose(deformed(blank, ALL), blank, rtol=0, atol=1e-6)
    # What comes in from outside is paper too, not the edge's ink.
    full = torch.full((200, 784), 2.0)
    corners = deformed(full, Deformation(shift=4)).view(-1, 28, 28)[
        :, [0, 0, 27, 27], [0, 27, 0, 27]
    ]
    assert corners.min() == pytest.approx(PAPER, abs=1e-5)
    assert corners.max() <= 2 + 1e-5


def test_ink_is_neither_made_nor_lost() -> None:
    digits = torch.from_numpy(drawn_pictures(40, 3)[0]).reshape(40, -1) / 255
    images = digits + PAPER
    turned = deformed(images, Deformation(rotation=15, shift=1)) - PAPER
    assert turned.sum(dim=1).numpy() == pytest.approx(digits.sum(dim=1).numpy(), rel=0.05)
    assert turned.min() >= -1e-6
    assert turned.max() <= 1 + 1e-6


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_cuda_sees_the_same_pictures() -> None:
    images = torch.from_numpy(drawn_pictures(10, 3)[0]).reshape(10, -1) / 255
    torch.manual_seed(1)
    device = torch.device("cuda")
    deformer = Augmenter.on(device, ALL, PAPER)
    there = deformer(images.to(device), deformer.draw(10)).cpu()
    assert torch.allclose(there, deformed(images, ALL, seed=1), rtol=0, atol=1e-3)


def test_the_angle_is_in_degrees() -> None:
    matrix, _ = linear(Deformation(rotation=90))
    assert np.abs(np.arctan2(matrix[:, 1, 0], matrix[:, 0, 0])).max() > math.radians(80)
