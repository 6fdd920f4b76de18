"""``digitcli inspect-softmax``: the steps from scores to probabilities to loss."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from digitcli.cli.options import (
    DATASET_OPTION,
    SPLIT_OPTION,
    CheckpointFile,
    DataDir,
    Json,
    Mirrors,
    examples,
)

if TYPE_CHECKING:
    import numpy as np

    from digitcli.classifier import Classifier

EXAMPLES = examples(
    "digitcli inspect-softmax --logits 2,1,0.1 --classes cat,dog,person --target cat --explain",
    "digitcli inspect-softmax digit.png --target 7",
    "digitcli inspect-softmax --index 8 --temperature 2",
    "digitcli inspect-softmax --logits 1000,999 --json",
)


def inspect_softmax(
    image: Annotated[
        str | None,
        typer.Argument(
            metavar="IMAGE", show_default=False, help="A picture, or - for standard input."
        ),
    ] = None,
    *,
    logits: Annotated[
        str | None, typer.Option(metavar="Z,Z,...", help="Scores instead of a picture.")
    ] = None,
    classes: Annotated[
        str | None, typer.Option(metavar="NAME,NAME,...", help="Names of the classes of --logits.")
    ] = None,
    index: Annotated[
        int | None, typer.Option(min=0, metavar="N", help="Picture N of a data set, from 0.")
    ] = None,
    dataset: Annotated[str | None, DATASET_OPTION] = None,
    split: Annotated[str | None, SPLIT_OPTION] = None,
    target: Annotated[
        str | None, typer.Option(metavar="CLASS", help="The right class; --index knows its own.")
    ] = None,
    temperature: Annotated[
        float | None,
        typer.Option(
            metavar="T",
            show_default="the checkpoint's, 1 for --logits",
            help="Divide the scores by T before softmax.",
        ),
    ] = None,
    explain: Annotated[
        bool, typer.Option("--explain", metavar="", help="Explain each step in a sentence.")
    ] = False,
    checkpoint: CheckpointFile = None,
    mirror: Mirrors = None,
    data_dir: DataDir,
    json: Json = False,
) -> None:
    """Show softmax and cross-entropy step by step, for a picture or for plain scores."""
    from digitcli.console.softmax import show_softmax
    from digitcli.console.streams import print_weights
    from digitcli.core.errors import ScoresError
    from digitcli.core.softmax import softmax_steps

    if sum(given is not None for given in (image, logits, index)) != 1:
        raise ScoresError(
            "give exactly one of a picture, --logits and --index",
            "try 'digitcli inspect-softmax --logits 2,1,0.1'",
        )
    if classes is not None and logits is None:
        raise ScoresError("--classes needs --logits", "add --logits, or leave --classes out")
    if (dataset is not None or split is not None) and index is None:
        raise ScoresError("--dataset and --split choose a picture", "give them with --index")

    classifier, picture, label = None, None, None
    if logits is not None:
        scores, names = _parse_scores(logits, classes)
    else:
        from digitcli.classifier import Classifier

        classifier = Classifier.load(checkpoint)
        if index is None:
            picture = _read(classifier, str(image))
        else:
            source = data_dir, mirror or []
            picture, label = _labelled(classifier, dataset, split, index, source)
        scores, names = classifier.scores(picture[None])[0].tolist(), classifier.classes
    right = target if target is not None else label
    if right is not None and right not in names:
        raise ScoresError(f"there is no class {right!r}", f"choose from {', '.join(names)}")
    path, divisor, origin = None, 1.0, "default"
    if classifier is not None:
        path, divisor, origin = classifier.path, classifier.metadata.temperature, "checkpoint"
    if temperature is not None:
        divisor, origin = temperature, "option"
    steps = softmax_steps(
        scores,
        classes=names,
        target=None if right is None else names.index(right),
        temperature=divisor,
    )
    if classifier is not None:
        print_weights(classifier.path, classifier.metadata)
    show_softmax(
        steps,
        picture=picture,
        checkpoint=path,
        temperature_from=origin,
        as_json=json,
        explain=explain,
    )


def _parse_scores(logits: str, classes: str | None) -> tuple[list[float], tuple[str, ...]]:
    """Parses --logits and --classes, which are indices by default."""
    from digitcli.core.errors import ScoresError

    try:
        scores = [float(part) for part in logits.split(",")]
    except ValueError as error:
        raise ScoresError(
            f"{logits!r} is not a list of numbers", "write scores like --logits 2,1,0.1"
        ) from error
    names = map(str, range(len(scores))) if classes is None else map(str.strip, classes.split(","))
    return scores, tuple(names)


def _read(classifier: "Classifier", image: str) -> "np.ndarray":
    """Returns the network's input for a picture, and prints the warning that predict prints."""
    from digitcli.console.streams import print_note
    from digitcli.core.errors import PictureError
    from digitcli.data.images.decode import read_stream
    from digitcli.data.images.limits import MAX_PIXELS
    from digitcli.data.images.source import ImageSource, named_source
    from digitcli.text import visible

    source = named_source(image)
    if image == "-":
        source = ImageSource(image, read_stream(sys.stdin.buffer, MAX_PIXELS))
    ((_, answer),) = classifier.predict_sources([[source]])
    if isinstance(answer, PictureError):
        raise answer.with_name(image)
    if answer.warning is not None:
        print_note(f"{visible(image)}: {answer.warning}")
    return answer.picture


def _labelled(
    classifier: "Classifier",
    dataset: str | None,
    split: str | None,
    index: int,
    source: tuple[Path, list[str]],
) -> "tuple[np.ndarray, str]":
    """Returns an image of a data set, by default that of the checkpoint, and its class."""
    from digitcli.console.download import DownloadDisplay
    from digitcli.core.errors import DatasetError
    from digitcli.data.datasets.registry import DatasetLocation, default_split, find_dataset_for

    # prepared as eval prepares the images of a folder
    chosen = find_dataset_for(dataset, classifier.path, classifier.metadata, classifier.prepare)
    split = default_split(chosen, classifier.metadata) if split is None else split
    with DownloadDisplay() as progress:
        data = chosen.load(split, DatasetLocation(*source, progress))
    if index >= (count := len(data.labels)):
        raise DatasetError(
            f"there is no picture {index} in {chosen.name} {split}", f"choose 0 to {count - 1}"
        )
    return data.images[index], chosen.classes[int(data.labels[index])]
