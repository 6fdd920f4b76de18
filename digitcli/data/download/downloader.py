"""Bringing a data set from a mirror to the disk, checked before anyone can read it."""

import contextlib
import os
import shutil
import tempfile
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from digitcli.core.errors import DatasetError, DigitcliError, error_reason
from digitcli.core.files.atomic import replace_durably, resolve_links
from digitcli.core.files.locks import exclusive_lock
from digitcli.data.download.fetch import DownloadProgress, fetch
from digitcli.data.download.manifest import FILE_SETS, DataFile, FileSet, read_sound
from digitcli.data.download.transport import MirrorError

LOCK_WAIT = 1800.0
"""Seconds to wait for another process that downloads to the same folder."""

_ELSEWHERE = "choose another folder with --data-dir"
_PARTIAL = ".partial-"


@dataclass(frozen=True)
class FileReport:
    """What became of one archive.

    Attributes:
        name: Name of the extracted file, or of the archive where that is what is read.
        bytes: Its size.
        md5: Its MD5.
        source: The mirror's address it came from; "archive" where it was extracted again from the
            archive on disk; None where it was there and sound.
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
    """Makes sure that the files of a data set are on disk and sound.

    A file that is there but damaged is extracted again from its archive if that is sound, and else
    fetched. Everything arrives in a temporary folder, is checked against its MD5, flushed to disk,
    and only then gets the name under which readers look for it: killed at any instant, a file is
    missing or whole. One process at a time writes, and what killed ones left is removed.

    Args:
        dataset: One of ``FILE_SETS``.
        data_dir: The files go to ``MNIST/raw`` or the like in this folder, and nothing goes
            elsewhere: a link under a file's name is replaced, and a folder that is a link out of it
            is a fault.
        mirrors: Folders, file:// or http(s):// addresses that hold the archives, in the order to
            try them; torchvision's own list if empty.
        force: Fetch everything anew.
        progress: Told of files, bytes and failures, and of another process that is waited for.

    Raises:
        DatasetError: No mirror served a file, or the folder cannot be written. What was there
            before is untouched.
        DigitcliError: Another process downloads to the folder, and did not end in ``LOCK_WAIT``.
    """
    files = FILE_SETS[dataset]
    folder = files.folder(data_dir)
    if not force and (reports := _all_there(folder, files)) is not None:
        if _leftovers(folder, files):
            # Another process may be at work, or the folder be read-only: no matter, all is there.
            with contextlib.suppress(DigitcliError), _alone(files, data_dir, wait=0):
                pass
        return reports
    with _alone(files, data_dir, wait=LOCK_WAIT, on_wait=progress.on_wait):
        mending = _Mending(folder, deque(mirrors), dataset, progress)
        return _bring_all(mending, files, force=force)


@dataclass
class _Mending:
    """A download under way.

    Attributes:
        folder: Where the files go.
        mirrors: What they are fetched from, the one that served last first; torchvision's own list
            is looked up when the first file is to be fetched, if none was named.
        dataset: The set's name.
        progress: Told of it all.
    """

    folder: Path
    mirrors: deque[str]
    dataset: str
    progress: DownloadProgress


def _bring_all(mending: _Mending, files: FileSet, *, force: bool) -> list[FileReport]:
    folder = mending.folder
    try:
        partial = Path(tempfile.mkdtemp(prefix=_PARTIAL, dir=folder))
    except OSError as error:
        raise _cannot_write(folder, error) from error
    reports = []
    try:
        for file in files.files:
            report = None if force else _mend(folder, file, partial)
            reports.append(report or _fetch(mending, file, partial))
    except OSError as error:  # of our own files: a mirror's faults have been told by then
        raise _cannot_write(folder, error) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return reports


def torchvision_mirrors(dataset: str) -> list[str]:
    """Returns where torchvision fetches a data set from: addresses of folders."""
    # slow to import, so only where it is needed
    from torchvision.datasets import KMNIST, MNIST, QMNIST, USPS, FashionMNIST

    addresses = {"qmnist": QMNIST.resources["train"][0][0], "usps": USPS.split_list["train"][0]}
    if dataset in addresses:
        return [addresses[dataset].rpartition("/")[0]]
    return list({"mnist": MNIST, "fashion-mnist": FashionMNIST, "kmnist": KMNIST}[dataset].mirrors)


def _all_there(folder: Path, files: FileSet) -> list[FileReport] | None:
    """Reports on the files if there is nothing to mend, without writing anything."""
    reports = []
    for file in files.files:
        report = _there(folder, file)
        archive = folder / file.archive
        if report is None or (
            file.md5 is not None
            and os.path.lexists(archive)
            and read_sound(archive, file.archive_md5) is None
        ):
            return None
        reports.append(report)
    return reports


def _there(folder: Path, file: DataFile) -> FileReport | None:
    """Reports on what is read of a file, if that is there and sound."""
    name, md5 = (file.archive, file.archive_md5) if file.md5 is None else (file.name, file.md5)
    data = read_sound(folder / name, md5)
    return None if data is None else FileReport(name, data.size, md5, None)


def _mend(folder: Path, file: DataFile, partial: Path) -> FileReport | None:
    """Makes sure of a file without a mirror, if that can be done."""
    report = _there(folder, file)
    if file.md5 is None:
        return report
    archive = read_sound(folder / file.archive, file.archive_md5)
    if report is not None:
        if archive is None:
            (folder / file.archive).unlink(missing_ok=True)  # damaged: nobody should rely on it
        return report
    if archive is not None:
        return _extract(folder, file, partial, archive.tobytes(), "archive")
    return None


def _fetch(mending: _Mending, file: DataFile, partial: Path) -> FileReport:
    mending.mirrors = mirrors = mending.mirrors or deque(torchvision_mirrors(mending.dataset))
    folder, progress = mending.folder, mending.progress
    problems = []
    for _ in range(len(mirrors)):
        source = f"{mirrors[0].rstrip('/')}/{file.archive}"
        try:
            archive = _fetch_from(source, file, partial, progress)
        except MirrorError as error:
            problems.append(f"{source}: {error}")
            mirrors.rotate(-1)  # the next file starts with the mirror that served last
        else:
            for problem in problems:
                progress.on_failure(problem)
            content = archive.read_bytes()
            # First the archive: whoever is killed now finds it next time, and needs no network.
            replace_durably(archive, folder / file.archive)
            if file.md5 is None:
                return FileReport(file.archive, len(content), file.archive_md5, source)
            return _extract(folder, file, partial, content, source)
    raise DatasetError(
        f"no mirror served {file.archive} ({'; '.join(problems)})",
        "check the network, or name another with --mirror (an address or a folder)",
    )


def _fetch_from(source: str, file: DataFile, partial: Path, progress: DownloadProgress) -> Path:
    """Fetches one archive into the temporary folder, checks it and flushes it to disk.

    Raises:
        MirrorError: The mirror is out of reach, lacks the file, or sent something else.
        OSError: The folder cannot be written.
    """
    import pooch

    pooch.get_logger().setLevel("ERROR")  # our own progress says it better

    def download(url: str, output_file: str, _pooch: object) -> None:
        output = Path(output_file)
        output.unlink()  # made for this user alone; the files are for whoever may see the folder
        with (
            output.open("xb") as written,
            contextlib.closing(fetch(url, file.archive, progress)) as chunks,
        ):
            for chunk in chunks:
                written.write(chunk)
            _flush(written)

    try:
        return Path(
            pooch.retrieve(
                source,
                known_hash=f"md5:{file.archive_md5}",
                fname=file.archive,
                path=partial,
                downloader=download,
            )
        )
    except ValueError as error:  # pooch's word for a checksum that differs
        raise MirrorError("wrong checksum") from error


def _extract(
    folder: Path, file: DataFile, partial: Path, archive: bytes, source: str
) -> FileReport:
    """Writes what a checked archive holds under its final name."""
    extracted = file.unpack(archive)
    temporary = partial / file.name
    with temporary.open("wb") as written:
        written.write(extracted)
        _flush(written)
    replace_durably(temporary, folder / file.name)
    return FileReport(file.name, len(extracted), str(file.md5), source)


def _flush(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())


@contextlib.contextmanager
def _alone(
    files: FileSet, data_dir: Path, *, wait: float, on_wait: Callable[[str], None] | None = None
) -> Iterator[None]:
    """Makes the folder, keeps other processes from writing to it, and tidies it up.

    Raises:
        DatasetError: The folder cannot be made, or is a link that leads out of ``data_dir``.
        DigitcliError: Another process writes to it, or it cannot be written.
    """
    folder = files.folder(data_dir)
    try:
        if not resolve_links(folder).is_relative_to(resolve_links(data_dir)):
            raise DatasetError(
                f"{folder} is a link that leads out of {data_dir}",
                "remove the link, or name the folder that holds the files with --data-dir",
            )
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _cannot_write(folder, error) from error
    doing = f"downloading {files.title}"
    with exclusive_lock(
        folder, doing, wait=wait, on_wait=on_wait, next_step=_ELSEWHERE
    ) as is_alone:
        if is_alone:  # where nothing can be locked, they may be a running download's
            for path in _leftovers(folder, files):
                _remove(path)
        yield


def _leftovers(folder: Path, files: FileSet) -> list[Path]:
    """Lists what only a running download has in the folder, or one that was killed."""
    patterns = [".lock", f"{_PARTIAL}*", *(f".{file.name}*.tmp" for file in files.files)]
    return [path for pattern in patterns for path in folder.glob(pattern)]


def _remove(path: Path) -> None:
    """Removes a leftover, as far as that can be done; a link goes, not what it leads to."""
    if path.name == ".lock":
        return  # it is ours now, and goes when we end
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with contextlib.suppress(OSError):
            path.unlink()


def _cannot_write(folder: Path, error: OSError) -> DatasetError:
    return DatasetError(f"cannot write to {folder}: {error_reason(error)}", _ELSEWHERE)
