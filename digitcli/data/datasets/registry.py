"""The data sets by name: the place to add a new one.

- Files on the network that torchvision knows: add an entry to ``PUBLISHED`` in
  ``data/download/manifest.py`` (files, checksums, classes, format). It then appears here.
- Anything else: write a function that returns a ``Split``, as ``optdigits.py`` does, and add an
  entry to ``DATASETS`` below.

Name it in the help of ``--dataset`` (``cli/options.py``); in ``core/recipes.py`` if the recipe for
small sets does not suit it; and in ``preprocessing/full_frame.py`` if its images fill their frame.
"""

import contextlib
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from digitcli.core.checkpointing.metadata import FOLDER_PREFIX, UNKNOWN_DATASET, Metadata
from digitcli.core.errors import DatasetError
from digitcli.data.datasets.image_folder import ImageFolder, folder_path
from digitcli.data.datasets.optdigits import load_optdigits
from digitcli.data.datasets.readers import read_split
from digitcli.data.datasets.split import ALL, Split
from digitcli.data.download.downloader import NotServedError, download
from digitcli.data.download.fetch import DownloadProgress
from digitcli.data.download.manifest import DIGITS, MNIST_NORMALIZATION, PUBLISHED
from digitcli.data.preprocessing.mnist_form import Prepare, prepare

SPLITS = ("train", "validation", "test", ALL)
"""Names of splits; not every data set has all of them."""

_Read = Callable[[str, "DatasetLocation"], Split]


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
    read: _Read  # of one of the splits, or of all
    splits: tuple[str, ...] = ("train", "test")
    folder: ImageFolder | None = None  # of the images, if ``read`` reads them from one

    @property
    def held_out(self) -> str:
        """The split that a finished network is measured on: "test", else "validation"."""
        return "test" if "test" in self.splits else "validation"

    def load(
        self, split: str, location: DatasetLocation, classes: tuple[str, ...] | None = None
    ) -> Split:
        """Reads one of ``splits``, or all images, after fetching them if necessary.

        The labels are indices of ``classes``, which include the data set's own, or of those.

        Raises:
            DatasetError: There is no such split, or its files cannot be read or fetched.
        """
        if split not in (*self.splits, ALL):
            choices = f"{', '.join(self.splits)} or {ALL}"
            raise DatasetError(f"there is no split {split!r}", f"choose {choices}")
        loaded = self.read(split, location)
        return loaded if classes is None else loaded.relabelled(self.classes, classes)


def _with_all(read: _Read) -> _Read:
    """Returns a function that also reads all images, by reading the training and the test set."""

    def read_any(split: str, location: DatasetLocation) -> Split:
        if split != ALL:
            return read(split, location)
        return read("train", location).joined(read("test", location))

    return read_any


def _read_published(name: str, split: str, location: DatasetLocation) -> Split:
    loaded = read_split(location.data_dir, split, name)
    if loaded is None:  # missing or damaged
        _download(name, location)
        loaded = read_split(location.data_dir, split, name)
    if loaded is None:
        raise DatasetError(
            f"the files in {location.data_dir} changed while they were read",
            "choose another folder with --data-dir",
        )
    return loaded


def _download(name: str, location: DatasetLocation) -> None:
    """Downloads a data set; an error also names the folder, which the user may have mistyped."""
    state = "incomplete" if PUBLISHED[name].folder(location.data_dir).exists() else "missing"
    try:
        download(name, location.data_dir, location.mirrors, progress=location.progress)
    except NotServedError as error:
        problem = f"{name} is {state} in {location.data_dir} (--data-dir), and {error.problem}"
        raise NotServedError(problem, error.next_step) from error


DATASETS = {
    **{
        name: Dataset(
            name, each.classes, each.normalization, _with_all(partial(_read_published, name))
        )
        for name, each in PUBLISHED.items()
    },
    "optdigits": Dataset(
        "optdigits", DIGITS, (0.1436, 0.2849), _with_all(lambda split, _: load_optdigits(split))
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
    if name.startswith(FOLDER_PREFIX):
        dataset = _folder_dataset(name, prepare)
    elif name in DATASETS:
        dataset = DATASETS[name]
    else:
        step = f"choose {', '.join(DATASETS)}, or a folder of images as {FOLDER_PREFIX}PATH"
        if os.path.isdir(name):  # noqa: PTH112  Path's raises on a name that is too long
            step = f"for that folder of images, give {FOLDER_PREFIX}{name}"
        raise DatasetError(f"there is no data set {name!r}", step)
    if classes is not None and (others := [c for c in dataset.classes if c not in classes]):
        raise DatasetError(
            f"{name} has classes that the network lacks ({', '.join(others)})",
            "choose the data set that the network was trained on with --dataset"
            if dataset.folder is None
            else "move the folders of these classes elsewhere, or train a network with all classes",
        )
    return dataset


def _folder_dataset(name: str, prepare: Prepare) -> Dataset:
    folder = ImageFolder(folder_path(name), prepare)

    def read(split: str, location: DatasetLocation) -> Split:
        return folder.read(split, location.progress.on_message)

    # Prepared images have MNIST's form, and about its pixel statistics.
    return Dataset(name, folder.classes, MNIST_NORMALIZATION, read, folder.splits, folder)


def find_dataset_for(
    named: str | None, path: Path, metadata: Metadata, prepare: Prepare = prepare
) -> Dataset:
    """Returns the data set to use with a checkpoint: the named one, else that of its training.

    Args:
        named: The user's choice.
        path: File of the checkpoint.
        metadata: Metadata of the checkpoint.
        prepare: Preparation of images in a folder.

    Raises:
        DatasetError: See ``find_dataset``; the user may never have typed the name, so the error
            says where it comes from.
    """
    if named is not None:
        return find_dataset(named, metadata.classes, prepare)
    if metadata.dataset == UNKNOWN_DATASET:
        raise DatasetError(
            f"{path} was imported, and its data set is not known",
            "name the data set with --dataset",
        )
    try:
        return find_dataset(metadata.dataset, metadata.classes, prepare)
    except DatasetError as error:
        raise DatasetError(
            f"{path} was trained on {metadata.dataset}: {error.problem}",
            "name the data set with --dataset",
        ) from error


def default_split(dataset: Dataset, metadata: Metadata) -> str:
    """Returns the split to evaluate a checkpoint on.

    All images of a folder that the checkpoint was not trained on; else the split held out.
    """
    folder = dataset.folder
    return dataset.held_out if folder is None or _was_trained_on(folder, metadata) else ALL


def _was_trained_on(folder: ImageFolder, metadata: Metadata) -> bool:
    """Returns True if a folder is the one that a checkpoint names, or has its training images."""
    if not metadata.dataset.startswith(FOLDER_PREFIX):
        return False
    with contextlib.suppress(DatasetError, OSError, ValueError):
        if folder.path.samefile(folder_path(metadata.dataset)):
            return True
    return folder.training is not None and folder.training.count_trained_on(metadata) > 0
