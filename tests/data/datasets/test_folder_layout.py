"""Folders that hold their own splits, and what systems leave in folders."""

import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from commands import Launch, Run, kill_after
from drawn_digits import draw_digit
from image_folders import fill

from digitcli.core.checkpointing.checkpoint import load_checkpoint
from digitcli.core.checkpointing.locate import LATEST
from digitcli.core.checkpointing.training_state import load_state
from digitcli.core.errors import DatasetError
from digitcli.data.datasets.folder_layout import find_layout
from digitcli.data.datasets.image_folder import ImageFolder
from digitcli.data.images.discover import LeftOut

CLASSES = {"3": 3, "5": 5}
FLAGS = ("--epochs", 2, "--batch-size", 4)


def draw_split(root: Path, name: str, count: int, size: int) -> None:
    """Draws images of a size that no other split has, so that none is a copy."""
    for label, digit in CLASSES.items():
        folder = root / name / label
        folder.mkdir(parents=True)
        for i in range(count):
            draw_digit(digit, angle=i, size=size).save(folder / f"{i}.png")


@pytest.fixture
def three(tmp_path: Path) -> Path:
    root = tmp_path / "three"
    for size, (name, count) in enumerate((("Train", 8), ("valid", 4), ("TEST", 3)), start=60):
        draw_split(root, name, count, size)
    return root


@pytest.mark.parametrize(
    ("names", "splits"),
    [
        (["train", "test"], ["train", "test"]),
        (["training", "testing"], ["train", "test"]),
        (["Validation", "TRAIN"], ["train", "validation"]),
        (["test", "val", "train"], ["train", "validation", "test"]),
    ],
)
def test_folders_named_as_splits_are_the_splits(
    tmp_path: Path, names: list[str], splits: list[str]
) -> None:
    for name in names:
        for label in ("10", "9"):
            (tmp_path / name / label).mkdir(parents=True)
    layout = find_layout(tmp_path, LeftOut())
    assert list(layout.splits) == splits
    assert layout.classes == ("9", "10")
    assert ImageFolder(tmp_path).splits == tuple(splits)


@pytest.mark.parametrize(
    ("folders", "problem"),
    [
        (
            ["train/a", "train/b", "test/a", "test/b", "c"],
            r"mixes splits \(test, train\) with othe",
        ),
        (["train/a", "train/b"], "has train, but neither test nor validation beside it; .*folder:"),
        (["test/a", "test/b"], "has test, but no train; add it, or give --dataset folder:.*/test"),
        (["val/a", "test/a"], "has test, val, but no train"),
        (["train/a", "train/b", "val/a", "val/b", "valid/a"], "validation split: val, valid; keep"),
        (["train/a", "train/b", "test"], "test has fewer than two subfolders, but every class"),
        (["train", "test"], "train has fewer than two subfolders"),
        (
            ["train/a", "train/b", "test/a", "test/c"],
            "test has other classes than .*train: it lacks b and has c besides; give both",
        ),
        (["train/a", "train/b", "val/a", "val/b", "val/c"], "val has other .*: it has c besides"),
    ],
)
def test_what_is_neither_splits_nor_classes_is_refused(
    tmp_path: Path, folders: list[str], problem: str
) -> None:
    for name in folders:
        (tmp_path / name).mkdir(parents=True)
    with pytest.raises(DatasetError, match=problem):
        find_layout(tmp_path, LeftOut())


def test_train_and_test_folders_are_trained_and_scored_on(run: Run, tmp_path: Path) -> None:
    draw_split(tmp_path / "mine", "train", 8, 60)
    draw_split(tmp_path / "mine", "test", 3, 61)
    result = run("train", "--dataset", "folder:mine", *FLAGS)
    assert result.exit_code == 0, result.stderr
    assert "digitcli: 16 training images, 8 of each of 2 classes\n" in result.stderr
    assert "digitcli: 6 test images, 3 of each of 2 classes\n" in result.stderr
    metadata = load_checkpoint(LATEST).metadata
    assert metadata.classes == ("3", "5")
    assert metadata.data_checksums.keys() == {"folder:train", "folder:test"}
    assert run("train", "--dataset", "folder:mine", "--validation", 4, *FLAGS).exit_code == 0
    assert load_checkpoint(LATEST).metadata.scored_on == "validation"
    for flags, count in (((), 6), (("--split", "train"), 16), (("--split", "all"), 22)):
        value = json.loads(run("eval", "--json", *flags).stdout)
        assert (value["count"], value["files"]) == (count, 22)
    refused = run("eval", "--split", "validation")
    assert refused.exit_code == 2
    assert "there is no split 'validation'; choose train, test or all\n" in refused.stderr


def test_a_validation_folder_is_scored_while_training_and_the_test_folder_by_eval(
    run: Run, three: Path
) -> None:
    result = run("train", "--dataset", "folder:three", *FLAGS)
    assert result.exit_code == 0, result.stderr
    assert "digitcli: 8 validation images, 4 of each of 2 classes\n" in result.stderr
    assert "fewer than 500 validation images: the temperature is not fitted\n" in result.stderr
    assert "validation accuracy" in result.stdout
    metadata = load_checkpoint(LATEST).metadata
    assert metadata.scored_on == "validation"
    assert metadata.data_checksums.keys() == {"folder:train", "folder:validation"}
    value = json.loads(run("eval", "--json").stdout)
    assert (value["split"], value["count"], value["files"]) == ("test", 6, 30)
    refused = run("eval", "--split", "val")
    assert "no split 'val'; choose train, validation, test or all\n" in refused.stderr
    held_out = json.loads(run("eval", "--split", "validation", "--json").stdout)
    assert held_out["count"] == 8
    again = run("train", "--dataset", "folder:three", "--validation", 4, *FLAGS)
    assert again.exit_code == 2
    assert "folder:three has a validation split of its own; leave --validation out" in again.stderr
    shutil.rmtree(three / "TEST")
    without = json.loads(run("eval", "--json").stdout)
    assert (without["split"], without["accuracy"]) == ("validation", held_out["accuracy"])


def test_a_run_is_not_resumed_with_another_validation_folder(
    run: Run, launch: Launch, three: Path
) -> None:
    flags = ("--dataset", "folder:three", "--epochs", 30, "--batch-size", 4)
    assert run("train", *flags, "--output", "whole").exit_code == 0
    process = launch("train", *flags, "--save-every", 2)
    kill_after(process, 1)
    added = three / "valid" / "5" / "new.png"
    draw_digit(5, angle=44).save(added)
    result = run("train", "--resume")
    assert result.exit_code == 2
    assert "the run was started with other data (folder:validation sha256:" in result.stderr
    added.unlink()
    three.rename("elsewhere")
    result = run("train", "--resume")
    assert result.exit_code == 2
    assert result.stderr == (
        "digitcli: error: the interrupted run was on folder:three: cannot read the folder three: "
        "No such file or directory; resume in the folder where it was started, or start over with "
        "--no-resume\n"
    )
    Path("elsewhere").rename(three)
    assert load_state(Path("checkpoints/latest.training.safetensors")).settings.validation is None
    assert run("train", "--resume").exit_code == 0
    assert LATEST.read_bytes() == Path("whole").read_bytes()


def test_a_copy_of_a_test_image_is_not_trained_on(three: Path) -> None:
    train, test = three / "Train" / "3" / "copy.png", three / "TEST" / "3" / "0.png"
    shutil.copy(test, train)
    held_out = three / "valid" / "5" / "copy.png"
    shutil.copy(test, held_out)
    for split, count in (("train", 16), ("validation", 8), ("test", 6), ("all", 30)):
        messages = list[str]()
        loaded = ImageFolder(three).read(split, messages.append)
        assert (len(loaded), loaded.files) == (count, 32)
        left_out = {"train": [train], "validation": [held_out], "test": []}
        copies = left_out.get(split, [train, held_out])
        assert messages == [f"left out {each}: the same image as {test}" for each in copies]


def test_all_images_of_a_folder_without_splits(tmp_path: Path) -> None:
    fill(tmp_path, CLASSES, 10)
    folder = ImageFolder(tmp_path)
    parts = [folder.read(split, print) for split in ("train", "test", "all")]
    assert [len(part) for part in parts][2] == 20
    assert sum(map(len, parts)) == 40
    images = [sorted(hashlib.sha256(i).digest() for i in part.images) for part in parts]
    assert sorted(images[0] + images[1]) == images[2]
    assert np.bincount(parts[2].labels).tolist() == [10, 10]


SYSTEM = (
    "__MACOSX/3/._0.png",
    "$RECYCLE.BIN/x.png",
    "System Volume Information/y",
    "lost+found/z",
    ".ipynb_checkpoints/0-checkpoint.png",
    "3/@eaDir/0.png",
    "3/Thumbs.db",
    "5/desktop.ini",
    "5/.DS_Store",
)


def test_what_systems_leave_is_passed_over_with_one_line(run: Run, tmp_path: Path) -> None:
    root = fill(tmp_path / "mine", CLASSES, 10)
    for name in SYSTEM:
        (root / name).parent.mkdir(exist_ok=True, parents=True)
        shutil.copy(root / "3" / "0.png", root / name)
    result = run("train", "--dataset", "folder:mine", *FLAGS)
    assert result.exit_code == 0, result.stderr
    (line,) = [line for line in result.stderr.splitlines() if "left out" in line]
    assert line.startswith("digitcli: left out 9 system files and folders: ")
    assert set(line.split(": ", 2)[2].split(", ")) == {
        *("__MACOSX", "$RECYCLE.BIN", "System Volume Information", "lost+found"),
        *(".ipynb_checkpoints", "@eaDir", "Thumbs.db", "desktop.ini", ".DS_Store"),
    }
    assert load_checkpoint(LATEST).metadata.classes == ("3", "5")
    predicted = run("predict", "mine")
    assert predicted.exit_code == 0
    assert len(predicted.stdout.splitlines()) == 20
    assert predicted.stderr.splitlines()[-1].startswith("digitcli: left out 9 system files and fo")
    assert "left out" not in run("predict", "mine", "--quiet").stderr


def test_links_to_nothing_are_reported(run: Run, tmp_path: Path) -> None:
    root = fill(tmp_path / "mine", CLASSES, 10)
    (root / "7").symlink_to("/gone/7")
    (root / "3" / "far.png").symlink_to("/gone/far.png")
    result = run("train", "--dataset", "folder:mine", *FLAGS)
    assert result.exit_code == 0, result.stderr
    for name in ("7", "3/far.png"):
        assert f"digitcli: left out mine/{name}: a broken link\n" in result.stderr
    predicted = run("predict", "mine")
    assert predicted.exit_code == 1
    for name in ("7", "3/far.png"):
        line = f"digitcli: error: mine/{name}: a broken link; check where it leads\n"
        assert line in predicted.stderr
