"""Many small images are read in several processes, with the results of one."""

import contextlib
import errno
import os
import pickle
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import deadly_images
import joblib
import pytest
from commands import Launch
from drawn_digits import draw_digit
from PIL import Image

from digitcli import processes
from digitcli.classifier import Classifier, Prediction, Reading
from digitcli.core.errors import BlankPictureError, NotAPictureError, PictureError
from digitcli.data.images.limits import MAX_PIXELS
from digitcli.data.images.source import ImageSource
from digitcli.processes import Read, read_in_processes


@pytest.fixture(scope="module")
def bundled() -> Classifier:
    return Classifier.load("pretrained")


@pytest.fixture
def few_suffice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "_ALONE", 8)
    monkeypatch.setattr(processes, "MANY", 8)
    monkeypatch.setattr(processes, "_BLOCK", 4)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Some of everything: digits, two frames, nothing, no image, and an image that takes memory."""
    folder = tmp_path / "images"
    folder.mkdir()
    for i in range(40):
        draw_digit(i % 10).save(folder / f"{i:03}.png")
    frames = draw_digit(1), draw_digit(2)
    frames[0].save(folder / "019.png", "GIF", save_all=True, append_images=frames[1:])
    Image.new("L", (28, 28), 255).save(folder / "020.png")
    (folder / "021.png").write_bytes(b"no image")
    large = Image.new("L", (1500, 1500), 255)
    large.paste(draw_digit(4).resize((600, 600)), (300, 300))
    large.save(folder / "022.png")
    return folder


def sources(folder: Path) -> list[ImageSource]:
    return [ImageSource(path.name, path) for path in sorted(folder.iterdir())]


def parts(answer: object, expect: Callable[[float], object] = float) -> object:
    """Returns an answer to compare; ``expect`` is called with its probabilities."""
    if isinstance(answer, Prediction):
        picture = answer.picture.tobytes()
        return answer.label, expect(answer.probability), answer.warning, answer.others, picture
    if isinstance(answer, Reading):
        placed = [
            (digit.box, digit.row, parts(digit.prediction, expect)) for digit in answer.digits
        ]
        return placed, answer.left_out, answer.turned
    return type(answer), str(answer)


def nearly(probability: float) -> object:
    """Products of other batches differ in the last bits."""
    return pytest.approx(probability, abs=1e-5)


def wait_for_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets no image be read here while the processes start."""
    are_ready = processes._Processes._are_ready

    def wait(pool: processes._Processes[Prediction]) -> bool:
        while not are_ready(pool):
            assert not pool._cannot_start
            time.sleep(0.01)
        return True

    monkeypatch.setattr(processes._Processes, "_are_ready", wait)


@pytest.mark.usefixtures("few_suffice")
def test_the_answers_are_those_of_one_process_in_order(
    folder: Path, bundled: Classifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    wait_for_processes(monkeypatch)
    images = sources(folder)
    groups = [images[:3], images[3:30], images[30:]]
    methods: list[Read[Any]] = [Classifier.predict_sources, Classifier.read_sources]
    for read in methods:
        expected = list(read(bundled, groups, MAX_PIXELS))
        results = list(read_in_processes(bundled, read, iter(groups), MAX_PIXELS, 2))
        assert len(results) == len(images)
        for (source, answer), (same_source, same) in zip(results, expected, strict=True):
            assert source == same_source
            assert (source.warning is not None) == (source.name == "019.png")
            assert parts(answer) == parts(same, nearly)
    kinds = [type(answer) for _, answer in results[20:22]]
    assert kinds == [BlankPictureError, NotAPictureError]


@pytest.mark.usefixtures("few_suffice")
def test_an_image_that_ends_a_process_is_an_error_and_the_others_are_read(
    folder: Path, bundled: Classifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    wait_for_processes(monkeypatch)
    (folder / "025.png").rename(folder / "025 deadly.png")
    results = list(read_in_processes(bundled, deadly_images.read, [sources(folder)], MAX_PIXELS, 2))
    assert [source.name for source, _ in results] == [
        path.name for path in sorted(folder.iterdir())
    ]
    failed = [source.name for source, answer in results if type(answer) is PictureError]
    assert failed == ["025 deadly.png"]


@pytest.mark.usefixtures("few_suffice")
def test_processes_read_with_the_weights_that_were_loaded(
    folder: Path, tmp_path: Path, bundled: Classifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    wait_for_processes(monkeypatch)
    path = tmp_path / "weights.safetensors"
    path.write_bytes(bundled.path.read_bytes())
    classifier = Classifier.load(path)
    path.unlink()
    read = Classifier.predict_sources
    results = list(read_in_processes(classifier, read, [sources(folder)[:20]], MAX_PIXELS, 2))
    assert len(results) == 20
    assert all(isinstance(answer, Prediction) for _, answer in results)


NO_PROCESS = [
    OSError(errno.EAGAIN, "Resource temporarily unavailable"),
    NotImplementedError(),
    EOFError("unexpected EOF"),  # of the server that starts processes
    RuntimeError("can't start new thread"),
]


@pytest.mark.usefixtures("few_suffice")
@pytest.mark.parametrize("error", NO_PROCESS, ids=lambda error: type(error).__name__)
def test_where_no_process_can_be_started_one_reads_all(
    folder: Path, bundled: Classifier, error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: object) -> None:
        raise error

    monkeypatch.setattr(processes._Processes, "_start", fail)
    notes: list[str] = []
    read = Classifier.predict_sources
    results = list(
        read_in_processes(bundled, read, [sources(folder)], MAX_PIXELS, 2, note=notes.append)
    )
    assert len(results) == 40
    reason = getattr(error, "strerror", "") or str(error) or "NotImplementedError"
    assert notes == [
        f"cannot start more processes ({reason}): reading the images in one, which is slower"
    ]


@pytest.mark.usefixtures("few_suffice")
@pytest.mark.parametrize("error", NO_PROCESS, ids=lambda error: type(error).__name__)
def test_where_no_process_can_be_started_any_more_one_reads_the_rest(
    folder: Path, bundled: Classifier, error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    wait_for_processes(monkeypatch)
    start = processes._Processes._start
    starts: list[None] = []

    def start_once(pool: processes._Processes[Prediction]) -> object:
        starts.append(None)
        if len(starts) > 1:
            # later blocks are read here without waiting
            monkeypatch.setattr(processes._Processes, "_are_ready", lambda _: False)
            raise error
        return start(pool)

    monkeypatch.setattr(processes._Processes, "_start", start_once)
    (folder / "009.png").rename(folder / "009 deadly.png")
    images, notes = sources(folder), list[str]()
    results = list(
        read_in_processes(bundled, deadly_images.read, [images], MAX_PIXELS, 2, note=notes.append)
    )
    assert [source.name for source, _ in results] == [source.name for source in images]
    lost = [i for i, (_, answer) in enumerate(results) if "no other" in str(answer)]
    assert 9 in lost
    assert set(lost) < set(range(8, 8 + 4 * 6))  # no more than was handed to the pool
    assert all(isinstance(answer, Prediction) for _, answer in results[32:])
    assert len(notes) == 1


def record_starts(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    starts: list[object] = []
    monkeypatch.setattr(processes._Processes, "_are_ready", starts.append)
    return starts


@pytest.mark.usefixtures("few_suffice")
def test_few_or_large_images_start_no_process(
    folder: Path, tmp_path: Path, bundled: Classifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    starts = record_starts(monkeypatch)
    read = Classifier.predict_sources
    for images, jobs in ((sources(folder)[:8], 2), (sources(folder), 1)):
        assert len(list(read_in_processes(bundled, read, [images], MAX_PIXELS, jobs))) == len(
            images
        )
    draw_digit(3).resize((256, 256)).save(tmp_path / "large.bmp")  # which is not compressed
    photos = [ImageSource("", tmp_path / "large.bmp")] * 20
    assert len(list(read_in_processes(bundled, read, [photos], MAX_PIXELS, 2))) == 20
    assert starts == []


@pytest.mark.usefixtures("few_suffice")
def test_a_container_of_one_core_starts_no_process(
    folder: Path, bundled: Classifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    starts: list[object] = []
    monkeypatch.setattr(processes._Processes, "_start_first", starts.append)
    monkeypatch.setattr(joblib, "cpu_count", lambda: 1)
    read, images = Classifier.predict_sources, sources(folder)
    assert len(list(read_in_processes(bundled, read, [images], MAX_PIXELS))) == 40
    assert starts == []


_NO_THREAD = """\
import sys
from concurrent.futures import process
from digitcli import processes
from digitcli.__main__ import main

def fail(thread):
    raise RuntimeError("can't start new thread")

process._ExecutorManagerThread.start = fail
processes._ALONE = processes.MANY = 8
sys.argv = ["digitcli", "predict", "-q", "-j", "2", "--checkpoint", "pretrained", *sys.argv[1:]]
main()
"""
"""Predicts where the thread that hands processes their work cannot start."""


def test_processes_without_work_are_ended(folder: Path) -> None:
    (folder / "021.png").unlink()
    (folder / "020.png").unlink()
    command = [sys.executable, "-c", _NO_THREAD, str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0
    assert len(done.stdout.splitlines()) == 38
    assert "Traceback" not in done.stderr


def test_errors_are_the_same_in_another_process() -> None:
    error = BlankPictureError(exit_code=5).with_name("x.png")
    copy = pickle.loads(pickle.dumps(error))  # noqa: S301
    assert (type(copy), str(copy), copy.exit_code) == (BlankPictureError, str(error), 5)


def children(process: int) -> list[int]:
    with contextlib.suppress(OSError):
        listing = Path(f"/proc/{process}/task/{process}/children").read_text()
        return [int(child) for child in listing.split()]
    return []


def descendants(process: int) -> list[int]:
    return [each for child in children(process) for each in (child, *descendants(child))]


def threads(process: int) -> int:
    with contextlib.suppress(OSError):
        return len(list(Path(f"/proc/{process}/task").iterdir()))
    return 0


def is_running(process: int) -> bool:
    try:
        status = Path(f"/proc/{process}/stat").read_text()
    except OSError:
        return False
    return status.rpartition(")")[2].split()[0] != "Z"


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="needs Linux's /proc")
@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, -15), (signal.SIGKILL, -9)]
)
def test_a_signal_ends_all_processes_with_one_line(
    number: signal.Signals, code: int, tmp_path: Path, launch: Launch
) -> None:
    names = tmp_path / "names"
    os.mkfifo(names)
    draw_digit(5).save(tmp_path / "5.png")
    running = launch(
        *("predict", "-q", "-j", "2", "--files-from", names),
        stdout=subprocess.DEVNULL,
        start_new_session=True,
    )
    with names.open("w") as writer:
        writer.write("5.png\n" * 4000)
        writer.flush()
        until = time.monotonic() + 60
        # a server, a tracker, and two processes with a thread that waits for the end of the first
        while sum(map(threads, started := descendants(running.pid))) < 6:
            assert time.monotonic() < until
            time.sleep(0.02)
        os.killpg(running.pid, number) if number == signal.SIGINT else running.send_signal(number)
        _, errors = running.communicate(timeout=60)
    assert running.returncode == code
    assert "Traceback" not in errors
    assert len(errors.splitlines()) == (number == signal.SIGINT)
    until = time.monotonic() + 30
    while any(map(is_running, started)):
        assert time.monotonic() < until, "a process is left"
        time.sleep(0.05)
