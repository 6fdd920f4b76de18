"""``digitcli predict``: read the digit in a picture."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from digitcli.cli.options import DEFAULT_CHECKPOINT, CheckpointFile, Json, examples

if TYPE_CHECKING:
    from collections.abc import Iterator

    from digitcli.core.errors import PictureError

EXAMPLES = examples(
    "digitcli predict digit.png",
    "digitcli predict scans/ --json | jq .digit",
    "curl -s https://example.org/7.png | digitcli predict --quiet -",
    "digitcli predict *.jpg --min-probability 0.9",
)


def predict(
    images: Annotated[
        list[str],
        typer.Argument(
            metavar="IMAGE...", help="Pictures, folders of pictures, or - for standard input."
        ),
    ],
    *,
    top: Annotated[
        int | None, typer.Option(min=1, metavar="K", help="Show the K most probable digits.")
    ] = None,
    min_probability: Annotated[
        float, typer.Option(min=0, max=1, metavar="P", help="Answer ? below this, and exit with 1.")
    ] = 0.0,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print the digit alone.")] = False,
    checkpoint: CheckpointFile = DEFAULT_CHECKPOINT,
    json: Json = False,
) -> int:
    """Read the handwritten digit in each picture.

    A picture is prepared as MNIST was: ink made light on black, cropped,
    fitted into 20x20 pixels, and centred by mass in 28x28.
    """
    from digitcli.console.errors import print_error
    from digitcli.console.prediction import Prediction, show_prediction
    from digitcli.core.checkpoint import load_checkpoint
    from digitcli.core.errors import PictureError
    from digitcli.core.inference import forward
    from digitcli.core.softmax import softmax
    from digitcli.data.pictures import read_picture
    from digitcli.data.prepare import prepare

    loaded = load_checkpoint(checkpoint)
    answered = failed = doubtful = 0
    for name, source in _sources(images):
        try:
            if isinstance(source, PictureError):
                raise source
            picture = prepare(read_picture(source))
        except PictureError as error:
            print_error(PictureError(f"{name}: {error.problem}", error.next_step))
            failed += 1
            continue
        probabilities = softmax(forward(loaded, picture[None]))[0]
        certain = bool(probabilities.max() >= min_probability)
        prediction = Prediction(name, picture, loaded.metadata.classes, probabilities, certain)
        show_prediction(prediction, as_json=json, quiet=quiet, top=top)
        answered += 1
        doubtful += not certain
    if failed and not answered:
        return 2
    return 1 if failed or doubtful else 0


def _sources(images: list[str]) -> "Iterator[tuple[str, Path | bytes | PictureError]]":
    """Yields each picture's name and where it comes from, or the fault of a folder without any."""
    from digitcli.core import errors
    from digitcli.data.pictures import find_pictures

    for image in images:
        if image == "-":
            yield image, sys.stdin.buffer.read()
        elif Path(image).is_dir():
            found = False
            for path in find_pictures(Path(image)):
                found = True
                yield str(path), path
            if not found:
                yield (
                    image,
                    errors.PictureError("there are no pictures in it", "name another folder"),
                )
        else:
            yield image, Path(image)
