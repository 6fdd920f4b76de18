"""Pictures that are read as a whole, for networks that were trained on such."""

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
from digitcli.data.preprocessing.full_frame import prepare_whole


def garment() -> np.ndarray:
    """A picture as Fashion-MNIST has them: light on black, from edge to edge."""
    picture = np.zeros((28, 28), np.uint8)
    picture[0:28, 6:22] = np.random.default_rng(0).integers(90, 256, (28, 16))
    return picture


def as_grey(picture: np.ndarray) -> np.ndarray:
    return picture.astype(np.float32) / np.float32(255)


def test_a_picture_of_the_set_passes_unchanged_and_its_negative_too() -> None:
    picture = garment()
    assert np.array_equal(prepare_whole(as_grey(picture)).picture, picture)
    assert np.array_equal(prepare_whole(1 - as_grey(picture)).picture, picture)


def test_others_are_cropped_and_fitted_with_their_aspect() -> None:
    photo = np.full((300, 200), 0.9, np.float32)
    photo[100:200, 80:130] = 0.2
    picture = prepare_whole(photo).picture
    rows, columns = (np.flatnonzero(picture.any(axis=axis)) for axis in (1, 0))
    assert (rows[0], rows[-1]) == (0, 27)
    assert (columns[0], columns[-1]) == (7, 20)
    assert picture[14, 14] == pytest.approx(255 * 0.7, abs=1)


@pytest.mark.parametrize("size", [(28, 28), (1, 1), (50, 30)])
def test_nothing_to_see(size: tuple[int, int]) -> None:
    for level in (0.0, 0.5, 1.0):
        with pytest.raises(BlankPictureError, match="take one that shows something"):
            prepare_whole(np.full(size, level, np.float32))


def test_a_network_for_garments_is_shown_the_whole_picture(
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
    assert "fashion-mnist, whose pictures cannot be taken apart" in refused.stderr

    classifier = Classifier.load(tmp_path / "fashion")
    assert np.array_equal(classifier.predict("coat.png").picture, garment())
    scores = json.loads(run("inspect-softmax", *flags, "--json").stdout)["logits"]
    assert scores == classifier.scores(garment()[None])[0].tolist()
