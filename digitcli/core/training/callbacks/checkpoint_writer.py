"""Saving a run: its weights after every epoch, its training state whenever one is due."""

import shlex
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import numpy as np
from typing_extensions import override

from digitcli.core.checkpointing.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from digitcli.core.checkpointing.locate import LATEST
from digitcli.core.checkpointing.replaced import Replaced, find_replaced
from digitcli.core.checkpointing.training_state import (
    Settings,
    TrainingState,
    by_option,
    load_state,
    refuse_changes,
    save_state,
    state_path,
)
from digitcli.core.errors import CheckpointError, DigitcliError, error_reason
from digitcli.core.files.atomic import (
    check_writable,
    remove_durably,
    write_errors,
)
from digitcli.core.files.locks import exclusive_lock
from digitcli.core.training.callbacks.callback import Callback, EpochResult
from digitcli.core.training.data import TrainingData

_ELSEWHERE = "choose another place with --output"


class RunCompleteError(DigitcliError):
    """The run to resume is complete."""


class CheckpointWriter(Callback):
    """Writes the checkpoint and the training state of a run.

    The state of another run is removed before anything is written: no run may resume from it.
    A finished checkpoint of another run is copied before it is replaced, see ``Replaced``.
    After an epoch the checkpoint is written first: killed before the state is written, the run
    resumes from its older state and writes the same checkpoint again. The first state has no older
    one, so it is written before its checkpoint.

    Attributes:
        output: File of the checkpoint.
        state: File of the training state, beside it.
        replaced: The file that the run will replace, or None; set by ``locked``.

    Raises:
        CheckpointError: The output is the name of a training state, or has another format's ending.
    """

    def __init__(self, output: Path) -> None:
        self.output = output
        self.state = state_path(output)
        self.replaced: Replaced | None = None
        self._resumed: TrainingState | None = None
        self._has_written = False

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Checks that the run can be saved, and keeps other runs from writing to the same place.

        Raises:
            CheckpointError: The run could not be saved.
            DigitcliError: Another run is there.
        """
        with write_errors(self.output, _ELSEWHERE, CheckpointError):
            check_writable(self.output)
        with exclusive_lock(self.state, "digitcli train", wait=0):
            self.replaced = find_replaced(self.output)
            if self.replaced is not None:
                self.replaced.check()
            with write_errors(self.output, _ELSEWHERE, CheckpointError):
                check_writable(self.state)
            yield

    def find_interrupted(
        self, *, resume: bool | None, given: Mapping[str, object]
    ) -> TrainingState | None:
        """Finds the interrupted run to resume.

        Args:
            resume: The user's choice; None if there was none.
            given: Settings by name that the user gave; the run must have them.

        Returns:
            The state to resume from; None for a new run.

        Raises:
            CheckpointError: There is a run and ``resume`` is None, or it cannot be resumed.
            RunCompleteError: The run is complete.
            DigitcliError: The run was started with other settings.
        """
        if resume and self.state.exists():
            state = load_state(self.state)
            refuse_changes(by_option(**vars(state.settings)), given)
            return state
        if resume and self.output.exists():
            self._refuse_finished(given)
        if resume is None and self.state.exists():
            where = [] if self.output == LATEST else ["--output", str(self.output)]
            command = shlex.join(["digitcli", "train", "--resume", *where])
            raise CheckpointError(
                f"an interrupted run is at {self.state}",
                f"continue with '{command}', or start over with --no-resume",
            )
        return None

    def _refuse_finished(self, given: Mapping[str, object]) -> None:
        """Raises the error of a run without a training state: it is complete, or lost."""
        metadata = load_checkpoint(self.output).metadata
        if metadata.recipe is None:
            raise CheckpointError(
                f"{self.output} was imported, so there is no run to resume",
                "start from it with --from and another --output, or replace it with --no-resume",
            )
        start = metadata.data_checksums.get("from")
        then = by_option(metadata.recipe, start, dataset=metadata.dataset, seed=metadata.seed)
        refuse_changes(then, given)
        if metadata.epochs == metadata.recipe.epochs:
            raise RunCompleteError(f"the run that made {self.output} is complete")
        raise CheckpointError(
            f"{self.output} is of a run that ended after epoch {metadata.epochs} of "
            f"{metadata.recipe.epochs}, and its training state is not at {self.state}",
            "start over with --no-resume",
        )

    @override
    def on_start(
        self, data: TrainingData, settings: Settings, resumed: TrainingState | None
    ) -> None:
        """Removes the state of another run.

        Raises:
            CheckpointError: That fails.
        """
        self._resumed = resumed
        if resumed is None:
            with write_errors(self.state, _ELSEWHERE, CheckpointError):
                remove_durably(self.state)

    @override
    def on_epoch(self, result: EpochResult) -> None:
        def write(output: Path) -> None:
            state, path = result.state, state_path(output)
            writes = [partial(save_checkpoint, output, result.checkpoint)]
            if state is not None:
                writes.insert(1 if path.exists() else 0, partial(save_state, path, state))
            if output == self.output and not self._has_written:
                writes.insert(0, partial(self._keep_replaced, result.checkpoint))
            for each in writes:
                each()

        self._write(write)
        self._has_written = True
        if result.state is None:
            try:
                remove_durably(self.state)
            except OSError as error:
                raise CheckpointError(
                    f"cannot remove {self.state}: {error_reason(error)}",
                    f"delete it, the run is complete: {self.output}",
                ) from error

    def _keep_replaced(self, new: Checkpoint) -> None:
        """Copies what another run or the user left at the output, which may have changed since."""
        replaced = find_replaced(self.output)
        if replaced is not None and not self._has_written_before(replaced, new):
            replaced.keep()

    def _has_written_before(self, replaced: Replaced, new: Checkpoint) -> bool:
        """Returns True if this run wrote a file, before it was killed and resumed.

        It has made its copy then, which another one would replace. If it was killed in its first
        epoch, only equal weights tell its file from that of an earlier run of the same command.
        """
        old = replaced.checkpoint
        if old is None or self._resumed is None:
            return False
        keys = ("command", "data_checksums", "epochs")
        same_run = all(getattr(old.metadata, key) == getattr(new.metadata, key) for key in keys)
        return same_run and (self._resumed.epoch > 1 or _has_equal_weights(old, new))

    @override
    def on_state(self, state: TrainingState) -> None:
        self._write(lambda output: save_state(state_path(output), state))

    def _write(self, write: Callable[[Path], None]) -> None:
        """Writes to the output, or elsewhere what cannot be written there: it may be hours of work.

        Raises:
            CheckpointError: It could not be written to the output; the error says where it is.
        """
        try:
            write(self.output)
        except CheckpointError as error:
            raise CheckpointError(error.problem, self._rescue(write)) from error

    def _rescue(self, write: Callable[[Path], None]) -> str:
        """Writes to another folder and returns what the user can do."""
        for find_folder in (_state_folder, tempfile.gettempdir):
            try:
                folder = Path(tempfile.mkdtemp(prefix="digitcli-rescued-", dir=find_folder()))
            except OSError:
                continue
            output = folder / self.output.name
            try:
                write(output)
            except CheckpointError:
                shutil.rmtree(folder, ignore_errors=True)
                continue
            if not state_path(output).exists():
                return f"the run is complete, its weights were saved as {output}"
            command = shlex.join(["digitcli", "train", "--resume", "--output", str(output)])
            return f"the run was saved elsewhere, continue with '{command}'"
        return "no other place could be written either, free some space"


def _has_equal_weights(one: Checkpoint, other: Checkpoint) -> bool:
    return all(np.array_equal(other.weights[name], one.weights[name]) for name in one.weights)


def _state_folder() -> Path:
    import platformdirs

    return platformdirs.user_state_path("digitcli", appauthor=False, ensure_exists=True)
