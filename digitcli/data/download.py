"""Bringing MNIST from a mirror to the disk, checked before anyone can read it."""

import gzip
import shutil
import tempfile
import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit
from urllib.request import url2pathname

from digitcli import __version__
from digitcli.core.errors import DatasetError, reason
from digitcli.core.files import write_atomically
from digitcli.data import mnist
from digitcli.data.mnist import IdxFile, raw_folder, read_sound

CONNECT_TIMEOUT = 10.0
"""Seconds for a mirror to accept a connection."""

READ_TIMEOUT = 20.0
"""Seconds for a mirror to send anything more."""

SLOWEST = 4 * 1024
"""Bytes a second; a mirror that has sent less on average after the read time-out is given up."""

_CHUNK = 64 * 1024
_LARGEST = 64 * 1024 * 1024


class Progress(Protocol):
    """Is told of a download as it goes."""

    def on_start(self, name: str, size: int | None) -> None:
        """A file of so many bytes (None if the mirror does not say) begins to arrive."""

    def on_bytes(self, count: int) -> None:
        """So many more bytes of it arrived."""

    def on_failure(self, problem: str) -> None:
        """A mirror failed where a later one then served."""


@dataclass(frozen=True)
class FileReport:
    """What became of one archive.

    Attributes:
        name: Name of the extracted file.
        bytes: Its size.
        md5: Its MD5.
        source: The mirror's address it came from; "archive" where it was extracted again from the
            archive on disk; None where it was there and sound.
    """

    name: str
    bytes: int
    md5: str
    source: str | None


def download_mnist(
    data_dir: Path, mirrors: Sequence[str], *, force: bool = False, progress: Progress
) -> list[FileReport]:
    """Makes sure that the four MNIST files are on disk and sound.

    A file that is there but damaged is extracted again from its archive if that is sound, and else
    fetched. Everything arrives in a temporary folder, is checked against its MD5, and only then
    gets the name under which readers look for it.

    Args:
        data_dir: The files go to ``MNIST/raw`` in this folder.
        mirrors: Folders, file:// or http(s):// addresses that hold the archives, in the order to
            try them; torchvision's own list if empty.
        force: Fetch everything anew.
        progress: Told of files, bytes and failures.

    Raises:
        DatasetError: No mirror served a file, or the folder cannot be written. What was there
            before is untouched.
    """
    folder = raw_folder(data_dir)
    reports = []
    queue: deque[str] | None = None
    for file in mnist.FILES:
        report = None if force else _already_there(folder, file)
        if report is None:
            if queue is None:
                queue = deque(mirrors or _torchvision_mirrors())
            report = _fetch(folder, file, queue, progress)
        reports.append(report)
    return reports


def _torchvision_mirrors() -> list[str]:
    from torchvision.datasets import MNIST  # slow to import, so only where it is needed

    return list(MNIST.mirrors)


def _already_there(folder: Path, file: IdxFile) -> FileReport | None:
    extracted = read_sound(folder / file.name, file.md5)
    archive = read_sound(folder / file.archive, file.archive_md5)
    if extracted is not None:
        if archive is None:
            (folder / file.archive).unlink(missing_ok=True)  # damaged: nobody should rely on it
        return FileReport(file.name, extracted.size, file.md5, None)
    if archive is not None:
        return _install(folder, file, archive.tobytes(), "archive")
    return None


def _fetch(folder: Path, file: IdxFile, mirrors: deque[str], progress: Progress) -> FileReport:
    problems = []
    for _ in range(len(mirrors)):
        source = f"{mirrors[0].rstrip('/')}/{file.archive}"
        try:
            archive = _fetch_from(source, file, folder, progress)
        except _MirrorError as error:
            problems.append(f"{source}: {error}")
            mirrors.rotate(-1)  # the next file starts with the mirror that served last
        else:
            for problem in problems:
                progress.on_failure(problem)
            return _install(folder, file, archive, source)
    raise DatasetError(
        f"no mirror served {file.archive} ({'; '.join(problems)})",
        "check the network, or name another with --mirror (an address or a folder)",
    )


def _install(folder: Path, file: IdxFile, archive: bytes, source: str) -> FileReport:
    """Writes a checked archive and what it holds under their final names."""
    extracted = gzip.decompress(archive)
    try:
        write_atomically(folder / file.name, lambda out: out.write(extracted))
        if source != "archive":
            write_atomically(folder / file.archive, lambda out: out.write(archive))
    except OSError as error:
        raise _cannot_write(folder, error) from error
    return FileReport(file.name, len(extracted), file.md5, source)


def _cannot_write(folder: Path, error: OSError) -> DatasetError:
    return DatasetError(
        f"cannot write to {folder}: {reason(error)}", "choose another folder with --data-dir"
    )


class _MirrorError(Exception):
    """One mirror failed, for the reason given."""


def _fetch_from(source: str, file: IdxFile, folder: Path, progress: Progress) -> bytes:
    """Fetches one archive and checks it.

    Raises:
        _MirrorError: The mirror is out of reach, lacks the file, or sent something else.
        DatasetError: The folder cannot be written.
    """
    import pooch

    pooch.get_logger().setLevel("ERROR")  # our own progress says it better

    def download(url: str, output_file: str, _pooch: object) -> None:
        with Path(output_file).open("wb") as output:
            for chunk in _chunks(url, file.archive, progress):
                output.write(chunk)
                progress.on_bytes(len(chunk))

    try:
        folder.mkdir(parents=True, exist_ok=True)
        partial = Path(tempfile.mkdtemp(prefix=".partial-", dir=folder))
    except OSError as error:
        raise _cannot_write(folder, error) from error
    try:
        path = pooch.retrieve(
            source,
            known_hash=f"md5:{file.archive_md5}",
            fname=file.archive,
            path=partial,
            downloader=download,
        )
        return Path(path).read_bytes()
    except OSError as error:
        raise _cannot_write(folder, error) from error
    except ValueError as error:  # pooch's word for a checksum that differs
        raise _MirrorError("wrong checksum") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _chunks(url: str, name: str, progress: Progress) -> Iterator[bytes]:
    try:
        scheme = urlsplit(url).scheme if "://" in url else ""
    except ValueError as error:
        raise _MirrorError("not an address") from error
    if scheme in ("http", "https"):
        return _chunks_over_http(url, name, progress)
    if scheme == "file":
        return _chunks_from_disk(Path(url2pathname(urlsplit(url).path)), name, progress)
    if scheme:
        raise _MirrorError("neither http(s)://, file:// nor a folder")
    return _chunks_from_disk(Path(url).expanduser(), name, progress)


def _chunks_from_disk(path: Path, name: str, progress: Progress) -> Iterator[bytes]:
    try:
        with path.open("rb") as file:
            progress.on_start(name, path.stat().st_size)
            while chunk := file.read(_CHUNK):
                yield chunk
    except OSError as error:
        raise _MirrorError(reason(error)) from error


def _chunks_over_http(url: str, name: str, progress: Progress) -> Iterator[bytes]:
    import requests
    import urllib3

    headers = {
        "Accept-Encoding": "identity",  # the archive as it is, not unpacked on the way
        "User-Agent": f"digitcli/{__version__}",
    }
    try:
        started = time.monotonic()
        with requests.get(
            url, headers=headers, stream=True, timeout=(CONNECT_TIMEOUT, READ_TIMEOUT)
        ) as response:
            if not response.ok:
                raise _MirrorError(f"HTTP {response.status_code}")
            size = response.headers.get("Content-Length", "")
            progress.on_start(name, int(size) if size.isdecimal() else None)
            received = 0
            # read1 gives what has arrived; read would wait for a whole chunk, however slow.
            while chunk := response.raw.read1(_CHUNK):
                received += len(chunk)
                elapsed = time.monotonic() - started
                if elapsed > READ_TIMEOUT and received < SLOWEST * elapsed:
                    raise _MirrorError(f"too slow ({received / elapsed:.0f} bytes a second)")
                if received > _LARGEST:
                    raise _MirrorError("sent far more than the file holds")
                yield chunk
    except (requests.Timeout, urllib3.exceptions.TimeoutError) as error:
        raise _MirrorError("timed out") from error
    except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
        raise _MirrorError(_network_reason(error)) from error


def _network_reason(error: BaseException) -> str:
    """Finds the operating system's word under the layers of a network library's exceptions."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.strerror:
            return cause.strerror
        cause = cause.__cause__ or cause.__context__
    return "the connection broke" if not str(error) else str(error).splitlines()[0][:120]
