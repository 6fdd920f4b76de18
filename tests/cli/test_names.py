"""Names of files and of classes are escaped wherever they are shown."""

import base64
import json
import os
import sys
import unicodedata
from dataclasses import replace
from pathlib import Path

import pytest
from commands import Run
from drawn_digits import SmallMnist, draw_digit, save_digit
from terminal import run_on_terminal

from digitcli import Classifier
from digitcli.core.checkpointing.checkpoint import Checkpoint, save_checkpoint

NAMES = {
    "newline": "a\nb.png",
    "tab": "a\tb.png",
    "return": "a\rb.png",
    "escape": "a\x1b[2J\x1b[31mb.png",
    "title": "a\x1b]0;owned\x07b.png",
    "8-bit escape": "a\x9b31mb.png",
    "markup": "[bold red]a [link=x]b[bold].png",
    "turned": "a\u202egnp.b",
    "isolated": "a\u2066b\u2069.png",
    "zero width": "a\u200b\u200d\ufeffb.png",
    "fillers": "a\u3164\u115f\u1160\uffa0\u2800b.png",
    "selectors": "a\ufe0f\ufe00\U000e0100\u034f\u180bb.png",
    "separator": "a\u2028b\u2029c\x85d.png",
    "delete": "a\x08\x7fb.png",
    "bytes": "caf\udce9.png",
    "dash": "-a.png",
    "quotes": "a\"b'c\\d.png",
    "emoji": "\U0001f600 größer.png",
}


def is_harmless(text: str) -> bool:
    """Returns True if a text has no character that moves, colors, reverses or hides anything."""
    unseen = ("Cc", "Cf", "Zl", "Zp", "Mn")
    return all(
        c in "\n\t"
        or not (unicodedata.category(c) in unseen or c in "\u3164\u115f\u1160\uffa0\u2800")
        for c in text
    )


def named(text: str) -> Path:
    path = Path(text)
    draw_digit(6).save(path, "PNG")
    return path


@pytest.mark.usefixtures("checkpoint")
@pytest.mark.parametrize("kind", NAMES)
def test_names_of_images(run: Run, kind: str) -> None:
    path = f"./{NAMES[kind]}" if kind == "dash" else NAMES[kind]
    named(path)
    good = run("predict", path, "--top", "2")
    assert (good.exit_code, good.stdout.count("\n"), good.stdout.count("\t")) == (0, 1, 4)
    assert is_harmless(good.stdout)
    doubtful = run("predict", path, "--min-probability", "1")
    failed = run("predict", f"{path}.gone")
    warned = run("inspect-softmax", path, "--temperature", "20")
    for result in (doubtful, failed, warned):
        assert is_harmless(result.stderr)
        assert result.stderr.count("\n") <= 2
    assert failed.stderr.count("\n") == 1
    Path("list").write_bytes(os.fsencode(path) + b"\0")
    listed = run("predict", "--files-from", "list", "-q")
    assert listed.stdout == "6\n"


@pytest.mark.usefixtures("checkpoint")
@pytest.mark.parametrize("kind", NAMES)
def test_names_in_json_lead_back_to_the_file(run: Run, kind: str) -> None:
    path = NAMES[kind]
    named(path)
    output = run("predict", f"./{path}", f"./{path}.gone", "--json").stdout
    assert output.isascii()
    good, bad = map(json.loads, output.splitlines())
    for record, name in ((good, f"./{path}"), (bad, f"./{path}.gone")):
        record["path"].encode()  # valid text for every JSON parser
        assert ("path_base64" in record) == (kind == "bytes")
        if kind == "bytes":
            assert os.fsdecode(base64.b64decode(record["path_base64"])) == name
        else:
            assert record["path"] == name
    assert good["digit"] == 6


@pytest.mark.parametrize("kind", NAMES)
def test_names_of_checkpoints(
    run: Run, trained: Checkpoint, small_mnist: SmallMnist, kind: str
) -> None:
    path = Path(NAMES[kind])
    save_checkpoint(path, trained)
    save_digit(Path("7.png"), 7)
    for command in (["predict", "7.png"], ["inspect-softmax", "7.png"], ["eval"]):
        if command == ["eval"]:
            command += ["--mirror", str(small_mnist.folder)]
        result = run(*command, f"--checkpoint={path}")
        assert result.exit_code == 0, result.stderr
        assert is_harmless(result.stdout)
        assert is_harmless(result.stderr)
        recorded = json.loads(run(*command, f"--checkpoint={path}", "--json").stdout)["checkpoint"]
        recorded.encode()
        assert kind == "bytes" or recorded == str(path)
    path.write_bytes(b"broken")
    result = run("predict", "7.png", f"--checkpoint={path}")
    assert is_harmless(result.stderr)
    assert result.stderr.count("\n") == 1


HOSTILE = (
    "a\nb",
    "c\td",
    "\x1b[31mred",
    "[red]x[/]",
    "\u202eevil",
    "z\u200bw",
    "\x07",
    "=1+1",
    "'",
    '"',
)


@pytest.fixture
def hostile(trained: Checkpoint, tmp_path: Path) -> Path:
    """A checkpoint whose classes have hostile names."""
    path = tmp_path / "hostile"
    metadata = replace(trained.metadata, classes=HOSTILE, dataset="\x1b[31m[red]x\n\u202e")
    save_checkpoint(path, replace(trained, metadata=metadata))
    return path


def test_names_of_classes(run: Run, hostile: Path) -> None:
    for digit in range(10):
        save_digit(Path(f"{digit}.png"), digit)
    pictures = [f"{digit}.png" for digit in range(10)]
    lines = run("predict", *pictures, "--top", "3", "--checkpoint", hostile).stdout
    assert is_harmless(lines)
    assert [line.count("\t") for line in lines.splitlines()] == [6] * 10
    quiet = run("predict", *pictures, "-q", "--checkpoint", hostile).stdout
    assert quiet.count("\n") == 10
    records = run("predict", *pictures, "--json", "--checkpoint", hostile).stdout.splitlines()
    assert [json.loads(record)["digit"] for record in records] == list(HOSTILE)
    steps = run(
        "inspect-softmax", "0.png", "--target", "a\nb", "--explain", "--checkpoint", hostile
    )
    assert steps.exit_code == 0
    assert is_harmless(steps.stdout)
    assert [line.count("\t") for line in steps.stdout.splitlines()[:11]] == [7] * 11
    for command in (["eval"], ["inspect-softmax", "0.png", "--target", "none"]):
        wrong = run(*command, "--checkpoint", hostile)
        assert wrong.exit_code == 2
        assert is_harmless(wrong.stderr)
        assert wrong.stderr.count("\n") == 1


@pytest.mark.parametrize("command", [["predict"], ["inspect-softmax", "--explain"]])
def test_names_on_a_terminal(hostile: Path, command: list[str]) -> None:
    name = "x\x1b[31m[red]y\u202e.png"
    named(name)
    environment = {"TERM": "xterm", "PATH": "/bin:/usr/bin", "NO_COLOR": "1", "LANG": "C.UTF-8"}
    if "PYTHONPATH" in os.environ:
        environment["PYTHONPATH"] = os.environ["PYTHONPATH"]
    screen = run_on_terminal(
        [sys.executable, "-m", "digitcli", *command, name, "--checkpoint", str(hostile)],
        columns=200,
        environment=environment,
    )
    assert screen.code == 0
    assert "\x1b[31m" not in screen.raw
    assert "\u202e" not in screen.raw
    shown = "\n".join(screen.lines)
    for class_ in (r"a\nb", r"c\td", r"\x1b[31mred", "[red]x[/]", r"\u202eevil", r"z\u200bw"):
        assert class_ in shown
    if command == ["predict"]:
        assert r"x\x1b[31m[red]y\u202e.png" in shown


def test_the_output_of_training(run: Run, small_mnist: SmallMnist) -> None:
    name = "a\x1b[31m\u202e[red]\tb"
    flags = ("train", "--mirror", small_mnist.folder, "--epochs", "1", "--output", name)
    result = run(*flags)
    assert result.exit_code == 0, result.stderr
    again = run(*flags)
    for text in (result.stdout, again.stdout, again.stderr):
        assert is_harmless(text)
    assert r"a\x1b[31m\u202e[red]\tb" in again.stderr


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("USERPROFILE", str(home))  # on Windows
    return home


def test_a_tilde_is_the_home_folder(run: Run, home: Path, small_mnist: SmallMnist) -> None:
    (home / "mirror").symlink_to(small_mnist.folder)
    save_digit(Path("7.png"), 7)
    (home / "list").write_text("7.png")
    for arguments in (
        "train --epochs 1 --data-dir ~/data --mirror ~/mirror --output ~/net --log-dir ~/log "
        "--plot ~/curve.svg",
        "train --epochs 1 --data-dir ~/data --from ~/net --output ~/more",
        "eval --data-dir ~/data --checkpoint ~/net --report ~/eval.html",
        "predict --checkpoint ~/net --report ~/predict.html --files-from ~/list",
        "predict --checkpoint ~/net --show-steps ~/steps.png 7.png",
        "export --checkpoint ~/net ~/net.npz",
    ):
        result = run(*arguments.split())
        assert result.exit_code == 0, result.stderr
    for name in ("data/MNIST/raw", "net", "log/metrics.csv", "curve.svg", "more", "eval.html"):
        assert (home / name).exists()
    for name in ("predict.html", "steps.png", "net.npz"):
        assert (home / name).exists()
    assert not Path("~").exists()


def test_a_tilde_in_a_variable(
    run: Run,
    home: Path,
    checkpoint: Path,
    small_mnist: SmallMnist,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (home / "mirror").symlink_to(small_mnist.folder)
    checkpoint.rename(home / "net")
    monkeypatch.setenv("DIGITCLI_DATA_DIR", "~/data")
    monkeypatch.setenv("DIGITCLI_MIRROR", "~/gone ~/mirror")
    monkeypatch.setenv("DIGITCLI_CHECKPOINT", "~/net")
    assert run("eval").exit_code == 0
    assert (home / "data/MNIST/raw").is_dir()
    assert Classifier.load().path == home / "net"
    assert not Path("~").exists()


def test_a_folder_named_like_the_home_folder(run: Run, home: Path, small_mnist: SmallMnist) -> None:
    done = run("download", "--data-dir", "./~", "--mirror", small_mnist.folder)
    assert done.exit_code == 0, done.stderr
    assert Path("~/MNIST/raw").is_dir()
    assert list(home.iterdir()) == []


@pytest.mark.parametrize(
    "arguments",
    [
        ["download", "--data-dir"],
        ["download", "--mirror"],
        ["train", "--output"],
        ["predict", "7.png", "--checkpoint"],
    ],
)
def test_no_such_home_folder(run: Run, arguments: list[str]) -> None:
    result = run(*arguments, "~nobody-of-that-name/x")
    assert result.exit_code == 2
    assert result.stderr == (
        "digitcli: error: there is no home folder for ~nobody-of-that-name/x; "
        "write ./~nobody-of-that-name/x if its name begins with ~\n"
    )
