"""``--dataset folder:PATH``: a user's own images, in a subfolder per class."""

import hashlib
import json
import os
import shutil
from pathlib import Path

import pytest
from commands import Launch, Run, kill_after
from drawn_digits import draw_digit
from image_folders import fill
from PIL import Image

from digitcli.cli.train.settings import new_settings, with_fitting_batches
from digitcli.core.checkpointing.checkpoint import load_checkpoint
from digitcli.core.checkpointing.locate import LATEST
from digitcli.core.distributed.rank import Rank
from digitcli.core.errors import DatasetError
from digitcli.core.recipes import BEST
from digitcli.data.datasets.folder_layout import find_layout
from digitcli.data.datasets.image_folder import ImageFolder, folder_path, split_of
from digitcli.data.datasets.registry import find_dataset
from digitcli.data.datasets.split import Split
from digitcli.data.images.discover import LeftOut
from digitcli.data.images.grayscale import read_gray
from digitcli.data.preprocessing.mnist_form import prepare

FLAGS = ("--epochs", 2, "--batch-size", 4)


def read_both(root: Path) -> tuple[dict[str, Split], list[str]]:
    """Reads both splits, and returns them with the messages about files that were left out."""
    folder, messages = ImageFolder(root), list[str]()
    return {split: folder.read(split, messages.append) for split in ("train", "test")}, messages


def draw_in(split: str, root: Path, classes: dict[str, int], count: int = 1) -> Path:
    """Draws ``count`` images per class whose hashes put them in one split."""
    for name, digit in classes.items():
        (root / name).mkdir(parents=True, exist_ok=True)
        angles, left = iter(range(360)), count
        while left:
            file = root / name / f"{split}{left}.png"
            draw_digit(digit, angle=next(angles) / 8).save(file)
            left -= split_of(hashlib.sha256(file.read_bytes()).digest()) == split
    return root


def test_classes_are_folders_in_natural_order(tmp_path: Path) -> None:
    for name in ("10", "9", "b", "a10", "a9", ".hidden", "a"):
        (tmp_path / name).mkdir()
    (tmp_path / "notes.txt").write_text("not a class")
    assert find_layout(tmp_path, LeftOut()).classes == ("9", "10", "a", "a9", "a10", "b")


def test_every_image_is_in_one_split_prepared_as_by_predict(tmp_path: Path) -> None:
    fill(tmp_path, {"three": 3, "five": 5}, 40)
    splits, messages = read_both(tmp_path)
    assert not messages
    assert 5 <= len(splits["test"]) <= 30  # 16 of 80 are expected
    assert len(splits["train"]) + len(splits["test"]) == 80
    found = {image.tobytes() for split in splits.values() for image in split.images}
    expected = {prepare(read_gray(file)).image.tobytes() for file in tmp_path.glob("*/*.png")}
    assert found == expected
    assert set(splits["train"].labels) == {0, 1}


def test_other_images_move_none_and_copies_stay_together(tmp_path: Path) -> None:
    root = fill(tmp_path / "mine", {"3": 3, "5": 5})
    before, _ = read_both(root)
    for i, file in enumerate(sorted((root / "3").iterdir())):
        shutil.copy(file, root / "3" / f"copy {i}.png")
    draw_digit(3, angle=33).save(root / "3" / "00.png")
    (root / "5" / "0.png").unlink()
    after, messages = read_both(root)
    assert len(messages) == 20
    assert all("left out " in line and ": the same image as " in line for line in messages)
    for split, other in (("train", "test"), ("test", "train")):
        was = {image.tobytes() for image in before[split].images}
        now = {image.tobytes() for image in after[other].images}
        assert not was & now


def test_the_same_image_in_two_classes_counts_once(tmp_path: Path) -> None:
    root = fill(tmp_path, {"a": 3, "b": 5})
    shutil.copy(root / "a" / "0.png", root / "b" / "zero.png")
    splits, messages = read_both(root)
    assert sum(map(len, splits.values())) == 40
    assert messages == [f"left out {root}/b/zero.png: the same image as {root}/a/0.png"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_files_without_read_permission_are_reported(tmp_path: Path) -> None:
    root = fill(tmp_path, {"a": 3, "b": 5})
    (root / "a" / "0.png").chmod(0)
    assert read_both(root)[1] == [f"left out {root}/a/0.png: cannot be read: Permission denied"]


def test_files_that_cannot_be_used_are_left_out_and_reported_in_a_line_each(
    run: Run, tmp_path: Path
) -> None:
    root = fill(tmp_path / "mine", {"a": 3, "b\n": 5}, 30)
    (root / "a" / "notes.txt").write_text("not an image")
    Image.new("L", (40, 40), 255).save(root / "b\n" / "blank.png")
    cut = (root / "a" / "0.png").read_bytes()
    (root / "a" / "cut.png").write_bytes(cut[: len(cut) // 2])
    result = run("train", "--dataset", f"folder:{root}", *FLAGS)
    assert result.exit_code == 0, result.stderr
    lines = sorted(line for line in result.stderr.splitlines() if "left out" in line)
    assert len(lines) == 3
    assert lines[0].startswith(f"digitcli: left out {root}/a/cut.png: the image is damaged")
    assert lines[1] == f"digitcli: left out {root}/a/notes.txt: not an image"
    assert lines[2] == f"digitcli: left out {root}/b\\n/blank.png: the image is blank"


def test_of_many_files_that_are_left_out_the_first_are_reported(run: Run, tmp_path: Path) -> None:
    root = fill(tmp_path / "mine", {"a": 3, "b": 5}, 3)
    cut = (root / "a" / "0.png").read_bytes()[:-80]
    for number in range(110):
        (root / "b" / f"{number:03}.txt").write_text(f"{number}")
    for number in range(20):  # all of these are reported
        (root / "b" / f"cut{number:02}.png").write_bytes(cut[: len(cut) - number])
    messages = list[str]()
    ImageFolder(root).read("all", messages.append)
    damaged, texts = messages[:20], messages[20:]
    for number, line in enumerate(damaged):
        assert line.startswith(f"left out {root}/b/cut{number:02}.png: the image is damaged (")
    assert texts == [
        *(f"left out {root}/b/{number:03}.txt: not an image" for number in range(10)),
        "left out 100 more files: not an image",
    ]

    (root / "b" / "cut20.png").write_bytes(cut[:-20])
    for number in range(21):
        shutil.copy(root / "a" / "1.png", root / "a" / f"same{number}.png")
        (root / f"link{number:02}").symlink_to("/gone")
    messages.clear()
    ImageFolder(root).read("all", messages.append)
    rest = [line for line in messages if " more " in line]
    assert len(messages) == 4 * 11
    assert rest == [
        "left out 11 more copies of images",
        f"left out 11 more files that cannot be used; 'digitcli predict {root}' lists all",
        "left out 100 more files: not an image",
        "left out 11 more broken links",
    ]
    listed = run("predict", root / "a", root / "b").stderr
    assert listed.count("the image is damaged") == 21  # as the line says


def test_class_names_are_saved_in_the_checkpoint_and_escaped_on_output(
    run: Run, tmp_path: Path
) -> None:
    name = "an \x1b[31modd\tname"
    root = fill(tmp_path / "mine", {"three": 3, name: 5}, 40)
    assert run("train", "--dataset", f"folder:{root}", "--epochs", 10).exit_code == 0
    metadata = load_checkpoint(LATEST).metadata
    assert metadata.classes == (name, "three")
    assert (metadata.mean, metadata.std) == (0.1307, 0.3081)
    assert metadata.recipe
    assert metadata.recipe.name == "optdigits"
    assert metadata.data_checksums.keys() == {"folder:train", "folder:test"}
    assert "--dataset folder:mine " in metadata.command
    picture = next((root / name).iterdir())
    shutil.copy(picture, "5.png")
    shown = "an \\x1b[31modd\\tname"
    assert run("predict", "5.png", "-q").stdout == f"{shown}\n"
    assert json.loads(run("predict", "5.png", "--json").stdout)["digit"] == name
    softmax = run("inspect-softmax", "5.png", "--target", "three").stdout
    assert softmax.splitlines()[1].startswith(f"{shown}\t")
    evaluation = run("eval").stdout
    assert f"\n{shown}\t" in evaluation
    assert json.loads(run("eval", "--json").stdout)["accuracy"] > 0.9


def test_a_run_is_not_resumed_with_a_changed_folder(
    run: Run, launch: Launch, tmp_path: Path
) -> None:
    root = fill(tmp_path / "mine", {"3": 3, "5": 5})
    flags = ("--dataset", f"folder:{root}", "--epochs", 30, "--batch-size", 4)
    assert run("train", *flags, "--output", "whole").exit_code == 0
    process = launch("train", *flags, "--save-every", 2)
    kill_after(process, 1)
    added = root / "5" / "new.png"
    draw_digit(5, angle=44).save(added)
    result = run("train", "--resume")
    assert result.exit_code == 2
    assert "the run was started with other data (folder:t" in result.stderr
    added.unlink()
    assert run("train", "--resume").exit_code == 0
    assert LATEST.read_bytes() == Path("whole").read_bytes()


@pytest.mark.parametrize(
    ("folders", "problem"),
    [
        ([], "mine has fewer than two subfolders, but every class needs one; put the images of"),
        (["a"], "mine has fewer than two subfolders, but every class needs one"),
        (["a", "b"], "mine has classes without a readable image: a, b; add images, or"),
        (list("abcdefgh"), ": a, b, c, d, e and 3 more; add images, or remove these subfolders"),
    ],
)
def test_folders_that_are_not_a_data_set(run: Run, folders: list[str], problem: str) -> None:
    Path("mine").mkdir()
    for name in folders:
        Path("mine", name).mkdir()
    result = run("train", "--dataset", "folder:mine")
    assert result.exit_code == 2
    assert problem in result.stderr
    assert len(result.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("folder:", "folder: names no folder; write folder:PATH"),
        ("folder:nowhere", "cannot read the folder nowhere: No such file or directory"),
        ("folder:file", "cannot read the folder file: Not a directory"),
        ("folder:~nobody-of-that-name/x", "cannot read the folder ~nobody|there is no folder"),
    ],
)
def test_no_such_folder(run: Run, name: str, problem: str) -> None:
    Path("file").write_text("")
    for command in ("train", "eval", "download"):
        result = run(command, "--dataset", name)
        assert result.exit_code == 2
        assert any(split in result.stderr for split in problem.split("|"))


def test_names_that_are_not_valid_utf8() -> None:
    with pytest.raises(DatasetError, match="is not valid UTF-8"):
        folder_path("folder:\udcff")
    os.makedirs(b"mine/\xff")  # noqa: PTH103  a name in bytes
    Path("mine/a").mkdir()
    with pytest.raises(DatasetError, match="is not valid UTF-8"):
        find_layout(Path("mine"), LeftOut())


@pytest.mark.parametrize("split", ["train", "test"])
def test_two_images_of_a_class_are_in_both_splits(tmp_path: Path, split: str) -> None:
    root = draw_in(split, tmp_path / "mine", {"3": 3, "5": 5}, 2)
    (root / "3" / "notes.txt").write_text("not an image, so not counted")
    splits, _ = read_both(root)
    for each in splits.values():
        assert sorted(each.labels) == [0, 1]
    other = "train" if split == "test" else "test"
    draw_in(other, root, {"3": 3, "5": 5})  # now each split has one by its hash
    after, _ = read_both(root)
    assert sorted(after[split].labels) == [0, 0, 1, 1]
    assert sorted(after[other].labels) == [0, 1]


@pytest.mark.parametrize(("count", "tested"), [(49, [0, 1]), (50, [1])])
def test_no_image_of_a_class_of_fifty_files_is_moved(
    tmp_path: Path, count: int, tested: list[int]
) -> None:
    root = draw_in("train", tmp_path / "mine", {"3": 3}, count)
    draw_in("train", root, {"5": 5}, 2)  # one of these is moved
    splits, messages = read_both(root)
    assert not messages
    assert sorted(splits["test"].labels) == tested
    assert len(splits["train"]) + len(splits["test"]) == count + 2


def test_single_images_leave_the_test_set_empty(run: Run) -> None:
    draw_in("test", Path("mine"), {"a": 3, "b": 5})
    result = run("train", "--dataset", "folder:mine", "--batch-size", 2)
    assert result.exit_code == 2
    assert "no class in mine has a second image, for the test set; add images" in result.stderr
    result = run("train", "--dataset", "folder:mine", "--validation", 2)
    assert "error: a class has a single training image, which cannot be held out" in result.stderr
    assert "temperature" not in result.stderr  # nothing was trained


def test_a_recipe_reduces_its_batch_size_for_a_few_images(run: Run) -> None:
    draw_in("train", Path("mine"), {"a": 3, "b": 5}, 2)
    flags = ("train", "--dataset", "folder:mine", "--epochs", 2)
    result = run(*flags)
    assert result.exit_code == 0, result.stderr
    assert "digitcli: batch size reduced from 16 to 2: only 2 training images\n" in result.stderr
    metadata = load_checkpoint(LATEST).metadata
    assert metadata.recipe
    assert metadata.recipe.batch_size == 2
    assert "--batch-size 2" in metadata.command
    for given in (3, 16):  # 16 is the recipe's own
        result = run(*flags, "--batch-size", given)
        assert f"the batch size {given} is larger than the 2 training images" in result.stderr


def test_a_recipe_with_smaller_batches_has_no_temperature_yet() -> None:
    settings = new_settings({"recipe": "best"}, find_dataset("mnist"), None)
    assert settings.recipe.temperature == BEST.temperature != 1
    assert with_fitting_batches(settings, BEST.batch_size, Rank(0, 1)) is settings
    small = with_fitting_batches(settings, 41, Rank(0, 2)).recipe
    assert (small.batch_size, small.temperature) == (38, 1)
    assert with_fitting_batches(settings, 1, Rank(0, 2)) is settings  # which is then refused


def test_files_are_hashed_once_and_not_if_too_large_for_an_image(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = fill(tmp_path, {"a": 3, "b": 5}, 3)
    huge = root / "a" / "film.mp4"
    huge.touch()
    os.truncate(huge, 500 * 2**20)  # a sparse file
    hashed, digest = [], hashlib.sha256

    def watched(content: bytes) -> object:
        hashed.append(content)
        return digest(content)

    monkeypatch.setattr(hashlib, "sha256", watched)
    _, messages = read_both(root)
    files = [file.read_bytes() for file in root.glob("*/*.png")]
    assert sorted(content for content in hashed if content in files) == sorted(files)
    assert messages == [f"left out {huge}: not an image"]


def test_nothing_is_downloaded_for_a_folder(run: Run, tmp_path: Path) -> None:
    root = fill(tmp_path / "mine", {"3": 3, "5": 5}, 2)
    result = run("download", "--dataset", f"folder:{root}")
    assert result.stdout == f"folder:{root} is on this machine; there is nothing to download\n"


def test_images_are_generated_for_digits_only(run: Run, tmp_path: Path) -> None:
    root = fill(tmp_path / "mine", {"A": 4, "B": 8})
    flags = ("--recipe", "best", "--epochs", 1, "--batch-size", 8)
    result = run("train", "--dataset", f"folder:{root}", *flags)
    assert result.exit_code == 0, result.stderr
    assert "generating" not in result.stderr
    recipe = load_checkpoint(LATEST).metadata.recipe
    assert recipe
    assert (recipe.outliers, recipe.synthetic) == (0, 0)
