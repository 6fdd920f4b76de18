"""Runs digitcli for the commands on the pages: as ``small_cli.py`` does, and with shorter runs.

``python tests/helpers/page_cli.py FOLDER ARGUMENT...``: the folder is one that ``page_world.py``
prepared. The lines are those of the real data, and only figures differ: an epoch has three readings
of the loss, a run ends with weights that read digits, since it starts with the bundled ones, and
the bundled weights were scored on the same test images. With ``INTERRUPT=1`` in the environment
``train`` gets a SIGINT after ``INTERRUPTED`` batches, as from Ctrl-C.
"""

import os
import signal
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from small_cli import use_small_data

from digitcli.__main__ import main
from digitcli.cli.train import settings
from digitcli.core import recipes
from digitcli.core.checkpointing import locate
from digitcli.data.download import manifest

CHANGES = {
    "lesson": {"lr": 1e-4},
    "best": {"epochs": 3},
    "optdigits": {"epochs": 4, "lr": 1e-4},
    "finetune": {"epochs": 3},
    "transfer": {"epochs": 3},
}
"""Fields of recipes that differ: fewer epochs, and steps that suit the bundled weights."""

DIGITS = tuple("0123456789")
INTERRUPTED = 14


def use_page_world(folder: Path) -> None:
    """Replaces MNIST and the data sets whose files are named alike, and the bundled weights."""
    use_small_data(folder / "files.json")
    small = manifest.PUBLISHED["mnist"].files
    for name in ("fashion-mnist", "kmnist"):
        manifest.PUBLISHED[name] = replace(manifest.PUBLISHED[name], files=small)
    locate.BUNDLED_PATHS = (folder / "pretrained.safetensors",) * 2
    for name, fields in CHANGES.items():
        recipes.RECIPES[name] = replace(recipes.RECIPES[name], **fields)  # type: ignore[arg-type]
        setattr(recipes, name.upper(), recipes.RECIPES[name])
    recipes._DEFAULTS = dict.fromkeys(recipes._DEFAULTS, recipes.LESSON)
    settings.LOG_EVERY = 3


def start_from_bundled() -> None:
    """Gives a training run the bundled weights instead of random ones, if it is of digits."""
    from digitcli.core.training import initial_weights, loop

    def build(data: Any, settings: Any, initial: Any, group: Any) -> Any:
        if initial is None and settings.classes == DIGITS and not settings.recipe.batch_norm:
            initial = initial_weights.load_initial_weights(locate.BUNDLED_PATHS[0], "pretrained")
        return initial_weights.build_model(data, settings, initial, group)

    loop.build_model = build  # type: ignore[attr-defined]


def interrupt() -> None:
    """Makes a training run receive SIGINT in its second epoch."""
    from digitcli.core.training.run import TrainingRun

    record, batches = TrainingRun.record, iter(range(1, 10**6))

    def counted(run: TrainingRun, loss: object) -> None:
        record(run, loss)  # type: ignore[arg-type]
        if next(batches) == INTERRUPTED:
            signal.raise_signal(signal.SIGINT)

    TrainingRun.record = counted  # type: ignore[method-assign,assignment]


if __name__ == "__main__":  # and not in the processes that predict starts
    use_page_world(Path(sys.argv.pop(1)))
    if sys.argv[1:2] == ["train"]:
        start_from_bundled()
        if "INTERRUPT" in os.environ:
            interrupt()
    main()
