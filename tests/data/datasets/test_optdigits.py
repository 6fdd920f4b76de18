"""Optdigits, the data set that needs no network."""

import json

import numpy as np
import pytest
from commands import Run

from digitcli.data.datasets.optdigits import load_optdigits
from digitcli.data.preprocessing.mnist_form import is_mnist_form


def test_the_split_is_fixed_stratified_and_in_mnist_form() -> None:
    train, test = load_optdigits("train"), load_optdigits("test")
    assert (len(train.labels), len(test.labels)) == (1437, 360)
    assert all(34 <= count <= 38 for count in np.bincount(test.labels))
    assert np.array_equal(load_optdigits("test").images, test.images)
    assert all(map(is_mnist_form, test.images))
    assert load_optdigits("test").checksums == test.checksums
    assert list(train.checksums | test.checksums) == ["optdigits-train", "optdigits-test"]
    assert len(set((train.checksums | test.checksums).values())) == 2
    train_images = {image.tobytes() for image in train.images}
    assert not any(image.tobytes() in train_images for image in test.images)


@pytest.mark.slow
def test_its_own_recipe_reaches_ninety_five_percent(run: Run) -> None:
    *_, done = map(json.loads, run("train", "--dataset", "optdigits", "--json").stdout.splitlines())
    assert done["recipe"]["name"] == "optdigits"
    assert done["accuracy"] >= 0.95
    value = json.loads(run("eval", "--json").stdout)  # on the data set it was trained on
    assert (value["dataset"], value["accuracy"]) == ("optdigits", done["accuracy"])
