"""Putting together what a network is trained on and scored on."""

from digitcli.core.batches import TrainingData
from digitcli.data.datasets import Source, find_dataset
from digitcli.data.outliers import make_outliers
from digitcli.data.split import hold_out


def load_training_data(
    dataset: str, source: Source, *, validation: int | None, seed: int, outliers: bool
) -> TrainingData:
    """Loads a data set for training.

    Args:
        dataset: Its name.
        source: Where the files are, and where to fetch them.
        validation: Training pictures to hold out, and to score on in place of the test set, which
            is then not read.
        seed: Decides which are held out, and what the outliers are.
        outliers: Whether to make pictures of no digit, from the training pictures that are left.

    Raises:
        DatasetError: There is no such data set, or its files cannot be read or fetched.
        DigitcliError: There are too few pictures to hold so many out.
    """
    chosen = find_dataset(dataset)
    train = chosen.load("train", source)
    if validation is None:
        scored = chosen.load("test", source)
    else:
        train, scored = hold_out(train, validation, seed)
    return TrainingData(
        name=chosen.name,
        classes=chosen.classes,
        mean=chosen.mean,
        std=chosen.std,
        train_images=train.images,
        train_labels=train.labels,
        scored_images=scored.images,
        scored_labels=scored.labels,
        scored_on="test" if validation is None else "validation",
        checksums=train.checksums | scored.checksums,
        outliers=make_outliers(train.images, train.labels, seed) if outliers else None,
    )
