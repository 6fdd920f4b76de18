"""digitcli in a program: inputs, answers, and the cost of the import."""

import io
import json
import pickle
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import assert_type

import numpy as np
import paths
import pytest
import torch
from commands import Run
from drawn_digits import draw_digit, drawn_pictures, save_digit
from PIL import Image

import digitcli
from digitcli import (
    BlankPictureError,
    CheckpointError,
    Classifier,
    DigitcliError,
    NotAPictureError,
    PictureError,
    Prediction,
)
from digitcli.core.checkpointing.checkpoint import Checkpoint, save_checkpoint
from digitcli.core.checkpointing.locate import BUNDLED_PATHS, LATEST
from digitcli.core.inference import probabilities

README = paths.README.read_text()
DRAWN = draw_digit(5)
GREY = np.asarray(DRAWN)


@pytest.fixture
def classifier(checkpoint: Path) -> Classifier:
    return Classifier.load(checkpoint)


def png(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def test_an_answer(classifier: Classifier) -> None:
    answer = classifier.predict(save_digit(Path("5.png"), 5))
    assert_type(answer, Prediction)
    assert assert_type(answer.label, str) == "5"
    assert list(answer.probabilities) == list("0123456789") == list(classifier.classes)
    assert sum(answer.probabilities.values()) == pytest.approx(1)
    assert answer.probability == max(answer.probabilities.values()) == answer.probabilities["5"]
    assert (answer.warning, answer.others) == (None, 0)
    assert answer.ranking[0] == ("5", answer.probability)
    assert sorted(answer.ranking, key=lambda entry: -entry[1]) == list(answer.ranking)
    assert answer.picture.dtype == np.uint8
    assert answer.picture.shape == (28, 28)
    assert pickle.loads(pickle.dumps(answer)) == answer  # noqa: S301  trusted
    assert len({answer, answer}) == 1
    assert "picture" not in repr(answer)


def test_an_error_of_an_image_leaves_the_callers_exception_as_it_is(classifier: Classifier) -> None:
    try:
        json.loads("no JSON")
    except ValueError as handled:
        handled.__cause__ = KeyError("of before")
        with pytest.raises(PictureError, match="not an image"):
            classifier.predict(b"junk")
        assert [type(each) for each in classifier.predict_many([b"junk"])] == [NotAPictureError]
        assert handled.__traceback__ is not None
        assert repr(handled.__cause__) == "KeyError('of before')"


def test_the_answers_are_those_of_the_command(run: Run, classifier: Classifier) -> None:
    page = Image.new("L", (128, 64), 255)
    for place in (0, 64):
        page.paste(DRAWN, (place, 0))
    page.save("two.png")
    for name in ("two.png", save_digit(Path("3.png"), 3)):
        value = json.loads(run("predict", "--json", name).stdout)
        answer = classifier.predict(name)
        assert value["digit"] == int(answer.label)
        assert value["probability"] == answer.probability
        assert value["probabilities"] == list(answer.probabilities.values())
        assert value["warning"] == answer.warning
    two = classifier.predict("two.png")
    assert two.others == 1
    assert "2 separate shapes" in (two.warning or "")
    assert two.reaches(0)
    assert not two.reaches(0.01)
    assert answer.reaches(answer.probability)
    assert not answer.reaches(1)


@pytest.mark.parametrize(
    "picture",
    [
        png(DRAWN),
        bytearray(png(DRAWN)),
        memoryview(png(DRAWN)),
        io.BytesIO(png(DRAWN)),
        DRAWN,
        DRAWN.convert("RGB"),
        DRAWN.convert("RGBA"),
        DRAWN.convert("LA"),
        Image.open(io.BytesIO(png(DRAWN))),  # not decoded yet
        GREY,
        GREY[:, :, None],
        GREY.astype(np.float32) / 255,
        GREY.astype(np.float64) / 255,
        np.stack([GREY] * 3, axis=2),
        np.stack([GREY] * 3, axis=2) / np.float16(255),
        np.stack([GREY] * 3 + [np.full_like(GREY, 255)], axis=2),
        np.asfortranarray(GREY),
        np.repeat(GREY, 2, axis=1)[:, ::2],
        GREY[None],
        GREY.astype(np.int64),
        GREY.astype(">i4"),
        GREY.astype(np.uint16)[None],
        np.stack([GREY] * 3, axis=2).astype(np.int16),
        torch.from_numpy(GREY.copy()),
        torch.from_numpy(GREY.copy()).long(),
        torch.from_numpy(GREY.copy())[None] / 255,  # as torchvision's ToTensor makes it
    ],
    ids=lambda picture: type(picture).__name__,
)
def test_every_kind_of_image(classifier: Classifier, picture: object) -> None:
    expected = classifier.predict(str(save_digit(Path("5.png"), 5)))
    answer = classifier.predict(picture)  # type: ignore[arg-type]
    assert answer == expected
    assert np.array_equal(answer.picture, expected.picture)


def test_black_and_white(classifier: Classifier) -> None:
    assert classifier.predict(GREY > 127).label == "5"
    with open("5.png", "wb") as file:  # noqa: PTH123  an open file is meant
        file.write(png(DRAWN))
    with open("5.png", "rb") as file:  # noqa: PTH123
        assert classifier.predict(file).label == "5"


def test_the_image_of_the_caller_is_not_changed(classifier: Classifier) -> None:
    turned = DRAWN.rotate(90, expand=True)
    turned.getexif()[0x0112] = 6  # to be turned back for display
    before = turned.tobytes()
    assert classifier.predict(turned).label == "5"
    assert (turned.tobytes(), turned.getexif()[0x0112]) == (before, 6)
    array = GREY.copy()
    classifier.predict(array)
    assert np.array_equal(array, GREY)


def test_many_in_order_with_errors_in_their_places(classifier: Classifier) -> None:
    names = []
    for i in range(40):
        names.append(f"{i}.bmp")
        draw_digit(i % 10, size=600 if i % 7 == 0 else 40).save(names[-1])
    Path("3.bmp").write_text("no picture")
    Path("7.bmp").unlink()
    Image.new("L", (50, 50), 200).save("11.bmp")
    answers = list(classifier.predict_many(names))
    kinds = {3: NotAPictureError, 7: PictureError, 11: BlankPictureError}
    for i, answer in enumerate(answers):
        if i in kinds:
            assert type(answer) is kinds[i]
            assert str(answer).startswith(f"{i}.bmp: ")
        else:
            assert isinstance(answer, Prediction)
            assert answer.label == str(i % 10)
    assert len(answers) == 40


def test_a_buffer_that_is_reused(classifier: Classifier) -> None:
    """A program may reuse one array, or one Pillow image, for all its images."""
    sheet = Image.new("L", (700, 700))
    frame = np.empty((700, 700), np.uint8)

    def frames() -> Iterator[Image.Image | np.ndarray]:
        for digit in range(10):
            sheet.paste(draw_digit(digit, size=700))
            frame[:] = np.asarray(sheet)
            yield sheet if digit % 2 else frame

    answers = list(classifier.predict_many(frames()))
    assert [answer.label for answer in answers if isinstance(answer, Prediction)] == list(
        "0123456789"
    )


def test_images_in_mnist_form(classifier: Classifier, trained: Checkpoint) -> None:
    images, _ = drawn_pictures(30, 9)
    expected = probabilities(trained, images)
    assert np.array_equal(classifier.probabilities(images), expected)
    assert classifier.scores(images).shape == (30, 10)
    assert classifier.probabilities(images[:0]).shape == (0, 10)
    answers = list(classifier.predict_many(images))
    for answer, image, row in zip(answers, images, expected, strict=True):
        assert isinstance(answer, Prediction)
        assert np.array_equal(answer.picture, image)
        assert list(answer.probabilities.values()) == pytest.approx(row.tolist(), abs=1e-6)
    others = (images.astype(np.int64), images[:, None], torch.from_numpy(images)[:, None] / 255)
    for other in others:
        assert np.array_equal(classifier.probabilities(other), expected)
        assert np.array_equal(classifier.scores(other), classifier.scores(images))
    for wrong in (images[0], images[:, :20], images.reshape(-1, 784)):
        with pytest.raises(PictureError, match="not in MNIST's form"):
            classifier.probabilities(wrong)
    for wrong in (images.astype(np.float32), images - 0.5, images.astype(str)):
        with pytest.raises(PictureError, match="an array of "):
            classifier.probabilities(wrong)


def test_no_images(classifier: Classifier) -> None:
    assert list(classifier.predict_many([])) == []


@pytest.mark.parametrize(
    ("picture", "problem"),
    [
        (np.zeros((3, 28, 28), np.uint8), r"shape \(3, 28, 28\) is not an image"),
        (np.zeros(784, np.uint8), r"shape \(784,\) is not an image"),
        (np.zeros((0, 5), np.uint8), "no pixels"),
        (np.zeros((5, 0, 3), np.uint8), "no pixels"),
        (np.full((9, 9), 2.0), "outside 0..1; divide values of 0..255 by 255"),
        (np.full((9, 9), np.nan), "outside 0..1"),
        (np.zeros((9, 9), np.int64), "the image is blank"),
        (np.full((9, 9), 256), "an array of int64 has values outside 0..255; scale it"),
        (np.full((9, 9), -1, np.int8), "an array of int8 has values outside 0..255"),
        (torch.full((1, 9, 9), -0.4), "outside 0..1; divide values of 0..255 by 255, and undo a"),
        (np.zeros((1, 9, 3), np.uint8), "the image is blank"),
        (np.zeros((9, 9), complex), "an array of complex128 is not an image"),
        (Image.new("L", (0, 3)), "no pixels"),
        (Image.open(io.BytesIO(png(DRAWN)[:200])), "the image is damaged"),
        (b"", "the file is empty"),
        (io.BytesIO(b"text"), "not an image"),
        ("missing.png", "missing.png: cannot be read: No such file"),
        ("", "the name of an image is empty"),
        (np.zeros((9, 9), np.uint8), "the image is blank"),
    ],
)
def test_invalid_images(classifier: Classifier, picture: object, problem: str) -> None:
    with pytest.raises(PictureError, match=problem) as caught:
        classifier.predict(picture)  # type: ignore[arg-type]
    assert isinstance(caught.value, DigitcliError)


def test_a_file_that_cannot_be_read(classifier: Classifier) -> None:
    Path("5.png").write_bytes(png(DRAWN))
    with open("5.png", "ab") as file, pytest.raises(PictureError, match="cannot be read"):  # noqa: PTH123
        classifier.predict(file)


def test_wrong_types(classifier: Classifier) -> None:
    with pytest.raises(TypeError, match="not list"):
        classifier.predict([[0, 1], [1, 0]])  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="binary mode"):
        classifier.predict(io.StringIO("text"))  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="or one to predict"):
        list(classifier.predict_many("a.png"))


def test_the_weights_that_are_loaded(
    checkpoint: Path, tmp_path: Path, trained: Checkpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert Classifier.load().path == LATEST
    other = tmp_path / "other"
    save_checkpoint(other, trained)
    monkeypatch.setenv("DIGITCLI_CHECKPOINT", str(other))
    assert Classifier.load().path == other
    assert Classifier.load(str(checkpoint)).path == checkpoint
    monkeypatch.setenv("DIGITCLI_CHECKPOINT", "")
    checkpoint.unlink()
    assert Classifier.load().path in BUNDLED_PATHS
    with pytest.raises(CheckpointError, match="no checkpoint at missing"):
        Classifier.load("missing")
    assert Classifier.load(other).metadata == trained.metadata
    assert repr(Classifier.load(other)) == f"Classifier.load({str(other)!r})"


def test_it_pickles_as_the_name_of_its_weights(checkpoint: Path, trained: Checkpoint) -> None:
    classifier = Classifier.load(checkpoint)
    packed = pickle.dumps(classifier)
    assert len(packed) < 1000
    copy = pickle.loads(packed)  # noqa: S301
    assert pickle.loads(packed) is copy  # noqa: S301  loaded once
    assert copy.predict(png(DRAWN)) == classifier.predict(png(DRAWN))
    bundled = pickle.loads(pickle.dumps(Classifier.load("pretrained")))  # noqa: S301
    assert bundled.path in BUNDLED_PATHS

    moved = checkpoint.rename(checkpoint.with_name("moved.safetensors"))
    packed = pickle.dumps(Classifier.load(moved))
    save_checkpoint(moved, replace(trained, metadata=replace(trained.metadata, temperature=2.0)))
    with pytest.raises(CheckpointError, match="not those of the classifier that was sent"):
        pickle.loads(packed)  # noqa: S301


PROGRAM = """\
import sys, digitcli
assert not {"numpy", "PIL", "typer", "rich", "torch"} & set(sys.modules), "the import is heavy"
assert "Classifier" in dir(digitcli)
answer = digitcli.Classifier.load().predict(sys.argv[1])
assert not {"typer", "rich", "torch", "scipy", "sklearn"} & set(sys.modules), "the answer is heavy"
print(answer.label)
"""


def test_the_modules_it_imports(checkpoint: Path) -> None:
    assert checkpoint.is_file()
    command = [sys.executable, "-c", PROGRAM, str(save_digit(Path("8.png"), 8))]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("8\n", "")


def test_the_public_names() -> None:
    for name in digitcli.__all__:
        assert getattr(digitcli, name).__name__ == name
    with pytest.raises(AttributeError, match="no attribute 'Clasifier'"):
        digitcli.Clasifier  # type: ignore[attr-defined]  # noqa: B018
