"""Signals that ask a run to stop."""

import signal
from types import FrameType
from typing import Self

_SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP")
"""Names of the signals: Ctrl-C; sent by shutdowns and batch systems; sent when a terminal is
closed, on systems that have it."""


class StopSignals:
    """Records the first signal within the context; the second one ends the program.

    Signals that the program was started to ignore, as by nohup, stay ignored. Python lets only the
    main thread enter the context.

    Args:
        ignore_further: Do not let a second signal end the program: torchrun passes on a signal that
            the terminal has already sent.

    Attributes:
        received: The signal that arrived; None so far.
    """

    received: signal.Signals | None = None

    def __init__(self, *, ignore_further: bool = False) -> None:
        self._ignore_further = ignore_further

    def __enter__(self) -> Self:
        numbers = [getattr(signal, name) for name in _SIGNALS if hasattr(signal, name)]
        handlers = {number: signal.getsignal(number) for number in numbers}
        self._previous = {
            number: handler
            for number, handler in handlers.items()
            if handler not in (signal.SIG_IGN, None)
        }
        for number in self._previous:
            signal.signal(number, self._record)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def _record(self, number: int, _frame: FrameType | None) -> None:
        self.received = signal.Signals(number)
        if not self._ignore_further:
            self.__exit__()  # the next signal has its previous effect
