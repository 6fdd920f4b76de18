"""Every command: checkpoints, help, errors, exit codes, standard streams."""

import errno
import os
import shlex
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import rich.console
from commands import Run, Start, weights_note
from drawn_digits import SmallMnist, save_digit
from PIL import Image

from digitcli import __version__
from digitcli.core.checkpointing.checkpoint import Checkpoint
from digitcli.core.checkpointing.locate import LATEST

LESSON = ("inspect-softmax", "--logits", "2,1,0.1", "--classes", "cat,dog,person")


@pytest.mark.usefixtures("checkpoint")
@pytest.mark.parametrize("command", ["eval", "predict", "inspect-softmax", "export"])
@pytest.mark.parametrize("content", [None, b"", b"foreign" * 100])
def test_a_bad_checkpoint_is_one_line(run: Run, command: str, content: bytes | None) -> None:
    save_digit(Path("1.png"), 1)
    if content is not None:
        Path("bad").write_bytes(content)
    arguments = {"eval": [], "export": ["1.npz"]}.get(command, ["1.png"])
    result = run(command, *arguments, "--checkpoint", "bad")
    assert result.exit_code == 2
    assert result.stdout == ""
    assert len(result.stderr.splitlines()) == 1
    assert ("bundled ones" if content is None else "digitcli train") in result.stderr


def test_train_eval_predict(start: Start, small_mnist: SmallMnist) -> None:
    trained = start(
        "train", "--epochs", "15", "--lr", "0.05", "--batch-size", "32",
        "--mirror", small_mnist.folder,
    )  # fmt: skip
    assert trained.returncode == 0, trained.stderr
    gate = start("eval", "--min-accuracy", "0.9")
    assert gate.returncode == 0, gate.stdout
    save_digit(Path("0.png"), 0)
    assert start("predict", "-q", "0.png").stdout == "0\n"
    assert start("predict", "missing.png").returncode == 2


def test_cuda_without_cuda(run: Run) -> None:
    import torch

    if torch.cuda.is_available():
        pytest.skip("there is a CUDA device")
    done = run("train", "--dataset", "optdigits", "--device", "cuda")
    assert done.exit_code == 2
    assert torch.__version__ in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.usefixtures("checkpoint")
def test_a_closed_pipe_ends_quietly(start: Start, trained: Checkpoint) -> None:
    save_digit(Path("0.png"), 0)
    reader, writer = os.pipe()
    os.close(reader)
    done = start("predict", *["0.png"] * 50, stdout=writer, stderr=-1, capture_output=False)
    os.close(writer)
    assert done.returncode == 128 + 13
    assert done.stderr == weights_note(trained)


def test_errors_of_numbers_are_plain(run: Run) -> None:
    long = "1" * 5000  # more digits than int parses
    for arguments, problem in (
        (["train", "--lr", "x"], "'--lr': 'x' is not a number"),
        (["train", "--epochs", "1.5"], "'--epochs': '1.5' is not a whole number"),
        (["train", "--epochs", "0"], "'--epochs': 0 is less than 1"),
        (["train", "--seed", "5000000000"], "'--seed': 5000000000 is more than 4294967295"),
        (
            ["predict", "a", "--min-probability", "nan"],
            "'--min-probability': 'nan' is not a number",
        ),
        (["eval", "--min-accuracy", "-1"], "'--min-accuracy': -1 is less than 0"),
        (["eval", "--min-accuracy", "2.5"], "'--min-accuracy': 2.5 is more than 1"),
        (
            ["eval", "--min-accuracy", "97"],
            "'--min-accuracy': 97 is more than 1, write 97 % as 0.97",
        ),
        (["eval", "--min-accuracy", long], f"'--min-accuracy': {long} is more than 1"),
        (
            ["predict", "7.png", "--min-probability", "90"],
            "'--min-probability': 90 is more than 1, write 90 % as 0.9",
        ),
    ):
        result = run(*arguments)
        assert (result.exit_code, result.stdout) == (2, "")
        assert result.stderr == (
            f"digitcli: error: Invalid value for {problem}; see 'digitcli {arguments[0]} --help'\n"
        )


def test_version(run: Run) -> None:
    assert run("--version").stdout == f"digitcli {__version__}\n"


def test_no_command_shows_the_help(run: Run) -> None:
    result = run()
    assert result.exit_code == 2
    assert result.stdout == run("--help").stdout
    assert not result.stderr


def test_an_unknown_command(run: Run) -> None:
    result = run("trian")
    assert result.exit_code == 2
    assert result.stderr == (
        "digitcli: error: No such command 'trian'. Did you mean 'train'? See 'digitcli --help'\n"
    )


@pytest.mark.parametrize("word", ["7.png", "scans", "a/b", "https://example.org/7.png"])
def test_a_picture_in_place_of_a_command(run: Run, word: str) -> None:
    Path("scans").mkdir()
    result = run(word, "--json")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == (
        f"digitcli: error: there is no command {word}; "
        f"read an image with 'digitcli predict {word}'\n"
    )


@pytest.mark.parametrize(
    "arguments",
    [
        ["train", "--mirror"],
        ["predict", "--checkpoint"],
        ["eval", "--json=1"],
        ["download", "--nosuch"],
        ["export"],
    ],
)
def test_an_error_in_an_option_names_the_help_of_its_command(
    run: Run, arguments: list[str]
) -> None:
    result = run(*arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.endswith(f"; see 'digitcli {arguments[0]} --help'\n")
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize("command", ["eval", "train", "inspect-softmax"])
def test_an_empty_name_of_a_data_set_is_not_the_default(run: Run, command: str) -> None:
    index = ["--index", "0"] if command == "inspect-softmax" else []
    result = run(command, "--dataset", "", *index)
    assert result.exit_code == 2
    assert "error: there is no data set ''; " in result.stderr


@pytest.mark.parametrize(
    "command",
    [[], ["download"], ["train"], ["eval"], ["predict"], ["inspect-softmax"], ["export"]],
)
def test_every_help_ends_in_examples(run: Run, command: list[str]) -> None:
    result = run(*command, "--help")
    assert result.exit_code == 0
    _, examples = result.stdout.split("Examples")
    commands = [line for line in examples.splitlines() if line.strip().startswith("$ ")]
    assert len(commands) >= 3
    assert all("digitcli" in line for line in commands)


def test_help_in_a_pipe_is_plain(run: Run) -> None:
    plain = run("predict", "--help").stdout
    assert plain.isascii()
    assert "Arguments:\n  IMAGE  Images" in plain
    assert "Options:\n  --files-from LIST " in plain
    assert "Examples:\n    $ digitcli predict digit.png\n    $ digitcli predict scans/" in plain


def test_every_command_has_one_line_in_the_help(run: Run) -> None:
    _, commands = run("--help").stdout.split("Commands:\n")
    lines = commands.partition("\n\n")[0].splitlines()
    assert len(lines) == 8
    assert all(line.endswith(".") and not line.endswith("...") for line in lines)


def test_a_bug_keeps_its_traceback(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    import digitcli.core.softmax

    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr(digitcli.core.softmax, "softmax_steps", broken)
    result = run(*LESSON)
    assert isinstance(result.exception, ZeroDivisionError)


def test_interruption(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    import digitcli.core.softmax

    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(digitcli.core.softmax, "softmax_steps", interrupted)
    result = run(*LESSON)
    assert result.exit_code == 130
    assert result.stderr == "digitcli: error: interrupted\n"


@pytest.mark.parametrize(
    "arguments", [["--help"], ["inspect-softmax", "--logits", "1,2"], ["--version"]]
)
def test_a_full_disk_under_standard_output(start: Start, arguments: list[str]) -> None:
    if not Path("/dev/full").is_char_device():
        pytest.skip("no /dev/full here")
    with Path("/dev/full").open("w") as full:
        done = start(*arguments, stdout=full, stderr=-1, capture_output=False)
    assert done.returncode == 2
    assert done.stderr == (
        "digitcli: error: cannot write to standard output: No space left on device; "
        "redirect it to another place\n"
    )


@pytest.mark.usefixtures("checkpoint")
def test_files_are_written_when_the_reader_has_gone_away(
    start: Start, small_mnist: SmallMnist
) -> None:
    """As in "| head": the whole report, and the drawing."""
    for digit in range(3):
        save_digit(Path("scans") / f"{digit}.png", digit)
    calls = (
        ("predict", "scans", "--report", "all.html"),
        ("predict", "scans/2.png", "--show-steps", "steps.png"),
        ("eval", "--report", "scores.html", "--mirror", small_mnist.folder),
    )
    for arguments in calls:
        ours, theirs = os.pipe()
        os.close(ours)
        done = start(*arguments, stdout=theirs, stderr=-1, capture_output=False)
        os.close(theirs)
        assert done.returncode == 141
        assert "Traceback" not in done.stderr
    assert all(f"scans/{digit}.png" in Path("all.html").read_text("utf-8") for digit in range(3))
    with Image.open("steps.png") as steps:
        assert steps.size > (28, 28)
    assert "confusion" in Path("scores.html").read_text("utf-8").lower()


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["train", "--help"], LESSON])
def test_a_reader_that_has_gone_away(start: Start, arguments: list[str]) -> None:
    ours, theirs = os.pipe()
    os.close(ours)
    done = start(*arguments, stdout=theirs, stderr=-1, capture_output=False)
    os.close(theirs)
    assert (done.returncode, done.stderr) == (141, "")


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["train", "--help"], LESSON])
def test_a_terminal_that_was_closed(start: Start, arguments: list[str]) -> None:
    ours, theirs = os.openpty()
    os.close(ours)
    done = start(*arguments, stdout=theirs, stderr=-1, capture_output=False)
    os.close(theirs)
    assert done.returncode == 2
    assert done.stderr == (
        "digitcli: error: cannot write to standard output: Input/output error; "
        "redirect it to another place\n"
    )


@pytest.mark.parametrize("error", [errno.EIO, errno.EDQUOT, errno.EFBIG])
def test_drawn_output_that_cannot_be_written(
    run: Run, monkeypatch: pytest.MonkeyPatch, error: int
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError(error, os.strerror(error))

    monkeypatch.setattr(rich.console.Console, "print", fail)
    monkeypatch.setattr("digitcli.console.softmax.is_terminal", lambda _: True)
    result = run(*LESSON)
    assert result.exit_code == 2
    assert result.stderr.startswith("digitcli: error: cannot write to standard output: ")


@pytest.mark.usefixtures("checkpoint")
@pytest.mark.parametrize(
    "arguments",
    [
        ["export", "1.npz"],
        ["predict", "1.png", "--show-steps", "2.png"],
        ["predict", "1.png", "--report", "2.html"],
        ["eval", "--report", "2.html"],
        ["train", "--dataset", "optdigits"],
        ["train", "--dataset", "optdigits", "--log-dir", "log"],
        ["download", "--data-dir", "data"],
    ],
    ids=" ".join,
)
def test_a_current_folder_that_was_deleted(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, arguments: list[str]
) -> None:
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir("gone")
    monkeypatch.setenv("DIGITCLI_CHECKPOINT", str(tmp_path / LATEST))
    (tmp_path / "gone").rmdir()
    result = run(*arguments)
    assert result.exit_code == 2
    assert result.stderr.count("\n") == 1
    assert "the current folder does not exist any more; change" in result.stderr


@pytest.mark.usefixtures("checkpoint")
def test_a_full_disk_under_standard_error_loses_no_result(start: Start) -> None:
    if not Path("/dev/full").is_char_device():
        pytest.skip("no /dev/full here")
    save_digit(Path("0.png"), 0)
    with Path("/dev/full").open("w") as full:
        done = start("predict", "0.png", stdout=-1, stderr=full, capture_output=False)
    assert done.returncode == 0
    assert done.stdout.startswith("0.png\t0\t")


@pytest.mark.skipif(sys.platform != "linux", reason="needs sockets that keep writes apart")
def test_a_line_is_one_write(program: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Else lines mix when several commands share a pipe, as under ``xargs -P``."""
    monkeypatch.setenv("PYTHONUNBUFFERED", "1")
    save_digit(Path("1.png"), 1)
    Path("empty.png").touch()
    for arguments in (
        ["predict", "1.png", "empty.png"],
        ["predict", "--multi", "--json", "1.png"],
        ["predict", "--nosuch"],
        ["--version"],
        [*LESSON, "--target", "cat"],
    ):
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        writes = []
        command = [*program, *arguments]
        file = theirs.fileno()
        with ours, subprocess.Popen(command, stdout=file, stderr=file) as process:
            theirs.close()
            while (write := ours.recv(65536)) or process.poll() is None:  # Typer writes b"" first
                writes += [write] if write else []
        assert writes
        assert all(write.count(b"\n") == 1 and write.endswith(b"\n") for write in writes), writes


@pytest.mark.usefixtures("checkpoint")
def test_closed_streams(trained: Checkpoint) -> None:
    save_digit(Path("1.png"), 1)
    command = f"{shlex.quote(sys.executable)} -m digitcli predict"
    closed = subprocess.run(
        f"{command} 1.png >&-", shell=True, check=False, capture_output=True, text=True
    )
    assert (closed.returncode, closed.stderr) == (0, weights_note(trained))
    closed = subprocess.run(
        f"{command} - <&-", shell=True, check=False, capture_output=True, text=True
    )
    assert closed.returncode == 2
    assert closed.stderr.count("\n") == 1


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252"])
def test_any_encoding_of_the_output(
    start: Start, monkeypatch: pytest.MonkeyPatch, encoding: str
) -> None:
    monkeypatch.setenv("PYTHONIOENCODING", encoding)
    for arguments in (["train", "--help"], [*LESSON, "--explain"]):
        assert start(*arguments, encoding=encoding).returncode == 0


@pytest.fixture
def in_bash(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Types commands in bash, with a home folder of its own."""
    monkeypatch.setattr("shellingham.detect_shell", lambda: ("bash", "/bin/bash"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("USERPROFILE", str(tmp_path / "home"))
    return tmp_path / "home"


def test_completion_is_installed(run: Run, in_bash: Path) -> None:
    done = run("--install-completion")
    assert done.exit_code == 0
    assert done.stdout.startswith("bash completion installed in ")
    script = (in_bash / ".bash_completions" / "digitcli.sh").read_text()
    assert run("--show-completion").stdout == f"{script}\n"


@pytest.mark.parametrize("option", ["--install-completion", "--show-completion"])
def test_completion_for_another_shell(run: Run, in_bash: Path, option: str) -> None:
    done = run(option, "zsh")
    assert (done.exit_code, done.stdout) == (2, "")
    assert f"{option} is for the shell that it is typed in, and takes no 'zsh'; " in done.stderr
    assert not in_bash.exists()


def test_completion_in_an_unknown_shell(
    run: Run, in_bash: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shellingham.detect_shell", lambda: ("tcsh", "/bin/tcsh"))
    done = run("--install-completion")
    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr.endswith("; type it in bash, zsh, fish or PowerShell\n")
    assert not in_bash.exists()


def test_completion_without_a_home_that_can_be_written(run: Run, in_bash: Path) -> None:
    def fails() -> None:
        done = run("--install-completion")
        assert (done.exit_code, done.stdout) == (2, "")
        assert done.stderr.startswith("digitcli: error: completion cannot be installed: ")
        assert "'digitcli --show-completion'" in done.stderr
        assert done.stderr.count("\n") == 1

    in_bash.write_text("a file")
    fails()
    in_bash.unlink()
    in_bash.mkdir()
    (in_bash / ".bashrc").write_bytes(b"\xff")  # no UTF-8
    fails()
