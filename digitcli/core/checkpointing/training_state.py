"""The training state: all that a run needs to go on just as if it had never been interrupted.

It lies beside the checkpoint in a safetensors file of its own: the parameters with the buffers of
batch normalisation, what the optimizer remembers, torch's random generator, and how far the run is.
Like a checkpoint's, its metadata is one JSON document with sorted keys.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, get_type_hints

import numpy as np
import numpy.typing as npt
import safetensors
import safetensors.numpy

from digitcli.core.checkpointing.metadata import EpochPoint, LossPoint
from digitcli.core.errors import CheckpointError, DigitcliError, error_reason
from digitcli.core.files.atomic import write_atomically
from digitcli.core.files.schema import parse_json, parse_value
from digitcli.core.recipes import Recipe

STATE_VERSION = 1

Tensors = Mapping[str, npt.NDArray[Any]]

_METADATA_KEY = "digitcli-training"
_START_OVER = "start over with --no-resume"


def state_path(output: Path) -> Path:
    """Returns where the training state of a run lies that writes its weights to ``output``."""
    return output.parent / f"{output.name.removesuffix('.safetensors')}.training.safetensors"


@dataclass(frozen=True)
class Settings:
    """What decides the weights that a run ends with, apart from the pictures.

    Attributes:
        dataset: The data set's name.
        classes: Class names in the order of the outputs.
        start: Checksum of the checkpoint that it started from; None where it started from nothing.
        validation: Pictures held out of the training set; None where it is scored on the test set.
        recipe: How it trains.
        seed: Seed of all that is drawn at random.
        log_every: BatchLoader between readings of the running loss, which the checkpoint records.

    Raises:
        DigitcliError: The recipe needs trained weights to start from, and there are none.
    """

    dataset: str
    classes: tuple[str, ...]
    start: str | None
    validation: int | None
    recipe: Recipe
    seed: int
    log_every: int

    def __post_init__(self) -> None:
        if self.recipe.frozen and self.start is None:
            raise DigitcliError(
                f"the recipe {self.recipe.name} goes on from trained weights",
                "give some, as by --from pretrained",
            )


@dataclass(frozen=True)
class TrainingState:
    """A run between two batches.

    Attributes:
        settings: What the run was started with.
        checksums: Of the pictures, by file; another set would make another run of it.
        machine: Device, threads and versions so far: on others the weights differ by rounding.
        command: The command line that the checkpoint records.
        epoch: Which epoch it is in, from 1.
        batch: BatchLoader of that epoch that are done, fewer than all.
        seconds: Time spent in steps so far.
        losses: The running losses so far.
        accuracies: A point per epoch that is over.
        tensors: ``model.*`` and ``optimizer.*`` as these name them; ``generator``, uint8, torch's
            own; ``losses``, float32 (batches,), of the epoch's batches; and amid an epoch
            ``order``, int64 (pictures,), in which it goes through them.
    """

    settings: Settings
    checksums: dict[str, str]
    machine: dict[str, str]
    command: str
    epoch: int
    batch: int
    seconds: float
    losses: tuple[LossPoint, ...]
    accuracies: tuple[EpochPoint, ...]
    tensors: Tensors

    @property
    def place(self) -> str:
        """How far the run is, in words."""
        if self.batch == 0:
            return f"after epoch {self.epoch - 1} of {self.settings.recipe.epochs}"
        return f"after batch {self.batch} of epoch {self.epoch}"


def save_state(path: Path, state: TrainingState) -> None:
    """Writes a training state in one step: at ``path`` is the old file or the new, never a part.

    Raises:
        OSError: It cannot be written; an old file is untouched.
    """
    values = {
        field.name: getattr(state, field.name) for field in fields(state) if field.name != "tensors"
    }
    values |= {
        "state_version": STATE_VERSION,
        "settings": asdict(state.settings),
        "losses": [asdict(point) for point in state.losses],
        "accuracies": [asdict(point) for point in state.accuracies],
    }
    document = json.dumps(values, sort_keys=True, ensure_ascii=False)
    data = safetensors.numpy.save(dict(state.tensors), {_METADATA_KEY: document})
    write_atomically(path, lambda file: file.write(data))


def load_state(path: Path) -> TrainingState:
    """Reads a training state and checks its metadata; ``check_tensors`` checks the tensors.

    Raises:
        CheckpointError: The file is missing, damaged, something else, or from a newer digitcli.
    """
    try:
        if not path.is_file():
            raise CheckpointError(f"there is no training state at {path}", _START_OVER)
        with safetensors.safe_open(path, framework="numpy") as file:
            document = (file.metadata() or {}).get(_METADATA_KEY)
            if document is None:
                raise CheckpointError(f"{path} is no training state of digitcli", _START_OVER)
            values = _parse(path, document)
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except safetensors.SafetensorError as error:
        raise CheckpointError(
            f"{path} is damaged or not a safetensors file ({error})", _START_OVER
        ) from error
    except (OSError, ValueError) as error:
        raise CheckpointError(f"cannot read {path}: {error_reason(error)}", _START_OVER) from error
    return TrainingState(**values, tensors=tensors)


def _parse(path: Path, document: str) -> dict[str, Any]:
    try:
        values = parse_json(document)
        version = parse_value(values["state_version"], int, "state_version")
        parsed = None if version > STATE_VERSION else _parse_values(values)
    except (DigitcliError, ValueError, LookupError, TypeError, AttributeError, ArithmeticError,
            RecursionError) as error:  # fmt: skip
        raise CheckpointError(
            f"the metadata of {path} is incomplete or of the wrong type ({error})", _START_OVER
        ) from error
    if parsed is None:
        raise CheckpointError(
            f"{path} is a training state of version {version}, this digitcli reads up to "
            f"{STATE_VERSION}",
            "upgrade with 'pip install --upgrade digitcli'",
        )
    return parsed


def _parse_values(values: dict[str, Any]) -> dict[str, Any]:
    types = get_type_hints(TrainingState)
    parsed = {
        name: parse_value(values[name], type_, name)
        for name, type_ in types.items()
        if name != "tensors"
    }
    epoch, batch, epochs = parsed["epoch"], parsed["batch"], parsed["settings"].recipe.epochs
    if not (1 <= epoch <= epochs and batch >= 0):
        raise ValueError(f"no run is at epoch {epoch}, batch {batch}")
    if len(parsed["accuracies"]) != epoch - 1:
        raise ValueError("its epochs and its accuracies are not as many")
    return parsed


def by_option(recipe: Recipe, start: str | None, **others: object) -> dict[str, object]:
    """Lists settings by the names of their options.

    Args:
        recipe: Its settings are among them, and its name is "recipe".
        start: Is "from".
        others: As they are named.
    """
    values = {**vars(recipe), **others, "recipe": recipe.name, "from": start}
    del values["name"]
    return values


def refuse_changes(then: Mapping[str, object], given: Mapping[str, object]) -> None:
    """Makes sure that what is given is what a run was started with.

    Args:
        then: The run's settings by name, as far as they are known.
        given: Others by name, as many as somebody gave.

    Raises:
        DigitcliError: One differs; every one that does is named.
    """
    _refuse(
        "settings",
        [
            (f"--{name.replace('_', '-')}", then[name], value)
            for name, value in given.items()
            if name in then
        ],
    )


def refuse_other_settings(state: TrainingState, settings: Settings) -> None:
    """Makes sure that a run goes on as it was started.

    Raises:
        DigitcliError: A setting differs; every one that does is named.
    """
    then, now = (by_option(**vars(each)) for each in (state.settings, settings))
    if then["recipe"] != now["recipe"]:  # all that it brings along differs with it
        now = {"recipe": now["recipe"]}
    refuse_changes(then, now)


def refuse_other_data(state: TrainingState, checksums: Mapping[str, str]) -> None:
    """Makes sure that a run goes on with the pictures that it was started with.

    Raises:
        DigitcliError: They differ; every file that does is named.
    """
    files = sorted({*state.checksums, *checksums})
    _refuse("data", [(name, state.checksums.get(name), checksums.get(name)) for name in files])


def _refuse(what: str, pairs: list[tuple[str, object, object]]) -> None:
    differing = [f"{name} {then} then, {now} now" for name, then, now in pairs if then != now]
    if differing:
        raise DigitcliError(
            f"the run was started with other {what} ({'; '.join(differing)})",
            f"give what was given then, or {_START_OVER}",
        )


def check_tensors(tensors: Tensors, expected: Tensors) -> None:
    """Makes sure that a training state's tensors are those that the run has.

    Args:
        tensors: What was read.
        expected: Tensors of the names, shapes and dtypes that it should have.

    Raises:
        CheckpointError: A tensor is missing, unknown, or of another shape or dtype, or holds nan.
    """
    for name in sorted({*tensors, *expected}):
        problem = _misfit(tensors.get(name), expected.get(name))
        if problem:
            raise CheckpointError(f"the training state's tensor {name} {problem}", _START_OVER)


def _misfit(found: npt.NDArray[Any] | None, wanted: npt.NDArray[Any] | None) -> str:
    if wanted is None:
        return "is unknown"
    if found is None:
        return "is missing"
    if (found.shape, found.dtype) != (wanted.shape, wanted.dtype):
        return f"is {found.dtype}{list(found.shape)}, not {wanted.dtype}{list(wanted.shape)}"
    if found.dtype.kind == "f" and not np.isfinite(found).all():
        return "holds nan or infinity"
    return ""
