"""A terminal in memory: runs a program on a pseudo-terminal and returns the screen it leaves."""

import fcntl
import os
import pty
import struct
import subprocess
import termios
from dataclasses import dataclass
from typing import IO

import pyte


@dataclass(frozen=True)
class Screen:
    """What a person sees in the end.

    Attributes:
        lines: The whole scroll from the first line, without trailing blanks.
        colors: Every foreground color that stands on the screen.
        raw: All that was written, escape sequences and all.
        code: The program's exit code.
    """

    lines: list[str]
    colors: set[str]
    raw: str
    code: int


def run_on_terminal(
    command: list[str],
    *,
    columns: int = 80,
    rows: int = 200,
    environment: dict[str, str],
    output: IO[str] | None = None,
) -> Screen:
    """Runs a program whose standard streams are a terminal, or all but its output are."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    process = subprocess.Popen(
        command,
        stdin=slave,
        stdout=output or slave,
        stderr=slave,
        env=environment,
        close_fds=True,
    )
    os.close(slave)
    received = b""
    while True:
        try:
            chunk = os.read(master, 65536)
        except OSError:  # Linux's word for a terminal that everyone has left
            break
        if not chunk:
            break
        received += chunk
    os.close(master)
    code = process.wait(timeout=60)

    screen = pyte.Screen(columns, rows)
    raw = received.decode()
    pyte.Stream(screen).feed(raw)
    lines = [line.rstrip() for line in screen.display]
    while lines and not lines[-1]:
        lines.pop()
    used = [cell for row in screen.buffer.values() for cell in row.values() if cell.data.strip()]
    return Screen(lines, {cell.fg for cell in used}, raw, code)
