"""No command leaves a file in the user's home or looks up a host unasked, nor does a library."""

import re
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from drawn_digits import draw_digit

ALLOWED = {Path(".cache/matplotlib/fontlist.json")}
"""The list of fonts that matplotlib found, without its version."""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home folder of a user who has set nothing."""
    home = tmp_path / "home"
    (home / "tmp").mkdir(parents=True)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("TMPDIR", str(home / "tmp"))
    for name in ("CACHE", "CONFIG", "DATA", "STATE"):
        monkeypatch.delenv(f"XDG_{name}_HOME", raising=False)
    for name in ("ORT_DISABLE_TELEMETRY", "MPLCONFIGDIR"):
        monkeypatch.delenv(name, raising=False)
    return home


def trace(*arguments: str) -> str:
    """Runs a command and returns its system calls for the network, if they can be recorded."""
    command = [sys.executable, "-m", "digitcli", *arguments]
    recorder = ["strace", "-f", "--seccomp-bpf", "-e", "trace=socket,connect,sendto", "-o", "calls"]
    can_record = (
        shutil.which("strace")
        and not subprocess.run([*recorder, "true"], capture_output=True, check=False).returncode
    )
    done = subprocess.run(
        [*recorder, *command] if can_record else command,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return Path("calls").read_text() if can_record else ""


@pytest.mark.usefixtures("checkpoint")
@pytest.mark.parametrize(
    "command",
    [
        "export x.onnx",
        "export x.pt2",
        "predict 5.png --report x.html --show-steps steps.png",
        "eval --dataset optdigits --report x.html",
        "train --dataset optdigits --epochs 1 --output new --log-dir log --plot curve.png",
    ],
)
def test_nothing_is_collected(home: Path, command: str) -> None:
    needed = {"onnx": "onnxruntime", "plot": "matplotlib"}
    for word, library in needed.items():
        if word in command and not find_spec(library):
            pytest.skip(f"there is no {library}")
    draw_digit(5).save("5.png")
    calls = trace(*command.split())
    files = {path.relative_to(home) for path in home.rglob("*") if path.is_file()}
    found = {file.with_name(re.sub(r"-v[\d.]+\.json$", ".json", file.name)) for file in files}
    assert found <= ALLOWED
    # a local name service may be asked for the user's name
    assert not re.findall(r".*AF_INET.*", calls)
