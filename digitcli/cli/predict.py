"""``digitcli predict``: read the digit in a picture."""

import itertools
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from digitcli.cli.options import CheckpointFile, Json, examples, file, file_name
from digitcli.core.threads import use_one_thread
from digitcli.data.images.limits import MAX_PIXELS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from digitcli.classifier import Classifier
    from digitcli.console.prediction import AnswerDisplay
    from digitcli.core.errors import PictureError
    from digitcli.data.images.pipeline import ImageSource
    from digitcli.predictions import Prediction, Reading
    from digitcli.report.gallery import Gallery

    Answer = Prediction | Reading | PictureError

EXAMPLES = examples(
    "digitcli predict digit.png",
    "digitcli predict scans/ --json | jq .digit",
    "curl -s https://example.org/7.png | digitcli predict --quiet -",
    "digitcli predict *.jpg --min-probability 0.9",
    "digitcli predict --multi postcode.jpg --json | jq .text",
    "digitcli predict photo.jpg --show-steps steps.png",
    "digitcli predict scans/ --report report.html",
    "find . -name '*.png' -print0 | digitcli predict --files-from -",
)


def predict(
    images: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="IMAGE",
            show_default=False,
            help="Pictures, folders of pictures, or - for standard input.",
        ),
    ] = None,
    *,
    files_from: Annotated[
        str | None,
        typer.Option(
            parser=file_name,
            metavar="LIST",
            help="Take names from a file (- for standard input), parted by newlines or NULs.",
        ),
    ] = None,
    multi: Annotated[
        bool,
        typer.Option(
            "--multi",
            metavar="",
            help="Read all digits of a picture, as a string with their places.",
        ),
    ] = False,
    top: Annotated[
        int | None, typer.Option(min=1, metavar="K", help="Show the K most probable digits.")
    ] = None,
    min_probability: Annotated[
        float,
        typer.Option(
            min=0,
            max=1,
            metavar="P",
            help="Answer ? below this or beside other shapes, and exit with 1.",
        ),
    ] = 0.0,
    show_steps: Annotated[
        Path | None,
        typer.Option(
            parser=file,
            metavar="FILE",
            help="Draw how the one picture was prepared, or where --multi found its digits.",
        ),
    ] = None,
    max_pixels: Annotated[
        int,
        typer.Option(
            min=1,
            metavar="N",
            help="Refuse pictures of more pixels, or that cost as much memory; 100 million take "
            "400 MB.",
        ),
    ] = MAX_PIXELS,
    report: Annotated[
        Path | None,
        typer.Option(
            parser=file,
            metavar="FILE",
            help="Write a page that shows the pictures and their answers, report.html say.",
        ),
    ] = None,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", metavar="", help="Print the answer alone.")
    ] = False,
    checkpoint: CheckpointFile = None,
    json: Json = False,
) -> int:
    """Read the handwritten digit in each picture, or with --multi all its digits.

    A picture is prepared as MNIST was: ink made light on black, cropped,
    fitted into 20x20 pixels, and centred by mass in 28x28.
    """
    use_one_thread()
    from digitcli.classifier import Classifier
    from digitcli.console.streams import print_note
    from digitcli.core.errors import BlankPictureError, PictureError
    from digitcli.data.images.discover import is_passed_over
    from digitcli.data.images.pipeline import ImageSource
    from digitcli.text import visible

    _check_forms(json=json, quiet=quiet, multi=multi, top=top)
    _check_sources(images or [], files_from)
    if show_steps is not None:
        _check_steps(images or [], files_from, show_steps)
    gallery = _gallery(report, min_probability)
    classifier = Classifier.load(checkpoint)
    answered = failed = blank = doubtful = 0
    folders: dict[str, int] = {}  # and the number of pictures found in each

    def fail(source: ImageSource, error: PictureError) -> None:
        nonlocal failed, blank
        display.show_failure(source.name, error)
        gallery.add(source, error)
        failed += 1
        blank += isinstance(error, BlankPictureError)

    read: Callable[..., Iterator[tuple[ImageSource, Answer]]] = (
        classifier.read_sources if multi else classifier.predict_sources
    )
    latest: tuple[ImageSource, Answer] | None = None
    display = _display(
        classifier, multi=multi, as_json=json, quiet=quiet, minimum=min_probability, top=top
    )
    with display:
        sources = gallery.watch(_sources(images or [], files_from, folders, max_pixels))
        for source, answer in read(sources, max_pixels):
            latest = source, answer
            if source.folder is not None:
                if is_passed_over(source.name, answer):
                    continue
                folders[source.folder] += 1
            if isinstance(answer, PictureError):
                fail(source, answer)
                continue
            answered += 1
            doubtful += not answer.reaches(min_probability)
            display.show(source.name, answer)
            gallery.add(source, answer)
        for folder, found in folders.items():
            if not found:
                fault = PictureError("there are no pictures in it", "name another folder")
                fail(ImageSource(folder, fault), fault)
    gallery.write(classifier.path)
    if report is not None and not quiet:
        print_note(f"wrote the report {visible(str(report))}")
    if show_steps is not None and latest is not None:
        from digitcli.cli.show_steps import draw_answer

        draw_answer(classifier, *latest, show_steps, max_pixels, multi=multi)
    if failed and not answered and not blank:
        return 2
    return 1 if failed or doubtful else 0


def _check_forms(*, json: bool, quiet: bool, multi: bool, top: int | None) -> None:
    from digitcli.core.errors import DigitcliError

    if json and quiet:
        raise DigitcliError("--json and --quiet exclude each other", "give one of them")
    if quiet and top is not None:
        raise DigitcliError("--quiet and --top exclude each other", "give one of them")
    if multi and top is not None:
        raise DigitcliError(
            "--multi and --top exclude each other", "--json tells every probability of each digit"
        )


def _check_sources(images: list[str], files_from: str | None) -> None:
    from digitcli.core.errors import DigitcliError

    if not images and files_from is None:
        raise DigitcliError("there is no picture to read", "name one, or a list by --files-from")
    if files_from == "-" and "-" in images:
        raise DigitcliError(
            "standard input cannot be a picture and a list at once", "give one of them a file"
        )


def _check_steps(images: list[str], files_from: str | None, path: Path) -> None:
    from digitcli.core.errors import DigitcliError
    from digitcli.core.files.atomic import real
    from digitcli.report.step_drawing import check_destination

    one = len(images) == 1 and files_from is None and images[0] not in ("", "-")
    if not one or os.path.isdir(images[0]):  # noqa: PTH112  Path's raises on a name too long
        raise DigitcliError("--show-steps draws one picture", "name one file")
    if real(path) == real(Path(images[0])):
        raise DigitcliError(
            f"--show-steps {path} is the picture itself", "give the steps another name"
        )
    check_destination(path)


def _display(
    classifier: "Classifier",
    *,
    multi: bool,
    as_json: bool,
    quiet: bool,
    minimum: float,
    top: int | None,
) -> "AnswerDisplay[Any]":
    from digitcli.console.prediction import PredictionDisplay
    from digitcli.console.reading import ReadingDisplay

    if multi:
        return ReadingDisplay(classifier, as_json=as_json, quiet=quiet, minimum=minimum)
    return PredictionDisplay(classifier, as_json=as_json, quiet=quiet, minimum=minimum, top=top)


class _NoGallery:
    """Stands in where no report is wanted."""

    def watch(self, sources: "Iterator[ImageSource | None]") -> "Iterator[ImageSource | None]":
        return sources

    def add(self, source: "ImageSource", answer: "Answer") -> None:
        pass

    def write(self, checkpoint: Path) -> None:
        pass


def _gallery(path: Path | None, minimum: float) -> "Gallery | _NoGallery":
    if path is None:
        return _NoGallery()
    from digitcli.report.gallery import Gallery  # what draws pages takes time to import

    return Gallery(path, minimum)


def _sources(
    images: list[str], files_from: str | None, folders: dict[str, int], max_pixels: int
) -> "Iterator[ImageSource | None]":
    """Yields each picture's name and content; notes in ``folders`` those that it searches."""
    from digitcli.core.errors import DigitcliError
    from digitcli.data.images.decode import read_stream
    from digitcli.data.images.discover import find_files
    from digitcli.data.images.pipeline import ImageSource, read_names

    empty = not images
    listed = () if files_from is None else read_names(_blocks(files_from))
    for image in itertools.chain(images, listed):
        empty = empty and image is None
        if image is None:
            yield None
        elif image == "-":
            yield ImageSource(image, read_stream(sys.stdin.buffer, max_pixels))
        elif os.path.isdir(image):  # noqa: PTH112  Path's raises on a name that is too long
            folders[image] = 0
            for path in find_files(Path(image)):
                yield ImageSource(str(path), path, folder=image)
        else:
            yield ImageSource(image, Path(image) if image else b"")
    if empty:
        raise DigitcliError(
            f"there is no picture to read, the list {files_from} is empty", "put names in it"
        )


def _blocks(path: str) -> "Iterator[bytes]":
    """Reads a list of names block by block, as they arrive in a pipe."""
    from digitcli.core.errors import DigitcliError, reason

    try:
        with open(
            sys.stdin.fileno() if path == "-" else path, "rb", 0, closefd=path != "-"
        ) as file:
            while block := file.read(65536):
                yield block
    except OSError as error:
        raise DigitcliError(
            f"cannot read the list {path}: {reason(error)}", "name a file by --files-from"
        ) from error
