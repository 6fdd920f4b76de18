"""Faults that a user can mend, told in one line."""


class DigitcliError(Exception):
    """An expected fault: what is wrong, and what to do next.

    The command line prints it as one line on standard error and ends with ``exit_code``. Anything
    else that is raised is a bug and keeps its traceback.

    Args:
        problem: What is wrong, without a closing full stop.
        next_step: What the user can do about it, without a closing full stop.
        exit_code: 2 for wrong use or environment; 1 where the work ran and found fault.
    """

    def __init__(self, problem: str, next_step: str = "", *, exit_code: int = 2) -> None:
        self.problem = problem
        self.next_step = next_step
        self.exit_code = exit_code
        super().__init__(problem, next_step)  # what another process builds it of again

    def __str__(self) -> str:
        return f"{self.problem}; {self.next_step}" if self.next_step else self.problem


class StoppedError(DigitcliError):
    """A run that was asked to stop, and has saved where it was; shells know 128 + the signal."""


class DivergedError(DigitcliError):
    """A run whose loss or weights are no longer numbers."""


class CheckpointError(DigitcliError):
    """A checkpoint that is missing, damaged, foreign or of the wrong shape."""


class DatasetError(DigitcliError):
    """A data set that is unknown, cannot be fetched or is damaged."""


class PictureError(DigitcliError):
    """A picture that cannot be read, or that shows nothing."""

    def with_name(self, name: str) -> "PictureError":
        """Returns the same fault with the picture's name before it."""
        return type(self)(f"{name}: {self.problem}", self.next_step, exit_code=self.exit_code)


class NotAPictureError(PictureError):
    """A file whose content is of no format that pictures are read in."""


class BlankPictureError(PictureError):
    """A sound picture that shows nothing."""

    def __init__(
        self,
        problem: str = "the picture is blank",
        next_step: str = "draw a digit, dark on light or light on dark",
        *,
        exit_code: int = 1,
    ) -> None:
        super().__init__(problem, next_step, exit_code=exit_code)


class ScoresError(DigitcliError):
    """Scores, classes or a target that softmax cannot work with."""


def error_reason(error: OSError | ValueError) -> str:
    """Names an operating-system fault as a person would ("Permission denied")."""
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
