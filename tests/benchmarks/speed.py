"""Measures digitcli side by side with plain scripts and prints the ratios.

``python tests/benchmarks/speed.py BENCHMARK... [--runs N]``: a table on standard error, the same as
JSON on standard output. MNIST is taken from where ``digitcli download`` put it. The two sides of a
ratio take turns, and the medians of their runs are compared.

* train: ten lesson epochs, whole process, against ``lesson_script.py`` (15 minutes with 5 runs)
* quick: training time of ``--recipe quick`` against the lesson's ten epochs, and its accuracy
* epoch: one epoch against ``jax_epoch.py`` (extra ``bench``)
* predict: one picture, whole process, against ``torch_predict.py``; peak memory
* cuda: ten lesson epochs of training on a CUDA device, against ``lesson_script.py`` on the same
* help: ``digitcli --help``
* many: 20,000 pictures of 28x28, in one process and in two, and peak memory against 5,000
"""

import argparse
import json
import os
import platform
import shlex
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from PIL import Image
from rich.console import Console
from rich.table import Table

from digitcli.cli.options import default_data_dir
from digitcli.data.datasets.readers import read_split

HERE = Path(__file__).parent
DIGITCLI = [sys.executable, "-m", "digitcli"]

LAST_LINES = 10
"""Lines of standard error that are shown of a command that failed."""


@dataclass(frozen=True)
class Run:
    """One process: wall-clock seconds, peak memory in MB, and the last line it printed."""

    seconds: float
    memory: float
    last_line: str


@dataclass(frozen=True)
class Row:
    """A line of the table; ``value`` is what the bar is about."""

    what: str
    ours: str
    theirs: str
    value: float
    bar: str


def data_dir() -> Path:
    return Path(os.environ.get("DIGITCLI_DATA_DIR") or default_data_dir())


Command = list[str | Path]


def run(command: Command) -> Run:
    """Runs a command to its end; if it fails, so does the benchmark, with its last lines."""
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
        started = time.perf_counter()
        process = subprocess.Popen(list(map(str, command)), stdout=output, stderr=errors)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            errors.seek(0)
            lines = errors.read().decode(errors="replace").splitlines()[-LAST_LINES:]
            failed = f"failed with {process.returncode}: {shlex.join(map(str, command))}"
            raise SystemExit("\n".join([failed, *(f"  {line}" for line in lines)]))
        output.seek(0)
        lines = output.read().decode().splitlines()
    return Run(seconds, usage.ru_maxrss / 1024, lines[-1])


def in_turn(runs: int, *commands: Command) -> list[list[Run]]:
    rounds = [[run(command) for command in commands] for _ in range(runs)]
    return [list(side) for side in zip(*rounds, strict=True)]


def median(runs: list[Run], of: Callable[[Run], float]) -> float:
    return statistics.median(map(of, runs))


def told(key: str) -> Callable[[Run], float]:
    """Reads a figure from the JSON that a program closes with."""
    return lambda run: float(json.loads(run.last_line)[key])


def lesson(device: str = "cpu") -> Command:
    return [sys.executable, HERE / "lesson_script.py", data_dir(), "10", "0", device]


def train(folder: Path, *flags: str, device: str = "cpu") -> Command:
    output = folder / "trained.safetensors"
    return [*DIGITCLI, "train", "--device", device, "--json", "--output", output, *flags]


def bench_train(runs: int, folder: Path) -> list[Row]:
    ours, theirs = in_turn(runs, train(folder), lesson())
    mine, other = (median(side, lambda run: run.seconds) for side in (ours, theirs))
    steps, their_steps = (median(side, told("seconds")) for side in (ours, theirs))
    return [
        Row(
            "train, 10 epochs, whole process",
            f"{mine:.1f} s",
            f"{other:.1f} s",
            mine / other,
            "<= 0.17",
        ),
        Row(
            "of that, training alone",
            f"{steps:.1f} s",
            f"{their_steps:.1f} s",
            steps / their_steps,
            "",
        ),
    ]


def bench_quick(runs: int, folder: Path) -> list[Row]:
    ours = [run(train(folder, "--recipe", "quick", "--seed", str(i))) for i in range(runs)]
    other = told("seconds")(run(lesson()))
    mine = median(ours, told("seconds"))
    accuracy = statistics.mean(map(told("accuracy"), ours))
    return [
        Row(
            "--recipe quick, training time",
            f"{mine:.1f} s",
            f"{other:.1f} s",
            mine / other,
            "<= 0.083",
        ),
        Row(f"its accuracy, mean of {runs} seeds", f"{accuracy:.2%}", "", accuracy, ">= 0.98"),
    ]


def bench_epoch(runs: int, folder: Path) -> list[Row]:
    jax: Command = [sys.executable, HERE / "jax_epoch.py", data_dir(), "5"]
    ours, theirs = in_turn(runs, train(folder, "--epochs", "5"), jax)
    mine = median(ours, told("seconds")) / 5
    other = statistics.median(
        second for side in theirs for second in json.loads(side.last_line)["seconds"]
    )
    return [
        Row(
            "one epoch, against a JAX scan",
            f"{mine:.2f} s",
            f"{other:.2f} s",
            mine / other,
            "<= 1.10",
        )
    ]


def bench_cuda(runs: int, folder: Path) -> list[Row]:
    ours, theirs = in_turn(runs, train(folder, device="cuda"), lesson("cuda"))
    mine, other = (median(side, told("seconds")) for side in (ours, theirs))
    accuracy = median(ours, told("accuracy"))
    return [
        Row(
            "CUDA, 10 epochs of training",
            f"{mine:.2f} s",
            f"{other:.1f} s",
            mine / other,
            "<= 0.025",
        ),
        Row("its accuracy", f"{accuracy:.2%}", "", accuracy, ">= 0.97"),
    ]


def trained(folder: Path) -> Path:
    path = folder / "trained.safetensors"
    if not path.exists():
        run(train(folder, "--epochs", "1"))
    return path


def write_pictures(folder: Path, count: int) -> Path:
    split = read_split(data_dir(), "train")
    assert split is not None
    target = folder / f"{count}"
    target.mkdir()
    for i, picture in enumerate(split.images[:count]):
        Image.fromarray(picture).save(target / f"{i:05}.png")
    return target


def bench_predict(runs: int, folder: Path) -> list[Row]:
    checkpoint, picture = trained(folder), write_pictures(folder, 1) / "00000.png"
    ours, theirs = in_turn(
        runs,
        [*DIGITCLI, "predict", "-q", picture, "--checkpoint", checkpoint],
        [sys.executable, HERE / "torch_predict.py", checkpoint, picture],
    )
    assert ours[0].last_line == theirs[0].last_line
    mine, other = (median(side, lambda run: run.seconds) for side in (ours, theirs))
    memory, others = (median(side, lambda run: run.memory) for side in (ours, theirs))
    return [
        Row(
            "predict one.png, whole process",
            f"{mine:.2f} s",
            f"{other:.2f} s",
            mine / other,
            "<= 0.167",
        ),
        Row("its peak memory, MB", f"{memory:.0f} MB", f"{others:.0f} MB", memory, "<= 100"),
    ]


def bench_help(runs: int, _: Path) -> list[Row]:
    (ours,) = in_turn(runs, [*DIGITCLI, "--help"])
    mine = median(ours, lambda run: run.seconds)
    return [Row("digitcli --help, seconds", f"{mine:.3f} s", "", mine, "<= 0.25")]


def bench_many(runs: int, folder: Path) -> list[Row]:
    base: Command = [*DIGITCLI, "predict", "--checkpoint", trained(folder)]
    pictures, fewer = write_pictures(folder, 20_000), write_pictures(folder, 5_000)
    one, two, few = in_turn(
        runs,
        [*base, "--jobs", "1", pictures],
        [*base, "--jobs", "2", pictures],
        [*base, "--jobs", "2", fewer],
    )
    alone, shared = (20_000 / median(side, lambda run: run.seconds) for side in (one, two))
    memory, less = (median(side, lambda run: run.memory) for side in (two, few))
    return [
        Row("predict --jobs 1, pictures a second", f"{alone:,.0f}", "", alone, ">= 2000"),
        Row("predict --jobs 2, pictures a second", f"{shared:,.0f}", "", shared, ">= 6000"),
        Row("the ratio of both", "", "", shared / alone, ">= 1.6"),
        Row(
            "memory, 20,000 against 5,000",
            f"{memory:.0f} MB",
            f"{less:.0f} MB",
            memory / less,
            "<= 1.2",
        ),
    ]


BENCHMARKS = {
    "help": bench_help,
    "predict": bench_predict,
    "many": bench_many,
    "epoch": bench_epoch,
    "quick": bench_quick,
    "train": bench_train,
    "cuda": bench_cuda,
}


def machine() -> str:
    name = platform.processor() or platform.machine()
    if (info := Path("/proc/cpuinfo")).exists():
        models = [line for line in info.read_text().splitlines() if line.startswith("model name")]
        name = models[0].split(":", 1)[1].strip() if models else name
    return f"{name}, {os.cpu_count()} cores, Python {platform.python_version()}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("benchmarks", nargs="+", choices=BENCHMARKS)
    parser.add_argument("--runs", type=int, default=5)
    arguments = parser.parse_args()
    rows: list[Row] = []
    for name in arguments.benchmarks:
        with tempfile.TemporaryDirectory() as folder:
            rows += BENCHMARKS[name](arguments.runs, Path(folder))
    table = Table(title=f"{machine()}; medians of {arguments.runs} runs")
    for heading in ("what", "digitcli", "plain script", "measured", "bar"):
        table.add_column(heading)
    for row in rows:
        table.add_row(row.what, row.ours, row.theirs, f"{row.value:.3g}", row.bar)
    Console(stderr=True).print(table)
    print(
        json.dumps({"machine": machine(), "runs": arguments.runs, "rows": list(map(asdict, rows))})
    )


if __name__ == "__main__":
    main()
