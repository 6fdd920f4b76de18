"""``digitcli download``: download a data set."""

from typing import Annotated

import typer

from digitcli.cli.options import DATASET_OPTION, DataDir, Json, Mirrors, examples

EXAMPLES = examples(
    "digitcli download",
    "digitcli download --mirror /media/usb/mnist",
    "digitcli download --mirror https://mirror.example/mnist --mirror /srv/mnist",
    "digitcli download --dataset fashion-mnist",
    "digitcli download --force --json",
)


def download(
    *,
    dataset: Annotated[str, DATASET_OPTION] = "mnist",
    mirror: Mirrors = None,
    force: Annotated[
        bool, typer.Option("--force", metavar="", help="Fetch every file again.")
    ] = False,
    data_dir: DataDir,
    json: Json = False,
) -> None:
    """Download a data set, verify it against the published MD5 sums, and repair damaged files."""
    from digitcli.console.download import DownloadDisplay, show_download
    from digitcli.data.datasets.registry import find_dataset
    from digitcli.data.download import downloader
    from digitcli.data.download.manifest import PUBLISHED

    find_dataset(dataset)
    if dataset not in PUBLISHED:
        show_download(dataset, None, [], as_json=json)
        return
    with DownloadDisplay() as display:
        reports = downloader.download(
            dataset, data_dir, mirror or [], force=force, progress=display
        )
    show_download(dataset, PUBLISHED[dataset].folder(data_dir), reports, as_json=json)
