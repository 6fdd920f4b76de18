"""Images read as a whole, for networks trained on garments and the like."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from commands import Run
from PIL import Image

from digitcli.core.checkpointing.checkpoint import Checkpoint, save_checkpoint
from digitcli.core.errors import BlankPictureError
from digitcli.data.datasets.registry import DATASETS
from digitcli.data.preprocessing.full_frame import prepare_full_frame


def garment() -> np.ndarray:
    """An image like Fashion-MNIST's: light on black, from edge to edge."""
    image = np.zeros((28, 28), np.uint8)
    image[0:28, 6:22] = np.random.default_rng(0).integers(90, 256, (28, 16))
    return image


def as_grey(image: np.ndarray) -> np.ndarray:
    return image.astype(np.float32) / np.float32(255)


def test_an_image_of_the_data_set_stays_unchanged_and_its_negative_is_inverted() -> None:
    image = garment()
    assert np.array_equal(prepare_full_frame(as_grey(image)).image, image)
    assert np.array_equal(prepare_full_frame(1 - as_grey(image)).image, image)


def test_other_images_are_cropped_and_fitted_with_their_aspect_ratio() -> None:
    photo = np.full((300, 200), 0.9, np.float32)
    photo[100:200, 80:130] = 0.2
    image = prepare_full_frame(photo).image
    rows, columns = (np.flatnonzero(image.any(axis=axis)) for axis in (1, 0))
    assert (rows[0], rows[-1]) == (0, 27)
    assert (columns[0], columns[-1]) == (7, 20)
    assert image[14, 14] == pytest.approx(255 * 0.7, abs=1)


@pytest.mark.parametrize("size", [(28, 28), (1, 1), (50, 30)])
def test_an_image_without_contrast_is_blank(size: tuple[int, int]) -> None:
    for level in (0.0, 0.5, 1.0):
        with pytest.raises(BlankPictureError, match="choose an image that shows something"):
            prepare_full_frame(np.full(size, level, np.float32))


def test_a_network_for_garments_gets_the_whole_image(
    run: Run, trained: Checkpoint, tmp_path: Path
) -> None:
    fashion = replace(
        trained.metadata, dataset="fashion-mnist", classes=DATASETS["fashion-mnist"].classes
    )
    save_checkpoint(tmp_path / "fashion", Checkpoint(trained.weights, fashion))
    Image.fromarray(garment()).save("coat.png")
    flags = ("coat.png", "--checkpoint", tmp_path / "fashion")
    value = json.loads(run("predict", *flags, "--json", "--show-steps", "steps.png").stdout)
    assert value["digit"] in fashion.classes
    assert value["warning"] in (None, "the answer is unsure")
    assert Path("steps.png").stat().st_size > 0

    from digitcli import Classifier

    refused = run("predict", "--multi", *flags)
    assert (refused.exit_code, refused.stdout) == (2, "")
    assert "fashion-mnist, whose images show one object each" in refused.stderr

    classifier = Classifier.load(tmp_path / "fashion")
    assert np.array_equal(classifier.predict("coat.png").picture, garment())
    scores = json.loads(run("inspect-softmax", *flags, "--json").stdout)["logits"]
    assert scores == classifier.scores(garment()[None])[0].tolist()
