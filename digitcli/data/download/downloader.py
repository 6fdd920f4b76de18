"""Downloading a data set: verified and flushed to disk before any reader can see it."""

import contextlib
import os
import shutil
import tempfile
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from digitcli.core.errors import DatasetError, DigitcliError
from digitcli.core.files.atomic import put_in_place, real, write_errors
from digitcli.core.files.locks import only_one
from digitcli.data.download.fetch import DownloadProgress, fetch
from digitcli.data.download.manifest import PUBLISHED, DataFile, PublishedDataset, read_verified
from digitcli.data.download.transport import MirrorError

LOCK_TIMEOUT = 1800.0
"""Seconds to wait for another process that downloads to the same folder."""

_NEXT_STEP = "choose another folder with --data-dir"
_PARTIAL = ".partial-"


@dataclass(frozen=True)
class FileReport:
    """The outcome for one file.

    Attributes:
        name: Name of the extracted file, or of the archive where that is what is read.
        bytes: Its size.
        md5: Its MD5.
        source: The mirror's address it was fetched from; "archive" if it was extracted from the
            archive on disk; None if it was present and valid.
    """

    name: str
    bytes: int
    md5: str
    source: str | None


def download(
    dataset: str,
    data_dir: Path,
    mirrors: Sequence[str],
    *,
    force: bool = False,
    progress: DownloadProgress,
) -> list[FileReport]:
    """Makes sure that the files of a data set are on disk and valid.

    A damaged file is extracted again from its archive if that is valid, and otherwise fetched.
    Files arrive in a temporary folder, are verified by their MD5 and flushed to disk before they
    get their final names, so that a process killed at any instant leaves a file missing or whole.
    One process writes at a time, and removes what killed ones left.

    Args:
        dataset: One of ``PUBLISHED``.
        data_dir: The files go to ``MNIST/raw`` or the like below this folder, and nowhere else:
            links in place of files are replaced, and a folder that is a link out of it is refused.
        mirrors: Folders, file:// or http(s):// addresses with the archives, in the order to try;
            torchvision's mirrors if empty.
        force: Fetch every file again.
        progress: Called about files, bytes, failures, and waiting for another process.

    Raises:
        DatasetError: No mirror served a file, or the folder cannot be written. Files present
            before are unchanged.
        DigitcliError: Another process downloads to the folder for longer than ``LOCK_TIMEOUT``.
    """
    published = PUBLISHED[dataset]
    folder = published.folder(data_dir)
    if not force and (valid := _check_all(folder, published)) is not None:
        if _leftovers(folder, published):
            # Not an error if another process is at work or the folder is read-only.
            with contextlib.suppress(DigitcliError), _exclusive(published, data_dir, wait=0):
                pass
        return valid
    sources = deque(mirrors)
    reports = []
    with (
        _exclusive(published, data_dir, wait=LOCK_TIMEOUT, on_wait=progress.on_wait),
        write_errors(folder, _NEXT_STEP, DatasetError),
        tempfile.TemporaryDirectory(
            prefix=_PARTIAL, dir=folder, ignore_cleanup_errors=True
        ) as temporary,
    ):
        for file in published.files:
            report = None if force else _repair(folder, file, Path(temporary))
            if report is None:
                sources = sources or deque(torchvision_mirrors(published))
                report = _fetch(folder, file, Path(temporary), sources, progress)
            reports.append(report)
    return reports


def torchvision_mirrors(published: PublishedDataset) -> list[str]:
    """Returns the addresses of the folders that torchvision fetches a data set from."""
    from torchvision import datasets  # slow to import

    kind = getattr(datasets, published.path.parts[0])
    if kind is datasets.QMNIST:
        addresses = [kind.resources["train"][0][0]]
    elif kind is datasets.USPS:
        addresses = [kind.split_list["train"][0]]
    else:
        return list(kind.mirrors)
    return [address.rpartition("/")[0] for address in addresses]


def _check_all(folder: Path, published: PublishedDataset) -> list[FileReport] | None:
    """Returns a report for each file, or None if any needs repair; writes nothing."""
    reports = []
    for file in published.files:
        report = _check(folder, file)
        if report is None or _has_damaged_archive(folder, file):
            return None
        reports.append(report)
    return reports


def _check(folder: Path, file: DataFile) -> FileReport | None:
    """Returns a report if the file that is read is present and valid."""
    data = read_verified(folder / file.read_name, file.read_md5)
    return None if data is None else FileReport(file.read_name, data.size, file.read_md5, None)


def _has_damaged_archive(folder: Path, file: DataFile) -> bool:
    """Returns True if there is a damaged archive beside an extracted file."""
    archive = folder / file.archive
    return (
        file.md5 is not None
        and os.path.lexists(archive)
        and read_verified(archive, file.archive_md5) is None
    )


def _repair(folder: Path, file: DataFile, temporary: Path) -> FileReport | None:
    """Makes a file valid without a mirror; returns None if that is impossible."""
    report = _check(folder, file)
    if report is not None:
        if _has_damaged_archive(folder, file):
            (folder / file.archive).unlink(missing_ok=True)  # so that nothing relies on it
        return report
    archive = read_verified(folder / file.archive, file.archive_md5)
    if archive is None:
        return None
    return _install(folder, file, temporary, archive.tobytes(), "archive")


def _fetch(
    folder: Path,
    file: DataFile,
    temporary: Path,
    mirrors: deque[str],
    progress: DownloadProgress,
) -> FileReport:
    """Fetches a file from the first mirror that serves it, which is moved to the front."""
    problems = []
    for _ in range(len(mirrors)):
        source = f"{mirrors[0].rstrip('/')}/{file.archive}"
        try:
            archive = _fetch_archive(source, file, temporary, progress)
        except MirrorError as error:
            problems.append(f"{source}: {error}")
            mirrors.rotate(-1)
            continue
        for problem in problems:
            progress.on_failure(problem)
        content = archive.read_bytes()
        # The archive first: if killed now, the next call extracts it and needs no network.
        put_in_place(archive, folder / file.archive)
        return _install(folder, file, temporary, content, source)
    raise DatasetError(
        f"no mirror served {file.archive} ({'; '.join(problems)})",
        "check the network, or name another with --mirror (an address or a folder)",
    )


def _fetch_archive(
    source: str, file: DataFile, temporary: Path, progress: DownloadProgress
) -> Path:
    """Fetches an archive into the temporary folder, verifies it and flushes it to disk.

    Raises:
        MirrorError: The mirror cannot be reached, lacks the file, or sent another one.
        OSError: The folder cannot be written.
    """
    import pooch

    pooch.get_logger().setLevel("ERROR")  # progress is shown by ``progress``

    def write(url: str, output_file: str, _pooch: object) -> None:
        output = Path(output_file)
        output.unlink()  # pooch made it readable by this user only
        with (
            output.open("xb") as written,
            contextlib.closing(fetch(url, file.archive, progress)) as chunks,
        ):
            written.writelines(chunks)
            _flush(written)

    try:
        return Path(
            pooch.retrieve(
                source,
                known_hash=f"md5:{file.archive_md5}",
                fname=file.archive,
                path=temporary,
                downloader=write,
            )
        )
    except ValueError as error:  # raised by pooch where the checksum differs
        raise MirrorError("wrong checksum") from error


def _install(
    folder: Path, file: DataFile, temporary: Path, archive: bytes, source: str
) -> FileReport:
    """Extracts a verified archive that is in place, unless the archive itself is what is read."""
    content = archive
    if file.md5 is not None:
        content = file.extract(archive)
        extracted = temporary / file.name
        with extracted.open("wb") as written:
            written.write(content)
            _flush(written)
        put_in_place(extracted, folder / file.name)
    return FileReport(file.read_name, len(content), file.read_md5, source)


def _flush(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())


@contextlib.contextmanager
def _exclusive(
    published: PublishedDataset,
    data_dir: Path,
    *,
    wait: float,
    on_wait: Callable[[str], None] | None = None,
) -> Iterator[None]:
    """Makes the folder, locks it against other processes, and removes leftovers.

    Raises:
        DatasetError: The folder cannot be made, or is a link that leads out of ``data_dir``.
        DigitcliError: Another process writes to it, or it cannot be written.
    """
    folder = published.folder(data_dir)
    with write_errors(folder, _NEXT_STEP, DatasetError):
        if not real(folder).is_relative_to(real(data_dir)):
            raise DatasetError(
                f"{folder} is a link that leads out of {data_dir}",
                "remove the link, or name the folder with the files with --data-dir",
            )
        folder.mkdir(parents=True, exist_ok=True)
    purpose = f"downloading {published.title}"
    with only_one(folder, purpose, wait=wait, on_wait=on_wait, elsewhere=_NEXT_STEP) as is_locked:
        if is_locked:  # else the leftovers may belong to a running download
            for path in _leftovers(folder, published):
                _remove(path)
        yield


def _leftovers(folder: Path, published: PublishedDataset) -> list[Path]:
    """Returns the temporary files of a running or killed download."""
    patterns = [".lock", f"{_PARTIAL}*", *(f".{file.name}*.tmp" for file in published.files)]
    return [path for pattern in patterns for path in folder.glob(pattern)]


def _remove(path: Path) -> None:
    """Removes a leftover if possible; of a link, only the link."""
    if path.name == ".lock":
        return  # this process holds it, and removes it at the end
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with contextlib.suppress(OSError):
            path.unlink()
