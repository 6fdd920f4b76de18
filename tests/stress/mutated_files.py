"""The storm of mutated files: ``python tests/stress/mutated_files.py --count 20000 --seed 0``.

Reads mutated checkpoints and images in two processes, with the code of ``digitcli predict``, and a
part of them with ``digitcli predict`` itself. Each must give an answer or one line of error within
5 seconds and 512 MB, and print nothing else on standard error.

Prints figures as JSON, with the items that broke a rule; the exit code is then 1. Item N of a seed
is always the same: ``--only pictures:N`` writes it to a file and reads only this item.
"""

import argparse
import contextlib
import gzip
import io
import json
import multiprocessing
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

TESTS = Path(__file__).parents[1]
ROOT = TESTS.parent
sys.path[:0] = [str(TESTS / "helpers"), str(ROOT)]

import numpy as np  # noqa: E402
from mutations import mutated, mutated_checkpoint, real_pictures  # noqa: E402

from digitcli.classifier import Classifier, Prediction  # noqa: E402
from digitcli.console.prediction import PredictionDisplay  # noqa: E402
from digitcli.core.errors import CheckpointError, PictureError  # noqa: E402
from digitcli.data.images.limits import MAX_PIXELS  # noqa: E402
from digitcli.data.images.source import ImageSource  # noqa: E402

SECONDS, MEGABYTES = 5.0, 512
GIVEN_UP = 60.0
"""Seconds without a result after which a process is killed."""

OWN = ROOT / "checkpoints" / "pretrained.safetensors"
COMMAND = [sys.executable, "-m", "digitcli", "predict", "--json"]

Item = tuple[int, str, float]
"""The number of an item, its outcome, and the seconds it took."""


def _real_files(kind: str) -> list[bytes]:
    if kind == "pictures":
        return list(real_pictures().values())
    golden = [gzip.decompress(path.read_bytes()) for path in sorted(TESTS.glob("golden/*.gz"))]
    return [*golden, OWN.read_bytes()]


def make(kind: str, files: list[bytes], seed: int, number: int) -> bytes:
    """Makes item ``number`` of a storm."""
    chance = random.Random(f"{seed} {kind} {number}")  # noqa: S311
    data = chance.choice(files)
    if kind == "pictures":
        return mutated(data, files, chance)
    return mutated_checkpoint(data, files, chance)


def feed_checkpoint(data: bytes, folder: Path) -> str:
    """Loads a checkpoint as the command does; returns the outcome."""
    path = folder / "checkpoint"
    path.write_bytes(data)
    try:
        classifier = Classifier.load(path)
    except CheckpointError as error:
        _check_words(str(error))
        return "refused"
    stroke = np.zeros((28, 28), np.uint8)
    stroke[6:22, 12:16] = 255
    _show("1.png", classifier.predict(stroke), classifier)
    return "answered"


def feed_picture(data: bytes, folder: Path, classifier: Classifier) -> str:
    """Reads an image as the command does; returns the outcome."""
    path = folder / "picture"
    path.write_bytes(data)
    ((_, answer),) = classifier.predict_sources([[ImageSource(str(path), path)]])
    if isinstance(answer, PictureError):
        _check_words(str(answer.with_name(str(path))))
        return "refused"
    _show(str(path), answer, classifier)
    return "answered"


def _check_words(text: str) -> None:
    assert 10 < len(text) < 600, f"a message of {len(text)} characters"
    assert "Traceback" not in text


def _show(name: str, prediction: Prediction, classifier: Classifier) -> None:
    """Prints an answer as a line and as JSON, and checks the form of both."""
    assert np.isfinite(list(prediction.probabilities.values())).all()
    for as_json in (False, True):
        with contextlib.redirect_stdout(io.StringIO()) as output:
            display = PredictionDisplay(
                classifier, as_json=as_json, quiet=False, top=2, minimum=0.0
            )
            with contextlib.redirect_stderr(io.StringIO()), display:
                display.show(name, prediction)
        (line,) = output.getvalue().splitlines()
        assert json.loads(line)["path"] == name if as_json else line.count("\t") == 4


def work(kind: str, seed: int, numbers: range, pipe: Connection, errors: str) -> None:
    """Reads items; the standard error of the process goes to a file."""
    os.dup2(os.open(errors, os.O_WRONLY | os.O_CREAT | os.O_APPEND), 2)
    files = _real_files(kind)
    classifier = Classifier.load(OWN)
    with tempfile.TemporaryDirectory(dir=_memory_folder()) as folder:
        for number in numbers:
            data = make(kind, files, seed, number)
            started = time.monotonic()
            try:
                if kind == "pictures":
                    outcome = feed_picture(data, Path(folder), classifier)
                else:
                    outcome = feed_checkpoint(data, Path(folder))
            except Exception:  # noqa: BLE001  any exception is an outcome
                outcome = traceback.format_exc()
            pipe.send((number, outcome, time.monotonic() - started))
    pipe.send(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)


def _memory_folder() -> str | None:
    return "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108  in memory


class Worker:
    """A process that reads items; if it dies or hangs, it is replaced and the item recorded."""

    def __init__(self, kind: str, seed: int, numbers: range, errors: str) -> None:
        self._kind, self._seed, self._errors = kind, seed, errors
        self._left = numbers
        self.peak = 0

    def items(self) -> list[Item]:
        """Reads all items, and returns them with their outcomes."""
        items: list[Item] = []
        context = multiprocessing.get_context("spawn")
        while self._left:
            pipe, theirs = context.Pipe(duplex=False)
            arguments = (self._kind, self._seed, self._left, theirs, self._errors)
            process = context.Process(target=work, args=arguments)
            process.start()
            theirs.close()
            items += self._received(pipe)
            process.join(2)
            hangs = process.is_alive()
            process.kill()
            process.join()
            if self._left:
                what = "never ended" if hangs else f"died with {process.exitcode}"
                items.append((self._left[0], what, GIVEN_UP if hangs else 0.0))
                self._left = self._left[1:]
        return items

    def _received(self, pipe: Connection) -> Iterator[Item]:
        """Yields items until the last one, or until none comes for ``GIVEN_UP`` seconds."""
        with contextlib.suppress(EOFError):
            while pipe.poll(GIVEN_UP):
                message = pipe.recv()
                if isinstance(message, int):
                    self.peak = max(self.peak, message)
                else:
                    self._left = self._left[1:]
                    yield message


def storm(kind: str, count: int, seed: int) -> dict[str, Any]:
    """Reads ``count`` mutated files in two processes, and returns the figures."""
    with tempfile.NamedTemporaryFile("r") as errors:
        workers = [Worker(kind, seed, range(part, count, 2), errors.name) for part in range(2)]
        with ThreadPoolExecutor(len(workers)) as pool:
            items = [item for items in pool.map(Worker.items, workers) for item in items]
        said = errors.read()
    outcomes = Counter(
        what if what in ("refused", "answered") else "broken" for _, what, _ in items
    )
    slowest = max(items, key=lambda item: item[2])
    return {
        "count": len(items),
        "answered": outcomes["answered"],
        "refused": outcomes["refused"],
        "tracebacks": outcomes["broken"],
        "hangs": sum(seconds > SECONDS for _, _, seconds in items),
        "slowest_s": round(slowest[2], 2),
        "slowest_item": slowest[0],
        "peak_mb": max(worker.peak for worker in workers),
        "stray_output": said[:1000],
        "broken": [(number, what) for number, what, _ in items if len(what) > 8][:5],
    }


def storm_command(count: int, seed: int) -> dict[str, Any]:
    """Runs the command with 1 in 40 of the images, and with 1 in 200 of the checkpoints."""
    broken: list[tuple[str, str]] = []
    ended: list[float] = []
    peak = 0

    def run(what: str, arguments: list[str], names: int) -> None:
        nonlocal peak
        with tempfile.TemporaryFile("w+") as output, tempfile.TemporaryFile("w+") as errors:
            started = time.monotonic()
            environment = {**os.environ, "PYTHONPATH": str(ROOT)}
            process = subprocess.Popen(
                [*COMMAND, *arguments], stdout=output, stderr=errors, env=environment
            )
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
            # On a busy machine starting takes long: CPU time counts, waiting only if very long.
            busy = usage.ru_utime + usage.ru_stime
            waited = (time.monotonic() - started) * SECONDS / GIVEN_UP
            ended.append(max(busy, waited) / max(1, names))
            peak = max(peak, usage.ru_maxrss // 1024)
            output.seek(0)
            errors.seek(0)
            records = [json.loads(line) for line in output]
            lines = errors.read().splitlines()
        if process.returncode not in (0, 1, 2):
            broken.append((what, f"exit code {process.returncode}"))
        if not all(line.startswith("digitcli: ") for line in lines):
            broken.append((what, "\n".join(lines)[-2000:]))
        if process.returncode == 2 and not names:
            return
        failed = sum(record["error"] is not None for record in records)
        if len(records) != max(1, names) or failed > len(lines):
            broken.append((what, f"{len(records)} records, {failed} failed, {len(lines)} lines"))

    with tempfile.TemporaryDirectory(dir=_memory_folder()) as folder:
        names = []
        files = _real_files("pictures")
        for number in range(0, count, 40):
            path = Path(folder, f"{number}.png")
            path.write_bytes(make("pictures", files, seed, number))
            names.append(str(path))
        run("pictures", [*names, "--checkpoint", str(OWN)], len(names))
        files = _real_files("checkpoints")
        good = Path(folder, "good.pgm")
        good.write_bytes(b"P5 28 28 255\n" + bytes(300) + b"\xff" * 40 + bytes(444))
        for number in range(0, count, 200):
            path = Path(folder, "checkpoint")
            path.write_bytes(make("checkpoints", files, seed, number))
            run(f"checkpoint {number}", [str(good), "--checkpoint", str(path)], 0)
    return {
        "pictures": len(names),
        "checkpoints": len(ended) - 1,
        "tracebacks": len(broken),
        "hangs": sum(seconds > SECONDS for seconds in ended),
        "slowest_s": round(max(ended), 2),
        "peak_mb": peak,
        "broken": broken[:5],
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=20_000, help="files of each kind")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", metavar="KIND:N", help="write one item to a file and read it")
    given = parser.parse_args()
    if given.only:
        kind, number = given.only.split(":")
        data = make(kind, _real_files(kind), given.seed, int(number))
        Path(f"{kind}-{number}").write_bytes(data)
        with tempfile.TemporaryDirectory() as folder:
            if kind == "pictures":
                print(feed_picture(data, Path(folder), Classifier.load(OWN)))
            else:
                print(feed_checkpoint(data, Path(folder)))
        return 0
    started = time.monotonic()
    figures: dict[str, Any] = {
        "checkpoints": storm("checkpoints", given.count, given.seed),
        "pictures": storm("pictures", given.count, given.seed),
        "command": storm_command(given.count, given.seed),
    }
    whole = all(
        not figure["tracebacks"]
        and not figure["hangs"]
        and not figure.get("stray_output")
        and figure["peak_mb"] < MEGABYTES
        for figure in figures.values()
    )
    figures |= {"seed": given.seed, "max_pixels": MAX_PIXELS, "kept": whole}
    figures["seconds"] = round(time.monotonic() - started)
    print(json.dumps(figures, indent=1))
    return 0 if whole else 1


if __name__ == "__main__":
    sys.exit(main())
