"""Runs ``digitcli`` and tells the most memory that it had."""

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

_MEASURE = """\
import json, os, subprocess, sys
process = subprocess.Popen([sys.executable, "-m", "digitcli", *sys.argv[1:]],
                           stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
import threading
said = []
reader = threading.Thread(target=lambda: said.append(process.stderr.read()))
reader.start()
output = process.stdout.read()
reader.join()
_, status, usage = os.wait4(process.pid, 0)
print(json.dumps([os.waitstatus_to_exitcode(status), output, said[0], usage.ru_maxrss // 1024]))
"""
"""A small process in between: a program's peak counts what its parent had when it started it."""


@dataclass(frozen=True)
class Measured:
    """What a command came to.

    Attributes:
        code: Its exit code.
        output: Its standard output.
        errors: Its standard error.
        megabytes: Its peak memory.
    """

    code: int
    output: str
    errors: str
    megabytes: int


def measured(*arguments: str | Path, stdin: Path | None = None, timeout: float = 60) -> Measured:
    """Runs ``digitcli`` in a process of its own, which may take ``timeout`` seconds at most."""
    command = [sys.executable, "-c", _MEASURE, *map(str, arguments)]
    with open(stdin or "/dev/null", "rb") as file:  # noqa: PTH123
        done = subprocess.run(
            command, stdin=file, capture_output=True, text=True, check=True, timeout=timeout
        )
    return Measured(*json.loads(done.stdout))
