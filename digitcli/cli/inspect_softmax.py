"""``digitcli inspect-softmax``: the steps from scores to probabilities to loss."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from digitcli.cli.lists import split_names, split_numbers
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
    "digitcli inspect-softmax --probabilities 0.7,0.2,0.1 --target 1,0,0",
    "digitcli inspect-softmax --logits 2,1,0.1 --target 0 --step 1",
    "digitcli inspect-softmax digit.png --target 7",
    "digitcli inspect-softmax --index 8 --temperature 2",
    "digitcli inspect-softmax --logits 1000,999 --json",
)


def inspect_softmax(
    image: Annotated[
        str | None,
        typer.Argument(
            metavar="IMAGE", show_default=False, help="An image, or - for standard input."
        ),
    ] = None,
    *,
    logits: Annotated[
        str | None, typer.Option(metavar="Z,Z,...", help="Scores instead of an image.")
    ] = None,
    probabilities: Annotated[
        str | None,
        typer.Option(metavar="P,P,...", help="Probabilities instead of scores."),
    ] = None,
    classes: Annotated[
        str | None,
        typer.Option(
            metavar="NAME,NAME,...", help="Names of the classes of --logits or --probabilities."
        ),
    ] = None,
    index: Annotated[
        int | None, typer.Option(min=0, metavar="N", help="Image N of a data set, from 0.")
    ] = None,
    dataset: Annotated[str | None, DATASET_OPTION] = None,
    split: Annotated[str | None, SPLIT_OPTION] = None,
    target: Annotated[
        str | None,
        typer.Option(
            metavar="CLASS",
            show_default="the label with --index",
            help="The right class, or its one-hot vector such as 1,0,0.",
        ),
    ] = None,
    temperature: Annotated[
        float | None,
        typer.Option(
            metavar="T",
            show_default="the checkpoint's, 1 for --logits",
            help="Divide the scores by T before softmax.",
        ),
    ] = None,
    step: Annotated[
        float | None,
        typer.Option(
            metavar="LR",
            help="Take a step of gradient descent on the scores, to see the loss fall.",
        ),
    ] = None,
    explain: Annotated[
        bool,
        typer.Option(
            "--explain", metavar="", help="Explain each step in a sentence, with its formula."
        ),
    ] = False,
    checkpoint: CheckpointFile = None,
    mirror: Mirrors = None,
    data_dir: DataDir,
    json: Json = False,
) -> None:
    """Show softmax and cross-entropy step by step, for an image or for plain scores."""
    from digitcli.console.softmax import show_softmax
    from digitcli.console.streams import print_weights
    from digitcli.core.softmax import probability_steps, softmax_steps

    plain = logits if logits is not None else probabilities
    _check_options(
        image=image,
        logits=logits,
        probabilities=probabilities,
        index=index,
        classes=classes,
        data=dataset or split,
        changes=step if temperature is None else temperature,
    )
    classifier, picture, label, network = None, None, None, None
    path, divisor, origin = None, 1.0, "default"
    if plain is not None:
        option = "--logits 2,1,0.1" if logits is not None else "--probabilities 0.7,0.2,0.1"
        scores = split_numbers(plain, option)
        names = tuple(map(str, range(len(scores))) if classes is None else split_names(classes))
    else:
        from digitcli.classifier import Classifier
        from digitcli.core.checkpointing.checkpoint import find_and_load
        from digitcli.core.inference import network_steps

        path, loaded = find_and_load(checkpoint)
        classifier = Classifier(loaded, path)
        if index is None:
            picture = _read(classifier, str(image))
        else:
            source = data_dir, mirror or []
            picture, label = _labelled(classifier, dataset, split, index, source)
        scores, names = classifier.scores(picture[None])[0].tolist(), classifier.classes
        network = network_steps(loaded, picture)
        divisor, origin = loaded.metadata.temperature, "checkpoint"
    if temperature is not None:
        divisor, origin = temperature, "option"
    right = target if target is not None else label
    number = None if right is None else _class_number(right, names)
    if probabilities is not None:
        steps = probability_steps(scores, classes=names, target=number)
    else:
        steps = softmax_steps(scores, classes=names, target=number, temperature=divisor, lr=step)
    if classifier is not None:
        print_weights(classifier.path, classifier.metadata)
    show_softmax(
        steps,
        picture=picture,
        network=network,
        checkpoint=path,
        temperature_from=origin,
        as_json=json,
        explain=explain,
    )


def _check_options(**given: object) -> None:
    """Checks that options go together; None for one that is not given.

    Raises:
        ScoresError: They do not.
    """
    from digitcli.core.errors import ScoresError

    inputs = [given[name] for name in ("image", "logits", "probabilities", "index")]
    if sum(each is not None for each in inputs) != 1:
        raise ScoresError(
            "give exactly one of an image, --logits, --probabilities and --index",
            "try 'digitcli inspect-softmax --logits 2,1,0.1'",
        )
    if given["classes"] is not None and given["logits"] is given["probabilities"] is None:
        raise ScoresError("--classes needs --logits", "add --logits, or leave --classes out")
    if given["data"] is not None and given["index"] is None:
        raise ScoresError("--dataset and --split choose an image", "give them with --index")
    if given["changes"] is not None and given["probabilities"] is not None:
        raise ScoresError(
            "--temperature and --step change scores", "give --logits in place of --probabilities"
        )


def _class_number(target: str, names: tuple[str, ...]) -> int:
    """Returns the index of the class that --target names, or that its one-hot vector does.

    Raises:
        ScoresError: There is no such class.
    """
    from digitcli.core.errors import ScoresError

    if target in names:
        return names.index(target)
    try:
        numbers = split_numbers(target, "")
    except ScoresError:
        numbers = []
    if len(numbers) < 2:
        raise ScoresError(f"there is no class {target!r}", f"choose from {', '.join(names)}")
    if sorted(numbers) != [0.0] * (len(names) - 1) + [1.0]:
        raise ScoresError(
            f"{target!r} is not a one-hot vector of {len(names)} classes",
            "write 1 for the right class and 0 for every other",
        )
    return numbers.index(1.0)


def _read(classifier: "Classifier", image: str) -> "np.ndarray":
    """Returns the network's input for a picture, and prints the warning that predict prints."""
    from digitcli.console.streams import print_note
    from digitcli.core.errors import PictureError
    from digitcli.data.images.decode import read_stream
    from digitcli.data.images.limits import MAX_PIXELS
    from digitcli.data.images.source import ImageSource, named_source
    from digitcli.predictions import warning_with_option
    from digitcli.text import visible

    source = named_source(image)
    if image == "-":
        source = ImageSource(image, read_stream(sys.stdin.buffer, MAX_PIXELS))
    ((_, answer),) = classifier.predict_sources([[source]])
    if isinstance(answer, PictureError):
        raise answer.with_name(image)
    if (warning := warning_with_option(answer)) is not None:
        print_note(f"{visible(image)}: {warning}")
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
            f"there is no image {index} in {chosen.name} {split}", f"choose 0 to {count - 1}"
        )
    return data.images[index], chosen.classes[int(data.labels[index])]
