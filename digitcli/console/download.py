"""Displays a download: a bar with size and speed on a terminal, a line per file elsewhere."""

import sys
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from digitcli.console.streams import (
    at_words,
    error_console,
    is_animated,
    print_json,
    print_line,
    print_note,
)
from digitcli.data.download.downloader import FileReport
from digitcli.data.download.fetch import DownloadProgress
from digitcli.text import visible

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID


class DownloadDisplay(DownloadProgress):
    """Displays a download on standard error; nothing until a file is fetched."""

    def __init__(self) -> None:
        self._bar: Progress | None = None
        self._task: TaskID | None = None
        self._name = ""

    def __enter__(self) -> "DownloadDisplay":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def on_wait(self, holder: str) -> None:
        """Prints the process that is waited for."""
        print_note(visible(f"waiting for {holder}"))

    def on_start(self, name: str, size: int | None) -> None:
        """Starts a bar, or prints the file's name."""
        if not is_animated(sys.stderr):
            print_note(f"fetching {name}")
            return
        if self._bar is None:
            self._bar = _download_bar()
            self._bar.start()
        if self._task is not None and self._name == name:  # again, from another mirror
            self._bar.reset(self._task, total=size)
        else:
            self._name, self._task = name, self._bar.add_task(name, total=size)

    def on_bytes(self, count: int) -> None:
        """Advances the bar."""
        if self._bar is not None and self._task is not None:
            self._bar.advance(self._task, count)

    def on_failure(self, problem: str) -> None:
        """Prints the problem, above the bar."""
        if self._bar is not None:
            self._bar.console.print(at_words(f"digitcli: {visible(problem)}"), soft_wrap=True)
        else:
            print_note(visible(problem))

    def on_left_out(self, problem: str) -> None:
        """Prints the problem; a folder of images has no bar."""
        print_note(visible(problem))


def _download_bar() -> "Progress":
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )

    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
        console=error_console(),
        redirect_stdout=False,
        redirect_stderr=False,
    )


def show_download(
    dataset: str, folder: Path | None, reports: list[FileReport], *, as_json: bool
) -> None:
    """Prints the result of a download.

    Args:
        dataset: The data set's name.
        folder: Folder of its files; None for a data set that is not downloaded.
        reports: The outcome for each file.
        as_json: Print one JSON object instead of text.
    """
    if as_json:
        print_json(
            {
                "dataset": dataset,
                "folder": None if folder is None else str(folder),
                "files": [vars(report) for report in reports],
            }
        )
    elif folder is None:
        origin = "comes with scikit-learn" if dataset == "optdigits" else "is on this machine"
        print_line(f"{visible(dataset)} {origin}; there is nothing to download")
    elif all(report.source is None for report in reports):
        print_line(f"{dataset} is in {visible(str(folder))}, complete and valid")
    else:
        for report in reports:
            source = {None: "already valid", "archive": "extracted again"}.get(
                report.source, f"from {report.source}"
            )
            print_line(visible(f"{report.name}  {report.bytes:,} bytes  {source}"))
        print_line(f"{dataset} is in {visible(str(folder))}")
