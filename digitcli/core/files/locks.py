"""Locks between processes: one at a time writes a file or folder."""

import contextlib
import datetime
import errno
import json
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from digitcli.core.errors import DigitcliError, error_reason
from digitcli.core.files.atomic import hidden_sibling, make_folder, resolve_links

if TYPE_CHECKING:
    from filelock import FileLock

_UNSUPPORTED = (errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOLCK)


@contextlib.contextmanager
def exclusive_lock(
    path: Path,
    doing: str,
    *,
    wait: float,
    on_wait: Callable[[str], None] | None = None,
    next_step: str = "choose another folder",
) -> Iterator[bool]:
    """Locks ``path`` against other processes until the block ends.

    The lock is the operating system's, on a hidden file: ``.lock`` in a folder, ``.NAME.lock``
    beside a file. The lock ends with its process, however that ends; a lock file that a killed
    process leaves does no harm. Links are followed, so two names of one file share a lock. Missing
    folders are made.

    On network file systems without locks the block runs unlocked: writes are atomic, so two
    processes at once waste the work of one but damage no file.

    Args:
        path: The file or folder that the block writes.
        doing: What this process does, shown to others, for example "digitcli train".
        wait: Seconds to wait for another process to end; 0 to fail at once.
        on_wait: Called once before waiting, with the holder in words (see ``_holder``).
        next_step: What the user can do about an error.

    Yields:
        True if the lock is held; False if the file system has no locks.

    Raises:
        DigitcliError: Another process holds the lock, or the folder cannot be written.
    """
    import filelock  # takes 60 ms, which only commands that lock should spend

    path = resolve_links(path)
    lock_file = path / ".lock" if path.is_dir() else hidden_sibling(path, ".lock")
    lock = filelock.FileLock(lock_file, on_acquired=lambda fd: _write_note(fd, doing))
    try:
        try:
            _acquire(lock, 0)
        except filelock.Timeout:
            if wait <= 0:
                raise
            if on_wait is not None:
                on_wait(_holder(lock_file))
            _acquire(lock, wait)
    except filelock.Timeout:  # a subclass of OSError
        raise DigitcliError(
            f"{path} is being written by {_holder(lock_file)}",
            f"wait until that has ended, or {next_step}",
        ) from None
    except OSError as error:
        if error.errno not in _UNSUPPORTED:
            with contextlib.suppress(OSError):
                if not lock_file.stat().st_size:  # made here: a holder's has a note
                    lock_file.unlink()
            raise DigitcliError(
                f"cannot write to {lock_file.parent}: {error_reason(error)}", next_step
            ) from error
    try:
        yield lock.is_locked
    finally:
        # Removed while the lock is held: a waiting filelock notices that the file it locked has
        # lost its name, and tries again. Windows removes no open file; there filelock does it.
        with contextlib.suppress(OSError):
            lock_file.unlink()
        lock.release()


def _acquire(lock: "FileLock", wait: float) -> None:
    """Locks a file within ``wait`` seconds, and makes its folder.

    The process that holds the lock may remove the folder when it ends, if it leaves nothing there.
    """
    deadline = time.monotonic() + wait
    while True:
        make_folder(Path(lock.lock_file).parent)
        try:
            lock.acquire(timeout=max(0, deadline - time.monotonic()), poll_interval=0.1)
        except FileNotFoundError:
            continue
        return


def _write_note(fd: int, doing: str) -> None:
    """Writes into a lock file who holds the lock; on a full disk the file stays empty."""
    import socket

    note = {
        "pid": os.getpid(),
        "host": socket.gethostname(),
        "doing": doing,
        "since": datetime.datetime.now().astimezone().isoformat(timespec="seconds"),
    }
    with contextlib.suppress(OSError):
        os.ftruncate(fd, 0)
        os.lseek(fd, 0, os.SEEK_SET)
        os.write(fd, b"\n" + json.dumps(note).encode())


def _holder(lock_file: Path) -> str:
    """Returns "process 123 on HOST (digitcli train, since 12:01)", or "another process"."""
    try:
        with lock_file.open("rb", buffering=0) as file:
            file.seek(1)  # Windows locks the first byte, which then cannot be read
            note = json.loads(file.read(4096))
        since = datetime.datetime.fromisoformat(note["since"]).astimezone()
        today = since.date() == datetime.date.today()
        time = f"{since:%H:%M}" if today else f"{since:%Y-%m-%d %H:%M}"
        return f"process {note['pid']} on {note['host']} ({note['doing']}, since {time})"
    except (OSError, ValueError, KeyError, TypeError):
        return "another process"
