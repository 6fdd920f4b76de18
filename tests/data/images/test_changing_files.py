"""Images and lists that change, grow or vanish while they are read, and very many of them."""

import io
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from commands import Run
from drawn_digits import draw_digit, save_digit
from measured import measured

from digitcli.core.errors import DigitcliError, PictureError
from digitcli.core.files import regular
from digitcli.data.images.decode import OpenImage
from digitcli.data.images.kinds import FORMATS
from digitcli.data.images.source import read_names

pytestmark = pytest.mark.usefixtures("checkpoint")

PICTURE = Path("7.png")


def replaced_by_folder() -> None:
    PICTURE.unlink()
    PICTURE.mkdir()


def replaced_by_pipe() -> None:
    PICTURE.unlink()
    os.mkfifo(PICTURE)


def replaced_by_device() -> None:
    PICTURE.unlink()
    PICTURE.symlink_to("/dev/zero")


def emptied() -> None:
    os.truncate(PICTURE, 0)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (replaced_by_folder, "not a file"),
        (replaced_by_pipe, "not a file"),
        (replaced_by_device, "not a file"),
        (PICTURE.unlink, "No such file or directory"),
        (emptied, "the file is empty"),
    ],
)
def test_a_picture_that_is_replaced_before_it_is_opened(
    run: Run, monkeypatch: pytest.MonkeyPatch, change: Callable[[], None], problem: str
) -> None:
    save_digit(PICTURE, 7)
    check, picture = regular._check, PICTURE.stat()

    def checked(status: os.stat_result) -> None:
        check(status)
        if os.path.samestat(status, picture):
            change()

    monkeypatch.setattr(regular, "_check", checked)
    result = run("predict", PICTURE)
    assert (result.exit_code, result.stdout) == (2, "")
    assert problem in result.stderr
    assert result.stderr.count("\n") == 1


def encoded(format_: str) -> bytes:
    buffer = io.BytesIO()
    draw_digit(7, size=256).convert("RGB").save(buffer, format_)
    return buffer.getvalue()


@pytest.mark.parametrize("format_", FORMATS)
@pytest.mark.parametrize("left", [0, 0.5, 0.95])
def test_a_picture_that_is_cut_off_after_its_header(format_: str, left: float) -> None:
    content = encoded(format_)
    PICTURE.write_bytes(content)
    with OpenImage(PICTURE, 10**8) as image:
        os.truncate(PICTURE, int(left * len(content)))
        try:
            image.decode()
        except PictureError as error:
            assert str(error).startswith("the image is damaged")
        else:
            assert image.size == (256, 256)


@pytest.mark.parametrize("format_", FORMATS)
def test_a_picture_that_grows_is_read_as_it_was(format_: str) -> None:
    content = encoded(format_)
    PICTURE.write_bytes(content)
    with OpenImage(PICTURE, 10**8) as image:
        os.truncate(PICTURE, 10**12)  # a terabyte, which no memory holds
        image._file.seek(0)
        assert image._file.read() == content
        image._file.seek(10)
        assert len(image._file.read(-1)) == len(content) - 10
        image._file.seek(10**10)
        assert image._file.read() == b""
        assert image._file.seek(0, os.SEEK_END) == len(content)
        image._file.seek(0)
        image.decode()  # OpenJPEG would abort the process
        assert image.size == (256, 256)


def test_a_list_without_separators_is_refused() -> None:
    with pytest.raises(DigitcliError, match=r"a line of more than 1,048,576 bytes"):
        for _ in read_names([b"a" * 65536] * 100):
            pass
    names = [name for block in read_names([b"a" * 65536] * 16) for name in block]
    assert names == ["a" * 2**20]


def make_files(folder: Path, count: int) -> None:
    """Makes files that are no pictures, among them ten digits."""
    folder.mkdir()
    for number in range(count):
        (folder / f"{number:06}.txt").write_bytes(b"x")
    for digit in range(10):
        save_digit(folder / f"{digit * count // 10:06}.png", digit)


def test_memory_is_flat_in_folders_and_lists_of_many_files(tmp_path: Path) -> None:
    check_memory(tmp_path, few=1000, many=10_000)


@pytest.mark.slow
def test_memory_is_flat_with_100_000_files(tmp_path: Path) -> None:
    check_memory(tmp_path, few=1000, many=100_000)


def check_memory(tmp_path: Path, few: int, many: int) -> None:
    taken = []
    for count in (few, many):
        folder = tmp_path / str(count)
        make_files(folder, count)
        done = measured("predict", folder, "-q", timeout=600)
        assert (done.code, done.output) == (0, "\n".join("0123456789") + "\n")
        listing = tmp_path / "list"
        listing.write_text(
            "".join(f"{path}\n" for path in sorted(folder.glob("*.png")) * (count // 100))
        )
        listed = measured("predict", "--files-from", listing, "-q", timeout=600)
        assert (listed.code, listed.output) == (0, done.output * (count // 100))
        taken.append((done.megabytes, listed.megabytes))
    (folder_few, list_few), (folder_many, list_many) = taken
    # many are read in several processes, and counting the cores takes a library
    library = 15
    assert folder_many < folder_few + library + 10 + many // 1000  # a name: some hundred bytes
    assert list_many < list_few + library + 10
