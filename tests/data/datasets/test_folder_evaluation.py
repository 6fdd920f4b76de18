"""Evaluating on a folder of images, and how a checkpoint names the folder it was trained on."""

import hashlib
import json
import os
import shutil
from collections import Counter
from dataclasses import dataclass, field, replace
from io import FileIO
from pathlib import Path

import pytest
from commands import Run
from image_folders import fill
from PIL import Image

from digitcli.core.checkpointing.checkpoint import load_checkpoint, save_checkpoint
from digitcli.core.checkpointing.locate import LATEST
from digitcli.core.checkpointing.metadata import recorded_dataset
from digitcli.core.files.home import portable_path
from digitcli.core.files.regular import open_regular
from digitcli.data.datasets import image_folder, registry
from digitcli.data.datasets.image_folder import split_of
from digitcli.data.datasets.optdigits import load_optdigits
from digitcli.data.datasets.split import Split
from digitcli.data.images import decode

CLASSES = {"3": 3, "5": 5}
FLAGS = ("--epochs", 2, "--batch-size", 4)


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    return fill(tmp_path / "mine", CLASSES)


def evaluated(run: Run, *flags: object) -> tuple[str, int, int]:
    result = run("eval", "--json", *map(str, flags))
    assert result.exit_code == 0, result.stderr
    value = json.loads(result.stdout)
    return value["split"], value["count"], value["files"]


@pytest.mark.usefixtures("checkpoint")
def test_all_images_of_a_folder_are_scored_unless_it_was_trained_on(run: Run, mine: Path) -> None:
    (mine / "3" / "notes.txt").write_text("no image")
    assert evaluated(run, "--dataset", "folder:mine") == ("all", 40, 41)
    lines = run("eval", "--dataset", "folder:mine").stdout.splitlines()
    assert lines[1:5] == ["dataset\tfolder:mine", "split\tall", "files\t41", "count\t40"]
    assert run("train", "--dataset", "folder:mine", *FLAGS, "--output", "new").exit_code == 0
    new = ("--checkpoint", "new")
    split, count, files = evaluated(run, *new)
    assert (split, files) == ("test", 41)
    assert count < 20
    assert evaluated(run, *new, "--dataset", f"folder:{mine}") == ("test", count, files)
    assert evaluated(run, *new, "--split", "all") == ("all", 40, 41)
    fill(mine.with_name("other"), {"3": 5, "5": 3}, 4)
    assert evaluated(run, *new, "--dataset", "folder:other") == ("all", 8, 8)
    mine.rename("moved")  # the images are known by their content
    assert evaluated(run, *new, "--dataset", "folder:moved") == ("test", count, files)


@dataclass
class Watched:
    """How often each image of a folder was opened and decoded."""

    opened: Counter[Path] = field(default_factory=Counter)
    decoded: int = 0


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> Watched:
    counts, decode_image = Watched(), decode.OpenImage.decode

    def opened(path: Path) -> FileIO:
        counts.opened[path] += 1
        return open_regular(path)

    def decoded(image: decode.OpenImage) -> Image.Image:
        counts.decoded += 1
        return decode_image(image)

    monkeypatch.setattr(image_folder, "open_regular", opened)
    monkeypatch.setattr(decode, "open_regular", opened)
    monkeypatch.setattr(decode.OpenImage, "decode", decoded)
    return counts


def test_each_image_of_a_folder_is_opened_and_decoded_once(
    run: Run, mine: Path, watched: Watched
) -> None:
    fill(mine, {"8": 8}, 60)
    shutil.copytree(mine, "copy")
    fill(Path("other"), CLASSES, 7)
    digests = [hashlib.sha256(file.read_bytes()).digest() for file in mine.glob("8/*.png")]
    tested = sum(split_of(digest) == "test" for digest in digests)
    assert run("train", "--dataset", "folder:mine", *FLAGS, "--output", "new").exit_code == 0
    assert watched.decoded == 100
    cases: list[tuple[str, str, int]] = [
        ("", "test", 40 + tested),  # of small classes all images, as some may be moved
        ("--split all", "all", 100),
        ("--dataset folder:copy", "test", 100),
        ("--dataset folder:copy --split all", "all", 100),
        ("--dataset folder:other", "all", 14),
    ]
    for flags, split, count in cases:
        watched.opened.clear()
        watched.decoded = 0
        assert evaluated(run, "--checkpoint", "new", *flags.split())[0] == split
        assert set(watched.opened.values()) == {1}
        assert watched.decoded == count


@pytest.mark.usefixtures("checkpoint")
def test_scoring_training_images_is_reported(run: Run, mine: Path) -> None:
    def note(*flags: object) -> str:
        result = run("eval", "--checkpoint", "new", *map(str, flags))
        assert result.exit_code == 0, result.stderr
        lines = [line for line in result.stderr.splitlines() if "training images" in line]
        return "\n".join(lines)

    folder = ("--dataset", "folder:mine")
    assert run("train", *folder, *FLAGS, "--output", "new").exit_code == 0
    count = json.loads(run("eval", "--checkpoint", "new", "--json").stdout)["count"]
    line = (
        f"digitcli: {40 - count} of these 40 images are training images of these weights; "
        "--split test leaves them out"
    )
    assert note("--split", "all") == line
    assert note() == note("--split", "train") == ""
    mine.rename("moved")
    assert note("--dataset", "folder:moved", "--split", "all") == line
    fill(mine.with_name("other"), {"3": 5, "5": 3}, 4)
    assert note("--dataset", "folder:other") == ""
    held_out = ("--validation", 10, "--output", "new")
    assert run("train", "--dataset", "folder:moved", *FLAGS, *held_out).exit_code == 0
    assert note("--split", "all") == line.replace(": ", ": up to ")


@pytest.mark.usefixtures("checkpoint")
def test_scoring_the_training_images_of_a_published_data_set_is_reported(run: Run) -> None:
    assert run("train", "--dataset", "optdigits", "--epochs", 1, "--output", "new").exit_code == 0
    all_images = ("eval", "--dataset", "optdigits", "--split", "all", "--checkpoint")
    assert "of these 1,797 images are training images of" in run(*all_images, "new").stderr
    assert "training images" not in run(*all_images, "pretrained").stderr


@pytest.mark.usefixtures("checkpoint")
def test_each_split_of_a_published_data_set_is_read_once(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run("train", "--dataset", "optdigits", "--epochs", 1, "--output", "new").exit_code == 0
    asked = []

    def watched(split: str) -> Split:
        asked.append(split)
        return load_optdigits(split)

    monkeypatch.setattr(registry, "load_optdigits", watched)
    result = run("eval", "--split", "all", "--checkpoint", "new")
    assert "digitcli: 1,437 of these 1,797 images are training images of" in result.stderr
    assert asked == ["train", "test"]


@pytest.mark.usefixtures("checkpoint")
def test_the_page_says_how_many_of_how_many(run: Run, mine: Path) -> None:
    result = run("eval", "--dataset", f"folder:{mine}", "--report", "page.html")
    assert result.exit_code == 0, result.stderr
    text = Path("page.html").read_text()
    assert "40 images of 40 files: folder:mine, all." in text
    assert str(mine) not in text


@pytest.mark.usefixtures("checkpoint")
def test_other_data_sets_have_all_images_too(run: Run) -> None:
    flags = ("eval", "--dataset", "optdigits", "--json")
    value = json.loads(run(*flags, "--split", "all").stdout)
    assert (value["split"], value["count"], value["files"]) == ("all", 1797, None)
    assert json.loads(run(*flags).stdout)["split"] == "test"


@pytest.mark.parametrize(
    ("given", "recorded"),
    [
        ("mine", "mine"),
        ("./mine", "./mine"),
        ("../mine", "../mine"),
        ("~/mine", "~/mine"),
        ("/home/ann/mine/", "mine"),
        ("~ann/mine", "mine"),
        ("/", "/"),
    ],
)
def test_paths_that_are_recorded_name_no_folder_of_this_computer(given: str, recorded: str) -> None:
    assert portable_path(given) == recorded
    assert recorded_dataset(f"folder:{given}") == f"folder:{recorded}"
    assert portable_path(str(Path.cwd() / "a" / "b")) == str(Path("a", "b"))
    assert recorded_dataset("mnist") == "mnist"


def test_no_absolute_path_travels_with_a_checkpoint(
    run: Run, checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = fill(tmp_path / "far" / "mine", CLASSES)
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    flags = ("--dataset", f"folder:{root}", "--from", checkpoint)
    assert run("train", *flags, "--epochs", 2).exit_code == 0
    assert os.fsencode(tmp_path) not in LATEST.read_bytes()
    metadata = load_checkpoint(LATEST).metadata
    assert metadata.dataset == "folder:mine"
    assert "--dataset folder:mine --from latest.safetensors " in metadata.command
    assert run("export", "net.npz").exit_code == 0
    assert os.fsencode(tmp_path) not in Path("net.npz").read_bytes()
    assert run("train", *flags, "--epochs", 2, "--resume").exit_code == 0  # complete
    split, count, _ = evaluated(run, "--dataset", f"folder:{root}")
    assert (split, count < 20) == ("test", True)


def test_a_run_on_an_absolute_path_is_resumed_without_naming_it(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from digitcli.core.training.callbacks.checkpoint_writer import CheckpointWriter

    root = fill(tmp_path / "far" / "mine", CLASSES)
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    flags = ("--dataset", f"folder:{root}", "--epochs", 3, "--batch-size", 4)
    assert run("train", *flags, "--output", "whole").exit_code == 0

    def killed(writer: CheckpointWriter, result: object) -> None:
        save(writer, result)  # type: ignore[arg-type]
        raise KeyboardInterrupt

    save = CheckpointWriter.on_epoch
    with monkeypatch.context() as patched:
        patched.setattr(CheckpointWriter, "on_epoch", killed)
        run("train", *flags)
    result = run("train", "--resume", "--dataset", "folder:elsewhere/mine")
    assert result.exit_code == 2
    assert f"(--dataset folder:{root} then, folder:elsewhere/mine now)" in result.stderr
    assert run("train", "--resume").exit_code == 0
    assert LATEST.read_bytes() == Path("whole").read_bytes()


@pytest.mark.usefixtures("mine")
def test_a_folder_that_the_checkpoint_names_and_is_not_here(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run("train", "--dataset", "folder:mine", *FLAGS).exit_code == 0
    (tmp_path / "else").mkdir()
    monkeypatch.chdir(tmp_path / "else")
    file = Path("..") / LATEST
    for command in (["eval"], ["inspect-softmax", "--index", 0]):
        result = run(*map(str, command), "--checkpoint", file)
        assert result.exit_code == 2
        assert result.stderr == (
            f"digitcli: error: {file} was trained on folder:mine: cannot read the folder mine: "
            "No such file or directory; name the data set with --dataset\n"
        )
    assert evaluated(run, "--checkpoint", file, "--dataset", "folder:../mine")[0] == "test"
    picked = run(
        "inspect-softmax", "--index", 0, "--checkpoint", file, "--dataset", "folder:../mine"
    )
    assert picked.exit_code == 0, picked.stderr


def test_checkpoints_that_hold_an_absolute_path_still_work(run: Run, mine: Path) -> None:
    assert run("train", "--dataset", "folder:mine", *FLAGS).exit_code == 0
    checkpoint = load_checkpoint(LATEST)
    metadata = replace(checkpoint.metadata, dataset=f"folder:{mine}")
    save_checkpoint(Path("old"), replace(checkpoint, metadata=metadata))
    assert evaluated(run, "--checkpoint", "old") == evaluated(run)
    flags = ("--dataset", "folder:mine", "--from", "old", *FLAGS)
    assert run("train", *flags, "--output", "new").exit_code == 0
