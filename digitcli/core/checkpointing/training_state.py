"""The training state: everything that an interrupted run needs to continue with the same result.

It is a safetensors file beside the checkpoint: parameters and batch normalization's buffers, the
optimizer's moments, the state of torch's random generator, and the position within the run.
"""

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, get_type_hints

import numpy as np

from digitcli.core.checkpointing.container import FileKind, Tensors, read_container, write_container
from digitcli.core.checkpointing.metadata import (
    FOLDER_PREFIX,
    HIDDEN,
    MAX_SEED,
    EpochPoint,
    LossPoint,
    check_point_count,
    class_problems,
    layer_sizes,
    progress_problems,
    recorded_dataset,
    width_problems,
)
from digitcli.core.checkpointing.replaced import KEPT_ENDING
from digitcli.core.errors import CheckpointError, DigitcliError
from digitcli.core.files.atomic import resolve_links
from digitcli.core.files.home import expand_home
from digitcli.core.files.schema import parse_value
from digitcli.core.recipes import Recipe

STATE_VERSION = 1

_ENDING = ".training.safetensors"

_START_OVER = "start over with --no-resume"

_MAX_DIFFERENCES = 20
"""Maximum number of differences that an error lists."""

_MAX_SIZE = 256 * 2**20
"""Maximum size of a training state in bytes.

Whatever the data: 8 MiB of header at most, for 100,000 loss points; 7 MB for the 575,000 parameters
of the lesson's network and two moments of each, in float32; 31 KB for batch normalization's
parameters and buffers with their moments; 5 KB for the random generator. The parameters of the
largest checkpoint take 192 MiB with their moments. By the data: 8 bytes per image for an epoch's
order, and 4 bytes per batch for its losses, so at most 12 bytes per image. MNIST's 60,000 images
take up to 0.7 MB. 256 MiB leave room for 21 million images, or 4 million with the largest network.
"""

_STATE = FileKind(
    name="training state",
    key="digitcli-training",
    version_key="state_version",
    version=STATE_VERSION,
    max_size=_MAX_SIZE,
    if_invalid=_START_OVER,
    if_missing=_START_OVER,
)


def state_path(output: Path) -> Path:
    """Returns the path of the training state of a run that writes its weights to ``output``.

    Names that lead to one file, and names with and without ".safetensors", share a state. The
    processes that write a run lock the state.

    Raises:
        CheckpointError: ``output`` is the name of a training state or of a kept checkpoint, which
            other runs replace, or ends as files of another format do. A version number, as in
            "run-0.5", is no ending.
    """
    for reserved, holds in ((_ENDING, "a training state"), (KEPT_ENDING, "replaced weights")):
        if output.name.lower().endswith(reserved):
            name = f"{output.name[: -len(reserved)] or 'latest'}.safetensors"
            raise CheckpointError(
                f"{output} is the name of {holds}", f"name the weights {output.with_name(name)}"
            )
    ending = output.suffix
    if ending.lower() != ".safetensors" and any(map(str.isalpha, ending)):
        raise CheckpointError(
            f"the weights {output} would be a safetensors file, not {ending}",
            f"name them {output.stem}.safetensors",
        )
    target = resolve_links(output) if output.is_symlink() else output
    return target.parent / (target.name.removesuffix(".safetensors") + _ENDING)


@dataclass(frozen=True)
class Settings:
    """Everything that decides the checkpoint that a run ends with, apart from the images.

    ``log_every`` decides no weight, and may change when a run is resumed.

    Raises:
        DigitcliError: The recipe needs trained weights to start from, or a value is impossible.
    """

    dataset: str  # name of the data set, as the user gave it
    classes: tuple[str, ...]  # class names in the order of the outputs
    start: str | None  # checksum of the checkpoint of the initial weights; None for random ones
    validation: int | None  # images held out of the training set; None to score on the test set
    recipe: Recipe
    seed: int  # of everything drawn at random
    log_every: int  # batches between two readings of the running loss
    hidden: tuple[int, ...] = HIDDEN  # widths of the hidden layers; those of ``start``

    @property
    def layer_sizes(self) -> tuple[int, ...]:
        """Widths of the network from input to output."""
        return layer_sizes(len(self.classes), self.hidden)

    def __post_init__(self) -> None:
        if self.recipe.frozen and self.start is None:
            problem = f"the recipe {self.recipe.name} needs trained weights"
            raise DigitcliError(problem, "give some, for example --from pretrained")
        if self.recipe.frozen > len(self.hidden):
            layers = len(self.hidden) + 1
            problem = f"{self.recipe.frozen} layers would be frozen of the network's {layers}"
            raise DigitcliError(problem, "choose another --recipe")
        if not 0 <= self.seed <= MAX_SEED:
            raise DigitcliError(f"the seed is {self.seed}", f"give --seed 0 to {MAX_SEED}")
        if self.log_every < 1:
            problem = f"the running loss is read every {self.log_every} batches"
            raise DigitcliError(problem, "give --log-every 1 or more")
        if self.validation is not None and self.validation < 1:
            raise DigitcliError(f"{self.validation} images are held out", "give --validation 1")


@dataclass(frozen=True)
class TrainingState:
    """The state of a run between two batches.

    Attributes:
        logs: Position of the metric logs by file name: its size in bytes and the SHA-256 of its
            content, as "BYTES:SHA256"; empty if none is written.
        tensors: ``model.*`` and ``optimizer.*``, named by these; ``generator``, uint8, the state
            of torch's random generator; ``losses``, float32 (batches,), of the epoch's batches;
            within an epoch also ``order``, int64 (images,), the epoch's permutation of the images.
    """

    settings: Settings
    checksums: dict[str, str]  # of the images, by file; a run resumes on the same images only
    machine: dict[str, str]  # device, threads, versions; on others the weights differ by rounding
    logs: dict[str, str] = field(default_factory=dict, kw_only=True)
    command: str  # recorded in the checkpoint
    epoch: int  # current epoch, from 1
    batch: int  # finished batches of that epoch, fewer than all
    seconds: float  # spent in training steps so far
    losses: tuple[LossPoint, ...]
    accuracies: tuple[EpochPoint, ...]  # one per finished epoch
    tensors: Tensors

    @property
    def place(self) -> str:
        """The position within the run, in words."""
        if self.batch == 0:
            return f"after epoch {self.epoch - 1} of {self.settings.recipe.epochs}"
        return f"after batch {self.batch} of epoch {self.epoch}"


def save_state(path: Path, state: TrainingState) -> None:
    """Writes a training state atomically; raises a ``CheckpointError`` if that fails."""
    values = {each.name: getattr(state, each.name) for each in fields(state)}
    tensors = values.pop("tensors")
    values |= {
        "state_version": STATE_VERSION,
        "settings": asdict(state.settings),
        "losses": [asdict(point) for point in state.losses],
        "accuracies": [asdict(point) for point in state.accuracies],
    }
    write_container(path, _STATE, values, tensors)


def load_state(path: Path) -> TrainingState:
    """Reads a training state and checks its metadata; ``check_tensors`` checks the tensors.

    Raises:
        CheckpointError: The file is missing, damaged, of another kind, or from a newer digitcli.
    """
    values, tensors, _ = read_container(path, _STATE, _parse)
    return TrainingState(**values, tensors=tensors)


def _parse(values: dict[str, Any]) -> dict[str, Any]:
    parse_value(values["state_version"], int, "state_version")
    check_point_count(values)
    parsed = {
        name: parse_value(values[name], type_, name)
        for name, type_ in get_type_hints(TrainingState).items()
        if name != "tensors"
    }
    epoch, batch, epochs = parsed["epoch"], parsed["batch"], parsed["settings"].recipe.epochs
    if not (1 <= epoch <= epochs and batch >= 0):
        raise ValueError(f"no run is at epoch {epoch}, batch {batch}")
    if len(parsed["accuracies"]) != epoch - 1:
        raise ValueError(f"{len(parsed['accuracies'])} accuracies for {epoch - 1} finished epochs")
    for problem in _state_problems(TrainingState(**parsed, tensors={})):
        raise ValueError(problem)
    return parsed


def _state_problems(state: TrainingState) -> Iterator[str]:
    settings = state.settings
    yield from class_problems("the run", settings.classes)
    yield from width_problems("the run", settings.hidden)
    yield from progress_problems(settings.seed, state.epoch, state.losses, state.accuracies)
    if any((point.epoch, point.batch) > (state.epoch, state.batch) for point in state.losses):
        yield f"a loss was read after epoch {state.epoch}, batch {state.batch}"
    if state.seconds < 0:
        yield f"{state.seconds} seconds are impossible"


def by_option(recipe: Recipe, start: str | None, **others: object) -> dict[str, object]:
    """Returns the settings that decide the weights, by the names of their options."""
    values = {**vars(recipe), **others, "recipe": recipe.name, "from": start}
    left_out = ("name", "log_every", "hidden")  # the widths are those of ``start``
    return {key: value for key, value in values.items() if key not in left_out}


def refuse_changes(before: Mapping[str, object], given: Mapping[str, object]) -> None:
    """Checks that settings, by option, are those a run was started with, as far as known.

    Raises:
        DigitcliError: Settings differ; the message names all that do.
    """
    known = {
        name: value
        for name, value in given.items()
        if name in before and not _is_same(before[name], value)
    }
    _refuse_differences(
        "settings",
        ((f"--{name.replace('_', '-')}", before[name], now) for name, now in known.items()),
    )


def _is_same(before: object, now: object) -> bool:
    """Compares settings; a folder of images has absolute and relative paths.

    A checkpoint may record the last part of a path only, which then leads nowhere.
    """
    names = [name for name in (before, now) if isinstance(name, str)]
    if not all(name.startswith(FOLDER_PREFIX) for name in names) or len(names) < 2:
        return before == now
    first, second = (
        os.path.realpath(expand_home(name.removeprefix(FOLDER_PREFIX))) for name in names
    )
    leads_nowhere = not os.path.exists(first)  # noqa: PTH110  Path's raises on a name too long
    return first == second or (leads_nowhere and before == recorded_dataset(names[1]))


def refuse_other_settings(state: TrainingState, settings: Settings) -> None:
    """Checks that a run continues with its settings, as ``refuse_changes`` does."""
    before, now = (by_option(**vars(each)) for each in (state.settings, settings))
    if before["recipe"] != now["recipe"]:  # the recipe's fields then differ as well
        now = {"recipe": now["recipe"]}
    refuse_changes(before, now)


def refuse_other_data(state: TrainingState, checksums: Mapping[str, str]) -> None:
    """Checks that a run continues with its images; the error names all files that differ."""
    files = sorted({*state.checksums, *checksums})
    _refuse_differences(
        "data", ((name, state.checksums.get(name), checksums.get(name)) for name in files)
    )


def _refuse_differences(what: str, values: Iterable[tuple[str, object, object]]) -> None:
    differences = [
        f"{name} {before} then, {now} now" for name, before, now in values if before != now
    ]
    if differences:
        listed = "; ".join(differences[:_MAX_DIFFERENCES])
        if (more := len(differences) - _MAX_DIFFERENCES) > 0:
            listed += f"; and {more:,} more"
        raise DigitcliError(
            f"the run was started with other {what} ({listed})",
            f"give the same {what}, or {_START_OVER}",
        )


def check_tensors(tensors: Tensors, expected: Tensors) -> None:
    """Checks that a training state's tensors have the names, shapes and dtypes expected.

    Raises:
        CheckpointError: They have not, or a tensor holds nan or infinity.
    """
    for name in sorted({*tensors, *expected}):
        found, wanted = tensors.get(name), expected.get(name)
        if wanted is None:
            problem = "is unknown"
        elif found is None:
            problem = "is missing"
        elif (found.shape, found.dtype) != (wanted.shape, wanted.dtype):
            problem = f"is {found.dtype}{list(found.shape)}, not {wanted.dtype}{list(wanted.shape)}"
        elif found.dtype.kind == "f" and not np.isfinite(found).all():
            problem = "holds nan or infinity"
        else:
            continue
        raise CheckpointError(f"the training state's tensor {name} {problem}", _START_OVER)
