"""Several processes under torchrun make what one makes."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import train_distributed
from commands import Run
from drawn_digits import SmallMnist
from image_folders import fill

from digitcli.core.checkpointing.checkpoint import Checkpoint, load_checkpoint
from digitcli.core.checkpointing.locate import LATEST
from digitcli.core.checkpointing.training_state import load_state, state_path
from digitcli.core.distributed.process_group import ProcessGroup
from digitcli.core.distributed.rank import Rank, rank_from_environment
from digitcli.core.errors import DigitcliError

TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2"]
FLAGS = ("--epochs", "2", "--batch-size", "50", "--log-every", "5", "--lr", "0.02")


def together(
    *arguments: object,
    count: int = 2,
    input: str | None = None,  # noqa: A002
) -> "subprocess.CompletedProcess[str]":
    """Runs a program in several processes; the first words are of a Python without its name."""
    command = [*TORCHRUN, f"--nproc-per-node={count}", *map(str, arguments)]
    return subprocess.run(
        command, check=False, capture_output=True, text=True, timeout=240, input=input
    )


def assert_equal_to_rounding(one: Checkpoint, other: Checkpoint) -> None:
    for name, weight in one.weights.items():
        assert np.abs(weight - other.weights[name]).max() < 2e-5, name
    for a, b in zip(one.metadata.losses, other.metadata.losses, strict=True):
        assert (a.epoch, a.batch) == (b.epoch, b.batch)
        assert a.loss == pytest.approx(b.loss, rel=1e-4)


def test_two_processes_train_the_weights_of_one(
    program: list[str], run: Run, small_mnist: SmallMnist
) -> None:
    mirror = ("--mirror", small_mnist.folder)
    alone = run("train", *FLAGS, *mirror, "--output", "alone")
    two = together(*program[1:], "train", *FLAGS, "--output", "two")
    assert two.returncode == 0, two.stderr
    assert_equal_to_rounding(load_checkpoint(Path("alone")), load_checkpoint(Path("two")))
    *lines, saved = two.stdout.splitlines()
    assert len(lines) == len(alone.stdout.splitlines()) - 1  # one display
    assert saved.startswith("saved two")
    assert not state_path(Path("two")).exists()


@pytest.mark.slow
def test_batch_norm_deformations_and_added_images_are_of_the_whole_batch() -> None:
    train_distributed.main(Path("alone"))
    two = together(train_distributed.__file__, "two")
    assert two.returncode == 0, two.stderr
    assert_equal_to_rounding(load_checkpoint(Path("alone")), load_checkpoint(Path("two")))


@pytest.mark.slow
def test_a_batch_that_cannot_be_shared_is_refused_before_training(
    program: list[str], small_mnist: SmallMnist
) -> None:
    flags = ("--batch-size", 51, "--mirror", small_mnist.folder)
    two = together(*program[1:], "train", *flags)
    assert two.returncode != 0
    problem = "error: 2 processes cannot share a batch of 51 images evenly; give --batch-size 50,"
    assert f"digitcli: {problem}" in two.stderr
    assert two.stderr.count(problem) == 1
    assert not LATEST.exists()


def test_an_error_of_all_processes_is_one_line(program: list[str]) -> None:
    two = together(*program[1:], "train", "--dataset", "nosuch")
    assert two.returncode != 0
    lines = [line for line in two.stderr.splitlines() if "there is no data set" in line]
    assert len(lines) == 1
    assert lines[0].startswith("digitcli: error: there is no data set 'nosuch'; ")


def test_an_error_of_another_rank_is_printed_after_a_while(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    waited: list[float] = []
    monkeypatch.setattr("time.sleep", waited.append)
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "none")
    result = run("train", "--dataset", "nosuch")
    assert result.exit_code == 2
    assert result.stderr.startswith("digitcli [rank 1]: error: there is no data set 'nosuch'; ")
    assert waited == [30]


@pytest.mark.slow
def test_a_signal_saves_and_one_process_goes_on(
    program: list[str], run: Run, small_mnist: SmallMnist
) -> None:
    flags = ("--epochs", 40, "--batch-size", 50, "--log-every", 5, "--lr", 0.02)
    words = map(str, [*TORCHRUN, *program[1:], "train", *flags, "--mirror", small_mnist.folder])
    process = subprocess.Popen([*words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    process.stdout.readline()
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=120)
    assert process.returncode != 0
    assert "continue with 'digitcli train --resume'" in errors
    place = load_state(state_path(LATEST)).place
    resumed = run("train", "--resume")
    assert resumed.exit_code == 0
    assert f"digitcli: resuming {place}\n" in resumed.stderr
    assert "digitcli: processes was 2, now 1: " in resumed.stderr
    run("train", *flags, "--output", "alone")
    assert_equal_to_rounding(load_checkpoint(Path("alone")), load_checkpoint(LATEST))


@pytest.mark.slow
def test_a_worker_that_dies_ends_the_run(program: list[str], small_mnist: SmallMnist) -> None:
    flags = ("--epochs", "5000", "--mirror", str(small_mnist.folder))
    process = subprocess.Popen(
        [*TORCHRUN, *program[1:], "train", *flags],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    process.stdout.readline()
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    ranks: dict[bytes, int] = {}
    for child in map(int, children):
        variables = Path(f"/proc/{child}/environ").read_bytes().split(b"\0")
        ranks |= {v: child for v in variables if v.startswith(b"RANK=")}
    os.kill(ranks[b"RANK=1"], signal.SIGKILL)
    _, errors = process.communicate(timeout=120)
    assert process.returncode != 0
    assert "SIGKILL" in errors or "Signal 9" in errors
    load_checkpoint(LATEST)


def test_parts_cover_everything_once() -> None:
    for size in (1, 2, 3, 7):
        for count in (0, 1, 6, 7, 50):
            parts = [range(count)[ProcessGroup(rank, size).shard(count)] for rank in range(size)]
            assert [i for part in parts for i in part] == list(range(count))
            assert max(map(len, parts)) - min(map(len, parts)) <= 1


@pytest.mark.parametrize(("rank", "size"), [("2", "2"), ("x", "2"), ("0", "-1"), ("0", "")])
def test_variables_that_make_no_sense(
    monkeypatch: pytest.MonkeyPatch, rank: str, size: str
) -> None:
    assert rank_from_environment() == Rank(0, 1)
    monkeypatch.setenv("RANK", rank)
    monkeypatch.setenv("WORLD_SIZE", size)
    with pytest.raises(DigitcliError, match="which torchrun would not set"):
        rank_from_environment()


@pytest.mark.slow
def test_frozen_layers_stay_in_every_process(
    program: list[str], run: Run, checkpoint: Path, tmp_path: Path
) -> None:
    root = fill(tmp_path / "mine", {"3": 3, "5": 5})
    (root / "5" / "notes.txt").write_text("no picture")
    flags = ("--dataset", f"folder:{root}", "--from", checkpoint, "--epochs", 2)
    one = run("train", *flags, "--output", "alone")
    assert one.exit_code == 0
    two = together(*program[1:], "train", *flags, "--output", "two")
    assert two.returncode == 0, two.stderr
    alone, both = load_checkpoint(Path("alone")), load_checkpoint(Path("two"))
    assert_equal_to_rounding(alone, both)
    assert two.stderr.count("left out") == one.stderr.count("left out") == 1
    first = load_checkpoint(checkpoint).weights["l1.weight"]
    assert np.array_equal(both.weights["l1.weight"], first)
