"""Kills ``digitcli train`` at random instants, and resumes it.

``python tests/stress/kill_training.py [--count 300] [--seed 0]`` (half an hour): runs of several
kinds, each first once without interruption; then they are started, killed with SIGKILL, and
resumed and killed again until they end, so that a run dies many deaths. Instants are drawn from all
the time a process takes, its start included, or from the time in which it trains and saves. After
each death every file under its final name must be whole; what a run ends with must be, byte for
byte, what it ended with without interruption, and no file but that may stay. The rows of
``--log-dir`` must be those of an uninterrupted run, but for the times. The figures are JSON on
standard output; the exit code is 1 if a promise broke.
"""

import argparse
import collections
import csv
import json
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from small_world import SmallWorld

from digitcli.core.checkpointing.checkpoint import load_checkpoint
from digitcli.core.checkpointing.training_state import load_state, state_path
from digitcli.core.errors import DigitcliError

KINDS = {
    "lesson": ("--epochs", "8", "--batch-size", "10", "--save-every", "7", "--log-every", "9"),
    # the recipe's own rate is for batches of 128
    "quick": (
        *("--recipe", "quick", "--lr", "0.03"),
        *("--epochs", "6", "--batch-size", "20", "--save-every", "3"),
    ),
    "best": ("--recipe", "best", "--epochs", "6", "--batch-size", "30", "--save-every", "4"),
    "validation": ("--validation", "60", "--epochs", "9", "--batch-size", "10"),
}
TURNS = ("lesson", "quick", "validation") * 2 + ("best",)
"""The last takes longest to start, because it makes its outliers first."""

TIMES = ("seconds", "images_per_second")
"""Values that differ from run to run."""


class Runs:
    """Training runs in a folder of their own."""

    def __init__(self, folder: Path) -> None:
        self.world = SmallWorld(folder / "world")
        self.folder = folder / "checkpoints"
        self.log = folder / "log"
        mirror = str(self.world.mnist.folder)
        subprocess.run(
            self.world.command("download", "--mirror", mirror),
            check=True,
            capture_output=True,
            env=self.world.environment,
        )

    def begin(self, kind: str, output: Path) -> "subprocess.Popen[bytes]":
        return subprocess.Popen(
            self.world.command(
                *("train", *KINDS[kind], "--output", str(output)),
                *("--log-dir", str(self.log), "--resume"),
            ),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=self.world.environment,
        )

    def rows(self) -> list[dict[str, object]]:
        """Takes away the rows of a run; whether a line is half, or the table another, it finds."""
        rows = list(map(json.loads, (self.log / "metrics.jsonl").read_text().splitlines()))
        with (self.log / "metrics.csv").open(newline="") as file:
            table = list(csv.DictReader(file))
        texts = [
            {name: "" if row[name] is None else str(row[name]) for name in row} for row in rows
        ]
        assert table == texts
        shutil.rmtree(self.log)
        return [{name: row[name] for name in row if name not in TIMES} for row in rows]

    def whole(self, kind: str) -> tuple[bytes, list[dict[str, object]], float, float]:
        """Returns what an uninterrupted run makes, and the seconds until its first word and all."""
        started = time.monotonic()
        process = self.begin(kind, self.folder / kind)
        assert process.stdout is not None
        process.stdout.readline()
        first = time.monotonic() - started
        process.communicate()
        if process.returncode:
            raise SystemExit(f"the uninterrupted run {kind} ended with {process.returncode}")
        seconds = time.monotonic() - started
        content = (self.folder / kind).read_bytes()
        (self.folder / kind).unlink()
        return content, self.rows(), first, seconds

    def damages(self, output: Path) -> list[str]:
        """Returns the errors of the files under their final names."""
        problems = []
        for path, load in ((output, load_checkpoint), (state_path(output), load_state)):
            try:
                if path.exists():
                    load(path)
            except DigitcliError as error:
                problems.append(str(error))
        return problems


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--count", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    settings = parser.parse_args()
    draw = random.Random(settings.seed)  # noqa: S311
    seen: collections.Counter[str] = collections.Counter()
    faults: list[str] = []
    with tempfile.TemporaryDirectory() as name:
        runs = Runs(Path(name))
        expected = {kind: runs.whole(kind) for kind in KINDS}
        while seen["kills"] < settings.count:
            kind = TURNS[seen["runs"] % len(TURNS)]
            content, rows, first, seconds = expected[kind]
            seen["runs"] += 1
            output = runs.folder / kind
            while True:
                process = runs.begin(kind, output)
                early = draw.random() < 0.2
                time.sleep(draw.uniform(0 if early else 0.8 * first, 1.1 * seconds))
                if seen["kills"] < settings.count:
                    process.send_signal(signal.SIGKILL)
                process.communicate()
                if process.returncode == -signal.SIGKILL:
                    seen["kills"] += 1
                    state = state_path(output)
                    seen["kills with a state to resume"] += state.exists()
                    seen["kills while a file was written"] += bool(list(runs.folder.glob(".*.tmp")))
                    faults += [f"{kind}: {problem}" for problem in runs.damages(output)]
                elif process.returncode:
                    faults.append(f"{kind}: a resumed run ended with {process.returncode}")
                    break
                else:
                    break
            if output.exists() and output.read_bytes() != content:
                faults.append(f"{kind}: run {seen['runs']} ended with other bytes")
            if runs.rows() != rows:
                faults.append(f"{kind}: run {seen['runs']} logged other rows")
            left = [path.name for path in runs.folder.iterdir() if path != output]
            faults += [f"{kind}: {name} stays" for name in left]
            for path in runs.folder.iterdir():
                path.unlink()
    figures = {
        "count": settings.count,
        "seed": settings.seed,
        "seconds_of_a_run": {kind: round(values[3], 2) for kind, values in expected.items()},
        "seen": dict(sorted(seen.items())),
        "broken": len(faults),
        "faults": faults,
    }
    print(json.dumps(figures))
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
