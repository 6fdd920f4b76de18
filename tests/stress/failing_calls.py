"""Lets every system call of a command fail that changes a file, one after the other.

``python tests/stress/failing_calls.py [--every 1] [--seed 0] [--only NAME]`` (hours): a library
that is preloaded (``failing_calls.c``) counts the calls that write, flush, rename, remove or make
something in a command's folder, and lets one of them fail: with an error, with half a write, with a
disk that is full from there on, or by killing the process. After each, every file must have its old
content or its new one, and an error must be one line, with exit code 2; the same command must then
succeed, with the same files as if nothing had happened, and none besides. ``--every`` draws one
fault of so many. Results are JSON on standard output; the exit code is 1 if an expectation failed.
"""

import argparse
import collections
import contextlib
import csv
import errno
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from small_world import SmallWorld, save_digit, write_small_mnist

from digitcli.core.checkpointing.checkpoint import load_checkpoint
from digitcli.core.checkpointing.training_state import load_state
from digitcli.core.errors import DigitcliError

SOURCE = Path(__file__).with_suffix(".c")

KILL, SHORT, FULL = -1, -2, -3
"""Numbers of the faults that are no errors, as in ``failing_calls.c``."""

FAULTS = {
    "ENOSPC": errno.ENOSPC,
    "EIO": errno.EIO,
    "EDQUOT": errno.EDQUOT,
    "short write": SHORT,
    "full from here on": FULL,
    "kill": KILL,
}

OLD = b"old content"
"""Content of the files that a command replaces."""

TRAIN = (
    *("train", "--epochs", "2", "--batch-size", "40", "--log-every", "2", "--save-every", "2"),
    *("--output", "run", "--log-dir", "log", "--plot", "curve.svg"),
)
TIMES = ("seconds", "images_per_second")
"""Columns of the metrics that differ from run to run."""

Files = dict[str, object]


@dataclass(frozen=True)
class Scenario:
    """A command, and the folder that it is called in.

    Attributes:
        arguments: The command.
        replaced: Files that it writes; there is one of ``OLD`` in each place.
        interrupted: Another command, which was killed in the folder after its first epoch.
        is_downloaded: True if the data set is there already.
    """

    arguments: tuple[str, ...]
    replaced: tuple[str, ...] = ()
    interrupted: tuple[str, ...] = ()
    is_downloaded: bool = False


MIRROR = "../../mirror"

KEPT = "work/run.previous.safetensors"

SCENARIOS = {
    "train": Scenario((*TRAIN, "--resume"), ("curve.svg",)),
    "train over an interrupted run": Scenario(
        (*TRAIN, "--seed", "2", "--no-resume"), interrupted=(*TRAIN, "--resume")
    ),
    "export npz": Scenario(("export", "a.npz"), ("a.npz",)),
    "export onnx": Scenario(("export", "a.onnx"), ("a.onnx",)),
    "export pt2": Scenario(("export", "a.pt2"), ("a.pt2",)),
    "eval --report": Scenario(("eval", "--report", "a.html"), ("a.html",)),
    "predict --report": Scenario(("predict", "7.png", "--report", "a.html"), ("a.html",)),
    "predict --json": Scenario(("predict", "7.png", "--json")),
    "predict --show-steps": Scenario(("predict", "7.png", "--show-steps", "a.png"), ("a.png",)),
    "download": Scenario(("download", "--data-dir", "data", "--mirror", MIRROR)),
    "download --force": Scenario(
        ("download", "--data-dir", "data", "--mirror", MIRROR, "--force"), is_downloaded=True
    ),
}


@dataclass(frozen=True)
class Outcome:
    """What a process left.

    Attributes:
        code: Its exit code, or minus the signal that ended it.
        output: Its standard output.
        errors: Its standard error.
        calls: The calls that were counted, as "NUMBER CALL PATH".
    """

    code: int
    output: str
    errors: str
    calls: list[str]


def compile_library(folder: Path) -> Path:
    """Compiles the library that lets calls fail."""
    library = folder / "failing_calls.so"
    command = ["cc", "-shared", "-fPIC", "-O1", "-o", str(library), str(SOURCE), "-ldl"]
    subprocess.run(command, check=True)
    return library


class Storm:
    """Runs commands in a folder of their own, with the small data set.

    Attributes:
        failures: The expectations that failed.
        seen: Number of runs by how they ended.
    """

    def __init__(self, folder: Path, server: "subprocess.Popen[str]", world: SmallWorld) -> None:
        self._folder, self._server, self._world = folder, server, world
        self._scope, self._work = folder / "scope", folder / "scope" / "work"
        self._outside = {name: folder / name for name in ("output", "errors", "calls")}
        self.failures: list[str] = []
        self.seen: collections.Counter[str] = collections.Counter()

    def call(self, *arguments: str, number: int = 0, fault: int = 0) -> Outcome:
        """Runs a command, in which a call fails unless ``number`` is 0."""
        home = str(self._scope / "home")
        variables = {"HOME": home, "TMPDIR": str(self._scope / "tmp"), "LIMITS": "none"}
        variables["ORT_DISABLE_TELEMETRY"] = "1"
        variables |= {f"XDG_{kind}_HOME": home for kind in ("STATE", "CACHE", "CONFIG", "DATA")}
        variables["DIGITCLI_DATA_DIR"] = self._world.environment["DIGITCLI_DATA_DIR"]
        job = {
            "folder": str(self._work),
            "environment": variables,
            "output": str(self._outside["output"]),
            "errors": str(self._outside["errors"]),
            "arguments": arguments,
            "arm": [str(self._scope), number, fault, str(self._outside["calls"])],
        }
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        self._server.stdin.write(json.dumps(job) + "\n")
        self._server.stdin.flush()
        code = int(self._server.stdout.readline())
        output, errors, calls = (
            path.read_text(errors="surrogateescape") for path in self._outside.values()
        )
        return Outcome(code, output, errors, calls.splitlines())

    def _prepare(self, scenario: Scenario) -> None:
        """Makes the folder as the command finds it, from a copy after the first time."""
        template = self._folder / f"template {abs(hash(scenario))}"
        shutil.rmtree(self._scope, ignore_errors=True)
        if template.exists():
            shutil.copytree(template, self._scope)
            return
        for path in (self._work, self._scope / "home", self._scope / "tmp"):
            path.mkdir(parents=True)
        save_digit(self._work / "7.png", 7)
        for name in scenario.replaced:
            (self._work / name).write_bytes(OLD)
        if scenario.is_downloaded:
            shutil.copytree(self._world.raw.parents[1], self._work / "data")
        if scenario.interrupted:
            calls = self.call(*scenario.interrupted).calls
            last = max(i for i, call in enumerate(calls) if call.endswith("/run"))
            for path in self._work.iterdir():
                if path.name != "7.png":
                    shutil.rmtree(path) if path.is_dir() else path.unlink()
            killed = self.call(*scenario.interrupted, number=last, fault=KILL)
            assert killed.code == -signal.SIGKILL
            assert (self._work / "run.training.safetensors").exists()
        shutil.copytree(self._scope, template)

    def files(self) -> Files:
        """Returns the content of all files by name, as far as it is equal in equal runs."""
        found: Files = {}
        for path in sorted(self._scope.rglob("*")):
            name = str(path.relative_to(self._scope))
            if path.name.startswith("events.out"):
                found["events"] = True
            elif path.name.startswith("metrics"):
                found[name] = [{**row, **dict.fromkeys(TIMES)} for row in rows(path)]
            else:
                found[name] = path.read_bytes() if path.is_file() else None
        return found

    def count(self, scenario: Scenario) -> tuple[Files, list[str], str]:
        """Runs a command undisturbed; returns its files, calls and standard output."""
        self._prepare(scenario)
        done = self.call(*scenario.arguments)
        assert done.code == 0, done.errors
        return self.files(), done.calls, done.output

    def run(self, name: str, number: int, fault: str, good: Files, output: str) -> None:
        """Lets one call of a command fail, and checks what is left and what the next one does."""
        scenario = SCENARIOS[name]
        self._prepare(scenario)
        before = self.files()
        done = self.call(*scenario.arguments, number=number, fault=FAULTS[fault])
        call = done.calls[number - 1] if number <= len(done.calls) else "not reached"
        call = call.replace(str(self._scope), "")

        def expect(is_met: bool, problem: str) -> None:
            if not is_met:
                self.failures.append(f"{name}, {fault} at {call}: {problem}")

        self.seen[f"exit code {done.code}"] += 1
        lines = done.errors.splitlines()
        if fault == "kill":
            expect(done.code == -signal.SIGKILL, f"exit code {done.code}")
        elif done.code == 0:
            expect(done.output == output or name.startswith("train"), "other output")
            expect(not any("error" in line for line in lines), f"prints {lines}")
            for path in scenario.replaced:
                expect(self.files()[f"work/{path}"] == good[f"work/{path}"], f"{path} is not new")
        else:
            expect(done.code == 2, f"exit code {done.code}")
            said = [line for line in lines if not line.startswith("digitcli: ")]
            told = [line for line in lines if line.startswith("digitcli: error: ")]
            expect(len(told) == 1 and not said, f"prints {done.errors}")
        for problem in self._damages(before, good):
            expect(False, problem)
        self._remove_rescued(done.errors, expect)
        if scenario.interrupted and (self._work / "run.training.safetensors").exists():
            self._resume_the_other(expect)
        again = self.call(*scenario.arguments)
        expect(again.code == 0, f"the next one exits with {again.code}: {again.errors}")
        after = self.files()
        for path in sorted({*after, *good}):
            if path == KEPT and scenario.interrupted:
                continue  # the interrupted run was resumed, and its weights replaced then
            if path not in good:
                expect(False, f"{path} is left over")
            elif after.get(path) != good[path]:
                expect(False, f"{path} is not as without the fault")
        for log in self._work.glob("log/*.jsonl"):
            expect(all(row["seconds"] for row in rows(log)), "rows lost their times")

    def _damages(self, before: Files, good: Files) -> Iterator[str]:
        """Yields what is wrong with files under their final names."""
        for name, content in self.files().items():
            path = self._scope / name
            if name in ("work/run", "work/run.training.safetensors"):
                load = load_checkpoint if name == "work/run" else load_state
                try:
                    load(path)
                except DigitcliError as error:
                    yield str(error)
            elif path.name.startswith((".", "metrics")) or ".partial-" in name:
                continue
            elif name == "work/curve.svg" and content != before.get(name):
                if not path.read_bytes().rstrip().endswith(b"</svg>"):  # of any epoch
                    yield f"{name} is damaged"
            elif name in good and content not in (before.get(name), good[name]):
                yield f"{name} is damaged"
        for name in before:
            if name in good and name not in self.files():
                yield f"{name} is lost"

    def _remove_rescued(self, errors: str, expect: Callable[[bool, str], None]) -> None:
        """Removes copies of a run in another place, which the error must name."""
        for path in self._scope.rglob("digitcli-rescued-*"):
            expect(path.name in errors, f"{path.name} is not named")
            shutil.rmtree(path)
        with contextlib.suppress(OSError):
            (self._scope / "home" / "digitcli").rmdir()

    def _resume_the_other(self, expect: Callable[[bool, str], None]) -> None:
        """Resumes the run that was to be replaced, if it still can be, in a copy."""
        state = load_state(self._work / "run.training.safetensors")
        if state.settings.seed:
            return
        kept = self._folder / "kept"
        shutil.copytree(self._scope, kept)
        done = self.call(*SCENARIOS["train"].arguments)
        expect(done.code == 0, f"the old run cannot be resumed: {done.errors}")
        found = rows(self._work / "log" / "metrics.jsonl")
        expect(all(row["seconds"] for row in found), "the old run's rows lost their times")
        shutil.rmtree(self._scope)
        kept.rename(self._scope)


def rows(path: Path) -> list[dict[str, Any]]:
    """Returns the metrics in a file; a line that is cut off raises an error."""
    if path.suffix == ".jsonl":
        return [json.loads(line) for line in path.read_text().splitlines()]
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


@contextlib.contextmanager
def storm(folder: Path) -> Iterator[Storm]:
    """Starts the process that runs the commands."""
    world = SmallWorld(
        folder / "world", mirror=write_small_mnist(folder / "mirror", train=160, test=60)
    )
    subprocess.run(
        world.command("download", "--mirror", str(world.mnist.folder)),
        check=True,
        capture_output=True,
        env=world.environment,
    )
    command = [sys.executable, str(Path(__file__).with_name("fork_server.py")), str(world.listing)]
    environment = {**os.environ, "LD_PRELOAD": str(compile_library(folder)), "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    ) as server:
        yield Storm(folder, server, world)


def plan(calls: Sequence[str]) -> Iterator[tuple[int, str]]:
    """Yields every call by number with each fault that may happen to it."""
    errors = ("ENOSPC", "EIO", "EDQUOT")
    for number, call in enumerate(calls, start=1):
        yield number, errors[number % 3]
        yield number, "kill"
        if "\twrite\t" in call:
            yield number, "short write"
            yield number, "full from here on"


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--every", type=int, default=1, help="draw one fault of so many")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", choices=SCENARIOS)
    settings = parser.parse_args()
    started = time.monotonic()
    draw = random.Random(settings.seed)  # noqa: S311
    counts = {}
    with tempfile.TemporaryDirectory() as name, storm(Path(name)) as runs:
        for scenario in [settings.only] if settings.only else SCENARIOS:
            good, calls, output = runs.count(SCENARIOS[scenario])
            faults = [*plan(calls)]
            faults = sorted(draw.sample(faults, len(faults) // settings.every))
            counts[scenario] = {"calls": len(calls), "runs": len(faults)}
            for number, fault in faults:
                runs.run(scenario, number, fault, good, output)
    figures = {
        "seconds": round(time.monotonic() - started),
        "scenarios": counts,
        "seen": dict(sorted(runs.seen.items())),
        "broken": len(runs.failures),
        "faults": runs.failures,
    }
    print(json.dumps(figures))
    return 1 if runs.failures else 0


if __name__ == "__main__":
    sys.exit(main())
