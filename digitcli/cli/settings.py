"""What decides a training run: made from its options, and written down as a command."""

import shlex
from dataclasses import replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from digitcli.core.resume import Settings

DATASET, SEED, LOG_EVERY = "mnist", 0, 300
"""What is usual."""

_OVERRIDES = ("epochs", "batch_size", "lr", "momentum")
"""What of a recipe there are options for."""


def new_settings(given: dict[str, Any]) -> "Settings":
    """Completes what was given by what is usual, and by what the recipe says.

    Raises:
        DigitcliError: There is no such data set or recipe, or a value is impossible.
    """
    from digitcli.core.recipes import find_recipe
    from digitcli.core.resume import Settings
    from digitcli.data.datasets import find_dataset

    dataset = given.get("dataset", DATASET)
    find_dataset(dataset)
    recipe = find_recipe(given.get("recipe"), dataset)
    chosen = replace(recipe, **{name: given[name] for name in _OVERRIDES if name in given})
    if chosen != recipe:
        chosen = replace(chosen, temperature=1.0)  # it was fitted to another run
    return Settings(
        dataset=dataset,
        validation=given.get("validation"),
        recipe=chosen,
        seed=given.get("seed", SEED),
        log_every=given.get("log_every", LOG_EVERY),
    )


def command_of(settings: "Settings") -> str:
    """Writes down all that decides what is in a checkpoint, and nothing else.

    Where the file goes, and what computes it, are left out: equal runs make equal files.
    """
    from digitcli.core.recipes import find_recipe

    chosen, named = settings.recipe, find_recipe(settings.recipe.name, settings.dataset)
    words = ["digitcli", "train", "--recipe", named.name]
    if settings.dataset != DATASET:
        words += ["--dataset", settings.dataset]
    for name in _OVERRIDES:
        if getattr(chosen, name) != getattr(named, name):
            words += [f"--{name.replace('_', '-')}", str(getattr(chosen, name))]
    if settings.validation is not None:
        words += ["--validation", str(settings.validation)]
    words += ["--seed", str(settings.seed)]
    if settings.log_every != LOG_EVERY:
        words += ["--log-every", str(settings.log_every)]
    return shlex.join(words)
