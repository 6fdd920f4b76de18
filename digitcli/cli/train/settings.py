"""The settings of a training run: made from options, and written down as a command."""

import shlex
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from digitcli.core.checkpointing.training_state import Settings, TrainingState
    from digitcli.core.distributed.rank import Rank
    from digitcli.core.training.initial_weights import InitialWeights
    from digitcli.data.datasets.registry import Dataset

DATASET, SEED, LOG_EVERY = "mnist", 0, 300
"""Defaults."""

_OVERRIDES = ("epochs", "batch_size", "lr", "momentum")
"""Fields of a recipe that have options."""


def find_initial_weights(name: str, output: Path) -> "InitialWeights":
    """Reads the weights that ``--from`` names.

    Raises:
        CheckpointError: They cannot be read, or the run would replace them, with its checkpoint
            or with the copy of an older one: it could not be repeated.
        DigitcliError: torch cannot be imported.
    """
    from digitcli.core.checkpointing.locate import find_checkpoint
    from digitcli.core.checkpointing.replaced import find_replaced
    from digitcli.core.errors import CheckpointError
    from digitcli.core.files.atomic import resolve_links
    from digitcli.core.imports import import_torch

    import_torch("training")
    from digitcli.core.training.initial_weights import load_initial_weights

    path = find_checkpoint(name)
    initial = load_initial_weights(path, name)
    replaced = find_replaced(output)
    written = (output, replaced.kept) if replaced is not None and replaced.kept else (output,)
    if resolve_links(path) in map(resolve_links, written):
        raise CheckpointError(
            f"the run would start from {name} and replace it", "name another file with --output"
        )
    return initial


def find_dataset_of(interrupted: "TrainingState") -> "Dataset":
    """Returns the data set of a run to resume.

    Raises:
        DatasetError: It cannot be read; the error says where its name comes from.
    """
    from digitcli.core.errors import DatasetError
    from digitcli.data.datasets.registry import find_dataset

    settings = interrupted.settings
    try:
        return find_dataset(settings.dataset, settings.classes)
    except DatasetError as error:
        raise DatasetError(
            f"the interrupted run was on {settings.dataset}: {error.problem}",
            "resume in the folder where it was started, or start over with --no-resume",
        ) from error


def new_settings(
    given: dict[str, Any], dataset: "Dataset", initial: "InitialWeights | None"
) -> "Settings":
    """Completes the given settings, by name, with the recipe's and the defaults.

    Raises:
        DigitcliError: There is no such recipe, or a value is invalid.
    """
    from digitcli.core.checkpointing.metadata import HIDDEN
    from digitcli.core.checkpointing.training_state import Settings
    from digitcli.core.recipes import FINETUNE, TRANSFER, default_recipe, find_recipe
    from digitcli.data.datasets.outliers import supports_outliers

    classes = initial.classes_with(dataset.classes) if initial else dataset.classes
    if "recipe" in given:
        recipe = find_recipe(given["recipe"])
    elif initial:
        recipe = FINETUNE if classes == initial.classes else TRANSFER
    else:
        recipe = default_recipe(dataset.name)
    chosen = replace(recipe, **{name: given[name] for name in _OVERRIDES if name in given})
    hidden = initial.hidden if initial else HIDDEN
    # at least the output layer learns
    chosen = replace(chosen, frozen=min(chosen.frozen, len(hidden)))
    # synthetic images are digits, and outliers must show none of the network's classes
    if not (supports_outliers(classes) and set(dataset.classes) == set(classes)):
        chosen = replace(chosen, outliers=0.0, synthetic=0.0)
    if chosen != recipe:
        chosen = replace(chosen, temperature=1.0)  # the recipe's was fitted to another run
    return Settings(
        dataset=dataset.name,
        classes=classes,
        start=initial.checksum if initial else None,
        validation=given.get("validation"),
        recipe=chosen,
        seed=given.get("seed", SEED),
        log_every=given.get("log_every", LOG_EVERY),
        hidden=hidden,
    )


def with_fitting_batches(settings: "Settings", images: int, rank: "Rank") -> "Settings":
    """Reduces a batch size that is larger than the number of training images, if another fits."""
    from digitcli.core.training.loader import fitting_batch_size

    recipe = settings.recipe
    if recipe.batch_size <= images or not (size := fitting_batch_size(images, recipe, rank)):
        return settings
    return replace(settings, recipe=replace(recipe, batch_size=size, temperature=1.0))


def command_of(settings: "Settings", initial: "InitialWeights | None") -> str:
    """Returns the command that trains the same checkpoint.

    Its output and device are left out: equal runs make equal files. Paths are recorded as
    ``portable_path`` returns them.
    """
    from digitcli.core.checkpointing.metadata import recorded_dataset
    from digitcli.core.files.home import portable_path
    from digitcli.core.recipes import find_recipe

    recipe, named = settings.recipe, find_recipe(settings.recipe.name)
    words = ["digitcli", "train", "--recipe", named.name]
    if settings.dataset != DATASET:
        words += ["--dataset", recorded_dataset(settings.dataset)]
    if initial is not None:
        words += ["--from", portable_path(initial.name)]
    for name in _OVERRIDES:
        if getattr(recipe, name) != getattr(named, name):
            words += [f"--{name.replace('_', '-')}", str(getattr(recipe, name))]
    if settings.validation is not None:
        words += ["--validation", str(settings.validation)]
    words += ["--seed", str(settings.seed)]
    if settings.log_every != LOG_EVERY:
        words += ["--log-every", str(settings.log_every)]
    return shlex.join(words)
