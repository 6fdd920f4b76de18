"""The data sets by name."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from digitcli.core.errors import DatasetError
from digitcli.data.download import download_mnist
from digitcli.data.fetch import Progress
from digitcli.data.mnist import read_split
from digitcli.data.optdigits import load_optdigits
from digitcli.data.split import Split

SPLITS = ("train", "test")


@dataclass(frozen=True)
class Source:
    """Where the pictures come from: the folder, and the mirrors to fill it from."""

    data_dir: Path
    mirrors: Sequence[str]
    progress: Progress


@dataclass(frozen=True)
class Dataset:
    """A data set of 28x28 pictures.

    Attributes:
        name: As given to ``--dataset``.
        classes: Class names in the order of the labels.
        mean: Mean of the training pixels in 0..1.
        std: Their standard deviation.
        read: What ``load`` calls for a split.
    """

    name: str
    classes: tuple[str, ...]
    mean: float
    std: float
    read: Callable[[str, Source], Split]

    def load(self, split: str, source: Source) -> Split:
        """Reads a split, fetching it first if need be.

        Args:
            split: "train" or "test".
            source: Where the files are, and where to fetch them.

        Raises:
            DatasetError: There is no such split, or its files cannot be read or fetched.
        """
        if split not in SPLITS:
            raise DatasetError(f"there is no split {split!r}", f"choose {' or '.join(SPLITS)}")
        return self.read(split, source)


def _load_mnist(split: str, source: Source) -> Split:
    loaded = read_split(source.data_dir, split)
    if loaded is None:  # missing or damaged
        download_mnist(source.data_dir, source.mirrors, progress=source.progress)
        loaded = read_split(source.data_dir, split)
    if loaded is None:
        raise DatasetError(
            f"the files in {source.data_dir} change while they are read",
            "choose another folder with --data-dir",
        )
    return loaded


_DIGITS = tuple("0123456789")

DATASETS = {
    dataset.name: dataset
    for dataset in (
        # The lesson's figures, of MNIST's training pixels.
        Dataset("mnist", _DIGITS, 0.1307, 0.3081, _load_mnist),
        Dataset("optdigits", _DIGITS, 0.1436, 0.2849, lambda split, _: load_optdigits(split)),
    )
}


def find_dataset(name: str, classes: tuple[str, ...] | None = None) -> Dataset:
    """Returns the data set of a name.

    Args:
        name: As given to ``--dataset``.
        classes: The classes of the checkpoint that it is for, if any.

    Raises:
        DatasetError: There is none, or its classes are others.
    """
    if name not in DATASETS:
        raise DatasetError(f"there is no data set {name!r}", f"choose {' or '.join(DATASETS)}")
    dataset = DATASETS[name]
    if classes is not None and dataset.classes != classes:
        raise DatasetError(
            f"the checkpoint's classes are not those of {name}",
            "choose the data set that it was trained on with --dataset",
        )
    return dataset
