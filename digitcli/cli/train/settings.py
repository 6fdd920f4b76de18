"""What decides a training run: made from its options, and written down as a command."""

import shlex
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from digitcli.core.checkpointing.training_state import Settings
    from digitcli.core.distributed.rank import Rank
    from digitcli.core.training.initial_weights import InitialWeights

DATASET, SEED, LOG_EVERY = "mnist", 0, 300
"""What is usual."""

_OVERRIDES = ("epochs", "batch_size", "lr", "momentum")
"""What of a recipe there are options for."""


def find_initial_weights(name: str, output: Path) -> "InitialWeights":
    """Reads the weights that ``--from`` names.

    Args:
        name: A file's, or ``PRETRAINED``.
        output: Where the run's weights go, which is another file: with its start replaced, no run
            could be repeated.

    Raises:
        CheckpointError: They cannot be read, or they are at ``output``.
    """
    from digitcli.core.checkpointing.locate import find_checkpoint
    from digitcli.core.errors import CheckpointError
    from digitcli.core.files.atomic import real
    from digitcli.core.training.initial_weights import load_initial_weights

    path = find_checkpoint(name)
    start = load_initial_weights(path, name)
    if real(path) == real(output):
        raise CheckpointError(
            f"the run would start from {name} and replace it", "name another file with --output"
        )
    return start


def new_settings(given: dict[str, Any], start: "InitialWeights | None") -> "Settings":
    """Completes what was given by what is usual, and by what the recipe says.

    Args:
        given: Settings by name.
        start: Weights to start from, if there are any.

    Raises:
        DigitcliError: There is no such data set or recipe, or a value is impossible.
    """
    from digitcli.core.checkpointing.training_state import Settings
    from digitcli.core.recipes import FINETUNE, TRANSFER, find_recipe, usual_recipe
    from digitcli.data.datasets.outliers import supports_outliers
    from digitcli.data.datasets.registry import find_dataset

    dataset = given.get("dataset", DATASET)
    shown = find_dataset(dataset).classes
    classes = start.classes_with(shown) if start else shown
    if "recipe" in given:
        recipe = find_recipe(given["recipe"])
    elif start:
        recipe = FINETUNE if classes == start.classes else TRANSFER
    else:
        recipe = usual_recipe(dataset)
    chosen = replace(recipe, **{name: given[name] for name in _OVERRIDES if name in given})
    # of digits they are made, and none of the network's classes may be among them
    if not (supports_outliers(classes) and set(shown) == set(classes)):
        chosen = replace(chosen, outliers=0.0)
    if chosen != recipe:
        chosen = replace(chosen, temperature=1.0)  # it was fitted to another run
    return Settings(
        dataset=dataset,
        classes=classes,
        start=start.checksum if start else None,
        validation=given.get("validation"),
        recipe=chosen,
        seed=given.get("seed", SEED),
        log_every=given.get("log_every", LOG_EVERY),
    )


def with_batches_of(settings: "Settings", pictures: int, world: "Rank") -> "Settings":
    """Shrinks the recipe's batches to a set of fewer pictures than they have.

    Args:
        settings: What decides a run.
        pictures: Those to be learned.
        world: The processes that share each batch.

    Returns:
        The same where a batch is not too large, or where none would fit.
    """
    from digitcli.core.training.loader import fitting_batch

    recipe = settings.recipe
    if recipe.batch_size <= pictures or not (size := fitting_batch(pictures, recipe, world)):
        return settings
    return replace(settings, recipe=replace(recipe, batch_size=size, temperature=1.0))


def command_of(settings: "Settings", start: "InitialWeights | None") -> str:
    """Writes down all that decides what is in a checkpoint, and nothing else.

    Where the file goes, and what computes it, are left out: equal runs make equal files.

    Args:
        settings: What decides it.
        start: The weights that it starts from, if it does.
    """
    from digitcli.core.recipes import find_recipe

    chosen, named = settings.recipe, find_recipe(settings.recipe.name)
    words = ["digitcli", "train", "--recipe", named.name]
    if settings.dataset != DATASET:
        words += ["--dataset", settings.dataset]
    if start is not None:
        words += ["--from", start.name]
    for name in _OVERRIDES:
        if getattr(chosen, name) != getattr(named, name):
            words += [f"--{name.replace('_', '-')}", str(getattr(chosen, name))]
    if settings.validation is not None:
        words += ["--validation", str(settings.validation)]
    words += ["--seed", str(settings.seed)]
    if settings.log_every != LOG_EVERY:
        words += ["--log-every", str(settings.log_every)]
    return shlex.join(words)
