"""What several test modules share."""

import functools
import json
import os
import pickle
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

# More threads do not pay for the tests' small networks, and they busy-wait for each other, which
# slows down the other worker. Processes that tests start inherit this.
os.environ.setdefault("OMP_NUM_THREADS", "1")  # of torch, and of NumPy's OpenBLAS
# tests import onnxruntime themselves, which would collect events in the home of who runs them
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
os.environ.setdefault("MKL_CBWR", "AUTO,STRICT")  # as train sets it before it imports torch

import hypothesis
import pytest
from commands import Launch, Run, Start
from drawn_digits import FEW_OUTLIERS, FEW_SYNTHETIC, SmallMnist, drawn_data, write_small_mnist
from faulty_server import FaultyServer, serve
from filelock import FileLock
from paths import CHROMIUM, HELPERS
from typer.testing import CliRunner, Result

from digitcli.cli.app import app
from digitcli.core.checkpointing.checkpoint import Checkpoint, save_checkpoint
from digitcli.core.recipes import Recipe
from digitcli.data.datasets import outliers, synthetic
from digitcli.data.datasets.optdigits import load_optdigits
from digitcli.data.datasets.split import Split
from digitcli.data.download import manifest

if TYPE_CHECKING:
    from playwright.sync_api import Browser

# Hypothesis fails a test that is slow once, as any is on a shared machine.
hypothesis.settings.register_profile("untimed", deadline=None)
hypothesis.settings.load_profile("untimed")


@pytest.fixture(autouse=True)
def own_world(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Gives each test a folder of its own and none of the user's settings."""
    for name in list(os.environ):
        if name.startswith("DIGITCLI_") or name in ("NO_COLOR", "FORCE_COLOR"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("DIGITCLI_DATA_DIR", str(tmp_path / "data"))
    for name in ("LANGUAGE", "LC_ALL", "LC_MESSAGES"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("LANG", "C.UTF-8")
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.chdir(tmp_path)


T = TypeVar("T")


class Shared:
    """Values that the first worker to ask for them makes, for all workers of a session."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def get(self, name: str, make: Callable[[], T]) -> T:
        file = self.folder / f"{name}.pickle"
        with FileLock(f"{file}.lock"):
            if not file.exists():
                file.write_bytes(pickle.dumps(make()))
        value: T = pickle.loads(file.read_bytes())  # noqa: S301
        return value


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Shared:
    own = tmp_path_factory.getbasetemp()
    folder = (own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / "shared"
    folder.mkdir(exist_ok=True)
    return Shared(folder)


@pytest.fixture(scope="session")
def small_mnist(shared: Shared) -> SmallMnist:
    return shared.get("mnist", lambda: write_small_mnist(shared.folder / "mnist"))


@functools.cache
def optdigits(split: str) -> Split:
    """Loads what never changes, and takes a second to prepare."""
    return load_optdigits(split)


@pytest.fixture
def server(small_mnist: SmallMnist) -> Iterator[FaultyServer]:
    with serve(small_mnist.folder) as running:
        yield running


@pytest.fixture
def run(small_mnist: SmallMnist, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs a command in this process, the small data set standing in for MNIST."""
    small = replace(manifest.PUBLISHED["mnist"], files=small_mnist.files)
    monkeypatch.setitem(manifest.PUBLISHED, "mnist", small)
    monkeypatch.setattr(outliers, "_COUNT", FEW_OUTLIERS)
    monkeypatch.setattr(synthetic, "_PER_DIGIT", FEW_SYNTHETIC)
    monkeypatch.setattr("digitcli.data.datasets.registry.load_optdigits", optdigits)
    runner = CliRunner()

    def call(*arguments: str | Path, input: bytes | None = None) -> Result:  # noqa: A002
        return runner.invoke(app, [str(a) for a in arguments], input=input, prog_name="digitcli")

    return call


@pytest.fixture
def program(small_mnist: SmallMnist, tmp_path: Path) -> list[str]:
    """The words that start digitcli as a process, the small data set standing in for MNIST."""
    listing = tmp_path.with_name(f"{tmp_path.name}-files.json")
    listing.write_text(json.dumps([list(asdict(file).values()) for file in small_mnist.files]))
    return [sys.executable, str(HELPERS / "small_cli.py"), str(listing)]


@pytest.fixture
def start(program: list[str]) -> Start:
    """Runs a command as a process of its own."""

    def call(*arguments: object, **options: object) -> "subprocess.CompletedProcess[str]":
        command = [*program, *map(str, arguments)]
        settings: dict[str, object] = {"capture_output": True, "text": True, "timeout": 120}
        return subprocess.run(command, check=False, **{**settings, **options})  # type: ignore[call-overload]

    return call


@pytest.fixture
def launch(program: list[str]) -> Launch:
    """Starts a command as a process of its own, and does not wait for it."""
    signals = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

    def call(*arguments: object, **options: object) -> "subprocess.Popen[str]":
        # A process inherits what nohup or a shell in the background had the tests ignore.
        ignored = [number for number in signals if signal.getsignal(number) is signal.SIG_IGN]
        for number in ignored:
            signal.signal(number, signal.SIG_DFL)
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        command = [*program, *map(str, arguments)]
        process = subprocess.Popen(command, **{**pipes, **options})  # type: ignore[call-overload]
        for number in ignored:
            signal.signal(number, signal.SIG_IGN)
        return process

    return call


@pytest.fixture(scope="session")
def trained(shared: Shared) -> Checkpoint:
    """A network that reads the digits that the tests draw."""

    def train() -> Checkpoint:
        from training_runs import run_training  # torch takes seconds to import

        recipe = Recipe("test", epochs=15, batch_size=32, lr=0.05, momentum=0.5)
        return run_training(drawn_data(600, 200), recipe, log_every=10).checkpoint

    return shared.get("trained", train)


@pytest.fixture
def checkpoint(trained: Checkpoint, tmp_path: Path) -> Path:
    """The same network where every command looks for it."""
    path = tmp_path / "checkpoints" / "latest.safetensors"
    save_checkpoint(path, trained)
    return path


@pytest.fixture(scope="module")
def browser() -> "Iterator[Browser]":
    """A browser that opens pages."""
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as started:
        running = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield running
        running.close()
