"""Interrupted runs: nothing is lost, and what comes of them is what would have come anyway."""

import errno
import json
import os
import resource
import shlex
import signal
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy
import torch
from commands import Launch, Run, Start, kill_after
from drawn_digits import SmallMnist, drawn_data
from training_runs import run_training

from digitcli.core.checkpointing.checkpoint import load_checkpoint
from digitcli.core.checkpointing.locate import LATEST
from digitcli.core.checkpointing.training_state import load_state, save_state, state_path
from digitcli.core.errors import CheckpointError, StoppedError
from digitcli.core.files.locks import exclusive_lock
from digitcli.core.files.schema import parse_record
from digitcli.core.recipes import BEST, QUICK, Recipe
from digitcli.core.recipes import RECIPES as DIGITCLIS_OWN
from digitcli.core.training.callbacks import checkpoint_writer
from digitcli.core.training.callbacks.callback import Callback, EpochResult, LossReading
from digitcli.core.training.callbacks.checkpoint_writer import CheckpointWriter
from digitcli.core.training.data import TrainingData
from digitcli.core.training.signals import StopSignals

FLAGS = ("--epochs", "3", "--batch-size", "50", "--log-every", "5", "--lr", "0.05")
STATE = state_path(LATEST)


@pytest.fixture(scope="module")
def data() -> TrainingData:
    return replace(drawn_data(outliers=50, synthetic=40), checksums={"a": "md5:b"})


RECIPES = {
    "plain": Recipe("plain", epochs=3, batch_size=30, lr=0.05, momentum=0.5),
    "nesterov, one cycle": replace(QUICK, epochs=3, batch_size=30, lr=0.05),
    "everything": replace(BEST, epochs=3, batch_size=30),
}


def names_in(folder: str) -> list[str]:
    return sorted(path.name for path in Path(folder).iterdir())


class Interrupter(Callback):
    """Sends this process a signal after so many batches."""

    def __init__(self, batches: int, signals: tuple[signal.Signals, ...]) -> None:
        self.left, self.signals = batches, signals

    def on_loss(self, _: LossReading) -> None:
        self.left -= 1
        if self.left == 0:
            for number in self.signals:
                signal.raise_signal(number)


def run_for(
    data: TrainingData,
    recipe: Recipe,
    writer: CheckpointWriter,
    batches: int,
    *,
    signals: tuple[signal.Signals, ...] = (signal.SIGTERM,),
    **options: Any,
) -> EpochResult:
    """Trains until a signal comes after so many batches."""
    resume = load_state(writer.state) if writer.state.exists() else None
    with StopSignals() as stop:
        return run_training(
            data,
            recipe,
            seed=5,
            log_every=1,
            callbacks=[writer, Interrupter(batches, signals)],
            resume=resume,
            signals=stop,
            **options,
        )


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES.keys())
@pytest.mark.parametrize("every", [1, 2, 3, 4, 5])
def test_a_run_stopped_time_and_again_makes_the_same_file(
    data: TrainingData, recipe: Recipe, every: int
) -> None:
    whole, parts = CheckpointWriter(Path("whole")), CheckpointWriter(Path("parts"))
    expected = run_for(data, recipe, whole, -1)
    places = []
    while True:
        try:
            result = run_for(data, recipe, parts, every)
        except StoppedError as stopped:
            assert stopped.exit_code == 143
            places.append(stopped.problem)
        else:
            break
    assert len(places) == (12 - 1) // every
    assert ("stopped after epoch 1 of 3" in places) is (4 % every == 0)
    assert Path("parts").read_bytes() == Path("whole").read_bytes()
    assert result.checkpoint.metadata == expected.checkpoint.metadata
    assert not parts.state.exists()
    assert names_in(".") == ["parts", "whole"]


@pytest.mark.parametrize("recipe", DIGITCLIS_OWN.values(), ids=DIGITCLIS_OWN.keys())
def test_a_recipe_is_written_alike_after_it_was_read(recipe: Recipe) -> None:
    """The storm of kills found resumed runs with 8.0 in their metadata where others had 8."""
    text = json.dumps(asdict(recipe))
    assert json.dumps(asdict(parse_record(json.loads(text), Recipe, "recipe"))) == text


def test_what_is_saved_amid_an_epoch_is_enough(data: TrainingData) -> None:
    recipe = RECIPES["everything"]
    whole, killed = CheckpointWriter(Path("whole")), CheckpointWriter(Path("killed"))
    run_for(data, recipe, whole, -1)
    with pytest.raises(KeyboardInterrupt):  # the second signal ends it at once: nothing is saved
        run_for(data, recipe, killed, 7, signals=(signal.SIGINT,) * 2, save_every=3)
    assert load_state(killed.state).place == "after epoch 1 of 3"
    with pytest.raises(KeyboardInterrupt):
        run_for(data, recipe, killed, 4, signals=(signal.SIGINT,) * 2, save_every=3)
    assert load_state(killed.state).place == "after batch 3 of epoch 2"
    run_for(data, recipe, killed, -1)
    assert Path("killed").read_bytes() == Path("whole").read_bytes()


def test_a_signal_in_the_last_batch_is_no_reason_not_to_finish(data: TrainingData) -> None:
    writer = CheckpointWriter(Path("done"))
    result = run_for(data, RECIPES["plain"], writer, 12)
    assert result.checkpoint.metadata.epochs == 3
    assert not writer.state.exists()


def test_an_ignored_signal_stays_ignored_and_handlers_come_back() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with StopSignals() as stop:
            signal.raise_signal(signal.SIGHUP)
            assert stop.received is None
            signal.raise_signal(signal.SIGINT)
            assert stop.received is signal.SIGINT
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGHUP, before)


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
def test_a_signal_saves_and_says_how_to_go_on(
    launch: Launch, run: Run, small_mnist: SmallMnist, number: signal.Signals, code: int
) -> None:
    output = "a name with spaces"
    mirror = ("--mirror", small_mnist.folder)
    assert run("train", *FLAGS, *mirror, "--output", "whole").exit_code == 0
    process = launch("train", *FLAGS, "--output", output, "--epochs", 5000)
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.readline()
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert process.returncode == code
    state = load_state(state_path(Path(output)))
    advice = f"continue with 'digitcli train --resume --output {shlex.quote(output)}'"
    *images, stopped = err.splitlines()
    assert stopped == f"digitcli: stopped {state.place}; {advice}"
    assert [line.split()[1:3] for line in images] == [["600", "training"], ["200", "test"]]
    assert all(line.startswith("epoch ") for line in out.splitlines())


@pytest.mark.slow
def test_killed_runs_go_on_to_the_same_file(
    launch: Launch, run: Run, small_mnist: SmallMnist
) -> None:
    flags = (*FLAGS, "--save-every", 2)
    run("train", *flags, "--mirror", small_mnist.folder, "--output", "whole")
    for lines in (1, 3, 2):
        process = launch("train", *flags, "--resume", "--log-every", 5)
        kill_after(process, lines)
        if LATEST.exists():
            load_checkpoint(LATEST)
    assert run("train", *flags, "--resume").exit_code == 0
    assert LATEST.read_bytes() == Path("whole").read_bytes()
    assert names_in("checkpoints") == [LATEST.name]


@pytest.fixture
def interrupted(run: Run, small_mnist: SmallMnist, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run that was stopped in its second epoch, under the name that is the default."""
    interrupter = Interrupter(3, (signal.SIGTERM,))
    with monkeypatch.context() as patched:
        patched.setattr(
            CheckpointWriter, "on_loss", lambda _, reading: interrupter.on_loss(reading)
        )
        result = run("train", *FLAGS, "--mirror", small_mnist.folder, "--seed", 3)
    assert result.exit_code == 143
    assert result.stderr.splitlines()[-1] == (
        "digitcli: stopped after batch 5 of epoch 2; continue with 'digitcli train --resume'"
    )
    return STATE


@pytest.mark.usefixtures("interrupted")
def test_what_is_not_given_is_taken_from_the_interrupted_run(
    run: Run,
) -> None:
    run("train", *FLAGS, "--seed", 3, "--output", "whole")
    result = run("train", "--resume", "--json")
    assert result.exit_code == 0
    assert "digitcli: resuming after batch 5 of epoch 2" in result.stderr
    assert "will be replaced" not in result.stderr
    begin, first, *_, done = map(json.loads, result.stdout.splitlines())
    assert (begin["event"], begin["epoch"], begin["batch"]) == ("begin", 2, 5)
    assert (first["epoch"], first["batch"]) == (2, 10)
    assert (done["epochs"], done["seed"]) == (3, 3)
    assert LATEST.read_bytes() == Path("whole").read_bytes()
    again = run("train", "--resume")
    assert (again.exit_code, again.stdout) == (0, "")
    assert again.stderr == (
        f"digitcli: the run that made {LATEST} is complete, nothing is left to do\n"
    )
    longer = run("train", "--resume", "--epochs", 9)
    assert longer.exit_code == 2
    assert "other settings (--epochs 3 then, 9 now); " in longer.stderr


@pytest.mark.parametrize(
    ("flags", "difference"),
    [
        (["--lr", 0.1, "--seed", 4], "--lr 0.05 then, 0.1 now; --seed 3 then, 4 now"),
        (["--epochs", 4], "--epochs 3 then, 4 now"),
        (["--recipe", "quick"], "--recipe lesson then, quick now"),
        (["--dataset", "optdigits"], "--dataset mnist then, optdigits now"),
        (["--validation", 50], "--validation None then, 50 now"),
    ],
)
def test_other_settings_are_refused_by_name(
    run: Run, interrupted: Path, flags: list[object], difference: str
) -> None:
    before = interrupted.read_bytes()
    result = run("train", "--resume", *map(str, flags))
    assert result.exit_code == 2
    assert f"other settings ({difference}); " in result.stderr
    assert interrupted.read_bytes() == before
    assert run("train", "--resume", *FLAGS, "--seed", 3, "--recipe", "lesson").exit_code == 0


@pytest.mark.usefixtures("interrupted")
def test_the_interval_of_readings_may_change(run: Run) -> None:
    """The readings go on without a gap, each of the batches since the last; no weight changes."""
    run("train", *FLAGS, "--seed", 3, "--output", "whole")
    run("train", *FLAGS, "--seed", 3, "--output", "each", "--log-every", 1)
    result = run("train", "--resume", "--log-every", 4, "--log-dir", "log")
    assert result.exit_code == 0, result.stderr
    whole, found = load_checkpoint(Path("whole")), load_checkpoint(LATEST)
    assert all(np.array_equal(found.weights[name], whole.weights[name]) for name in whole.weights)
    assert found.metadata.accuracies == whole.metadata.accuracies
    readings = [(point.epoch, point.batch) for point in found.metadata.losses]
    before = [(1, 5), (1, 10), (2, 5)]
    assert readings == [*before, (2, 8), (2, 12), (3, 4), (3, 8), (3, 12)]
    assert found.metadata.losses[:3] == whole.metadata.losses[:3]
    single = [point.loss for point in load_checkpoint(Path("each")).metadata.losses]
    assert found.metadata.losses[3].loss == pytest.approx(np.mean(single[12 + 5 : 12 + 8]))
    rows = [json.loads(line) for line in Path("log/metrics.jsonl").read_text().splitlines()]
    assert [(r["epoch"], r["batch"]) for r in rows if r["kind"] == "loss"] == readings


def test_other_data_is_refused_by_name(
    run: Run, interrupted: Path, small_mnist: SmallMnist
) -> None:
    state = load_state(interrupted)
    name = small_mnist.files[1].name
    saved = replace(state, checksums={**state.checksums, name: "md5:00"})
    save_state(interrupted, saved)
    result = run("train", "--resume")
    assert result.exit_code == 2
    assert f"other data ({name} md5:00 then, md5:{small_mnist.files[1].md5} now)" in result.stderr


def test_another_machine_is_told_and_not_refused(run: Run, interrupted: Path) -> None:
    state = load_state(interrupted)
    save_state(
        interrupted, replace(state, machine={**state.machine, "torch": "1\x1b.0", "\x1b[2J": "x"})
    )
    result = run("train", "--resume")
    assert result.exit_code == 0
    assert "\x1b" not in result.stderr
    assert f"torch was 1\\x1b.0, now {torch.__version__}: " in result.stderr


def test_an_interrupted_run_is_not_written_over_unasked(run: Run, interrupted: Path) -> None:
    before = interrupted.read_bytes()
    result = run("train", *FLAGS)
    assert result.exit_code == 2
    assert result.stderr == (
        f"digitcli: error: an interrupted run is at {interrupted}; continue with "
        "'digitcli train --resume', or start over with --no-resume\n"
    )
    state_path(Path("mine")).write_bytes(before)
    named = run("train", *FLAGS, "--output", "mine").stderr
    assert "continue with 'digitcli train --resume --output mine', or start over" in named
    assert interrupted.read_bytes() == before
    assert run("train", *FLAGS, "--output", "elsewhere").exit_code == 0
    assert run("train", *FLAGS, "--no-resume").exit_code == 0
    assert LATEST.read_bytes() == Path("elsewhere").read_bytes()  # seed 0, not 3
    assert not interrupted.exists()


@pytest.mark.parametrize("write", ["save_state", "save_checkpoint"])
def test_a_new_run_killed_in_its_first_epoch_does_not_resume_the_old_one(
    run: Run, interrupted: Path, monkeypatch: pytest.MonkeyPatch, write: str
) -> None:
    def die(*_: object) -> None:
        raise KeyboardInterrupt

    new = (*FLAGS, "--seed", 2)
    run("train", *new, "--output", "whole")
    with monkeypatch.context() as patched:
        patched.setattr(checkpoint_writer, write, die)
        assert run("train", *new, "--no-resume").exit_code == 130
    assert not interrupted.exists() or load_state(interrupted).settings.seed == 2
    LATEST.unlink(missing_ok=True)  # of the old run
    assert run("train", *new, "--resume").exit_code == 0
    assert LATEST.read_bytes() == Path("whole").read_bytes()
    assert names_in("checkpoints") == [LATEST.name]


def test_resume_with_nothing_there_starts(run: Run, small_mnist: SmallMnist) -> None:
    result = run("train", *FLAGS, "--resume", "--mirror", small_mnist.folder)
    assert result.exit_code == 0
    assert load_checkpoint(LATEST).metadata.epochs == 3


def test_a_lost_training_state_is_no_reason_to_write_over_the_weights(
    run: Run, interrupted: Path
) -> None:
    interrupted.unlink()
    before = LATEST.read_bytes()
    result = run("train", "--resume")
    assert result.exit_code == 2
    assert "ended after epoch 1 of 3, and its training state is not at" in result.stderr
    assert LATEST.read_bytes() == before


def _without(name: str) -> Callable[[dict[str, Any], dict[str, Any]], None]:
    return lambda tensors, _: tensors.pop(name)


DAMAGES: dict[str, tuple[Callable[[dict[str, Any], dict[str, Any]], object], str]] = {
    "a lost tensor": (lambda t, _: t.pop("optimizer.velocity.0"), "velocity.0 is missing"),
    "an unknown tensor": (lambda t, _: t.update(x=t["losses"]), "tensor x is unknown"),
    "another shape": (
        lambda t, _: t.update(losses=t["losses"][:-1]),
        "losses is float32[11], not float32[12]",
    ),
    "another type": (
        lambda t, _: t.update(order=t["order"].astype(np.int32)),
        "order is int32[600], not int64[600]",
    ),
    "nan": (lambda t, _: t["model.l1.bias"].fill(np.nan), "model.l1.bias holds nan or infinity"),
    "an order that repeats": (lambda t, _: t["order"].fill(7), "the training state is damaged"),
    "no generator": (lambda t, _: t["generator"].fill(255), "the training state is damaged"),
    "a batch beyond the epoch": (lambda _, v: v.update(batch=99), "the training state is damaged"),
    "a batch before the epoch": (lambda _, v: v.update(batch=-1), "no run is at epoch 2, batch -1"),
    "an epoch beyond the run": (lambda _, v: v.update(epoch=4), "no run is at epoch 4, batch 5"),
    "epochs without accuracies": (
        lambda _, v: v.update(accuracies=[]),
        "0 accuracies for 1 finished epochs",
    ),
    "a newer version": (lambda _, v: v.update(state_version=2), "version 2, this digitcli reads"),
    "no settings": (lambda _, v: v.pop("settings"), "incomplete or of the wrong type"),
    "a text for a number": (lambda _, v: v.update(batch="5"), "incomplete or of the wrong type"),
}


@pytest.mark.parametrize(("damage", "problem"), DAMAGES.values(), ids=DAMAGES.keys())
def test_a_damaged_training_state_is_refused(
    run: Run,
    interrupted: Path,
    damage: Callable[[dict[str, Any], dict[str, Any]], object],
    problem: str,
) -> None:
    tensors = safetensors.numpy.load_file(interrupted)
    with safetensors.safe_open(interrupted, framework="numpy") as file:
        ((key, document),) = file.metadata().items()
    values = json.loads(document)
    damage(tensors, values)
    safetensors.numpy.save_file(tensors, interrupted, {key: json.dumps(values)})
    before = LATEST.read_bytes()
    result = run("train", "--resume")
    assert result.exit_code == 2
    (line,) = [line for line in result.stderr.splitlines() if "error" in line]
    assert problem in line
    assert LATEST.read_bytes() == before


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", f"the training state {STATE} is empty; start over with --no-resume"),
        (b"x" * 100, f"{STATE} is not a safetensors file; start over with --no-resume"),
        (b"\xff" * 100, f"{STATE} is not a safetensors file; start over with --no-resume"),
        (b"\xff" + bytes(99), f"{STATE} is damaged or not a safetensors file (it ends within"),
    ],
)
def test_what_is_no_training_state_is_refused(
    run: Run, interrupted: Path, content: bytes, problem: str
) -> None:
    interrupted.write_bytes(content)
    result = run("train", "--resume")
    assert result.exit_code == 2
    assert problem in result.stderr
    interrupted.write_bytes(LATEST.read_bytes())
    result = run("train", "--resume")
    assert result.exit_code == 2
    assert "is a safetensors file, but not a training state of digitcli" in result.stderr


def test_a_loss_that_becomes_nan_keeps_what_is_good(run: Run, interrupted: Path) -> None:
    tensors = safetensors.numpy.load_file(interrupted)
    with safetensors.safe_open(interrupted, framework="numpy") as file:
        metadata = file.metadata()
    tensors["model.l1.weight"][:] = 1e38  # finite, and too much for the next batch
    safetensors.numpy.save_file(tensors, interrupted, metadata)
    before = LATEST.read_bytes(), interrupted.read_bytes()
    result = run("train", "--resume")
    assert result.exit_code == 1
    assert result.stderr.splitlines()[-1] == (
        "digitcli: error: the loss is not finite from epoch 2, batch 6 on; lower --lr or "
        "--momentum, and start over with --no-resume"
    )
    assert (LATEST.read_bytes(), interrupted.read_bytes()) == before


def test_a_place_that_cannot_be_written_any_more_loses_nothing(
    data: TrainingData, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "rescue"))
    recipe = RECIPES["plain"]
    run_for(data, recipe, CheckpointWriter(Path("whole")), -1)
    folder = Path("folder")
    writer = CheckpointWriter(folder / "run")
    with pytest.raises(StoppedError):
        run_for(data, recipe, writer, 2)
    folder.rename("moved")
    folder.write_text("a file where the folder was")
    resume = load_state(Path("moved") / writer.state.name)

    def go_on(batches: int) -> str:
        with pytest.raises(CheckpointError) as caught, StopSignals() as stop:
            run_training(data, recipe, seed=5, log_every=1, resume=resume, signals=stop,
                         callbacks=[writer, Interrupter(batches, (signal.SIGINT,))])  # fmt: skip
        assert caught.value.problem.startswith("cannot write folder/run")
        advice = caught.value.next_step.removesuffix("'")
        words = advice.removeprefix("the run was saved elsewhere, continue with '")
        *command, rescued = shlex.split(words)
        assert command == ["digitcli", "train", "--resume", "--output"]
        return rescued

    rescued = go_on(1)  # within an epoch
    assert load_state(state_path(Path(rescued))).place == "after batch 3 of epoch 1"
    run_for(data, recipe, CheckpointWriter(Path(rescued)), -1)
    assert Path(rescued).read_bytes() == Path("whole").read_bytes()

    rescued = go_on(-1)  # at the end of an epoch
    assert load_checkpoint(Path(rescued)).metadata.epochs == 1
    assert load_state(state_path(Path(rescued))).place == "after epoch 1 of 3"


def test_a_last_epoch_that_cannot_be_written_is_saved_elsewhere(
    data: TrainingData, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "rescue"))
    recipe = replace(RECIPES["plain"], epochs=1)
    Path("file").touch()
    with pytest.raises(
        CheckpointError, match="the run is complete, its weights were saved as"
    ) as error:
        run_for(data, recipe, CheckpointWriter(Path("file/run")), -1)
    rescued = Path(error.value.next_step.rsplit(" ", 1)[1])
    assert load_checkpoint(rescued).metadata.epochs == 1


def test_a_full_disk_keeps_the_old_checkpoint(
    run: Run, start: Start, small_mnist: SmallMnist, checkpoint: Path
) -> None:
    before = checkpoint.read_bytes()

    def no_room() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (2**20, 2**20))

    run("download", "--mirror", small_mnist.folder)
    result = start("train", *FLAGS, preexec_fn=no_room)
    assert result.returncode == 2
    kept = LATEST.with_name("latest.previous.safetensors")  # the first file that is written
    assert result.stderr.splitlines()[-1] == (
        f"digitcli: error: cannot write {kept}: File too large; no other place could be written "
        "either, free some space"
    )
    assert checkpoint.read_bytes() == before
    assert names_in("checkpoints") == [LATEST.name]


def test_a_second_run_is_told_who_writes_there(run: Run, small_mnist: SmallMnist) -> None:
    with exclusive_lock(STATE, "digitcli train", wait=0):
        result = run("train", *FLAGS, "--mirror", small_mnist.folder)
    assert result.exit_code == 2
    assert f"is being written by process {os.getpid()} on " in result.stderr
    assert not LATEST.exists()


def test_a_state_that_cannot_be_removed_at_the_end_is_one_line(
    run: Run, interrupted: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    unlink = Path.unlink

    def fail(path: Path, *, missing_ok: bool = False) -> None:
        if path == interrupted:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        unlink(path, missing_ok=missing_ok)

    monkeypatch.setattr(Path, "unlink", fail)
    result = run("train", "--resume")
    assert result.exit_code == 2
    assert result.stderr.splitlines()[-1] == (
        f"digitcli: error: cannot remove {STATE}: Input/output error; delete it, the run is "
        f"complete: {LATEST}"
    )
    assert load_checkpoint(LATEST).metadata.epochs == 3


def test_names_of_one_run_share_its_state_and_its_lock(run: Run, small_mnist: SmallMnist) -> None:
    Path("there").mkdir()
    Path("link").symlink_to("there/a")
    Path("there/b.safetensors").symlink_to("a.safetensors")
    flags = (*FLAGS, "--mirror", small_mnist.folder)
    names = ("there/a", "there/a.safetensors", "link", "there/b.safetensors")
    for first in names:
        with CheckpointWriter(Path(first)).locked():
            for second in names:
                result = run("train", *flags, "--output", second)
                assert result.exit_code == 2
                assert "there/a.training.safetensors is being written by process" in result.stderr
    states = {state_path(Path(name)).resolve() for name in names}
    assert states == {Path("there/a.training.safetensors").resolve()}


def test_an_output_with_the_name_of_a_training_state_is_refused(
    run: Run, interrupted: Path
) -> None:
    before = interrupted.read_bytes()
    result = run("train", *FLAGS, "--output", interrupted)
    assert result.exit_code == 2
    assert result.stderr == (
        f"digitcli: error: {STATE} is the name of a training state; name the weights "
        "checkpoints/latest.safetensors\n"
    )
    assert interrupted.read_bytes() == before


def test_what_killed_processes_left_is_swept(run: Run, small_mnist: SmallMnist) -> None:
    LATEST.parent.mkdir()
    for name in (LATEST.name, STATE.name):
        (LATEST.parent / f".{name}.0123456789abcdef.tmp").touch()
    kept = {f".{LATEST.name}.tmp", f"{LATEST.name}.0123456789abcdef.tmp", ".a.0123456789abcdef.tmp"}
    for name in kept:
        (LATEST.parent / name).touch()
    assert run("train", *FLAGS, "--mirror", small_mnist.folder).exit_code == 0
    assert names_in("checkpoints") == sorted([*kept, LATEST.name])
