"""``digitcli inspect-softmax``: the way from scores to probabilities to loss."""

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

    from digitcli.classifier import Classifier, Prediction
    from digitcli.data.datasets.registry import Dataset

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
        str | None, typer.Option(metavar="Z,Z,...", help="Plain scores in place of a picture.")
    ] = None,
    classes: Annotated[
        str | None, typer.Option(metavar="NAME,NAME,...", help="Names for the plain scores.")
    ] = None,
    index: Annotated[
        int | None, typer.Option(min=0, metavar="N", help="Picture N of a data set, from 0.")
    ] = None,
    dataset: Annotated[str | None, DATASET_OPTION] = None,
    split: Annotated[str | None, SPLIT_OPTION] = None,
    target: Annotated[
        str | None,
        typer.Option(metavar="CLASS", help="The right class; known by itself with --index."),
    ] = None,
    temperature: Annotated[
        float | None,
        typer.Option(
            metavar="T",
            show_default="the checkpoint's, 1 for plain scores",
            help="Divide the scores by T first.",
        ),
    ] = None,
    explain: Annotated[
        bool, typer.Option("--explain", metavar="", help="Say in a sentence what each step does.")
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
            "give just one of these: a picture, --logits, --index",
            "try 'digitcli inspect-softmax --logits 2,1,0.1'",
        )
    if classes is not None and logits is None:
        raise ScoresError("--classes names plain scores", "give it together with --logits")
    if (dataset is not None or split is not None) and index is None:
        raise ScoresError("--dataset and --split choose a picture", "give them with --index")

    picture: np.ndarray | None = None
    path: Path | None = None
    divisor, origin = 1.0, "default"
    if logits is not None:
        scores = _numbers(logits)
        names = tuple(_listed(classes)) if classes is not None else None
        right = target
    else:
        from digitcli.classifier import Classifier

        classifier = Classifier.load(checkpoint)
        path, names = classifier.path, classifier.classes
        if index is not None:
            from digitcli.data.datasets.registry import find_dataset

            chosen = find_dataset(dataset or classifier.metadata.dataset, names)
            picture, label = _labelled(chosen, split or "test", index, data_dir, mirror or [])
            right = target if target is not None else label
        else:
            picture, right = _read(classifier, str(image)).picture, target
        scores = classifier.scores(picture[None])[0].tolist()
        divisor, origin = classifier.metadata.temperature, "checkpoint"
    if temperature is not None:
        divisor, origin = temperature, "option"

    shown = names or tuple(map(str, range(len(scores))))
    if right is not None and right not in shown:
        raise ScoresError(f"there is no class {right!r}", f"choose from {', '.join(shown)}")
    steps = softmax_steps(
        scores,
        classes=names,
        target=None if right is None else shown.index(right),
        temperature=divisor,
    )
    if path is not None:
        print_weights(path, classifier.metadata)
    show_softmax(
        steps,
        picture=picture,
        checkpoint=path,
        temperature_from=origin,
        as_json=json,
        explain=explain,
    )


def _listed(text: str) -> list[str]:
    return [part.strip() for part in text.split(",")]


def _numbers(text: str) -> list[float]:
    from digitcli.core.errors import ScoresError

    try:
        return [float(part) for part in _listed(text)]
    except ValueError as error:
        raise ScoresError(
            f"{text!r} is not a list of numbers", "write scores like --logits 2,1,0.1"
        ) from error


def _read(classifier: "Classifier", image: str) -> "Prediction":
    """Reads a picture, and says as ``predict`` does where it is perhaps not of one digit."""
    from digitcli.console.streams import print_note
    from digitcli.core.errors import PictureError
    from digitcli.data.images.decode import read_stream
    from digitcli.data.images.limits import MAX_PIXELS
    from digitcli.data.images.source import ImageSource
    from digitcli.text import visible

    content = read_stream(sys.stdin.buffer, MAX_PIXELS) if image == "-" else Path(image)
    source = ImageSource(image, content)
    ((_, answer),) = classifier.predict_sources([[source]])
    if isinstance(answer, PictureError):
        raise answer.of(image)
    if answer.warning is not None:
        print_note(f"{visible(image)}: {answer.warning}")
    return answer


def _labelled(
    chosen: "Dataset", split: str, index: int, data_dir: Path, mirrors: list[str]
) -> "tuple[np.ndarray, str]":
    from digitcli.console.download import DownloadDisplay
    from digitcli.core.errors import DatasetError
    from digitcli.data.datasets.registry import DatasetLocation

    with DownloadDisplay() as progress:
        pictures = chosen.load(split, DatasetLocation(data_dir, mirrors, progress))
    count = len(pictures.labels)
    if index >= count:
        raise DatasetError(
            f"there is no picture {index} in {chosen.name} {split}", f"choose 0 to {count - 1}"
        )
    return pictures.images[index], chosen.classes[int(pictures.labels[index])]
