"""``digitcli predict``: read the digits in images.

Options that change the answer go to ``Classifier``, options that change the output to the displays
in ``console/prediction.py``.
"""

import gc
import itertools
import os
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from digitcli.cli.options import CheckpointFile, Json, examples, file, file_name
from digitcli.core.errors import (
    BlankPictureError,
    DigitcliError,
    NotAPictureError,
    PictureError,
    error_reason,
)
from digitcli.core.files.atomic import resolve_links
from digitcli.core.threads import use_one_thread
from digitcli.data.images.discover import LeftOut, find_files, is_ignored
from digitcli.data.images.limits import MANY, MAX_PIXELS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from digitcli.console.prediction import AnswerDisplay
    from digitcli.data.images.source import ImageSource
    from digitcli.predictions import Prediction, Reading
    from digitcli.report.gallery import Gallery

    Answer = Prediction | Reading | PictureError

EXAMPLES = examples(
    "digitcli predict digit.png",
    "digitcli predict scans/ --json | jq .digit",
    "curl -s https://example.org/7.png | digitcli predict --quiet -",
    "digitcli predict *.jpg --min-probability 0.9",
    "digitcli predict --multi postcode.png --json | jq .text",
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
            help="Images, folders of images, or - for standard input.",
        ),
    ] = None,
    *,
    files_from: Annotated[
        str | None,
        typer.Option(
            parser=file_name,
            metavar="LIST",
            help="Read names from a file (- for standard input), separated by newlines or NULs.",
        ),
    ] = None,
    multi: Annotated[
        bool, typer.Option("--multi", metavar="", help="Read all digits, with their positions.")
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
            help="Answer ? and exit with 1 if a digit is less probable, or beside other shapes.",
        ),
    ] = 0.0,
    show_steps: Annotated[
        Path | None,
        typer.Option(
            parser=file,
            metavar="FILE",
            help="Draw how a single image was prepared, or where --multi found its digits.",
        ),
    ] = None,
    max_pixels: Annotated[
        int,
        typer.Option(
            min=1,
            metavar="N",
            help="Refuse images with more than N pixels, or whose decoding takes more than 4N "
            "bytes of memory.",
        ),
    ] = MAX_PIXELS,
    report: Annotated[
        Path | None,
        typer.Option(
            parser=file,
            metavar="FILE",
            help="Write an HTML page of images and answers, for example report.html.",
        ),
    ] = None,
    jobs: Annotated[
        int | None,
        typer.Option(
            "--jobs",
            "-j",
            min=1,
            metavar="N",
            show_default="the number of cores, at most 8",
            help=f"Number of processes that read small images, if there are {MANY:,} or more.",
        ),
    ] = None,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", metavar="", help="Print only the answers.")
    ] = False,
    checkpoint: CheckpointFile = None,
    json: Json = False,
) -> int:
    """Read the handwritten digit in each image, or with --multi all its digits.

    An image is prepared as MNIST was: light ink on black, cropped,
    scaled to fit 20x20 pixels, and centered by mass in 28x28.
    """
    use_one_thread()
    from digitcli.classifier import Classifier
    from digitcli.console.prediction import PredictionDisplay, ReadingDisplay
    from digitcli.console.streams import print_note, written
    from digitcli.processes import Read, read_in_processes

    names = images or []
    _check_output(json=json, quiet=quiet, multi=multi, top=top)
    _check_names(names, files_from)
    if show_steps is not None:
        _check_show_steps(names, files_from, show_steps)
    gallery = None
    if report is not None:
        from digitcli.report.gallery import Gallery  # slow to import

        gallery = Gallery(report, min_probability)
    classifier = Classifier.load(checkpoint)
    gc.freeze()  # keeps the garbage collector from searching all that was imported

    folders: dict[str, int] = {}  # number of images found in each
    left_out = LeftOut()
    find = partial(
        _find_images, folders=folders, left_out=left_out, gallery=gallery, max_pixels=max_pixels
    )
    method: Read[Any] = Classifier.read_sources if multi else Classifier.predict_sources
    display_class = ReadingDisplay if multi else PredictionDisplay
    display = display_class(classifier, as_json=json, quiet=quiet, minimum=min_probability, top=top)
    results = _Results(display, gallery, folders, min_probability, frozenset(names))
    results.goes_on = gallery is not None or show_steps is not None
    groups = _groups(names, files_from, find)
    answers = read_in_processes(
        classifier, method, groups, max_pixels, jobs, note=_ignore if quiet else print_note
    )
    try:
        with display:
            for source, answer in answers:
                results.add(source, answer)
            results.add_empty_folders()
            results.check_reader()
    except BrokenPipeError:  # raised again when the files are written
        if not results.goes_on:
            raise

    if left_out and not quiet:
        print_note(str(left_out))
    if results.hint is not None and not quiet:
        print_note(results.hint)
    if gallery is not None and report is not None:
        with written("report", report, quiet=quiet):
            gallery.write(classifier.path)
    if show_steps is not None and results.latest is not None:
        from digitcli.report.drawings import draw_answer, save_drawing

        drawing = draw_answer(classifier, *results.latest, max_pixels, multi=multi)
        if drawing is not None:
            with written("drawing", show_steps, quiet=quiet):
                save_drawing(drawing, show_steps)
    results.check_reader()
    return results.exit_code


def _ignore(_: str) -> None:
    """Prints no note."""


def _check_output(*, json: bool, quiet: bool, multi: bool, top: int | None) -> None:
    if json and quiet:
        raise DigitcliError("--json and --quiet exclude each other", "give one of them")
    if quiet and top is not None:
        raise DigitcliError("--quiet and --top exclude each other", "give one of them")
    if multi and top is not None:
        next_step = "--json has every probability of each digit"
        raise DigitcliError("--multi and --top exclude each other", next_step)


def _check_names(names: list[str], files_from: str | None) -> None:
    if not names and files_from is None:
        raise DigitcliError(
            "there is no image to read",
            "name one, or - for an image on standard input, or --files-from - for a list there",
        )
    if files_from == "-" and "-" in names:
        problem = "standard input cannot be an image and a list at once"
        raise DigitcliError(problem, "give one of them a file")


def _check_show_steps(names: list[str], files_from: str | None, path: Path) -> None:
    from digitcli.report.drawings import check_drawing

    one = len(names) == 1 and files_from is None and names[0] not in ("", "-")
    if not one or os.path.isdir(names[0]):  # noqa: PTH112  Path's raises on a name too long
        raise DigitcliError("--show-steps draws one image", "name one file")
    if resolve_links(path) == resolve_links(Path(names[0])):
        problem = f"--show-steps {path} is the image itself"
        raise DigitcliError(problem, "give the steps another name")
    check_drawing(path)


def _groups(
    names: list[str], files_from: str | None, find: "Callable[[list[str]], Iterator[ImageSource]]"
) -> "Iterator[Iterator[ImageSource]]":
    """Yields the images named on the command line, then those of each block of the list.

    Standard input is a group of its own: what precedes it is read before it is waited for.
    """
    from digitcli.data.images.source import read_names

    empty = not names
    for _, group in itertools.groupby(names, key="-".__eq__):  # standard input may come late
        yield find(list(group))
    for listed in () if files_from is None else read_names(_read_blocks(files_from)):
        empty = empty and not listed
        yield find(listed)
    if empty:
        problem = f"the list {files_from} is empty"
        raise DigitcliError(problem, "put names in it")


def _read_blocks(path: str) -> "Iterator[bytes]":
    """Reads a list of names block by block, as it arrives in a pipe."""
    try:
        file = sys.stdin.fileno() if path == "-" else path
        with open(file, "rb", 0, closefd=path != "-") as stream:
            while block := stream.read(65536):
                yield block
    except OSError as error:
        problem = f"cannot read the list {path}: {error_reason(error)}"
        raise DigitcliError(problem, "check the path") from error


def _find_images(
    names: "Iterable[str]",
    *,
    folders: dict[str, int],
    left_out: LeftOut,
    gallery: "Gallery | None",
    max_pixels: int,
) -> "Iterator[ImageSource]":
    """Yields the images of these names, and adds to ``folders`` those that are searched."""
    from digitcli.data.images.decode import read_stream
    from digitcli.data.images.source import ImageSource, named_source

    for name in names:
        if name == "-":
            content = read_stream(sys.stdin.buffer, max_pixels)
            if gallery is not None:
                gallery.keep_original(name, content)
            yield ImageSource(name, content)
        elif os.path.isdir(name):  # noqa: PTH112  Path's raises on a name that is too long
            folders[name] = 0
            for path in find_files(Path(name), left_out):
                yield ImageSource(str(path), path, folder=name)
        else:
            yield named_source(name)


def _hint(name: str) -> str | None:
    """Returns how to get the names of images out of a list that has this line, if it is no name."""
    if os.path.lexists(name):
        return None
    if "\t" in name:
        return "the list is a table; 'cut -f1' keeps the names in its first column"
    if name.startswith('{"path"'):
        return "the list is JSON; 'jq -r .path' extracts the names"
    return None


class _Results:
    """Shows each result, adds it to the report, and counts for the exit code.

    Attributes:
        latest: The last image and its result.
        hint: How to get names out of a list whose lines are not names, or None.
        goes_on: Whether to read on when the reader of standard output has gone away.
    """

    def __init__(
        self,
        display: "AnswerDisplay[Any]",
        gallery: "Gallery | None",
        folders: dict[str, int],
        minimum: float,
        arguments: frozenset[str],
    ) -> None:
        self._display, self._gallery = display, gallery
        self._folders, self._minimum = folders, minimum
        self._arguments = arguments
        self._answered = self._failed = self._blank = self._unsure = 0
        self.latest: tuple[ImageSource, Answer] | None = None
        self.hint: str | None = None
        self.goes_on = False
        self._reader_gone: BrokenPipeError | None = None  # after it nothing is shown

    def add(self, source: "ImageSource", answer: "Answer") -> None:
        """Takes the next result; a file in a folder that is not an image is ignored."""
        if source.folder is not None:
            if is_ignored(source.name, answer):
                return
            self._folders[source.folder] += 1
        self.latest = source, answer
        if source.name == "-" and isinstance(answer, NotAPictureError):
            answer = NotAPictureError(answer.problem, "a list of names needs --files-from -")
        if isinstance(answer, PictureError):
            self._failed += 1
            if source.name not in self._arguments:
                self.hint = self.hint or _hint(source.name)
            self._blank += isinstance(answer, BlankPictureError)
        else:
            self._answered += 1
            self._unsure += not answer.reaches(self._minimum)
        if self._gallery is not None:
            self._gallery.add(source, answer)
        if self._reader_gone is None:
            self._show(source.name, answer)

    def _show(self, name: str, answer: "Answer") -> None:
        try:
            if isinstance(answer, PictureError):
                self._display.show_failure(name, answer)
            else:
                self._display.show(name, answer)
        except BrokenPipeError as error:
            if not self.goes_on:
                raise
            self._reader_gone = error

    def add_empty_folders(self) -> None:
        """Adds an error for each folder without images."""
        from digitcli.data.images.source import ImageSource

        for folder, found in self._folders.items():
            if not found:
                error = PictureError("the folder has no images", "name another folder")
                self.add(ImageSource(folder, Path(folder), error=error), error)

    def check_reader(self) -> None:
        """Raises the error of the reader of standard output, if that has gone away."""
        if self._reader_gone is not None:
            raise self._reader_gone

    @property
    def exit_code(self) -> int:
        """2 if no image could be read, 1 if an image failed or an answer is unsure, else 0."""
        if self._failed and not self._answered and not self._blank:
            return 2
        return 1 if self._failed or self._unsure else 0
