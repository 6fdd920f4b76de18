"""Architecture: imports between packages, the cost of starting, completion."""

import itertools
import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
from drawn_digits import draw_digit
from importlinter.cli import lint_imports
from paths import ROOT

import digitcli
from digitcli import classifier
from digitcli.core.checkpointing.checkpoint import load_checkpoint

CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
HEAVY = {"torch", "torchvision", "sklearn", "scipy", "joblib"}

PROBE = """\
import json, sys
from digitcli.__main__ import main
sys.argv = ["digitcli", *sys.argv[1:]]
try:
    main()
except SystemExit as end:
    loaded = sorted(name for name in sys.modules if "." not in name)
    print(json.dumps([end.code, loaded]), file=sys.stderr)
"""


BLAS_PROBE = """\
import sys
from digitcli.__main__ import main
sys.argv = ["digitcli", *sys.argv[1:]]
try:
    main()
except SystemExit:
    from threadpoolctl import threadpool_info
    print(*(pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"))
"""


def modules_of(*arguments: str | Path) -> set[str]:
    """Runs a command in a new process and returns the modules imported at its end."""
    command = [sys.executable, "-c", PROBE, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    code, loaded = json.loads(done.stderr.splitlines()[-1])
    assert code in (None, 0), done.stderr
    return set(loaded)


@pytest.mark.parametrize(
    "command",
    [
        *([], ["download"], ["train"], ["eval"], ["predict"], ["inspect-softmax"], ["export"]),
        *(["import"], ["info"]),
    ],
)
def test_help_imports_nothing_heavy(command: list[str]) -> None:
    assert not modules_of(*command, "--help") & (HEAVY | {"numpy", "PIL"})


@pytest.mark.usefixtures("checkpoint")
def test_inference_imports_nothing_heavy(tmp_path: Path) -> None:
    picture = tmp_path / "5.png"
    draw_digit(5).save(picture)
    assert not modules_of("predict", picture) & (HEAVY | {"rich", "jinja2", "multiprocessing"})
    assert not modules_of("predict", picture, "--json") & (HEAVY | {"rich"})
    assert not modules_of("predict", picture, "--report", tmp_path / "x.html") & (HEAVY | {"rich"})
    assert not modules_of("inspect-softmax", picture, "--target", "5") & (HEAVY | {"rich"})
    assert not modules_of("inspect-softmax", "--logits", "2,1,0.1") & (HEAVY | {"rich", "PIL"})


def test_import_and_info_without_torch(checkpoint: Path) -> None:
    weights = dict(load_checkpoint(checkpoint).weights)
    np.savez("net.npz", **weights)  # type: ignore[arg-type]  # mypy: one could be allow_pickle
    safetensors.numpy.save_file(weights, "net.safetensors")
    for name in ("net.npz", "net.safetensors"):
        assert not modules_of("import", name, "--output", "new") & (HEAVY | {"rich", "PIL"})
    assert not modules_of("info", "new") & (HEAVY | {"rich", "PIL"})


@pytest.mark.usefixtures("checkpoint")
def test_export_without_torch(tmp_path: Path) -> None:
    pytest.importorskip("onnx")
    assert not modules_of("export", tmp_path / "x.npz") & (HEAVY | {"rich", "PIL", "onnx"})
    assert not modules_of("export", tmp_path / "x.onnx") & (HEAVY | {"rich", "PIL"})


@pytest.mark.skipif(CORES < 2, reason="there is one core")
@pytest.mark.usefixtures("checkpoint")
def test_inference_uses_one_thread_unless_configured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    draw_digit(5).save(tmp_path / "5.png")

    def threads() -> list[str]:
        command = [sys.executable, "-c", BLAS_PROBE, "predict", "-q", str(tmp_path / "5.png")]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        return done.stdout.splitlines()[-1].split()

    for name in ("OPENBLAS_NUM_THREADS", "GOTO_NUM_THREADS", "OMP_NUM_THREADS"):
        monkeypatch.delenv(name, raising=False)
    if not (found := threads()):
        pytest.skip("the BLAS of this NumPy does not report its threads")
    assert set(found) == {"1"}
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "2")
    assert set(threads()) == {"2"}


def test_imports_run_one_way() -> None:
    assert lint_imports(config_filename=str(ROOT / "pyproject.toml"), no_cache=True) == 0


def test_what_is_public_is_documented() -> None:
    """``digitcli.__all__`` is the table of the page, and no other module lists more."""
    page = (ROOT / "digitcli" / "README.md").read_text(encoding="utf-8")
    table = page.partition("## The library\n")[2].partition("\nAlso public")[0]
    cells = re.findall(r"^\| (`.*?`) \|", table, re.MULTILINE)
    names = [name.strip("`") for cell in cells for name in cell.split(", ")]
    assert sorted(names) == digitcli.__all__
    assert all(getattr(digitcli, name).__doc__ for name in names)
    package = ROOT / "digitcli"
    listing = {path for path in package.rglob("*.py") if "\n__all__ =" in path.read_text("utf-8")}
    assert listing == {package / "__init__.py", package / "classifier.py"}
    assert set(classifier.__all__) < set(names)


def test_every_dependency_has_a_reason() -> None:
    text = (ROOT / "pyproject.toml").read_text()
    project = tomllib.loads(text)["project"]
    for requirement in itertools.chain(
        project["dependencies"], *project["optional-dependencies"].values()
    ):
        (line,) = [line for line in text.splitlines() if f'"{requirement}"' in line]
        assert ">=" in requirement or requirement.startswith("digitcli[")
        assert "# " in line


def test_the_program_and_the_module_are_equal() -> None:
    outputs = [
        subprocess.run([*command, "--version"], capture_output=True, text=True, check=True).stdout
        for command in (["digitcli"], [sys.executable, "-m", "digitcli"])
    ]
    assert outputs[0] == outputs[1]


def test_shell_completion_offers_commands_and_values() -> None:
    def complete(words: str) -> str:
        environment = {
            "_DIGITCLI_COMPLETE": "complete_bash",
            "COMP_WORDS": words,
            "COMP_CWORD": str(len(words.split(" ")) - 1),
            "PATH": str(Path(sys.executable).parent),
        }
        return subprocess.run(
            ["digitcli"], env=environment, capture_output=True, text=True, check=True
        ).stdout

    assert complete("digitcli in") == "inspect-softmax\ninfo\n"
    assert complete("digitcli train --dataset ").split() == [
        *("mnist", "fashion-mnist", "kmnist", "qmnist", "usps", "optdigits", "folder:")
    ]
    assert complete("digitcli predict --checkpoint pre") == "pretrained\n"
    assert complete("digitcli predict --checkpoint ").strip() == ""  # the shell offers files
    assert complete("digitcli export --format ") == "onnx\npt2\nnpz\nhtml\n"
    assert "--min-accuracy" in complete("digitcli eval --min")
