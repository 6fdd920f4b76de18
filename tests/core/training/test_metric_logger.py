"""``train --log-dir``: every row once, in order, whatever happens to the run."""

import csv
import errno
import io
import json
import os
import resource
import signal
import sys
from pathlib import Path
from typing import Any

import pytest
from commands import Launch, Run, Start, kill_after
from drawn_digits import SmallMnist

from digitcli.core.checkpointing.checkpoint import load_checkpoint
from digitcli.core.checkpointing.locate import LATEST
from digitcli.core.checkpointing.training_state import TrainingState, load_state, state_path
from digitcli.core.files.locks import exclusive_lock
from digitcli.core.training.callbacks import metric_logger
from digitcli.core.training.callbacks.callback import EpochResult, LossReading
from digitcli.core.training.callbacks.checkpoint_writer import CheckpointWriter
from digitcli.core.training.callbacks.tensorboard import EventWriter

FLAGS = ("--epochs", "3", "--batch-size", "50", "--log-every", "5", "--lr", "0.05")
LINES, TABLE = Path("log/metrics.jsonl"), Path("log/metrics.csv")
TIMES = ("seconds", "images_per_second")


@pytest.fixture
def no_events(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("digitcli.core.training.callbacks.tensorboard.find_spec", lambda _: None)


def rows(path: Path = LINES) -> list[dict[str, Any]]:
    text = path.read_text()
    assert text.endswith("\n")
    return [json.loads(line) for line in text.splitlines()]


def timeless(path: Path = LINES) -> list[dict[str, Any]]:
    return [{name: row[name] for name in row if name not in TIMES} for row in rows(path)]


def check_table() -> None:
    """The table holds just the rows of the other file."""
    with TABLE.open(newline="") as file:
        table = list(csv.DictReader(file))
    expected = [
        {name: "" if value is None else str(value) for name, value in row.items()} for row in rows()
    ]
    assert table == expected


@pytest.mark.usefixtures("no_events")
def test_a_row_per_reading_and_per_epoch(run: Run, small_mnist: SmallMnist) -> None:
    flags = ("--recipe", "quick", "--epochs", 2, "--batch-size", 55, "--log-every", 4)
    result = run("train", *flags, "--mirror", small_mnist.folder, "--log-dir", "log")
    assert result.exit_code == 0, result.stderr
    metadata = load_checkpoint(LATEST).metadata
    assert metadata.recipe
    lr_at = metadata.recipe.lr_at
    losses, epochs = list(metadata.losses), list(metadata.accuracies)
    assert [
        (row["kind"], row["epoch"], row["batch"], row["step"], row["images"]) for row in rows()
    ] == [
        ("loss", 1, 4, 4, 220),
        ("loss", 1, 8, 8, 440),
        ("epoch", 1, 11, 11, 600),
        ("loss", 2, 4, 15, 820),
        ("loss", 2, 8, 19, 1040),
        ("epoch", 2, 11, 22, 1200),
    ]
    for row in rows():
        point = (losses if row["kind"] == "loss" else epochs).pop(0)
        assert (row["epoch"], row["loss"]) == (point.epoch, point.loss)
        assert row["lr"] == lr_at((row["step"] - 1) / 22)
        assert row["images_per_second"] == pytest.approx(row["images"] / row["seconds"])
    for row, point in zip(rows()[2::3], metadata.accuracies, strict=True):
        assert (row["accuracy"], row["scored_on"]) == (point.accuracy, "test")
        assert row["temperature"] == metadata.temperature
    for row in rows()[::3]:
        assert row["accuracy"] is row["scored_on"] is row["temperature"] is None
    seconds = [row["seconds"] for row in rows()]
    assert seconds == sorted(seconds)
    assert seconds[0] > 0
    check_table()
    assert sorted(path.name for path in Path("log").iterdir()) == [TABLE.name, LINES.name]


@pytest.mark.usefixtures("no_events")
def test_a_new_run_takes_the_place_of_an_old_one(run: Run, small_mnist: SmallMnist) -> None:
    flags = ("train", *FLAGS, "--log-dir", "log")
    run(*flags, "--mirror", small_mnist.folder)
    first = timeless()
    again = run(*flags, "--seed", 1)
    assert "digitcli: log/metrics.jsonl and metrics.csv are replaced" in again.stderr.splitlines()
    assert len(timeless()) == len(first) == 9
    assert [row["loss"] for row in timeless()] != [row["loss"] for row in first]
    check_table()


@pytest.mark.slow
def test_after_kills_the_rows_are_those_of_a_run_without(
    launch: Launch, run: Run, small_mnist: SmallMnist
) -> None:
    train = ("--epochs", 3, "--batch-size", 9, "--log-every", 5, "--lr", 0.01)
    flags = (*train, "--validation", 500, "--save-every", 2)
    mirror = ("--mirror", small_mnist.folder)
    run("train", *flags, *mirror, "--output", "whole", "--log-dir", "whole-log")
    for lines in (1, 3, 5):
        process = launch("train", *flags, "--resume", "--log-dir", "log")
        kill_after(process, lines)
        rows()  # each of which is whole
    with LINES.open() as follower:  # as tail -f does
        follower.read()
        assert run("train", *flags, "--resume", "--log-dir", "log").exit_code == 0
        assert LINES.stat().st_ino == Path("log/metrics.jsonl").stat().st_ino
    assert timeless() == timeless(Path("whole-log/metrics.jsonl"))
    assert [row["step"] for row in rows()] == [5, 10, 12, 17, 22, 24, 29, 34, 36]
    assert all(row["temperature"] != 1 for row in rows() if row["kind"] == "epoch")
    check_table()


@pytest.fixture
def stopped(run: Run, small_mnist: SmallMnist, monkeypatch: pytest.MonkeyPatch) -> str:
    """Standard error of a run that was stopped after its third reading."""
    readings = []

    def interrupt(_: CheckpointWriter, reading: LossReading) -> None:
        readings.append(reading)
        if len(readings) == 3:
            signal.raise_signal(signal.SIGTERM)

    with monkeypatch.context() as patched:
        patched.setattr(CheckpointWriter, "on_loss", interrupt)
        flags = ("--mirror", small_mnist.folder, "--log-dir", "log", "--output", "a name")
        result = run("train", *FLAGS, *flags)
    assert result.exit_code == 143
    return result.stderr


def test_how_to_go_on_names_the_folder(stopped: str) -> None:
    command = "digitcli train --resume --output 'a name' --log-dir log"
    assert stopped.endswith(f"; continue with '{command}'\n")


@pytest.mark.usefixtures("stopped", "no_events")
@pytest.mark.parametrize("damaged", ["changed", "shorter", "missing"])
def test_lost_or_foreign_rows_are_restored_from_the_state(run: Run, damaged: str) -> None:
    before = rows()
    assert [row["step"] for row in before] == [5, 10, 12, 17]
    foreign = {**before[1], "loss": 7.0, "seconds": 0.5}
    lines = LINES.read_text().splitlines()
    if damaged == "changed":
        LINES.write_text("\n".join([lines[0], json.dumps(foreign), *lines[2:], *lines]))
    elif damaged == "shorter":
        LINES.write_text("\n".join(["{half", lines[0]]))
    else:
        TABLE.unlink()
    assert run("train", "--resume", "--output", "a name", "--log-dir", "log").exit_code == 0
    after = rows()
    for row, known in zip(after[:4], before, strict=True):
        unmeasured = {**known, "seconds": None, "images_per_second": None, "temperature": None}
        assert row == unmeasured
    assert [row["step"] for row in after] == [5, 10, 12, 17, 22, 24, 29, 34, 36]
    assert after[4]["seconds"] > before[-1]["seconds"]  # it counts on
    check_table()


def test_tensorboard_sees_each_step_once(
    launch: Launch, run: Run, start: Start, small_mnist: SmallMnist
) -> None:
    pytest.importorskip("tensorboard")
    run("download", "--mirror", small_mnist.folder)
    process = launch("train", *FLAGS, "--log-dir", "log")
    kill_after(process, 5)
    # Not in this process: events are read in the order of the second that they begin in.
    assert start("train", "--resume", "--log-dir", "log").returncode == 0
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    seen = EventAccumulator("log")
    seen.Reload()
    assert set(seen.Tags()["scalars"]) == {
        "train/loss",
        "train/lr",
        "train/epoch_loss",
        "train/images_per_second",
        "test/accuracy",
        "temperature",
    }
    by_kind = {kind: [row for row in rows() if row["kind"] == kind] for kind in ("loss", "epoch")}
    for tag, kind, name in (
        ("train/loss", "loss", "loss"),
        ("train/epoch_loss", "epoch", "loss"),
        ("test/accuracy", "epoch", "accuracy"),
    ):
        expected = [(row["step"], pytest.approx(row[name])) for row in by_kind[kind]]
        assert [(event.step, event.value) for event in seen.Scalars(tag)] == expected


def test_a_tensorboard_that_is_broken_is_told_before_training(
    run: Run, small_mnist: SmallMnist, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "digitcli.core.training.callbacks.tensorboard.find_spec", lambda _: object()
    )
    monkeypatch.setitem(sys.modules, "tensorboard.compat.proto", None)
    result = run("train", *FLAGS, "--mirror", small_mnist.folder, "--log-dir", "log")
    assert result.exit_code == 2
    assert "pip install 'digitcli[tensorboard]'" in result.stderr.splitlines()[-1]
    assert not LATEST.exists()


@pytest.mark.skipif(sys.platform == "win32", reason="there is no such limit")
def test_a_full_disk_under_tensorboard_is_an_error_of_the_caller(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """TensorBoard's own writer ends it with a traceback of its thread."""
    pytest.importorskip("tensorboard")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    events = EventWriter.open(tmp_path, 0)
    assert events is not None
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (200, before[1]))
        with pytest.raises(OSError, match="File too large"):
            for step in range(100):
                events.add({"train/loss": 0.5}, step)
        events.close()
        with pytest.raises(OSError, match="File too large"):
            resource.setrlimit(resource.RLIMIT_FSIZE, (10, before[1]))
            EventWriter.open(tmp_path, 0)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, ignored)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("there", ["a file", "a folder in place of the table", "another run"])
def test_a_folder_that_cannot_be_written_is_told_before_training(
    run: Run, small_mnist: SmallMnist, there: str
) -> None:
    if there == "a file":
        Path("log").touch()
    elif there == "another run":
        Path("log").mkdir()
    else:
        TABLE.mkdir(parents=True)
    flags = ("train", *FLAGS, "--mirror", small_mnist.folder, "--log-dir", "log")
    if there == "another run":
        with exclusive_lock(Path("log"), "a test", wait=0):
            result = run(*flags)
    else:
        result = run(*flags)
    assert result.exit_code == 2
    (line,) = result.stderr.splitlines()
    assert line.endswith("choose another folder with --log-dir")
    assert not LATEST.exists()


@pytest.mark.skipif(sys.platform == "win32", reason="there is no such limit")
def test_a_full_disk_leaves_whole_rows(tmp_path: Path) -> None:
    """A row that only partly fits is taken back."""
    path = tmp_path / "rows"
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100, before[1]))
        with path.open("ab", buffering=0) as file:
            metric_logger._append(file, b"x" * 69 + b"\n")
            with pytest.raises(OSError, match="No space left"):
                metric_logger._append(file, b"y" * 69 + b"\n")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, ignored)
    assert path.read_bytes() == b"x" * 69 + b"\n"


@pytest.mark.usefixtures("no_events")
def test_a_full_disk_ends_the_run_which_can_go_on(
    run: Run, small_mnist: SmallMnist, monkeypatch: pytest.MonkeyPatch
) -> None:
    append = metric_logger._append

    def full(file: io.FileIO, line: bytes) -> None:
        if b'"epoch": 2' in line:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        append(file, line)

    flags = ("train", *FLAGS, "--log-dir", "log")
    with monkeypatch.context() as patched:
        patched.setattr(metric_logger, "_append", full)
        result = run(*flags, "--mirror", small_mnist.folder)
    assert result.exit_code == 2
    assert result.stderr.splitlines()[-1] == (
        "digitcli: error: cannot write log: No space left on device; "
        "choose another folder with --log-dir"
    )
    assert load_state(state_path(LATEST)).place == "after epoch 1 of 3"
    assert run(*flags, "--resume").exit_code == 0
    assert [row["step"] for row in rows()] == [5, 10, 12, 17, 22, 24, 29, 34, 36]
    assert all(row["seconds"] for row in rows())


def test_the_log_of_another_run_is_cut_after_its_state_is_removed(
    run: Run, small_mnist: SmallMnist, monkeypatch: pytest.MonkeyPatch
) -> None:
    flags = ("train", *FLAGS, "--mirror", small_mnist.folder, "--log-dir", "log")
    save = CheckpointWriter.on_state

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    def save_and_interrupt(writer: CheckpointWriter, state: TrainingState) -> None:
        save(writer, state)
        interrupt()

    with monkeypatch.context() as patch:
        patch.setattr(CheckpointWriter, "on_state", save_and_interrupt)
        assert run(*flags, "--save-every", "5").exit_code == 130
    assert state_path(LATEST).exists()
    before = rows()
    with monkeypatch.context() as patch:  # in between
        patch.setattr(metric_logger.MetricLogger, "on_start", interrupt)
        assert run(*flags, "--no-resume", "--seed", "2").exit_code == 130
    assert not state_path(LATEST).exists()
    assert rows() == before


def test_a_second_run_leaves_the_log_of_one_that_is_live_alone(
    run: Run, start: Start, small_mnist: SmallMnist, monkeypatch: pytest.MonkeyPatch
) -> None:
    flags = ("train", *FLAGS, "--mirror", small_mnist.folder)
    Path("link").symlink_to("log")
    write = CheckpointWriter.on_epoch
    others: list[Any] = []

    def write_while_another_starts(writer: CheckpointWriter, result: EpochResult) -> None:
        write(writer, result)
        if not others:
            others.append(start(*flags, "--output", "other", "--log-dir", "link"))

    monkeypatch.setattr(CheckpointWriter, "on_epoch", write_while_another_starts)
    assert run(*flags, "--log-dir", "log").exit_code == 0
    (other,) = others
    assert (other.returncode, other.stdout) == (2, "")
    assert "is being written by process" in other.stderr
    assert other.stderr.endswith("choose another folder with --log-dir\n")
    assert other.stderr.count("\n") == 1
    assert not Path("other").exists()
    assert [row["step"] for row in rows()] == [5, 10, 12, 17, 22, 24, 29, 34, 36]
    check_table()


def test_resuming_a_finished_run_removes_the_lock_of_a_killed_one(
    run: Run, small_mnist: SmallMnist
) -> None:
    flags = ("train", *FLAGS, "--mirror", small_mnist.folder, "--log-dir")
    assert run(*flags, "log").exit_code == 0
    before = TABLE.read_bytes()
    Path("log/.lock").touch()
    assert run(*flags, "log", "--resume").exit_code == 0
    assert not Path("log/.lock").exists()
    assert TABLE.read_bytes() == before
    with exclusive_lock(Path("log"), "a test", wait=0):
        assert run(*flags, "log", "--resume").exit_code == 0
        assert Path("log/.lock").exists()
    assert run(*flags, "new", "--resume").exit_code == 0
    assert not Path("new").exists()
