"""Which checkpoint is used: the order of choice, the note on it, and the bundled one."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from commands import Run, Start, weights_note
from drawn_digits import SmallMnist, save_digit
from paths import ROOT

import digitcli
from digitcli.classifier import Classifier
from digitcli.core.checkpointing.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from digitcli.core.checkpointing.locate import find_bundled, find_checkpoint
from digitcli.core.checkpointing.metadata import EpochPoint

LATEST = Path("checkpoints/latest.safetensors")


OWN_NOTE = "digitcli: using the bundled weights\n"


def always(digit: int, network: Checkpoint, path: Path) -> Path:
    """Writes a network that answers one digit for every image, so that it can be recognized."""
    bias = np.array(network.weights["l5.bias"])
    bias[digit] = 1e6
    save_checkpoint(path, replace(network, weights={**network.weights, "l5.bias": bias}))
    return path


def run_in(package: Path, *arguments: str | Path) -> "subprocess.CompletedProcess[str]":
    """Runs the digitcli in a folder."""
    return subprocess.run(
        [sys.executable, "-m", "digitcli", *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": str(package)},
        check=False,
        capture_output=True,
        text=True,
    )


def test_the_order_of_choice(
    start: Start, trained: Checkpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_digit(Path("7.png"), 7)
    named = always(1, trained, tmp_path / "named")
    set_before = always(2, trained, tmp_path / "set before")
    always(3, trained, tmp_path / LATEST)

    def answer(*flags: str | Path) -> tuple[int, str, str]:
        done = start("predict", "7.png", "--json", *flags)
        value = json.loads(done.stdout)
        return value["digit"], value["checkpoint"], done.stderr

    monkeypatch.setenv("DIGITCLI_CHECKPOINT", str(set_before))
    assert answer("--checkpoint", named) == (1, str(named), weights_note(trained, named))
    assert answer() == (2, str(set_before), weights_note(trained, set_before))
    for nothing in ("", None):
        if nothing is None:
            monkeypatch.delenv("DIGITCLI_CHECKPOINT")
        else:
            monkeypatch.setenv("DIGITCLI_CHECKPOINT", nothing)
        assert answer() == (3, str(LATEST), weights_note(trained))
    LATEST.unlink()
    own = find_checkpoint(None)
    assert answer()[1:] == (str(own), OWN_NOTE)
    LATEST.parent.rmdir()
    assert answer()[1:] == (str(own), OWN_NOTE)
    LATEST.parent.write_text("a file where the folder would be")
    assert answer()[1:] == (str(own), OWN_NOTE)


def test_the_note_names_epochs_and_accuracy(
    run: Run, trained: Checkpoint, checkpoint: Path
) -> None:
    save_digit(Path("7.png"), 7)
    metadata = replace(
        trained.metadata,
        dataset="folder:\x1b[31m",
        losses=(),
        accuracies=(EpochPoint(1, 1.5, 0.5861),),
        scored_on="validation",
    )
    assert metadata.recipe
    for epochs, planned, text in ((1, 1, "1 epoch"), (3, 3, "3 epochs"), (1, 40, "1 of 40 epochs")):
        recipe = replace(metadata.recipe, epochs=planned)
        changed = replace(metadata, epochs=epochs, recipe=recipe)
        save_checkpoint(checkpoint, replace(trained, metadata=changed))
        assert run("predict", "7.png").stderr == (
            f"digitcli: using the weights {LATEST} (folder:\\x1b[31m, {text}, "
            "validation accuracy 58.61%), not the bundled ones (--checkpoint pretrained)\n"
        )
    save_checkpoint(checkpoint, replace(trained, metadata=replace(changed, accuracies=())))
    assert run("predict", "7.png").stderr.endswith(
        "(folder:\\x1b[31m, 1 of 40 epochs), not the bundled ones (--checkpoint pretrained)\n"
    )


def test_every_command_names_its_weights(run: Run, small_mnist: SmallMnist) -> None:
    save_digit(Path("7.png"), 7)
    run("download", "--mirror", small_mnist.folder)
    own = find_checkpoint(None)
    for arguments in (
        ["predict", "7.png", "7.png"],
        ["inspect-softmax", "7.png"],
        ["inspect-softmax", "--index", "3"],
        ["eval"],
    ):
        for form in ([], ["--json"]):
            result = run(*arguments, *form)
            assert result.exit_code == 0
            assert result.stderr == OWN_NOTE
        for line in result.stdout.splitlines():
            assert json.loads(line)["checkpoint"] == str(own)


def test_without_weights_none_are_named(run: Run) -> None:
    assert run("inspect-softmax", "--logits", "1,2").stderr == ""
    for command in ("predict", "inspect-softmax"):
        stderr = run(command, "missing.png").stderr
        assert stderr.startswith("digitcli: error: missing.png: ")
        assert stderr.count("\n") == 1


def test_quiet_prints_no_note(run: Run) -> None:
    save_digit(Path("7.png"), 7)
    result = run("predict", "--quiet", "7.png", "missing.png")
    assert result.stdout.count("\n") == 1
    assert result.stderr.startswith("digitcli: error: missing.png: ")
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize("command", ["predict", "inspect-softmax", "eval"])
def test_an_invalid_named_checkpoint_is_an_error(
    run: Run, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    picture = [] if command == "eval" else [save_digit(Path("7.png"), 7)]
    expected = (
        "digitcli: error: there is no checkpoint at gone; check the path, or leave it out to use "
        "the latest trained weights or the bundled ones\n"
    )
    assert run(command, *picture, "--checkpoint", "gone").stderr == expected
    monkeypatch.setenv("DIGITCLI_CHECKPOINT", "gone")
    assert run(command, *picture).stderr == expected


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:1000])


def make_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def dangle(path: Path) -> None:
    path.unlink()
    path.symlink_to("gone")


@pytest.mark.parametrize(
    ("damage", "problem"),
    [
        (truncate, "is damaged"),
        (make_folder, "is not a file"),
        (dangle, "is a link to nothing"),
    ],
)
def test_an_invalid_latest_checkpoint_is_an_error(
    run: Run, checkpoint: Path, damage: Callable[[Path], None], problem: str
) -> None:
    save_digit(Path("7.png"), 7)
    damage(checkpoint)
    result = run("predict", "7.png")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith(f"digitcli: error: {LATEST} {problem}")
    assert result.stderr.count("\n") == 1
    way_out = "; delete it, or give other weights, for example --checkpoint pretrained\n"
    assert result.stderr.endswith(way_out)
    assert "delete it" not in run("predict", "7.png", "--checkpoint", LATEST).stderr
    assert run("predict", "7.png", "--checkpoint", "pretrained").exit_code == 0


@pytest.mark.usefixtures("checkpoint")
def test_pretrained_names_the_bundled_weights(
    run: Run, small_mnist: SmallMnist, trained: Checkpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_digit(Path("7.png"), 7)
    always(1, trained, Path("pretrained"))
    run("download", "--mirror", small_mnist.folder)
    own = str(find_bundled())
    for arguments in (["predict", "7.png"], ["inspect-softmax", "7.png"], ["eval"]):
        for flags in (["--checkpoint", "pretrained"], ["--checkpoint", "./pretrained"]):
            result = run(*arguments, *flags, "--json")
            assert result.exit_code == 0, result.stderr
            used = json.loads(result.stdout)["checkpoint"]
            assert used == (own if flags[1] == "pretrained" else "pretrained")
    exported = run("export", "out.npz", "--checkpoint", "pretrained", "--json")
    assert json.loads(exported.stdout)["checkpoint"] == own
    monkeypatch.setenv("DIGITCLI_CHECKPOINT", "pretrained")
    assert json.loads(run("predict", "7.png", "--json").stdout)["checkpoint"] == own
    assert str(Classifier.load().path) == str(Classifier.load("pretrained").path) == own
    assert Classifier.load(Path("pretrained")).path == Path("pretrained")


def test_an_unreachable_latest_checkpoint_is_an_error(run: Run) -> None:
    save_digit(Path("7.png"), 7)
    LATEST.parent.symlink_to(LATEST.parent)  # a loop, which stops root too
    result = run("predict", "7.png")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith(f"digitcli: error: cannot read {LATEST}: ")


OFFLINE = """\
import sys
def refuse(event, arguments):
    if event.startswith("socket.") and event != "socket.__new__":
        raise RuntimeError(event)
sys.addaudithook(refuse)
from digitcli.__main__ import main
sys.argv = ["digitcli", *sys.argv[1:]]
try:
    main()
finally:
    assert "torch" not in sys.modules
"""


def test_the_bundled_weights_need_no_network_no_torch_and_no_writable_folder() -> None:
    picture = save_digit(Path("7.png"), 7).absolute()
    folder = Path("elsewhere")
    folder.mkdir(mode=0o500)
    for command in ("predict", "inspect-softmax"):
        done = subprocess.run(
            [sys.executable, "-c", OFFLINE, command, picture, "--json"],
            cwd=folder,
            check=False,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["checkpoint"] == str(find_checkpoint(None))
    assert not list(folder.iterdir())


def test_the_bundled_weights_are_those_of_the_repository() -> None:
    own = find_checkpoint(None)
    assert own.read_bytes() == (ROOT / "checkpoints/pretrained.safetensors").read_bytes()
    assert load_checkpoint(own).metadata.dataset == "mnist"


def test_a_broken_installation(trained: Checkpoint, tmp_path: Path) -> None:
    save_digit(Path("7.png"), 7)
    package = tmp_path / "site" / "digitcli"
    without = shutil.ignore_patterns("*.safetensors", "__pycache__")
    shutil.copytree(Path(digitcli.__file__).parent, package, ignore=without)
    done = run_in(package.parent, "predict", "7.png")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "digitcli: error: the bundled weights are missing, "
        f"{package / 'pretrained.safetensors'}; "
        "install digitcli again, or train new ones with 'digitcli train'\n"
    )
    done = run_in(package.parent, "predict", "7.png", "--checkpoint", always(4, trained, Path("4")))
    assert done.stdout.split("\t")[1] == "4"


def test_the_packages_hold_the_weights_and_the_pages(tmp_path: Path) -> None:
    """Builds sdist and wheel, unpacks them into a folder of packages, and predicts there."""

    def build(kind: str, source: Path) -> Path:
        folder = tmp_path / kind
        command = [sys.executable, "-m", "hatchling", "build", "-t", kind, "-d", str(folder)]
        subprocess.run(command, cwd=source, check=True, capture_output=True)
        (made,) = folder.iterdir()
        return made

    shutil.unpack_archive(build("sdist", ROOT), tmp_path, filter="data")
    (source,) = tmp_path.glob("digitcli-*")
    assert (source / "digitcli" / "README.md").is_file()
    shutil.unpack_archive(build("wheel", source), tmp_path / "site", "zip")
    assert not list((tmp_path / "site").rglob("*.md"))
    assert (tmp_path / "site" / "digitcli" / "py.typed").is_file()
    catalogs = [path.name for path in (tmp_path / "site" / "digitcli" / "locale").rglob("*.?o")]
    assert sorted(catalogs) == ["digitcli.mo", "digitcli.po"]
    weights = tmp_path / "site" / "digitcli" / "pretrained.safetensors"
    assert weights.read_bytes() == (ROOT / "checkpoints/pretrained.safetensors").read_bytes()
    flags = ("--json", "--report", "report.html")
    done = run_in(tmp_path / "site", "predict", save_digit(Path("7.png"), 7), *flags)
    assert done.returncode == 0, done.stderr
    assert done.stderr == OWN_NOTE + "digitcli: wrote the report report.html\n"
    assert "7.png" in (tmp_path / "report.html").read_text()
    assert json.loads(done.stdout)["checkpoint"] == str(weights)
