"""What ``train`` says and sets up before the first batch."""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from digitcli.core.checkpointing.training_state import Settings, TrainingState
    from digitcli.core.recipes import Recipe
    from digitcli.core.training.callbacks.metric_logger import MetricLogger
    from digitcli.core.training.initial_weights import InitialWeights
    from digitcli.core.training.loader import TrainingData
    from digitcli.report.curve import Curve


def tell_beginning(
    settings: "Settings",
    interrupted: "TrainingState | None",
    start: "InitialWeights | None",
    machine: dict[str, str],
) -> None:
    """Says on standard error what the user should know of a run before it takes its time.

    Args:
        settings: What decides it.
        interrupted: Where it goes on, if it does.
        start: The weights that it starts from, if it does.
        machine: What computes it.
    """
    from digitcli.console.streams import print_note
    from digitcli.text import visible

    if interrupted is not None:
        print_note(f"going on {interrupted.place}")
        then = interrupted.machine
        for name in sorted(name for name in then if machine.get(name) != then[name]):
            print_note(
                f"{name} was {visible(then[name])} so far, now {machine.get(name)}: the weights "
                "may come out different by rounding"
            )
    if start is not None and settings.classes != start.classes:
        print_note(f"{visible(start.name)} has other classes, the output layer is new")
    if settings.recipe.outliers:
        print_note("pictures of no digit are made, which the recipe trains with too")


def tell_start(usual: "Recipe", settings: "Settings", output: Path | None) -> None:
    """Says what a run will do, now that it is known that it can be.

    Args:
        usual: The recipe as it was chosen.
        settings: What decides the run.
        output: Where the weights of a new run go.
    """
    from digitcli.console.streams import print_note
    from digitcli.core.evaluation.calibration import MIN_FIT_IMAGES
    from digitcli.text import visible

    if settings.validation is not None and settings.validation < MIN_FIT_IMAGES:
        print_note(f"fewer than {MIN_FIT_IMAGES} pictures held out: the temperature is not fitted")
    if (size := settings.recipe.batch_size) < usual.batch_size:
        print_note(f"batches of {size} pictures in place of {usual.batch_size}: there are no more")
    if output is not None and output.exists():
        print_note(f"{visible(str(output))} will be replaced after the first epoch")


def begin_watching(
    log: "MetricLogger | None",
    curve: "Curve | None",
    data: "TrainingData",
    recipe: "Recipe",
    interrupted: "TrainingState | None",
) -> None:
    """Opens what a run is written down in."""
    from digitcli.console.streams import print_note
    from digitcli.text import visible

    if curve is not None:
        curve.begin(data, recipe)
    if log is not None:
        if interrupted is None and log.exists():
            print_note(f"{visible(str(log.lines))} and {log.table.name} are replaced")
        log.begin(data, recipe, interrupted)
