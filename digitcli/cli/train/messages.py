"""What ``train`` prints beside its results: before a run, and when one ends early."""

import shlex
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from typing_extensions import override

from digitcli.console.streams import as_kept, print_note, training_facts
from digitcli.core.checkpointing.checkpoint import load_checkpoint
from digitcli.core.checkpointing.locate import LATEST, PRETRAINED, find_bundled
from digitcli.core.checkpointing.metadata import Metadata, recorded_dataset
from digitcli.core.checkpointing.replaced import Replaced
from digitcli.core.checkpointing.training_state import Settings, TrainingState
from digitcli.core.errors import CheckpointError, DivergedError, StoppedError
from digitcli.core.evaluation.calibration import MIN_FIT_IMAGES
from digitcli.core.training.callbacks.callback import Callback
from digitcli.core.training.data import Labels, TrainingData
from digitcli.text import percent, visible

if TYPE_CHECKING:
    from digitcli.core.training.callbacks.checkpoint_writer import CheckpointWriter
    from digitcli.core.training.callbacks.metric_logger import MetricLogger
    from digitcli.core.training.initial_weights import InitialWeights
    from digitcli.report.curve import LearningCurve

_MAX_LISTED = 20
"""Maximum number of classes that a line lists."""


def print_plan(
    settings: Settings,
    interrupted: TrainingState | None,
    initial: "InitialWeights | None",
    machine: dict[str, str],
) -> None:
    """Prints what the user should know before the data is loaded."""
    if interrupted is not None:
        print_note(f"resuming {interrupted.place}")
        then = interrupted.machine
        for name in sorted(
            name for name in machine if then.get(name, machine[name]) != machine[name]
        ):
            print_note(
                f"{name} was {visible(then[name])}, now {machine[name]}: the weights may differ by "
                "rounding"
            )
    if initial is not None and settings.classes != initial.classes:
        new = "last two layers are" if initial.new_layers == 2 else "output layer is"
        print_note(f"{visible(initial.name)} has other classes, the {new} new")
    if settings.recipe.synthetic:
        print_note("generating synthetic digits")
    if settings.recipe.outliers:
        print_note("generating non-digit images for outlier exposure")


def print_better_weights(output: Path, metadata: Metadata) -> None:
    """Prints that other commands will use a run's weights, if the bundled ones are more accurate.

    Both must have been scored on the same test images.
    """
    if output != LATEST:
        return
    try:
        bundled = load_checkpoint(find_bundled()).metadata
    except CheckpointError:
        return
    both = metadata.data_checksums.keys() & bundled.data_checksums.keys() - {"from"}
    same_images = both and all(
        metadata.data_checksums[file] == bundled.data_checksums[file] for file in both
    )
    if not same_images or {metadata.scored_on, bundled.scored_on} != {"test"}:
        return
    mine, theirs = metadata.accuracies[-1].accuracy, bundled.accuracies[-1].accuracy
    if mine < theirs:
        print_note(
            f"the other commands use these weights here from now on; the bundled ones have a test "
            f"accuracy of {percent(theirs)} (--checkpoint {PRETRAINED})"
        )


class StartNotes(Callback):
    """Prints, once all checks have passed, what a run trains on, and how it differs from the plan.

    Args:
        batch_size: Batch size of the recipe as it was chosen.
        accuracy: Accuracy of the initial weights in 0..1, if they can answer.
        replaced: The file that the run will replace, or None.
        log: Logs the metrics, if given.
        curve: Plots the run, if given.
    """

    def __init__(
        self,
        batch_size: int,
        accuracy: float | None,
        replaced: Replaced | None,
        log: "MetricLogger | None",
        curve: "LearningCurve | None",
    ) -> None:
        self._batch_size, self._accuracy = batch_size, accuracy
        self._replaced, self._log, self._curve = replaced, log, curve

    @override
    def on_start(
        self, data: TrainingData, settings: Settings, resumed: TrainingState | None
    ) -> None:
        _print_images(data, data.train_labels, "training")
        _print_images(data, data.scored_labels, data.scored_on)
        if self._accuracy is not None:
            print_note(f"{data.scored_on} accuracy before training {percent(self._accuracy)}")
        if data.scored_on == "validation" and len(data.scored_labels) < MIN_FIT_IMAGES:
            print_note(
                f"fewer than {MIN_FIT_IMAGES} validation images: the temperature is not fitted"
            )
        if (size := settings.recipe.batch_size) < self._batch_size:
            print_note(
                f"batch size reduced from {self._batch_size} to {size}: only "
                f"{len(data.train_labels)} training images"
            )
        if resumed is None and self._replaced is not None:
            _print_replaced(self._replaced, settings)
        if resumed is None and self._log is not None and self._log.exists():
            print_note(f"{visible(str(self._log.lines))} and {self._log.table.name} are replaced")
        if resumed is None and self._curve is not None and self._curve.path.exists():
            print_note(f"{visible(str(self._curve.path))} is replaced")


def _print_replaced(replaced: Replaced, settings: Settings) -> None:
    """Prints that a run replaces a checkpoint, and where that is kept.

    If it is of another data set, the line describes it.
    """
    what, how = visible(str(replaced.path)), ""
    metadata = replaced.metadata
    if metadata is not None and metadata.dataset != recorded_dataset(settings.dataset):
        what += f" ({training_facts(metadata)})"
        how = "; to keep it, stop with Ctrl-C and give another --output"
    if (kept := replaced.kept) is not None:
        how = as_kept(kept)
    print_note(f"{what} will be replaced after the first epoch{how}")


def _print_images(data: TrainingData, labels: Labels, kind: str) -> None:
    """Prints the number of images, and of each class if that differs."""
    counts = data.class_counts(labels)
    total = f"{len(labels):,} {kind} {'image' if len(labels) == 1 else 'images'}"
    if len(set(counts.values())) == 1:
        each = next(iter(counts.values()))
        print_note(f"{total}, {each:,} of each of {len(counts)} classes")
    elif len(counts) <= _MAX_LISTED:
        listed = ", ".join(f"{visible(name)}: {count:,}" for name, count in counts.items())
        print_note(f"{total} of {len(counts)} classes ({listed})")
    else:
        least, most = (choose(counts, key=counts.__getitem__) for choose in (min, max))
        print_note(
            f"{total} of {len(counts)} classes, from {counts[least]:,} of {visible(least)} to "
            f"{counts[most]:,} of {visible(most)}"
        )


def print_unanswered(data: TrainingData, names: Sequence[str]) -> None:
    """Prints which rare classes a trained network never answers, if there are any."""
    if not names:
        return
    counts = data.class_counts(data.train_labels)
    listed = [f"{visible(name)} ({counts[name]:,} training images)" for name in names[:_MAX_LISTED]]
    more = f" and {len(names) - _MAX_LISTED} more" if len(names) > _MAX_LISTED else ""
    print_note(
        f"no {data.scored_on} image is answered as {', '.join(listed)}{more}: the classes are "
        "unbalanced, add images of these"
    )


@contextmanager
def next_steps(
    writer: "CheckpointWriter", log: "MetricLogger | None", curve: "LearningCurve | None"
) -> Iterator[None]:
    """Completes the errors that end a run with the command that continues it, or starts over."""
    try:
        yield
    except StoppedError as stopped:
        places = {
            "--output": None if writer.output == LATEST else writer.output,
            "--log-dir": log and log.folder,
            "--plot": curve and curve.path,
        }
        words = [word for option in places.items() if option[1] for word in map(str, option)]
        command = shlex.join(["digitcli", "train", "--resume", *words])
        raise StoppedError(
            stopped.problem, f"continue with '{command}'", exit_code=stopped.exit_code
        ) from None
    except DivergedError as diverged:
        if not writer.state.exists():
            raise
        raise DivergedError(
            diverged.problem,
            f"{diverged.next_step}, and start over with --no-resume",
            exit_code=diverged.exit_code,
        ) from None
