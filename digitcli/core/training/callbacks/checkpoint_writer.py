"""Saving a run: its weights after every epoch, its training state whenever it is asked for."""

import shlex
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from digitcli.core.checkpointing.checkpoint import load_checkpoint, save_checkpoint
from digitcli.core.checkpointing.training_state import (
    TrainingState,
    by_option,
    load_state,
    refuse_changes,
    save_state,
    state_path,
)
from digitcli.core.errors import CheckpointError, DigitcliError, error_reason
from digitcli.core.files.atomic import check_writable, remove_leftovers
from digitcli.core.files.locks import exclusive_lock
from digitcli.core.training.callbacks.callback import Callback, EpochResult


class CompleteError(DigitcliError):
    """There is nothing to go on with: the run is over."""


class CheckpointWriter(Callback):
    """Keeps a run on disk.

    After an epoch the checkpoint is written first and the training state after it: killed in
    between, the run resumes from the older state and writes the same checkpoint again.

    Args:
        output: Where the weights go; the training state goes beside them.
    """

    def __init__(self, output: Path) -> None:
        self.output = output
        self.state = state_path(output)

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Makes sure that the run can be saved, and that no other writes to the same place.

        What a process that was killed has left behind is swept.

        Raises:
            CheckpointError: It could not be saved.
            DigitcliError: Another run is there.
        """
        try:
            check_writable(self.output)
        except OSError as error:
            raise self._unwritable(error) from error
        with exclusive_lock(self.output, "digitcli train", wait=0):
            try:
                for path in (self.output, self.state):
                    check_writable(path)
                    remove_leftovers(path)
            except OSError as error:
                raise self._unwritable(error) from error
            yield

    def _unwritable(self, error: OSError) -> CheckpointError:
        return CheckpointError(
            f"cannot write {self.output}: {error_reason(error)}",
            "choose another place with --output",
        )

    def interrupted(
        self, *, resume: bool | None, given: Mapping[str, object]
    ) -> TrainingState | None:
        """Finds out whether there is a run to go on with.

        Args:
            resume: Whether the user wants to; None if that was not said.
            given: Settings by name that the user gave; the run must have them.

        Returns:
            The state to go on from; None for a new run.

        Raises:
            CheckpointError: There is a run and nothing was said of it, or it cannot go on.
            CompleteError: The run is over.
            DigitcliError: The run was started with other settings.
        """
        if resume and self.state.exists():
            state = load_state(self.state)
            refuse_changes(by_option(**vars(state.settings)), given)
            return state
        if resume and self.output.exists():
            metadata = load_checkpoint(self.output).metadata
            start = metadata.data_checksums.get("from")
            then = by_option(metadata.recipe, start, dataset=metadata.dataset, seed=metadata.seed)
            refuse_changes(then, given)
            if metadata.epochs == metadata.recipe.epochs:
                raise CompleteError(f"the run that made {self.output} is complete")
            raise CheckpointError(
                f"{self.output} is of a run that ended after epoch {metadata.epochs} of "
                f"{metadata.recipe.epochs}, and what it needs to go on is not at {self.state}",
                "start over with --no-resume",
            )
        if resume is None and self.state.exists():
            raise CheckpointError(
                f"an interrupted run is at {self.state}",
                "go on with --resume, or start over with --no-resume",
            )
        return None

    def on_epoch(self, result: EpochResult) -> None:
        """Writes both; after the last epoch there is nothing to resume.

        Raises:
            CheckpointError: They cannot be written; see ``_rescued``.
        """

        def write(output: Path) -> None:
            save_checkpoint(output, result.checkpoint)
            if result.state is not None:
                save_state(state_path(output), result.state)

        self._write(write)
        if result.state is None:
            self.state.unlink(missing_ok=True)

    def on_state(self, state: TrainingState) -> None:
        """Writes the training state.

        Raises:
            CheckpointError: It cannot be written; see ``_rescued``.
        """
        self._write(lambda output: save_state(state_path(output), state))

    def _write(self, write: Callable[[Path], None]) -> None:
        try:
            write(self.output)
        except (OSError, CheckpointError) as error:
            problem = (
                error.problem
                if isinstance(error, CheckpointError)
                else f"cannot write {self.state}: {error_reason(error)}"
            )
            raise self._rescued(problem, write) from error

    def _rescued(self, problem: str, write: Callable[[Path], None]) -> CheckpointError:
        """Saves elsewhere what cannot be saved where it should be: it may be hours of work."""
        for find_folder in (_state_folder, tempfile.gettempdir):
            try:
                folder = Path(tempfile.mkdtemp(prefix="digitcli-rescued-", dir=find_folder()))
            except OSError:
                continue
            output = folder / self.output.name
            try:
                write(output)
            except (OSError, CheckpointError):
                shutil.rmtree(folder, ignore_errors=True)
                continue
            go_on = shlex.join(["digitcli", "train", "--resume", "--output", str(output)])
            unfinished = state_path(output).exists()
            return CheckpointError(
                problem,
                f"the run was saved elsewhere, go on with '{go_on}'"
                if unfinished
                else f"the run is over, its weights were saved as {output}",
            )
        return CheckpointError(problem, "no other place could be written either, make room")


def _state_folder() -> Path:
    import platformdirs

    return platformdirs.user_state_path("digitcli", appauthor=False, ensure_exists=True)
