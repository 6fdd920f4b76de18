"""Errors that a user can correct, each reported in one line."""

from functools import partial
from typing import Any, Self


class DigitcliError(Exception):
    """An expected error. The command line prints it as one line and exits with ``exit_code``.

    Any other exception is a bug and keeps its traceback.

    Args:
        problem: What is wrong, without a closing full stop.
        next_step: What the user can do about it, without a closing full stop.
        exit_code: 2 for wrong use or environment; 1 if the work ran and its result is bad.
    """

    def __init__(self, problem: str, next_step: str = "", *, exit_code: int = 2) -> None:
        self.problem = problem
        self.next_step = next_step
        self.exit_code = exit_code
        super().__init__(problem, next_step)

    def __reduce__(self) -> tuple[Any, ...]:
        return partial(type(self), exit_code=self.exit_code), self.args

    def __str__(self) -> str:
        return with_next_step(self.problem, self.next_step)


class StoppedError(DigitcliError):
    """A run was stopped by a signal and saved its state; ``exit_code`` is 128 + the signal."""


class DivergedError(DigitcliError):
    """The loss or a weight of a run became nan or infinite."""


class CheckpointError(DigitcliError):
    """A checkpoint or training state is missing, damaged, foreign or of the wrong shape."""


class DatasetError(DigitcliError):
    """A data set is unknown, cannot be fetched or is damaged."""


class PictureError(DigitcliError):
    """An image cannot be read, or shows nothing."""

    def with_name(self, name: str) -> Self:
        """Returns the same error with the image's name, if it has one, before the problem."""
        problem = f"{name}: {self.problem}" if name else self.problem
        return type(self)(problem, self.next_step, exit_code=self.exit_code)

    def with_remark(self, remark: str | None) -> Self:
        """Returns the same error with a remark, if there is one, after the problem."""
        problem = f"{self.problem}; {remark}" if remark else self.problem
        return type(self)(problem, self.next_step, exit_code=self.exit_code)


class NotAPictureError(PictureError):
    """A file is in none of the supported image formats."""


class BlankPictureError(PictureError):
    """A valid image shows nothing."""

    def __init__(
        self,
        problem: str = "the image is blank",
        next_step: str = "draw a digit, dark on light or light on dark",
        *,
        exit_code: int = 1,
    ) -> None:
        super().__init__(problem, next_step, exit_code=exit_code)


class ScoresError(DigitcliError):
    """Softmax cannot work with the given scores, classes or target."""


def with_next_step(problem: str, next_step: str) -> str:
    """Returns a problem and what to do about it as one line.

    A problem that ends a sentence, such as "Did you mean 'train'?", is followed by another one.
    """
    if not next_step:
        return problem
    if problem.endswith(("?", "!", ".")):
        return f"{problem} {next_step[0].upper()}{next_step[1:]}"
    return f"{problem}; {next_step}"


def error_reason(error: OSError | ValueError) -> str:
    """Returns the reason of an error as a text, such as "Permission denied"."""
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
