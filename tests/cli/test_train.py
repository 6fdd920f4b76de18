"""``digitcli train``: its whole output, and what it does to files."""

import errno
import json
import os
import re
import shlex
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from commands import Run
from drawn_digits import SmallMnist

from digitcli.core.checkpointing import locate
from digitcli.core.checkpointing.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from digitcli.core.checkpointing.locate import LATEST
from digitcli.core.errors import DigitcliError
from digitcli.core.files.atomic import remove_durably
from digitcli.core.training.callbacks import checkpoint_writer
from digitcli.core.training.callbacks.checkpoint_writer import CheckpointWriter
from digitcli.data.datasets import registry
from digitcli.data.datasets.readers import read_split
from digitcli.data.datasets.split import Split, hold_out

FLAGS = ("--epochs", "2", "--batch-size", "50", "--log-every", "5", "--lr", "0.05")


def test_plain_lines(run: Run, small_mnist: SmallMnist, tmp_path: Path) -> None:
    result = run("train", *FLAGS, "--mirror", small_mnist.folder)
    assert result.exit_code == 0, result.stderr
    path = Path("checkpoints/latest.safetensors")
    metadata = load_checkpoint(path).metadata
    expected = []
    for epoch in (1, 2):
        losses = [point for point in metadata.losses if point.epoch == epoch]
        assert [point.batch for point in losses] == [5, 10]
        expected += [f"epoch {epoch}  batch {p.batch}  loss {p.loss:.3f}" for p in losses]
        point = metadata.accuracies[epoch - 1]
        expected.append(
            f"epoch {epoch}  mean loss {point.loss:.3f}  test accuracy {point.accuracy:.2%}"
        )
    *lines, last = result.stdout.splitlines()
    assert lines == expected
    assert last.startswith(f"saved {path}  (")
    assert last.endswith(" images/s)")
    *fetched, training, test = result.stderr.splitlines()
    assert fetched == [  # the missing data is downloaded first
        f"digitcli: fetching {file.archive}" for file in small_mnist.files
    ]
    assert training.startswith("digitcli: 600 training images")
    assert test.startswith("digitcli: 200 test images")
    assert [file.name for file in (tmp_path / "checkpoints").iterdir()] == [path.name]


def test_json_lines(run: Run, small_mnist: SmallMnist) -> None:
    result = run("train", *FLAGS, "--mirror", small_mnist.folder, "--seed", 7, "--json")
    begin, *events, done = map(json.loads, result.stdout.splitlines())
    assert begin["event"] == "begin"
    assert [event["event"] for event in events] == ["loss", "loss", "epoch"] * 2
    metadata = load_checkpoint(Path(done["checkpoint"])).metadata
    assert [e["loss"] for e in events if e["event"] == "loss"] == [
        point.loss for point in metadata.losses
    ]
    assert done.pop("seconds") > 0
    assert done.pop("images_per_second") > 0
    assert done == {
        "event": "done",
        "checkpoint": "checkpoints/latest.safetensors",
        "dataset": "mnist",
        "recipe": {
            "name": "lesson",
            "epochs": 2,
            "batch_size": 50,
            "lr": 0.05,
            "momentum": 0.5,
            "nesterov": False,
            "schedule": "constant",
            "optimizer": "sgd",
            "weight_decay": 0,
            "batch_norm": False,
            "frozen": 0,
            "deformation": {"rotation": 0, "scale": 0, "shear": 0, "shift": 0, "elastic": 0},
            "outliers": 0,
            "synthetic": 0,
            "temperature": 1,
        },
        "epochs": 2,
        "seed": 7,
        "device": metadata.device,
        "loss": metadata.accuracies[-1].loss,
        "accuracy": metadata.accuracies[-1].accuracy,
        "scored_on": "test",
        "temperature": 1,
        "unanswered": [],
    }


def test_equal_seeds_give_equal_files(run: Run, small_mnist: SmallMnist) -> None:
    for name in ("a", "b"):
        run("train", *FLAGS, "--mirror", small_mnist.folder, "--output", name, "--seed", 5)
    assert Path("a").read_bytes() == Path("b").read_bytes()


def test_the_recorded_command_makes_the_same_file(run: Run, small_mnist: SmallMnist) -> None:
    flags = ("--validation", 40, "--output", "an odd name", "--device", "cpu", "--seed", 5)
    run("train", *FLAGS, *flags, "--mirror", small_mnist.folder)
    command = load_checkpoint(Path("an odd name")).metadata.command
    assert command == (
        "digitcli train --recipe lesson --epochs 2 --batch-size 50 --lr 0.05 --validation 40 "
        "--seed 5 --log-every 5"
    )
    assert run(*shlex.split(command)[1:]).exit_code == 0
    assert LATEST.read_bytes() == Path("an odd name").read_bytes()


def test_what_a_recipe_says_already_is_not_recorded_as_a_change(
    run: Run, small_mnist: SmallMnist
) -> None:
    run("train", "--recipe", "quick", "--epochs", 3, "--mirror", small_mnist.folder)
    command = load_checkpoint(LATEST).metadata.command
    assert command == "digitcli train --recipe quick --seed 0"
    run("train", "--dataset", "optdigits", "--epochs", 1)
    metadata = load_checkpoint(LATEST).metadata
    assert metadata.command == (
        "digitcli train --recipe optdigits --dataset optdigits --epochs 1 --seed 0"
    )
    assert metadata.data_checksums.keys() == {"optdigits-train", "optdigits-test"}


def test_validation_scores_on_what_is_held_out_and_not_on_the_test_set(
    run: Run, small_mnist: SmallMnist, monkeypatch: pytest.MonkeyPatch
) -> None:
    run("download", "--mirror", small_mnist.folder)
    asked = []

    def watched(data_dir: Path, split: str, dataset: str) -> Split | None:
        asked.append(split)
        return read_split(data_dir, split, dataset)

    monkeypatch.setattr(registry, "read_split", watched)
    result = run("train", *FLAGS, "--validation", 60, "--seed", 4)
    assert asked == ["train"]
    metadata = load_checkpoint(LATEST).metadata
    assert metadata.scored_on == "validation"
    assert metadata.data_checksums == {
        file.name: f"md5:{file.md5}" for file in small_mnist.files[:2]
    }
    losses = [point for point in metadata.losses if point.epoch == 2]
    assert [point.batch for point in losses] == [5, 10]  # of 11 batches of 50 in 540 pictures
    last = metadata.accuracies[-1]
    assert (last.accuracy * 60) % 1 == pytest.approx(0, abs=1e-9)
    assert result.stdout.splitlines()[-2] == (
        f"epoch 2  mean loss {last.loss:.3f}  validation accuracy {last.accuracy:.2%}"
    )
    assert "fewer than 500 validation images: the temperature is not fitted\n" in result.stderr
    value = [json.loads(line) for line in run(
        "train", *FLAGS, "--validation", 60, "--seed", 4, "--json"
    ).stdout.splitlines()][-2:]  # fmt: skip
    for event in value:
        assert event["scored_on"] == "validation"
        assert event["accuracy"] == last.accuracy
        assert event["temperature"] == metadata.temperature == 1


def test_the_held_out_part_is_exact_stratified_and_drawn_by_the_seed() -> None:
    labels = np.repeat(np.arange(10), 20)
    images = np.arange(200, dtype=np.uint8)[:, None, None] * np.ones((28, 28), np.uint8)
    split = Split(images, labels, {"a": "md5:b"})
    for count in (10, 57, 190):
        left, held = hold_out(split, count, seed=1)
        assert (len(left), len(held)) == (200 - count, count)
        numbers = [part.images[:, 0, 0].tolist() for part in (left, held)]
        assert sorted(numbers[0] + numbers[1]) == list(range(200))
        for part, kept in zip((left, held), numbers, strict=True):
            assert part.labels.tolist() == [number // 20 for number in kept]
            assert np.ptp(np.bincount(part.labels, minlength=10)) <= 1
            assert part.checksums == split.checksums
    held_again, held_otherwise = (hold_out(split, 57, seed=seed)[1] for seed in (1, 2))
    assert np.array_equal(held_again.images, hold_out(split, 57, seed=1)[1].images)
    assert not np.array_equal(held_again.images, held_otherwise.images)


def test_damaged_data_is_mended_first(run: Run, small_mnist: SmallMnist) -> None:
    run("download", "--mirror", small_mnist.folder)
    path = Path("data/MNIST/raw") / small_mnist.files[0].name
    path.write_bytes(path.read_bytes()[:-1])
    assert run("train", *FLAGS).exit_code == 0
    assert path.stat().st_size == 600 * 784 + 16


@pytest.mark.parametrize(
    ("flags", "problem"),
    [
        (["--epochs", "0"], "--epochs"),
        (["--epochs", "9" * 20], "999 epochs are more than the 100,000 that a checkpoint can hold"),
        (["--lr", "nan"], "the recipe's lr is nan; give --lr above 0"),
        (["--lr", "-1"], "the recipe's lr is -1.0; give --lr above 0"),
        (["--lr", "fast"], "--lr"),
        (["--momentum", "1"], "the recipe's momentum is 1.0; give --momentum from 0 to below 1"),
        (["--batch-size", "0"], "--batch-size"),
        (["--batch-size", "601"], "601 is larger than the 600 training images"),
        (["--recipe", "slow"], "there is no recipe 'slow'; choose lesson, quick, best, optdigits"),
        (["--dataset", "cifar"], "there is no data set 'cifar'; choose mnist, fashion-mnist, "),
        (["--device", "gpu"], "there is no device 'gpu'"),
        (["--log-every", "0"], "--log-every"),
        (["--validation", "0"], "--validation"),
        (["--validation", "9"], "give --validation 10 to 590"),
        (["--validation", "600"], "holding out 600 of 600 training images"),
        (["--validation", "590", "--batch-size", "65"], "65 is larger than the 10 training imag"),
        (["--seed", "-1"], "--seed"),
        (["--output", "."], "cannot write .: not a regular file"),
        (["--output", "old/new"], "cannot write old/new: "),
        (
            ["--output", "a/m.pth"],
            "the weights a/m.pth would be a safetensors file, not .pth; name them m.safetensors",
        ),
        (["--output", "digits.onnx"], "not .onnx; name them digits.safetensors"),
        (["--output", "m.tar.h5"], "not .h5; name them m.tar.safetensors"),
        (["--plot", "x.jpg"], "--plot cannot write x.jpg; name it curve.png or curve.svg"),
    ],
)
def test_wrong_use_changes_nothing(
    run: Run, small_mnist: SmallMnist, flags: list[str], problem: str
) -> None:
    Path("old").write_text("precious")
    result = run("train", "--output", "old", "--mirror", small_mnist.folder, *flags)
    assert result.exit_code == 2
    assert result.stdout == ""
    last = result.stderr.splitlines()[-1]
    assert last.startswith("digitcli: error: ")
    assert problem in last
    assert "will be replaced" not in result.stderr
    assert Path("old").read_text() == "precious"
    assert not Path("a").exists()


@pytest.mark.parametrize("name", ["lr0.05", "run.SafeTensors", ".hidden", "net.safetensors"])
def test_names_of_weights(run: Run, name: str) -> None:
    flags = ("--dataset", "optdigits", "--epochs", 1, "--output", name)
    assert run("train", *flags).exit_code == 0
    assert load_checkpoint(Path(name)).metadata.dataset == "optdigits"


def test_a_diverging_run_keeps_the_old_checkpoint(run: Run, small_mnist: SmallMnist) -> None:
    Path("old").write_text("precious")
    result = run("train", "--lr", "1e20", "--output", "old", "--mirror", small_mnist.folder)
    assert result.exit_code == 1
    assert "lower --lr or --momentum" in result.stderr
    assert Path("old").read_text() == "precious"


def test_no_mirror_and_no_data(run: Run) -> None:
    result = run("train", "--mirror", "/nowhere")
    assert result.exit_code == 2
    start, end = "error: mnist is missing in ", " (--data-dir), and there is no folder /nowhere; "
    assert re.search(f"{start}.*{re.escape(end)}", result.stderr.splitlines()[-1])


def test_a_link_is_followed_and_not_replaced(run: Run, small_mnist: SmallMnist) -> None:
    Path("real").write_text("old")
    Path("link").symlink_to("real")
    result = run("train", *FLAGS, "--mirror", small_mnist.folder, "--output", "link")
    assert result.exit_code == 0
    assert Path("link").is_symlink()
    assert load_checkpoint(Path("real")).metadata.epochs == 2


def test_what_is_no_plain_file_is_not_replaced(run: Run) -> None:
    os.mkfifo("pipe")
    result = run("train", "--dataset", "optdigits", "--output", "pipe")
    assert result.exit_code == 2
    assert "cannot write pipe: not a regular file" in result.stderr
    assert Path("pipe").is_fifo()
    assert run("train", "--output", "new/").exit_code == 2
    assert not Path("new").exists()


def test_a_checkpoint_that_will_be_replaced_is_named(run: Run, small_mnist: SmallMnist) -> None:
    for reported in (False, True):
        result = run("train", *FLAGS, "--mirror", small_mnist.folder, "--output", "same")
        assert ("same will be replaced after the first epoch" in result.stderr) is reported


def test_a_finished_checkpoint_that_is_replaced_is_kept(run: Run, small_mnist: SmallMnist) -> None:
    kept = Path("same.previous.safetensors")
    contents: list[bytes] = []
    for seed in (1, 2, 3):
        note = "same will be replaced after the first epoch, and kept as same.previous.safetensors"
        instead = ", in place of the copy there" if seed == 3 else ""
        flags = ("--mirror", small_mnist.folder, "--seed", seed, "--output", "same")
        result = run("train", *FLAGS, *flags)
        assert (f"digitcli: {note}{instead}\n" in result.stderr) is (seed > 1)
        assert kept.exists() is (seed > 1)
        if seed > 1:
            assert kept.read_bytes() == contents[-1]
        contents.append(Path("same").read_bytes())
    assert len(set(contents)) == 3
    refused = run("train", *FLAGS, *flags, "--from", kept)
    assert refused.exit_code == 2
    assert f"the run would start from {kept} and replace it" in refused.stderr


def test_what_no_run_finished_is_kept_as_well_and_unfinished_weights_are_not(
    run: Run, small_mnist: SmallMnist, trained: Checkpoint
) -> None:
    kept = Path("same.previous.safetensors")
    flags = ("train", *FLAGS, "--mirror", small_mnist.folder, "--output", "same")
    metadata = trained.metadata
    losses = tuple(loss for loss in metadata.losses if loss.epoch == 1)
    first = replace(metadata, epochs=1, losses=losses, accuracies=metadata.accuracies[:1])
    save_checkpoint(Path("same"), replace(trained, metadata=first))
    assert "kept as" not in run(*flags).stderr
    assert not kept.exists()
    Path("same").write_text("notes")
    assert "same will be replaced after the first epoch, and kept as" in run(*flags).stderr
    assert kept.read_text() == "notes"


def test_a_checkpoint_is_kept_from_the_same_run_again(run: Run, small_mnist: SmallMnist) -> None:
    flags = ("--epochs", 1, "--batch-size", 50, "--mirror", small_mnist.folder, "--output", "same")
    assert run("train", *flags).exit_code == 0
    old = Path("same").read_bytes()
    assert ", and kept as same.previous.safetensors\n" in run("train", *flags).stderr
    assert Path("same.previous.safetensors").read_bytes() == old


def test_a_file_that_cannot_be_read_is_not_replaced(
    run: Run, small_mnist: SmallMnist, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("same").write_text("notes")
    opened = Path.open

    def refuse(path: Path, *arguments: Any, **options: Any) -> Any:  # root reads everything
        if path == Path("same"):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        return opened(path, *arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", refuse)
        result = run("train", *FLAGS, "--mirror", small_mnist.folder, "--output", "same")
    assert result.exit_code == 2
    assert result.stderr == (
        "digitcli: error: cannot read same: Permission denied; choose another place with --output\n"
    )
    assert Path("same").read_text() == "notes"


def test_a_checkpoint_that_cannot_be_kept_is_not_replaced(run: Run, trained: Checkpoint) -> None:
    save_checkpoint(Path("same"), trained)
    old, kept = Path("same").read_bytes(), Path("same.previous.safetensors")
    kept.symlink_to("same")
    result = run("train", "--dataset", "optdigits", "--epochs", 1, "--output", "same")
    assert result.exit_code == 2
    assert result.stderr == (
        f"digitcli: error: same cannot be kept as {kept}: both are the same file; choose another "
        "place with --output\n"
    )
    assert Path("same").read_bytes() == old


def test_a_resumed_run_keeps_what_it_replaces(
    run: Run, small_mnist: SmallMnist, trained: Checkpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run was killed after it had saved its state and before it wrote any weights."""
    save_checkpoint(Path("same"), trained)
    old = Path("same").read_bytes()

    def stop(*_: object) -> None:
        raise DigitcliError("stopped here")

    flags = ("train", *FLAGS, "--mirror", small_mnist.folder, "--output", "same")
    with monkeypatch.context() as patch:
        patch.setattr(CheckpointWriter, "on_epoch", stop)
        assert run(*flags, "--save-every", 5).exit_code == 2
    assert Path("same").read_bytes() == old
    assert run(*flags, "--resume").exit_code == 0
    assert Path("same.previous.safetensors").read_bytes() == old


def test_a_run_killed_at_its_end_and_resumed_does_not_replace_the_copy(
    run: Run, small_mnist: SmallMnist, trained: Checkpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_checkpoint(Path("same"), trained)
    old = Path("same").read_bytes()

    def kill(path: Path) -> None:
        if path.exists():  # the finished weights are written, and the state is still there
            raise DigitcliError("killed here")
        remove_durably(path)

    flags = ("train", *FLAGS, "--mirror", small_mnist.folder, "--output", "same")
    with monkeypatch.context() as patch:
        patch.setattr(checkpoint_writer, "remove_durably", kill)
        assert run(*flags, "--seed", 1).exit_code == 2
    assert load_checkpoint(Path("same")).metadata.epochs == 2
    assert run(*flags, "--resume").exit_code == 0
    assert Path("same.previous.safetensors").read_bytes() == old


def test_other_weights_of_the_same_command_are_kept_by_a_resumed_run(
    run: Run, small_mnist: SmallMnist, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As another machine may have trained them."""
    flags = ("train", "--epochs", 1, "--batch-size", 50, "--log-every", 5, "--output", "same")
    source = ("--mirror", small_mnist.folder)
    assert run(*flags, *source).exit_code == 0
    made = load_checkpoint(Path("same"))
    bias = made.weights["l5.bias"] + np.float32(0.01)
    save_checkpoint(Path("same"), replace(made, weights={**made.weights, "l5.bias": bias}))
    old = Path("same").read_bytes()

    def stop(*_: object) -> None:
        raise DigitcliError("stopped here")

    with monkeypatch.context() as patch:
        patch.setattr(CheckpointWriter, "on_epoch", stop)
        assert run(*flags, *source, "--save-every", 5).exit_code == 2
    assert run(*flags, *source, "--resume").exit_code == 0
    assert Path("same.previous.safetensors").read_bytes() == old


def test_a_kept_checkpoint_can_be_trained_on_where_it_was(run: Run, trained: Checkpoint) -> None:
    save_checkpoint(Path("same.previous.safetensors"), trained)
    flags = ("--dataset", "optdigits", "--epochs", 1, "--output", "same.safetensors")
    result = run("train", *flags, "--from", "same.previous.safetensors")
    assert result.exit_code == 0, result.stderr


@pytest.mark.parametrize("name", ["a.previous.safetensors", "in/A.Previous.SafeTensors"])
def test_the_name_of_a_kept_checkpoint_is_refused(run: Run, name: str) -> None:
    result = run("train", "--output", name)
    assert result.exit_code == 2
    assert result.stderr == (
        f"digitcli: error: {name} is the name of replaced weights; name the weights "
        f"{name[: -len('.previous.safetensors')]}.safetensors\n"
    )


def test_the_files_of_a_run_are_named(run: Run, small_mnist: SmallMnist) -> None:
    flags = ("train", *FLAGS, "--mirror", small_mnist.folder, "--log-dir", "log", "--plot", "c.svg")
    for is_there in (False, True):
        lines = run(*flags).stderr.splitlines()
        assert lines[-2:] == [
            "digitcli: wrote the metrics log/metrics.jsonl",
            "digitcli: wrote the plot c.svg",
        ]
        assert ("digitcli: c.svg is replaced" in lines) is is_there


def test_a_checkpoint_of_another_data_set_that_will_be_replaced_is_described(
    run: Run, trained: Checkpoint
) -> None:
    save_checkpoint(Path("same"), trained)
    last = trained.metadata.accuracies[-1].accuracy
    epochs = trained.metadata.epochs
    flags = ("--dataset", "optdigits", "--epochs", 1, "--output", "same")
    line = (
        f"digitcli: same (mnist, {epochs} epochs, test accuracy {last:.2%}) will be replaced after "
        "the first epoch, and kept as same.previous.safetensors\n"
    )
    assert line in run("train", *flags).stderr
    again = run("train", *flags).stderr
    assert (
        "digitcli: same will be replaced after the first epoch, and kept as "
        "same.previous.safetensors, in place of the copy there\n"
    ) in again


@pytest.mark.parametrize(("accuracy", "told"), [(1.0, True), (0.0, False)])
def test_better_bundled_weights_are_told(
    run: Run, trained: Checkpoint, monkeypatch: pytest.MonkeyPatch, accuracy: float, told: bool
) -> None:
    flags = ("train", "--dataset", "optdigits", "--epochs", 1)
    run(*flags, "--output", "first")
    checksums = load_checkpoint(Path("first")).metadata.data_checksums
    bundled = Path("bundled").resolve()
    monkeypatch.setattr(locate, "BUNDLED_PATHS", (bundled,))
    point = replace(trained.metadata.accuracies[-1], accuracy=accuracy)
    last = (*trained.metadata.accuracies[:-1], point)
    for known in (checksums, {"other": "md5:00"}):
        metadata = replace(trained.metadata, accuracies=last, data_checksums=known)
        save_checkpoint(bundled, replace(trained, metadata=metadata))
        result = run(*flags)
        assert result.exit_code == 0
        note = (
            "digitcli: the other commands use these weights here from now on; the bundled ones "
            f"have a test accuracy of {accuracy:.2%} (--checkpoint pretrained)\n"
        )
        assert (note in result.stderr) is (told and known == checksums)
        assert ("from now on" in result.stderr) is (told and known == checksums)
    assert "from now on" not in run(*flags, "--output", "second").stderr
