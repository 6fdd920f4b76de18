"""Several processes under torchrun measure and read what one does, and only the first is heard."""

import json
import pickle
import signal
import subprocess
from pathlib import Path

import pytest
from conftest import Start
from drawn_digits import save_digit
from test_torchrun import TORCHRUN, together

from digitcli.core.errors import BlankPictureError, DigitcliError, NotAPictureError
from digitcli.core.fleet import Fleet

pytestmark = pytest.mark.usefixtures("checkpoint")


def said(errors: str) -> list[str]:
    """Picks the lines that are not torchrun's own; those of Python's have a process before them."""
    return [line for line in errors.splitlines() if line.startswith(("digitcli:", "[rank"))]


@pytest.fixture
def names() -> list[str]:
    """More than three processes are handed in a round, with two that cannot be read."""
    for digit in range(10):
        save_digit(Path(f"{digit}.png"), digit)
    Path("bad.png").write_text("no picture")
    names = [f"{i % 10}.png" for i in range(230)]
    names[70], names[210] = "bad.png", "missing.png"
    return names


def test_three_processes_measure_what_one_does(program: list[str], start: Start) -> None:
    flags = ("eval", "--min-accuracy", 1, "--dataset", "optdigits", "--json", "--report")
    alone = start(*flags, "alone.html")
    three = together(*program[1:], *flags, "three.html", count=3)
    assert alone.returncode == three.returncode == 1
    one, other = json.loads(alone.stdout), json.loads(three.stdout)
    assert other.pop("loss") == pytest.approx(one.pop("loss"), rel=1e-5)
    assert other.pop("calibration")["ece"] == pytest.approx(one.pop("calibration")["ece"], rel=1e-5)
    assert other == one
    assert said(three.stderr) == alone.stderr.replace("alone.html", "three.html").splitlines()
    assert Path("three.html").stat().st_size == pytest.approx(
        Path("alone.html").stat().st_size, rel=0.01
    )


def test_three_processes_read_a_list_as_one_does(
    program: list[str], start: Start, names: list[str]
) -> None:
    Path("list").write_text("\n".join(names))
    alone = start("predict", "--files-from", "list")
    three = together(*program[1:], "predict", "--files-from", "list", count=3)
    assert alone.returncode == three.returncode == 1
    assert len(three.stdout.splitlines()) == 228
    assert three.stdout == alone.stdout
    assert said(three.stderr) == alone.stderr.splitlines()


def test_two_processes_read_a_pipe_and_a_folder(
    program: list[str], start: Start, names: list[str]
) -> None:
    for digit in (2, 4):
        save_digit(Path(f"scans/{digit}.png"), digit)
    Path("scans/notes.txt").write_text("no picture")
    flags = ("predict", "scans", "--files-from", "-", "--json")
    alone = start(*flags, input="\n".join(names))
    two = together(*program[1:], *flags, "--report", "page.html", input="\n".join(names))
    pairs = list(zip(alone.stdout.splitlines(), two.stdout.splitlines(), strict=True))
    assert len(pairs) == 232
    for one, other in (map(json.loads, pair) for pair in pairs):
        for key in ("probability", "probabilities"):  # the last bits are of the batch's size
            assert other.pop(key, None) == pytest.approx(one.pop(key, None), abs=1e-6)
        assert other == one
    assert Path("page.html").read_text().count("missing.png") >= 1


def test_a_fault_is_told_once(program: list[str]) -> None:
    two = together(*program[1:], "predict", "0.png", "--checkpoint", "nowhere")
    assert two.returncode != 0
    (line,) = said(two.stderr)
    assert line.startswith("digitcli: error: there is no checkpoint at nowhere; ")


def test_a_fault_in_another_process_is_told_by_the_first(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text("""\
import os
from digitcli.core.errors import DigitcliError
from digitcli.core.fleet import join_fleet

def work(items):
    if os.environ["RANK"] == "1":
        raise DigitcliError("there is no device", "use another")
    return items

with join_fleet() as fleet:
    if not fleet.is_first:
        raise SystemExit(fleet.help())
    try:
        list(fleet.share(work, range(5)))
    except DigitcliError as error:
        print(error)
    fleet.end(0)
""")
    two = together(script)
    assert (two.returncode, two.stdout) == (0, "process 1: there is no device; use another\n")


def test_an_interruption_is_told_once(program: list[str]) -> None:
    save_digit(Path("3.png"), 3)
    process = subprocess.Popen(
        [*TORCHRUN, *program[1:], "predict", "--files-from", "-"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509
    )
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write("3.png\n")
    process.stdin.flush()
    assert process.stdout.readline().startswith("3.png\t3\t")  # at once, though more may come
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=120)
    assert process.returncode != 0
    assert said(errors)[1:] == ["digitcli: error: interrupted"]


def test_one_process_shares_with_nobody() -> None:
    assert list(Fleet().share(iter, [1, 2, 3])) == [1, 2, 3]


@pytest.mark.parametrize(
    "fault",
    [DigitcliError("a", "b", exit_code=1), NotAPictureError("a"), BlankPictureError()],
)
def test_a_fault_reaches_another_process_whole(fault: DigitcliError) -> None:
    there = pickle.loads(pickle.dumps(fault))  # noqa: S301  our own
    assert type(there) is type(fault)
    assert str(there) == str(fault)
    assert vars(there) == vars(fault)
