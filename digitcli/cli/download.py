"""``digitcli download``: bring a data set to this machine."""

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
        bool, typer.Option("--force", metavar="", help="Fetch everything anew.")
    ] = False,
    data_dir: DataDir,
    json: Json = False,
) -> None:
    """Download a data set, check it against its published MD5 sums, and mend what is damaged."""
    from digitcli.console.download import DownloadDisplay, show_download
    from digitcli.data.datasets.registry import find_dataset
    from digitcli.data.download import downloader as downloading
    from digitcli.data.download.manifest import FILE_SETS

    find_dataset(dataset)
    if dataset not in FILE_SETS:
        show_download(dataset, None, [], as_json=json)
        return
    with DownloadDisplay() as display:
        reports = downloading.download(
            dataset, data_dir, mirror or [], force=force, progress=display
        )
    show_download(dataset, FILE_SETS[dataset].folder(data_dir), reports, as_json=json)
