"""The data sets by name."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from digitcli.core.errors import DatasetError
from digitcli.data.datasets import image_folder
from digitcli.data.datasets.optdigits import load_optdigits
from digitcli.data.datasets.readers import read_split
from digitcli.data.datasets.split import Split
from digitcli.data.download.downloader import download
from digitcli.data.download.fetch import DownloadProgress

SPLITS = ("train", "test")


@dataclass(frozen=True)
class DatasetLocation:
    """Where the pictures come from: the folder, and the mirrors to fill it from."""

    data_dir: Path
    mirrors: Sequence[str]
    progress: DownloadProgress


@dataclass(frozen=True)
class Dataset:
    """A data set of 28x28 pictures.

    Attributes:
        name: As given to ``--dataset``.
        classes: Class names in the order of the labels.
        normalisation: Mean and standard deviation that training pixels, in 0..1, are normalised
            with; None for those that they have, computed whenever they are trained on.
        read: What ``load`` calls for a split.
    """

    name: str
    classes: tuple[str, ...]
    normalisation: tuple[float, float] | None
    read: Callable[[str, DatasetLocation], Split]

    def load(
        self, split: str, source: DatasetLocation, classes: tuple[str, ...] | None = None
    ) -> Split:
        """Reads a split, fetching it first if need be.

        Args:
            split: "train" or "test".
            source: Where the files are, and where to fetch them.
            classes: Whose indices the labels are to be, if not the data set's own; all of these
                are among them.

        Raises:
            DatasetError: There is no such split, or its files cannot be read or fetched.
        """
        if split not in SPLITS:
            raise DatasetError(f"there is no split {split!r}", f"choose {' or '.join(SPLITS)}")
        loaded = self.read(split, source)
        return loaded if classes is None else loaded.relabelled(self.classes, classes)


def _read_files(name: str, split: str, source: DatasetLocation) -> Split:
    loaded = read_split(source.data_dir, split, name)
    if loaded is None:  # missing or damaged
        download(name, source.data_dir, source.mirrors, progress=source.progress)
        loaded = read_split(source.data_dir, split, name)
    if loaded is None:
        raise DatasetError(
            f"the files in {source.data_dir} change while they are read",
            "choose another folder with --data-dir",
        )
    return loaded


_DIGITS = tuple("0123456789")
_GARMENTS = (
    *("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat"),
    *("Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
)
_HIRAGANA = ("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo")

_PUBLISHED = {"fashion-mnist": _GARMENTS, "kmnist": _HIRAGANA, "qmnist": _DIGITS, "usps": _DIGITS}
"""Sets whose files are fetched, and their classes as torchvision has them, digits by their sign."""

_MNIST = (0.1307, 0.3081)
"""The lesson's figures, of MNIST's training pixels."""

DATASETS = {
    dataset.name: dataset
    for dataset in (
        Dataset("mnist", _DIGITS, _MNIST, partial(_read_files, "mnist")),
        *(
            Dataset(name, classes, None, partial(_read_files, name))
            for name, classes in _PUBLISHED.items()
        ),
        Dataset("optdigits", _DIGITS, (0.1436, 0.2849), lambda split, _: load_optdigits(split)),
    )
}


def find_dataset(name: str, classes: tuple[str, ...] | None = None) -> Dataset:
    """Returns the data set of a name.

    Args:
        name: As given to ``--dataset``; ``folder:PATH`` is a folder of pictures.
        classes: The classes of the network that it is for, if any; those of the data set have to
            be among them.

    Raises:
        DatasetError: There is none, or it has other classes.
    """
    if name.startswith(image_folder.PREFIX):
        dataset = _folder(name)
    elif name in DATASETS:
        dataset = DATASETS[name]
    else:
        raise DatasetError(
            f"there is no data set {name!r}",
            f"choose {', '.join(DATASETS)}, or a folder of pictures as {image_folder.PREFIX}PATH",
        )
    if classes is not None and (others := [c for c in dataset.classes if c not in classes]):
        raise DatasetError(
            f"{name} has classes that the network has not ({', '.join(others)})",
            "choose the data set that it was trained on with --dataset",
        )
    return dataset


def _folder(name: str) -> Dataset:
    path = image_folder.folder_of(name)
    classes = image_folder.find_classes(path)

    pictures = image_folder.PictureFolder(path, classes)

    def read(split: str, source: DatasetLocation) -> Split:
        return pictures.read(split, source.progress.on_left_out)

    # people's pictures come out in MNIST's form, and so do their pixels
    return Dataset(name, classes, _MNIST, read)
