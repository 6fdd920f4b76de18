"""Locks between real processes."""

import contextlib
import datetime
import errno
import fcntl
import json
import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from digitcli.core.errors import DigitcliError
from digitcli.core.files.locks import exclusive_lock

HOLD = """
import sys
from pathlib import Path
from digitcli.core.files.locks import exclusive_lock
with exclusive_lock(Path(sys.argv[1]), "digitcli train", wait=0):
    print("held", flush=True)
    sys.stdin.read()
"""

COUNT = """
import sys
from pathlib import Path
from digitcli.core.files.locks import exclusive_lock
path = Path(sys.argv[1])
for _ in range(40):
    with exclusive_lock(path, "counting", wait=60):
        path.write_text(str(int(path.read_text()) + 1))
"""


@contextlib.contextmanager
def held(path: Path) -> Iterator["subprocess.Popen[str]"]:
    """Another process that holds a lock until its input ends or it is killed."""
    command = [sys.executable, "-c", HOLD, str(path)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process


def test_the_error_names_the_holder(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    with held(path) as process:
        with pytest.raises(DigitcliError) as caught, exclusive_lock(path, "digitcli train", wait=0):
            pass
        assert caught.value.exit_code == 2
        host = re.escape(socket.gethostname())
        assert re.search(
            rf"x\.safetensors is being written by process {process.pid} on {host} "
            r"\(digitcli train, since (\d\d\d\d-\d\d-\d\d )?\d\d:\d\d\); ",
            str(caught.value),
        )
    assert list(tmp_path.iterdir()) == []


def test_a_second_block_in_the_same_process_is_refused(tmp_path: Path) -> None:
    with (
        exclusive_lock(tmp_path / "x", "one", wait=0) as is_held,
        pytest.raises(DigitcliError, match=f"process {os.getpid()} "),
        exclusive_lock(tmp_path / "x", "two", wait=0),
    ):
        pass
    assert is_held


def test_a_waiting_process_reports_the_holder_once_and_continues(tmp_path: Path) -> None:
    waits = []
    with held(tmp_path / "x") as process:

        def on_wait(holder: str) -> None:
            waits.append(holder)
            assert process.stdin is not None
            process.stdin.close()

        with exclusive_lock(tmp_path / "x", "me", wait=60, on_wait=on_wait) as is_held:
            assert is_held
    assert len(waits) == 1
    assert waits[0].startswith(f"process {process.pid} on ")
    assert list(tmp_path.iterdir()) == []


def test_a_wait_is_bounded(tmp_path: Path) -> None:
    with (
        held(tmp_path / "x"),
        pytest.raises(DigitcliError, match="is being written by process"),
        exclusive_lock(tmp_path / "x", "me", wait=0.2),
    ):
        pass


def test_a_killed_holder_leaves_no_lock(tmp_path: Path) -> None:
    with held(tmp_path / "x") as process:
        process.kill()
    assert [path.name for path in tmp_path.iterdir()] == [".x.lock"]  # harmless, and taken over
    with exclusive_lock(tmp_path / "x", "me", wait=0):
        pass
    assert list(tmp_path.iterdir()) == []


def test_the_lock_is_released_after_an_exception(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), exclusive_lock(tmp_path / "x", "me", wait=0):
        raise KeyboardInterrupt
    with exclusive_lock(tmp_path / "x", "me", wait=0):
        pass
    assert list(tmp_path.iterdir()) == []


def test_concurrent_processes_take_turns(tmp_path: Path) -> None:
    """The lock file is removed between turns, and still one process at a time holds the lock."""
    path = tmp_path / "count"
    path.write_text("0")
    command = [sys.executable, "-c", COUNT, str(path)]
    processes = [subprocess.Popen(command) for _ in range(4)]
    assert [process.wait(120) for process in processes] == [0] * 4
    assert path.read_text() == "160"
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_is_locked_by_a_file_in_it(tmp_path: Path) -> None:
    with exclusive_lock(tmp_path, "me", wait=0):
        assert [path.name for path in tmp_path.iterdir()] == [".lock"]


def test_two_names_of_one_file_share_a_lock(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "there" / "x")
    with (
        held(tmp_path / "link"),
        pytest.raises(DigitcliError, match="is being written"),
        exclusive_lock(tmp_path / "there" / "x", "me", wait=0),
    ):
        pass


@pytest.mark.parametrize(
    "content",
    [b"", b"\n", b"\nnull", b"\n{}", b'\n{"pid": 1', b'\n{"since": 7}', b"\n\xff", b"\n" * 9999],
)
def test_a_lock_file_without_a_valid_note(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / ".x.lock"
    file.write_bytes(content)
    with file.open("r+") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with (
            pytest.raises(DigitcliError, match="is being written by another process; "),
            exclusive_lock(tmp_path / "x", "me", wait=0),
        ):
            pass


def test_since_another_day_names_the_day(tmp_path: Path) -> None:
    file = tmp_path / ".x.lock"
    since = datetime.datetime(2026, 1, 31, 12, 1).astimezone()
    note = {"pid": 7, "host": "h", "doing": "d", "since": since.isoformat()}
    file.write_text("\n" + json.dumps(note))
    with file.open("r+") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with (
            pytest.raises(DigitcliError, match=r"process 7 on h \(d, since 2026-01-31 12:01\)"),
            exclusive_lock(tmp_path / "x", "me", wait=0),
        ):
            pass


def test_a_file_in_place_of_the_folder(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with (
        pytest.raises(DigitcliError, match=r"cannot write to .*file: ") as caught,
        exclusive_lock(tmp_path / "file" / "x", "me", wait=0),
    ):
        pass
    assert caught.value.exit_code == 2


@pytest.mark.parametrize("missing", [errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOLCK])
def test_without_locks_in_the_file_system_the_block_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, missing: int
) -> None:
    def flock(*_: int) -> None:
        raise OSError(missing, os.strerror(missing))

    monkeypatch.setattr(fcntl, "flock", flock)
    with exclusive_lock(tmp_path / "x", "me", wait=0) as is_held:
        assert not is_held
    assert list(tmp_path.iterdir()) == []


def test_filelock_is_imported_only_to_lock() -> None:
    code = "import sys, digitcli.core.files.locks; print('filelock' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout == "False\n"
