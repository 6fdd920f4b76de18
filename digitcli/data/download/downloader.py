"""Downloading a data set: verified and flushed to disk before any reader can see it."""

import contextlib
import os
import shutil
import tempfile
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from digitcli.core.errors import DatasetError, DigitcliError
from digitcli.core.files.atomic import (
    empty_folders_removed,
    keep_permissions,
    make_folder,
    replace_durably,
    resolve_links,
    write_errors,
)
from digitcli.core.files.locks import exclusive_lock
from digitcli.core.imports import import_errors
from digitcli.data.download.fetch import DownloadProgress, fetch, mirror_folder
from digitcli.data.download.manifest import PUBLISHED, DataFile, PublishedDataset, read_verified
from digitcli.data.download.transport import MirrorError

LOCK_TIMEOUT = 1800.0  # seconds to wait for another process that downloads to the same folder
_NEXT_STEP = "choose another folder with --data-dir"
_PARTIAL = ".partial-"


class NotServedError(DatasetError):
    """No mirror served a file of a data set."""


@dataclass(frozen=True)
class FileReport:
    """A valid file on disk: name, size and MD5 of the extracted file or of an archive read as such.

    ``source`` is the address it was fetched from, "archive" if it was extracted again from the
    archive on disk, or None if it was valid already.
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
    Files get their final names only when verified and flushed to disk: a process killed at any
    instant leaves a file missing or whole. One process writes at a time, and removes what killed
    ones left.

    Args:
        dataset: One of ``PUBLISHED``.
        data_dir: Folder of all data sets. Nothing is written outside: links in place of files are
            replaced, and a folder that is a link out of it is refused.
        mirrors: Folders, file:// or http(s):// addresses with the archives, in the order to try;
            torchvision's mirrors if empty.
        force: Fetch every file again.
        progress: Called during the download.

    Raises:
        NotServedError: No mirror served a file. Files present before are unchanged, and no new
            folder is left empty.
        DatasetError: The folder cannot be written; files as before.
        DigitcliError: Another process downloads to the folder for longer than ``LOCK_TIMEOUT``.
    """
    published = PUBLISHED[dataset]
    folder = published.folder(data_dir)
    if not force and (valid := _check_all(folder, published)) is not None:
        if _leftovers(folder, published) or (folder / ".lock").exists():
            # Fails, harmlessly, if another process is at work or the folder is read-only.
            with contextlib.suppress(DigitcliError), _exclusive(dataset, data_dir, progress, 0):
                pass
        return valid
    sources = deque(mirrors)
    reports = []
    with (
        empty_folders_removed(folder),
        _exclusive(dataset, data_dir, progress, LOCK_TIMEOUT),
        write_errors(folder, _NEXT_STEP, DatasetError),
        tempfile.TemporaryDirectory(
            prefix=_PARTIAL, dir=folder, ignore_cleanup_errors=True
        ) as temporary,
    ):
        for file in published.files:
            report = None if force else _repair(folder, file, Path(temporary))
            if report is None:
                sources = sources or deque(torchvision_mirrors(published))
                report = _fetch(dataset, file, Path(temporary), sources, progress, folder=folder)
            reports.append(report)
    return reports


def torchvision_mirrors(published: PublishedDataset) -> list[str]:
    """Returns the addresses of the folders that torchvision fetches a data set from."""
    with import_errors(
        "the list of mirrors needs torchvision",
        "name a copy of the files with --mirror, or run pip install --upgrade torch torchvision",
    ):
        from torchvision import datasets  # slow to import

    kind = getattr(datasets, published.path.parts[0])
    if kind not in (datasets.QMNIST, datasets.USPS):
        return list(kind.mirrors)
    file = kind.split_list["train"] if kind is datasets.USPS else kind.resources["train"][0]
    return [file[0].rpartition("/")[0]]


def _check_all(folder: Path, published: PublishedDataset) -> list[FileReport] | None:
    """Returns a report for each file, or None if any needs repair; writes nothing."""
    reports = []
    for file in published.files:
        report, archive = _check(folder, file), folder / file.archive
        is_extracted = file.md5 is not None and os.path.lexists(archive)
        if report is None or (is_extracted and read_verified(archive, file.archive_md5) is None):
            return None
        reports.append(report)
    return reports


def _check(folder: Path, file: DataFile) -> FileReport | None:
    """Returns a report if the file that is read is present and valid."""
    data = read_verified(folder / file.read_name, file.read_md5)
    return None if data is None else FileReport(file.read_name, data.size, file.read_md5, None)


def _repair(folder: Path, file: DataFile, temporary: Path) -> FileReport | None:
    """Makes a file valid without a mirror; returns None if that is impossible."""
    report = _check(folder, file)
    archive = read_verified(folder / file.archive, file.archive_md5)
    if report is None and archive is not None:
        return _install(folder, file, temporary, archive.tobytes(), "archive")
    if report is not None and archive is None:
        (folder / file.archive).unlink(missing_ok=True)  # damaged: nothing should rely on it
    return report


def _fetch(
    dataset: str,
    file: DataFile,
    temporary: Path,
    mirrors: deque[str],
    progress: DownloadProgress,
    *,
    folder: Path,
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
            progress.on_message(problem)
        content = archive.read_bytes()
        # The archive first: if killed now, the next call extracts it and needs no network.
        _replace(archive, folder / file.archive)
        return _install(folder, file, temporary, content, source)
    raise _not_served(dataset, file, mirrors, problems)


def _not_served(
    dataset: str, file: DataFile, mirrors: Iterable[str], problems: Iterable[str]
) -> NotServedError:
    """Returns the error of a file that no mirror served, with the way around the network."""
    archives = [each.archive for each in PUBLISHED[dataset].files]
    is_web, found = False, []
    for mirror, problem in zip(mirrors, problems, strict=True):
        try:
            folder = mirror_folder(mirror)
        except MirrorError:
            found.append(problem)
            continue
        is_web = is_web or folder is None
        found.append((folder is not None and _folder_problem(folder, archives)) or problem)
    (first, *others), files = found, ", ".join(archives)
    step = f"give --mirror a folder that has {files}"
    if is_web:
        named = "" if dataset == "mnist" else f" --dataset {dataset}"
        step = (
            f"check the network, or copy {files} from another computer into a folder and run "
            f"'digitcli download{named} --mirror FOLDER'"
        )
    if others or is_web or first in problems:
        first = f"no mirror served {file.archive} ({'; '.join(found)})"
    return NotServedError(first, step)


def _folder_problem(folder: Path, archives: list[str]) -> str | None:
    """Returns why a folder cannot be a mirror, None if it has all archives of a data set."""
    if not folder.is_dir():
        return f"{folder} is not a folder" if folder.exists() else f"there is no folder {folder}"
    missing = [name for name in archives if not (folder / name).exists()]
    if len(missing) == len(archives):
        return f"the folder {folder} has no files of the data set"
    return f"the folder {folder} lacks {', '.join(missing)}" if missing else None


def _fetch_archive(
    source: str, file: DataFile, temporary: Path, progress: DownloadProgress
) -> Path:
    """Fetches an archive into the temporary folder, verified and flushed to disk."""
    import pooch

    pooch.get_logger().setLevel("ERROR")  # without pooch's own messages

    def write(url: str, output_file: str, _pooch: object) -> None:
        Path(output_file).unlink()  # pooch made it readable by this user only
        with contextlib.closing(fetch(url, file.archive, progress)) as chunks:
            _write_durably(Path(output_file), chunks)

    try:
        return Path(
            pooch.retrieve(
                source,
                known_hash=f"md5:{file.archive_md5}",
                fname=file.archive,
                path=temporary.absolute(),  # pooch would expand a folder named ~
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
        _write_durably(temporary / file.name, [content])
        _replace(temporary / file.name, folder / file.name)
    return FileReport(file.read_name, len(content), file.read_md5, source)


def _replace(temporary: Path, path: Path) -> None:
    keep_permissions(temporary, path)
    replace_durably(temporary, path)


def _write_durably(path: Path, chunks: Iterable[bytes]) -> None:
    with path.open("xb") as file:
        file.writelines(chunks)
        file.flush()
        os.fsync(file.fileno())


@contextlib.contextmanager
def _exclusive(
    dataset: str, data_dir: Path, progress: DownloadProgress, wait: float
) -> Iterator[None]:
    """Makes the folder, locks it against other processes, and removes leftovers."""
    published = PUBLISHED[dataset]
    folder = published.folder(data_dir)
    with write_errors(folder, _NEXT_STEP, DatasetError):
        if not resolve_links(folder).is_relative_to(resolve_links(data_dir)):
            raise DatasetError(
                f"{folder} is a link that leads out of {data_dir}",
                "remove the link, or name the folder with the files with --data-dir",
            )
        make_folder(folder)

    def on_wait(holder: str) -> None:
        progress.on_message(f"waiting for {holder}")

    purpose = f"downloading {dataset}"
    with exclusive_lock(
        folder, purpose, wait=wait, on_wait=on_wait, next_step=_NEXT_STEP
    ) as is_locked:
        if is_locked:  # else the leftovers may belong to a running download
            for path in _leftovers(folder, published):
                shutil.rmtree(path, ignore_errors=True)  # leaves files, and links to folders
                with contextlib.suppress(OSError):
                    path.unlink()
        yield


def _leftovers(folder: Path, published: PublishedDataset) -> list[Path]:
    """Returns the temporary files of a running or killed download, apart from the lock."""
    patterns = [f"{_PARTIAL}*", *(f".{file.name}*.tmp" for file in published.files)]
    return [path for pattern in patterns for path in folder.glob(pattern)]
