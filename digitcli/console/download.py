"""Displays a download: a bar with size and speed on a terminal, a line per file elsewhere."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from digitcli.console.streams import (
    error_console,
    is_animated,
    print_json,
    print_note,
    print_text,
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

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()

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

    def on_message(self, text: str) -> None:
        """Prints the message, above the bar."""
        print_note(visible(text), self._bar)


def _download_bar() -> "Progress":
    from rich import progress

    return progress.Progress(
        progress.TextColumn("{task.description}", markup=False),
        progress.BarColumn(),
        progress.DownloadColumn(),
        progress.TransferSpeedColumn(),
        progress.TimeRemainingColumn(),
        console=error_console(),
        redirect_stdout=False,
        redirect_stderr=False,
    )


def show_download(
    dataset: str, folder: Path | None, reports: list[FileReport], *, as_json: bool
) -> None:
    """Prints the result of a download as text or as one JSON object.

    ``folder`` is None for a data set that is not downloaded.
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
        print_text(f"{visible(dataset)} {origin}; there is nothing to download")
    elif all(report.source is None for report in reports):
        print_text(f"{dataset} is in {visible(str(folder))}, complete and valid")
    else:
        for report in reports:
            outcome = {None: "already valid", "archive": "extracted again"}
            source = outcome.get(report.source, f"from {report.source}")
            print_text(visible(f"{report.name}  {report.bytes:,} bytes  {source}"))
        print_text(f"{dataset} is in {visible(str(folder))}")
