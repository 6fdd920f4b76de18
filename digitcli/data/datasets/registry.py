"""The data sets by name: the place to add a new one.

- Files on the network that torchvision knows: add an entry to ``PUBLISHED`` in
  ``data/download/manifest.py`` (files, checksums, classes, format). It then appears here.
- Anything else: write a function that returns a ``Split``, as ``optdigits.py`` does, and add an
  entry to ``DATASETS`` below.

Name it in the help of ``--dataset`` (``cli/options.py``); in ``core/recipes.py`` if the recipe for
small sets does not suit it; and in ``preprocessing/full_frame.py`` if its images fill their frame.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from digitcli.core.checkpointing.metadata import UNKNOWN_DATASET
from digitcli.core.errors import DatasetError
from digitcli.data.datasets import image_folder
from digitcli.data.datasets.optdigits import load_optdigits
from digitcli.data.datasets.readers import read_split
from digitcli.data.datasets.split import Split
from digitcli.data.download.downloader import download
from digitcli.data.download.fetch import DownloadProgress
from digitcli.data.download.manifest import DIGITS, MNIST_NORMALIZATION, PUBLISHED
from digitcli.data.preprocessing.mnist_form import Prepare, prepare

SPLITS = ("train", "test")


@dataclass(frozen=True)
class DatasetLocation:
    """The folder that holds the data sets, and the mirrors to fetch missing files from."""

    data_dir: Path
    mirrors: Sequence[str]
    progress: DownloadProgress


@dataclass(frozen=True)
class Dataset:
    """A data set of 28x28 images."""

    name: str  # for ``--dataset``
    classes: tuple[str, ...]  # names, in the order of the labels
    normalization: tuple[float, float] | None  # mean and standard deviation; None to compute them
    read: Callable[[str, DatasetLocation], Split]

    def load(
        self, split: str, location: DatasetLocation, classes: tuple[str, ...] | None = None
    ) -> Split:
        """Reads "train" or "test", after fetching it if necessary.

        The labels are indices of ``classes``, which include the data set's own, or of those.

        Raises:
            DatasetError: There is no such split, or its files cannot be read or fetched.
        """
        if split not in SPLITS:
            raise DatasetError(f"there is no split {split!r}", f"choose {' or '.join(SPLITS)}")
        loaded = self.read(split, location)
        return loaded if classes is None else loaded.relabelled(self.classes, classes)


def _read_published(name: str, split: str, location: DatasetLocation) -> Split:
    loaded = read_split(location.data_dir, split, name)
    if loaded is None:  # missing or damaged
        download(name, location.data_dir, location.mirrors, progress=location.progress)
        loaded = read_split(location.data_dir, split, name)
    if loaded is None:
        raise DatasetError(
            f"the files in {location.data_dir} changed while they were read",
            "choose another folder with --data-dir",
        )
    return loaded


DATASETS = {
    **{
        name: Dataset(name, each.classes, each.normalization, partial(_read_published, name))
        for name, each in PUBLISHED.items()
    },
    "optdigits": Dataset(
        "optdigits", DIGITS, (0.1436, 0.2849), lambda split, _: load_optdigits(split)
    ),
}


def find_dataset(
    name: str, classes: tuple[str, ...] | None = None, prepare: Prepare = prepare
) -> Dataset:
    """Returns the data set that ``--dataset`` names; ``folder:PATH`` is a folder of images.

    Args:
        name: The data set.
        classes: Names of a network's classes, which include the data set's.
        prepare: Preparation of images in a folder.

    Raises:
        DatasetError: There is no such data set, or it has classes that are not in ``classes``.
    """
    if name.startswith(image_folder.PREFIX):
        dataset = _folder_dataset(name, prepare)
    elif name in DATASETS:
        dataset = DATASETS[name]
    elif name == UNKNOWN_DATASET:
        raise DatasetError(
            "the data set of these imported weights is not known", "name it with --dataset"
        )
    else:
        raise DatasetError(
            f"there is no data set {name!r}",
            f"choose {', '.join(DATASETS)}, or a folder of images as {image_folder.PREFIX}PATH",
        )
    if classes is not None and (others := [c for c in dataset.classes if c not in classes]):
        raise DatasetError(
            f"{name} has classes that the network lacks ({', '.join(others)})",
            "choose the data set that the network was trained on with --dataset",
        )
    return dataset


def _folder_dataset(name: str, prepare: Prepare) -> Dataset:
    folder = image_folder.ImageFolder(image_folder.folder_path(name), prepare)

    def read(split: str, location: DatasetLocation) -> Split:
        return folder.read(split, location.progress.on_message)

    # Prepared images have MNIST's form, and about its pixel statistics.
    return Dataset(name, folder.classes, MNIST_NORMALIZATION, read)
