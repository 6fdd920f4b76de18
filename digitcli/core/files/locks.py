"""One process at a time: a lock on what several would write."""

import contextlib
import datetime
import errno
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path

from digitcli.core.errors import DigitcliError, error_reason
from digitcli.core.files.atomic import resolve_links

_NO_LOCKS = (errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOLCK)
_POLL = 0.1
_LONGEST_NOTE = 4096


@contextlib.contextmanager
def exclusive_lock(
    path: Path,
    doing: str,
    *,
    wait: float,
    on_wait: Callable[[str], None] | None = None,
    next_step: str = "choose another folder",
) -> Iterator[bool]:
    """Holds ``path`` for this process alone until the block ends.

    The lock is the operating system's, on a hidden file: ``.lock`` in a folder, ``.NAME.lock``
    beside a file. It ends with its process, however that ends; a lock file that a killed process
    leaves is taken over by the next, and a normal end removes it. Links are followed first, so that
    two names of one file share a lock. Missing folders are made.

    Some network file systems know no locks. There the block runs without one: what is written is
    written to a temporary file and renamed, so two at once cost the work of one, and no file.

    Args:
        path: The file or folder that the block writes.
        doing: What this process does, for others who find it locked ("digitcli train").
        wait: Seconds to wait for another process to end; 0 to fail at once.
        on_wait: Called once, before waiting, with who holds the lock: "process 123 on HOST
            (digitcli train, since 12:01)".
        next_step: What the user can do about a fault.

    Yields:
        Whether the lock is held; False where the file system knows none.

    Raises:
        DigitcliError: Another process holds it, or the folder cannot be written.
    """
    import filelock  # 60 ms, which only those who lock should spend

    path = resolve_links(path)
    lock_file = path / ".lock" if path.is_dir() else path.with_name(f".{path.name}.lock")
    lock = filelock.FileLock(lock_file, on_acquired=lambda fd: _sign(fd, doing))
    try:
        lock_file.parent.mkdir(parents=True, exist_ok=True)
        try:
            lock.acquire(timeout=0)
        except filelock.Timeout:
            if wait <= 0:
                raise
            if on_wait is not None:
                on_wait(_holder(lock_file))
            lock.acquire(timeout=wait, poll_interval=_POLL)
    except filelock.Timeout:  # an OSError too, so before those
        raise DigitcliError(
            f"{path} is being written by {_holder(lock_file)}",
            f"wait until that has ended, or {next_step}",
        ) from None
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise DigitcliError(
                f"cannot write to {lock_file.parent}: {error_reason(error)}", next_step
            ) from error
    try:
        yield lock.is_locked
    finally:
        # Removed while it is held: filelock tries again when the file that it locked has no name
        # any more. Windows removes no open file; there filelock does so itself, afterwards.
        with contextlib.suppress(OSError):
            lock_file.unlink()
        lock.release()


def _sign(fd: int, doing: str) -> None:
    """Writes into a lock file who holds it; on a full disk the lock is held unsigned."""
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
    """Says who holds a lock, as far as its file tells."""
    try:
        with lock_file.open("rb", buffering=0) as file:
            file.seek(1)  # on Windows the first byte is what is locked, and cannot be read
            note = json.loads(file.read(_LONGEST_NOTE))
        since = datetime.datetime.fromisoformat(note["since"]).astimezone()
        today = since.date() == datetime.date.today()
        time = f"{since:%H:%M}" if today else f"{since:%Y-%m-%d %H:%M}"
        return f"process {note['pid']} on {note['host']} ({note['doing']}, since {time})"
    except (OSError, ValueError, KeyError, TypeError):
        return "another process"
