"""One rule for every output: missing folders are made, and what cannot be written is one line."""

import re
from pathlib import Path

import pytest
from commands import Run
from drawn_digits import SmallMnist, draw_digit

TRAIN = ["train", "--dataset", "optdigits", "--epochs", "1"]
OUTPUTS = {
    "checkpoint": ([*TRAIN, "--output", "@.safetensors"], "@.safetensors"),
    "log": ([*TRAIN, "--log-dir", "@"], "@/metrics.csv"),
    "plot": ([*TRAIN, "--plot", "@.svg"], "@.svg"),
    "evaluation": (["eval", "--dataset", "optdigits", "--report", "@.html"], "@.html"),
    "gallery": (["predict", "5.png", "--report", "@.html"], "@.html"),
    "steps": (["predict", "5.png", "--show-steps", "@.png"], "@.png"),
    "export": (["export", "@.npz"], "@.npz"),
    "data": (["download", "--data-dir", "@"], "@/MNIST/raw/train-images-idx3-ubyte"),
}
"""Commands that write a file below "@", and the file."""

pytestmark = pytest.mark.usefixtures("checkpoint")


@pytest.fixture(params=OUTPUTS)
def output(
    request: pytest.FixtureRequest, small_mnist: SmallMnist, monkeypatch: pytest.MonkeyPatch
) -> tuple[list[str], str]:
    if request.param == "plot":
        pytest.importorskip("matplotlib")
    monkeypatch.setenv("DIGITCLI_MIRROR", str(small_mnist.folder))
    draw_digit(5).save("5.png")
    return OUTPUTS[request.param]


def test_missing_folders_are_made(run: Run, output: tuple[list[str], str]) -> None:
    words, file = output
    result = run(*(word.replace("@", "new/folder/x") for word in words))
    assert result.exit_code == 0, result.stderr
    assert Path(file.replace("@", "new/folder/x")).stat().st_size


def test_a_folder_that_cannot_be_made_is_one_line(run: Run, output: tuple[list[str], str]) -> None:
    words, _ = output
    Path("plain").write_text("precious")
    result = run(*(word.replace("@", "plain/folder/x") for word in words))
    assert (result.exit_code, result.stdout) == (2, "")
    line = result.stderr.splitlines()[-1]
    assert re.fullmatch(
        "digitcli: error: cannot (write|read) plain/folder.*: Not a directory; "
        "choose another (place|folder)( with --[a-z-]+)?",
        line,
    )
    assert Path("plain").read_text() == "precious"
