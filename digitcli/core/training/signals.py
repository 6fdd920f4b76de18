"""Signals that ask a program to end, taken as a wish to be met at the next good moment."""

import signal
from types import FrameType
from typing import Self

_SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP")
"""Ctrl-C; what shutdowns and batch systems send; a terminal that is closed, where there is such."""


class StopSignals:
    """Within this context the first such signal is only noted; the second ends the program.

    A signal that the program was started to ignore, as by nohup, stays ignored. Only the main
    thread may enter it, as Python has it with signals.

    Args:
        patient: Take further signals for the same wish: torchrun passes on what the terminal has
            sent already.

    Attributes:
        received: The one that came; None so far.
    """

    received: signal.Signals | None = None

    def __init__(self, *, patient: bool = False) -> None:
        self._patient = patient

    def __enter__(self) -> Self:
        """Begins to listen."""
        wanted = [getattr(signal, name) for name in _SIGNALS if hasattr(signal, name)]
        before = {number: signal.getsignal(number) for number in wanted}
        self._before = {
            number: handler
            for number, handler in before.items()
            if handler not in (signal.SIG_IGN, None)
        }
        for number in self._before:
            signal.signal(number, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        """Leaves the signals as they were."""
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, number: int, _frame: FrameType | None) -> None:
        self.received = signal.Signals(number)
        if not self._patient:
            self.__exit__()  # the next one does what it always did
