"""What ``train`` says where a run ends before it is over."""

import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from digitcli.core.checkpointing.locate import LATEST

if TYPE_CHECKING:
    from digitcli.core.training.callbacks.checkpoint_writer import CheckpointWriter
    from digitcli.core.training.callbacks.metric_logger import MetricLogger
    from digitcli.report.curve import Curve


@contextmanager
def advice(
    writer: "CheckpointWriter", log: "MetricLogger | None", curve: "Curve | None"
) -> Iterator[None]:
    """Completes what a run is ended with by the command that goes on with it, or starts over.

    Args:
        writer: Keeps the run.
        log: Where it is written down, if it is.
        curve: Where it is drawn, if it is.
    """
    from digitcli.core.errors import DivergedError, StoppedError

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
            stopped.problem, f"go on with '{command}'", exit_code=stopped.exit_code
        ) from None
    except DivergedError as diverged:
        if not writer.state.exists():
            raise
        raise DivergedError(
            diverged.problem,
            f"{diverged.next_step}, and start over with --no-resume",
            exit_code=diverged.exit_code,
        ) from None
