"""Libraries that are missing, broken or too old: one line, and what needs none of them works."""

import json
import os
import platform
import subprocess
import sys
import tomllib
import venv
from collections.abc import Callable
from pathlib import Path

import pytest
from commands import Start
from drawn_digits import SmallMnist, draw_digit
from paths import ROOT

from digitcli.core.imports import OLDEST_TORCH, install_torch

MISSING = "raise ModuleNotFoundError(\"No module named 'torch'\", name='torch')"
NO_MODULE = "No module named 'torch'"
LIBRARY = "libcudart.so.13: cannot open shared object file: No such file or directory"
STEP = (
    "run pip install --upgrade torch torchvision; predict, inspect-softmax, info, import of "
    "safetensors and npz, and export to ONNX, npz and html work without torch"
)

NONE_FOR = "PyPI has no recent torch for {}; predict, inspect-softmax, info, import of"

Stub = Callable[[str, str], None]


@pytest.fixture
def stub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stub:
    """Writes a module that the processes of a test import in place of a library."""
    folder = tmp_path / "stubs"
    folder.mkdir()
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(folder), str(ROOT)]))

    def write(name: str, content: str) -> None:
        (folder / f"{name}.py").write_text(f"{content}\n")

    return write


@pytest.mark.usefixtures("checkpoint")
@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (MISSING, f", which cannot be imported: {NO_MODULE}"),
        (f"raise ImportError({LIBRARY!r})", f", which cannot be imported: {LIBRARY}"),
        (f"raise OSError({LIBRARY!r})", f", which cannot be imported: {LIBRARY}"),
        ("raise RuntimeError('\\nno driver\\nat all')", ", which cannot be imported: no driver"),
        ("raise ValueError", ", which cannot be imported: ValueError"),
        ("__version__ = '2.2.2+cpu'", " 2.11, and this is 2.2.2+cpu"),
    ],
)
def test_torch_that_cannot_be_used_is_one_line(
    start: Start, stub: Stub, content: str, reason: str
) -> None:
    stub("torch", content)
    commands = (
        ("evaluation", "eval", "--dataset", "optdigits"),
        ("a pt2 file", "export", "x.pt2"),
        ("training", "train", "--dataset", "optdigits", "--output", "new.safetensors"),
        ("training", "train", "--dataset", "optdigits", "--from", "pretrained"),
    )
    for user, *command in commands if content == MISSING else commands[:1]:
        done = start(*command)
        assert (done.returncode, done.stdout) == (2, "")
        (line,) = (line for line in done.stderr.splitlines() if "using the weights" not in line)
        assert line == f"digitcli: error: {user} needs torch{reason}; {STEP}"
    assert not Path("new.safetensors").exists()
    assert not Path("x.pt2").exists()


@pytest.mark.usefixtures("checkpoint")
def test_a_torch_that_cannot_be_used_leaves_no_folder(start: Start, stub: Stub) -> None:
    stub("torch", MISSING)
    train = ("train", "--dataset", "optdigits", "--output", "a/b/new", "--log-dir", "log/1")
    for command in (train, (*train, "--plot", "plots/x.png")):
        assert start(*command).returncode == 2
        assert not {"a", "log", "plots"} & {path.name for path in Path.cwd().iterdir()}
    stub("torch", "__version__ = '2.11'")  # and nothing else
    assert start("export", "new/x.pt2").returncode != 0
    assert not Path("new").exists()


@pytest.mark.parametrize(
    ("system", "machine", "expected"),
    [
        ("darwin", "x86_64", NONE_FOR.format("Intel Macs")),
        ("win32", "ARM64", NONE_FOR.format("Windows on ARM")),
        ("darwin", "arm64", "run pip install --upgrade torch torchvision; "),
        ("linux", "x86_64", "run pip install --upgrade torch torchvision; "),
    ],
)
def test_no_computer_is_told_to_install_what_it_cannot_have(
    system: str, machine: str, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "platform", system)
    monkeypatch.setattr(platform, "machine", lambda: machine)
    assert install_torch().startswith(expected)


def test_the_oldest_torch_is_the_one_that_is_installed_with() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert "torch>=" + ".".join(map(str, OLDEST_TORCH)) in project["dependencies"]


@pytest.mark.parametrize(
    ("library", "command", "error"),
    [
        (
            "onnx",
            ("export", "x.onnx"),
            "ONNX files need onnx and onnxruntime, which cannot be imported: broken; "
            "run pip install 'digitcli[onnx]'",
        ),
        (
            "matplotlib",
            ("train", "--dataset", "optdigits", "--plot", "x.png"),
            "--plot needs matplotlib, which cannot be imported: broken; "
            "run pip install 'digitcli[plot]'",
        ),
        (
            "tensorboard",
            ("train", "--dataset", "optdigits", "--epochs", "1", "--log-dir", "log"),
            "--log-dir also writes for TensorBoard, which cannot be imported: broken; "
            "run pip install 'digitcli[tensorboard]', or uninstall it",
        ),
        (
            "torchvision",
            ("download",),
            "the list of mirrors needs torchvision, which cannot be imported: broken; name a copy "
            "of the files with --mirror, or run pip install --upgrade torch torchvision",
        ),
    ],
)
def test_any_broken_library_is_one_line(
    start: Start, stub: Stub, library: str, command: tuple[str, ...], error: str
) -> None:
    if library in ("onnx", "matplotlib", "tensorboard"):
        pytest.importorskip(library)
    stub(library, "raise OSError('broken')")
    done = start(*command)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines()[-1] == f"digitcli: error: {error}"
    assert "Traceback" not in done.stderr


@pytest.mark.usefixtures("checkpoint")
def test_what_works_without_torch(start: Start, stub: Stub, small_mnist: SmallMnist) -> None:
    stub("torch", MISSING)
    draw_digit(5).save("5.png")
    for command in (
        ["--help"],
        ["train", "--help"],
        ["download", "--mirror", str(small_mnist.folder)],
        ["predict", "5.png", "--report", "x.html", "--show-steps", "steps.png"],
        ["predict", "--multi", "5.png"],
        ["inspect-softmax", "5.png"],
        ["inspect-softmax", "--index", "3", "--dataset", "optdigits"],
        ["export", "x.npz"],
    ):
        done = start(*command)
        assert done.returncode == 0, done.stderr
    pytest.importorskip("onnxruntime")
    assert start("export", "x.onnx").returncode == 0


def install_without_torch() -> list[list[str]]:
    """Returns the commands of the README that install what works without torch."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    _, _, after = text.partition("**A small installation without torch**")
    block = after.partition("```sh\n")[2].partition("```")[0].replace("\\\n", "")
    return [line.split() for line in block.splitlines()]


def test_the_list_of_packages_without_torch_is_complete() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    names = {requirement.partition(">=")[0] for requirement in project["dependencies"]}
    own, others = install_without_torch()
    assert own == ["pip", "install", "--no-deps", "."]
    assert others == ["pip", "install", *sorted(names - {"torch", "torchvision"})]


@pytest.mark.slow
def test_an_environment_without_torch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PYTHONPATH", raising=False)
    folder = tmp_path / "environment"
    venv.create(folder, with_pip=True)
    python = folder / "bin" / "python"

    def call(*words: str | Path) -> "subprocess.CompletedProcess[str]":
        command = [python, "-m", *words]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)

    for _pip, *words in install_without_torch():
        places = [str(ROOT) if word == "." else word for word in words]
        done = call("pip", *places)
        if "No matching distribution" in done.stderr or "retries" in done.stderr:
            pytest.skip("there is no registry of packages")
        assert done.returncode == 0, done.stderr
    draw_digit(5).save(tmp_path / "5.png")
    done = call("digitcli", "predict", "5.png", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["probability"] > 0.5
    assert call("digitcli", "inspect-softmax", "5.png").returncode == 0
    assert call("digitcli", "export", "x.npz").returncode == 0
    done = call("digitcli", "train", "--dataset", "optdigits")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        f"digitcli: error: training needs torch, which cannot be imported: {NO_MODULE}; {STEP}\n"
    )
