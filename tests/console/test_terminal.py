"""The screen that a person sees on a terminal."""

import json
import os
import re
import shlex
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import IO

import numpy as np
import pytest
import safetensors.numpy
from commands import Run
from drawn_digits import SmallMnist, draw_digit
from PIL import Image
from rich.cells import cell_len

pytest.importorskip("pty", reason="pseudo-terminals are POSIX")
from paths import HELPERS
from terminal import Screen, run_on_terminal

from digitcli.core.checkpointing.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from digitcli.core.checkpointing.locate import LATEST

Look = Callable[..., Screen]


@pytest.fixture
def look(small_mnist: SmallMnist, tmp_path: Path) -> Look:
    listing = tmp_path / "files.json"
    listing.write_text(json.dumps([list(asdict(file).values()) for file in small_mnist.files]))

    def call(
        *arguments: str | Path,
        columns: int = 80,
        output: IO[str] | None = None,
        **environment: str,
    ) -> Screen:
        program = [sys.executable, str(HELPERS / "small_cli.py"), str(listing)]
        settings = {k: v for k, v in os.environ.items() if k not in ("COLUMNS", "LINES")}
        return run_on_terminal(
            [*program, *map(str, arguments)],
            columns=columns,
            output=output,
            environment={**settings, "TERM": "xterm-256color", "COLORTERM": "truecolor"}
            | environment,
        )

    return call


LESSON = ("inspect-softmax", "--logits", "2,1,0.1", "--classes", "cat,dog,person")


def test_the_lessons_softmax(look: Look) -> None:
    screen = look(*LESSON, "--target", "cat")
    assert screen.code == 0
    assert screen.lines == [
        "",
        "        score power  exponential probability    one-hot     loss gradient",
        " class      z   e^z exp(z - max) p                    y -y log p    p - y",
        " ────────────────────────────────────────────────────────────────────────",
        " cat        2 7.389            1 0.659 █████▎         1   0.4170   -0.341",
        " dog        1 2.718        0.368 0.242 ██             0   0.0000   +0.242",
        " person   0.1 1.105         0.15 0.099 ▊              0   0.0000   +0.099",
        "",
        "temperature                 1",
        "sum of e^z                  11.2125",
        "sum of exponentials         1.51745",
        "sum of probabilities        1.000000",
        "hard max                    1, 0, 0  (cat)",
        "soft max                    0.659, 0.242, 0.099",
        "margin                      1 in score, 0.417 in p",
        "target                      cat",
        "loss, LogSoftmax + NLLLoss  0.417030",
        "loss, CrossEntropyLoss      0.417030",
        "loss if softmax came twice  0.802121",
    ]
    assert len(screen.colors) > 2


@pytest.mark.parametrize("columns", [80, 60])
def test_the_lessons_softmax_in_chinese(look: Look, columns: int) -> None:
    """Wide characters stay aligned; no line is longer than the terminal or begins with a comma."""
    flags = ("inspect-softmax", "--logits", "2,1,0.1", "--classes", "猫,狗,person")
    screen = look(*flags, "--target", "猫", "--explain", columns=columns, LC_ALL="zh_CN.UTF-8")
    tables = {
        80: [
            "        得分 指数运算   减最大值后 概率           独热编码     损失   梯度",
            " 类别      z      e^z exp(z - max) p                     y -y log p  p - y",
            " ─────────────────────────────────────────────────────────────────────────",
            " 猫        2    7.389            1 0.659 █████▎          1   0.4170 -0.341",
            " 狗        1    2.718        0.368 0.242 ██              0   0.0000 +0.242",
            " person  0.1    1.105         0.15 0.099 ▊               0   0.0000 +0.099",
        ],
        60: [
            "         得分  指数运算    减最大值后  概率",
            " 类别       z       e^z  exp(z - max)  p",
            " ────────────────────────────────────────────────────",
            " 猫         2     7.389             1  0.659 █████▎",
            " 狗         1     2.718         0.368  0.242 ██",
            " person   0.1     1.105          0.15  0.099 ▊",
            "",
            "",
            "         独热编码      损失    梯度",
            " 类别           y  -y log p   p - y",
            " ──────────────────────────────────",
        ],
    }
    expected = tables[columns]
    assert screen.lines[1 : 1 + len(expected)] == expected
    assert "损失，若误做两次 softmax  0.802121" in screen.lines
    assert "第一名领先                得分 1，概率 0.417" in screen.lines
    if columns == 60:
        assert screen.lines[-10:] == [
            "大，其他类别的得分继续减小，幅度与各自的概率成正比：“狗”",
            "（+0.242）、“person”（+0.099）。各类的调整量加在一起是 0；p",
            "越接近 y，调整越小。",
            "p - y = 0.659 - 1 = -0.341（“猫”），0.242 - 0 = +0.242",
            "（“狗”）。",
            "",
            "两次 softmax：CrossEntropyLoss 已经包含 softmax；如果传给它",
            "的是概率而不是得分，损失会变成 0.8021，而且 3 分类时永远不会",
            "低于 0.5514。",
            "-log(e^0.659 / (e^0.659 + e^0.242 + e^0.099)) = 0.8021。",
        ]


@pytest.mark.usefixtures("checkpoint")
@pytest.mark.parametrize("columns", [60, 80, 120])
def test_a_picture_in_chinese(look: Look, columns: int) -> None:
    draw_digit(4).save("4.png")
    flags = ("inspect-softmax", "4.png", "--target", "4", "--temperature", "2", "--explain")
    screen = look(*flags, columns=columns, LC_ALL="zh_CN.UTF-8")
    assert screen.code == 0
    assert " 行   列   像素值   像素值/255   归一化后" in screen.lines
    assert " 层   输入   输出   激活" in screen.lines
    assert "温度                      2（来自选项）" in screen.lines
    margin = next(line for line in screen.lines if line.startswith("第一名领先"))
    assert re.search("得分 [0-9.]+，z/T [0-9.]+，概率 [0-9.]+$", margin)
    assert not any(re.match("[，。；：）”、]", line) for line in screen.lines)
    assert all(cell_len(line) <= columns for line in screen.lines)
    topics = [line.split("：")[0] for line in screen.lines if re.match("[^，。“]{2,11}：", line)]
    assert topics == [
        *("归一化", "全连接层", "独热编码", "温度", "指数运算", "Softmax", "交叉熵", "梯度"),
        "两次 softmax",
    ]


@pytest.mark.usefixtures("checkpoint")
@pytest.mark.parametrize("locale", ["zh_CN.UTF-8", "en_US.UTF-8"])
def test_a_narrow_terminal(look: Look, locale: str) -> None:
    """Tables are split and values go below their names; nothing is wider than 40 columns."""
    draw_digit(4).save("4.png")
    step = ("--step", "1", "--temperature", "2", "--explain")
    for flags in (("4.png", "--target", "4"), (*LESSON[1:], "--target", "cat")):
        screen = look("inspect-softmax", *flags, *step, columns=40, LC_ALL=locale)
        assert screen.code == 0
        written = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", screen.raw).splitlines()
        assert [line for line in written if cell_len(line) > 40] == []
        assert "…" not in screen.raw
    rows = [line.split() for line in written if line.startswith(" cat ")]
    values = ["2", "1", "2.718", "1", "0.502", "1", "0.6898", "-0.498", "2.249", "0.549"]
    assert [value for row in rows for value in row[1:]] == values
    assert "  1, 0, 0  (cat)" in screen.lines


@pytest.mark.usefixtures("checkpoint")
@pytest.mark.parametrize("columns", [80, 60])
def test_a_checkpoint_and_an_imported_network(look: Look, columns: int) -> None:
    table = [
        " l4       64x128     64         8256",
        " l5        10x64     10          650",
    ]
    screen = look("info", columns=columns)
    assert screen.code == 0
    assert screen.lines[-2:] == table
    assert any(line.startswith("test accuracy  ") for line in screen.lines)
    assert all(len(line) <= columns for line in screen.lines)
    np.savez("net.npz", **load_checkpoint(LATEST).weights)  # type: ignore[arg-type]
    screen = look("import", "net.npz", "--output", "new", columns=columns)
    assert screen.code == 0
    assert " l5      l5        10x64     10          650" in screen.lines
    assert len(screen.colors) > 1


def test_markup_in_names_is_not_interpreted(look: Look) -> None:
    name = "[bold red]x[/]"
    screen = look("inspect-softmax", "--logits", "2,1", "--classes", f"{name},\x1b[31m")
    assert any(line.startswith(f" {name}") for line in screen.lines)
    assert any(line.startswith(" \\x1b[31m") for line in screen.lines)


@pytest.mark.parametrize("environment", [{"NO_COLOR": "1"}, {"TERM": "dumb"}])
@pytest.mark.usefixtures("checkpoint")
def test_without_color(look: Look, environment: dict[str, str]) -> None:
    draw_digit(1, size=100).save("one.png")
    screen = look("predict", "one.png", **environment)
    assert screen.colors == {"default"}
    assert "\x1b[38" not in screen.raw
    picture = "".join(line[:28] for line in screen.lines[3:])  # below two of the weights
    assert set(picture) <= set(" ▀▄█")
    assert "█" in picture
    assert "▀" * 28 not in picture


@pytest.mark.usefixtures("checkpoint")
def test_in_ascii_lines_are_plain(look: Look, run: Run, small_mnist: SmallMnist) -> None:
    draw_digit(1, size=100).save("1.png")
    run("download", "--mirror", small_mnist.folder)
    for arguments in (
        ["predict", "1.png"],
        ["predict", "--multi", "1.png"],
        ["eval"],
        [*LESSON, "--target", "cat"],
        ["train", "--epochs", "1", "--batch-size", "50", "--output", "new"],
        ["train", "--help"],
    ):
        screen = look(*arguments, columns=200, PYTHONIOENCODING="ascii")
        assert screen.code == 0
        assert screen.raw.isascii()
        assert "\\u" not in screen.raw
        assert "\x1b" not in screen.raw


@pytest.mark.parametrize(
    "command",
    ["", "download", "train", "eval", "predict", "inspect-softmax", "export", "import", "info"],
)
def test_help_is_whole_at_every_width(look: Look, command: str) -> None:
    for columns in (60, 90):
        screen = look(*command.split(), "--help", columns=columns)
        text = "\n".join(screen.lines)
        assert ("╭─ Options" in text) == (columns == 90)
        assert "…" not in text
        assert not re.search(r"<(bool|list|str|file)", text)
        assert max(map(len, screen.lines)) <= columns


def test_paragraphs_of_a_help_page_fill_their_lines(look: Look) -> None:
    text = " ".join(look("predict", "--help", columns=100).lines)
    assert "light ink on black, cropped, scaled to fit" in text


@pytest.mark.usefixtures("checkpoint")
def test_a_prediction_is_a_picture_beside_bars(look: Look) -> None:
    draw_digit(7, size=100).save("seven[7].png")
    screen = look("predict", "seven[7].png")
    assert screen.code == 0
    assert screen.lines[0].startswith("digitcli: using the weights ")
    assert screen.lines[2] == "seven[7].png"
    drawing = screen.lines[3:]
    assert len(drawing) == 14
    assert all(line.startswith("▀" * 28) for line in drawing)
    answer, _, *bars = [line[28:].split() for line in drawing]
    assert answer[0] == "7"
    assert [bar[0] for bar in bars if bar] == list("0123456789")
    assert bars[7][1].startswith("██████████")
    assert bars[7][2] == answer[1]
    assert len(screen.colors) > 5  # grey levels


@pytest.mark.usefixtures("checkpoint")
def test_evaluation(look: Look, small_mnist: SmallMnist) -> None:
    screen = look("eval", "--mirror", small_mnist.folder)
    assert screen.code == 0
    text = "\n".join(screen.lines)
    assert "checkpoints/latest.safetensors on mnist test" in text
    assert " of 200)   top-5 100.00%   loss 0." in text
    assert ["class", "precision", "recall", "F1", "support"] in map(str.split, screen.lines)
    assert "rows: true class, columns: predicted class" in text
    title = screen.lines.index(next(line for line in screen.lines if "rows: true class" in line))
    rows = [line.split() for line in screen.lines[title + 4 : title + 14]]
    assert [row[0] for row in rows] == list("0123456789")
    assert sum(int(cell) for row in rows for cell in row[1:]) == 200
    assert re.search(r"calibration error \d+\.\d\d%  \(.* at temperature 1\)", text)
    reliability = [line.split() for line in screen.lines if re.match(r" +\d+\.\d% to ", line)]
    assert sum(int(row[3]) for row in reliability) == 200
    assert all("│" in row[-1] or row[-1] == "█" for row in reliability)
    coverage = [line.split() for line in screen.lines[-3:]]
    assert [row[0] for row in coverage] == ["0.5", "0.9", "0.99"]
    assert max(map(len, screen.lines)) <= 80


def test_training_shows_a_growing_table_and_a_bar(
    look: Look, run: Run, small_mnist: SmallMnist
) -> None:
    run("download", "--mirror", small_mnist.folder)
    screen = look("train", "--epochs", "2", "--batch-size", "50", "--log-every", "5")
    assert screen.code == 0
    metadata = load_checkpoint(Path("checkpoints/latest.safetensors")).metadata
    expected = [
        "digitcli: 600 training images, 60 of each of 10 classes",
        "digitcli: 200 test images, 20 of each of 10 classes",
        "  epoch   batch     loss   test accuracy",
        "─" * 40,
    ]
    for point in metadata.accuracies:
        for loss in metadata.losses:
            if loss.epoch == point.epoch:
                expected.append(f"{loss.epoch:>7} {loss.batch:>7} {loss.loss:>8.3f}")
        accuracy = f"{point.accuracy:.2%}"
        expected.append(f"{point.epoch:>7} {'all':>7} {point.loss:>8.3f} {accuracy:>15}")
        expected.append("─" * 40)
    assert screen.lines[:-1] == expected
    assert screen.lines[-1].startswith("saved checkpoints/latest.safetensors  (")
    for shown in ("epoch 2/2", "batch 12/12", "loss ", "images/s", "0:00:0"):
        assert shown in screen.raw  # in the bar, before it was cleared


def test_training_on_a_validation_split_says_so(
    look: Look, run: Run, small_mnist: SmallMnist
) -> None:
    run("download", "--mirror", small_mnist.folder)
    screen = look("train", "--epochs", "1", "--log-every", "5", "--validation", "100")
    assert screen.code == 0
    metadata = load_checkpoint(Path("checkpoints/latest.safetensors")).metadata
    (point,) = metadata.accuracies
    assert "100 validation images" in screen.lines[1]
    assert "temperature is not fitted" in screen.lines[2]
    assert screen.lines[3] == "  epoch   batch     loss   validation accuracy"
    assert screen.lines[6].split() == [
        "1",
        "all",
        f"{point.loss:.3f}",
        f"{point.accuracy:.2%}",
    ]
    assert "8/8" in screen.raw


def test_download_shows_size_and_speed(look: Look, small_mnist: SmallMnist) -> None:
    screen = look("download", "--mirror", small_mnist.folder, columns=120)
    assert screen.code == 0
    for file in small_mnist.files:
        (bar,) = [line for line in screen.lines if line.startswith(file.archive) and "━━" in line]
        size = (small_mnist.folder / file.archive).stat().st_size
        unit = f"{size / 1000:.1f}/{size / 1000:.1f} kB" if size >= 1000 else f"{size}/{size} bytes"
        assert unit in bar
    assert screen.lines[-1] == f"mnist is in {Path.cwd()}/data/MNIST/raw"


def test_an_error_is_one_line(look: Look) -> None:
    screen = look("predict", "[x].png", "--checkpoint", "[y]", columns=200)
    assert screen.code == 2
    assert screen.lines == [
        "digitcli: error: there is no checkpoint at [y]; check the path, or leave it out to use "
        "the latest trained weights or the bundled ones"
    ]


@pytest.mark.parametrize("form", [[], ["--json"]])
def test_results_go_to_a_file_while_the_bar_is_on_the_terminal(
    look: Look, small_mnist: SmallMnist, form: list[str]
) -> None:
    with Path("results").open("w") as results:
        screen = look(
            "train", "--epochs", "2", "--batch-size", "50", "--log-every", "5",
            "--mirror", small_mnist.folder, *form, output=results,
        )  # fmt: skip
    assert screen.code == 0
    lines = Path("results").read_text().splitlines()
    assert len(lines) == 2 * (2 + 1) + 1 + bool(form)  # JSON begins with an event
    assert all("epoch" in line for line in lines[:-1])
    assert "epoch 2/2" in screen.raw
    assert not any("test accuracy" in line for line in screen.lines)


@pytest.mark.slow
@pytest.mark.usefixtures("checkpoint")
def test_a_narrow_terminal_loses_nothing(look: Look, run: Run, small_mnist: SmallMnist) -> None:
    draw_digit(7, size=100).save("7.png")
    run("download", "--mirror", small_mnist.folder)
    for arguments in ([*LESSON, "--target", "cat", "--explain"], ["predict", "7.png"], ["eval"]):
        wide = _words(look(*arguments, columns=200))
        middle, narrow = (_words(look(*arguments, columns=columns)) for columns in (60, 36))
        assert wide <= middle  # repeated headings are counted twice
        assert set(middle) <= set(wide)  # lines end between words
        # words are broken here, so letters are counted
        assert Counter("".join(wide.elements())) <= Counter("".join(narrow.elements()))


@pytest.mark.usefixtures("checkpoint")
def test_on_60_columns_tables_keep_their_rows(
    look: Look, run: Run, small_mnist: SmallMnist
) -> None:
    draw_digit(7, size=100).save("7.png")
    run("download", "--mirror", small_mnist.folder)
    prediction = look("predict", "7.png", columns=60).lines[-14:]
    assert all(line.startswith("▀" * 28) for line in prediction)
    assert [line.split()[-1][-1] for line in prediction[2:12]] == ["%"] * 10
    matrix = [line for line in look("eval", columns=60).lines if re.match(r" \d( +\d+){10}$", line)]
    assert len(matrix) == 10


def _words(screen: Screen) -> Counter[str]:
    """Counts the words on a screen, without lines and bars."""
    return Counter(re.sub(r"[─│▀▄▁-▏█]+", "", " ".join(screen.lines)).split())


def test_long_names_of_classes_are_broken_above_the_matrix(look: Look, trained: Checkpoint) -> None:
    names = tuple(f"a long name {letter}" for letter in "abcdefghij")
    save_checkpoint(
        Path("named"), replace(trained, metadata=replace(trained.metadata, classes=names))
    )
    for digit, name in enumerate(names):
        Path("in", name).mkdir(parents=True)
        for size in range(80, 90):
            draw_digit(digit, size=size).save(Path("in", name, f"{size}.png"))
    screen = look("eval", "--dataset", "folder:in", "--checkpoint", "named", columns=80)
    assert screen.code == 0, screen.lines
    rows = [line for line in screen.lines if re.match(r" a long name [a-j]( +\d+){10}$", line)]
    assert len(rows) == 10
    assert re.search(r"\n +a +a +a.*\n +long +long +long", "\n".join(screen.lines))


@pytest.mark.usefixtures("checkpoint")
def test_on_60_columns_digits_are_not_cut(look: Look) -> None:
    row = Image.new("L", (6 * 64, 64), 255)
    for place in range(6):
        row.paste(draw_digit(7), (64 * place, 0))
    row.save("row.png")
    tiles = [
        line for line in look("predict", "--multi", "row.png", columns=60).lines if "▀" in line
    ]
    assert len(tiles) == 2 * 7
    assert {len(tile) for line in tiles for tile in line.split()} == {14}


@pytest.mark.usefixtures("checkpoint")
def test_notes_and_errors_break_at_spaces(look: Look) -> None:
    Path("no picture at all, by this long name.png").write_text("none")
    screen = look("predict", "no picture at all, by this long name.png", columns=30)
    wide = look("predict", "no picture at all, by this long name.png", columns=300)
    assert len(wide.lines) == 1
    assert len(screen.lines) > 2
    assert " ".join(screen.lines) == wide.lines[0]


LONG_FOLDER = "a/folder/whose/name/is/long"


@pytest.mark.parametrize("columns", [60, 80])
def test_results_break_at_spaces(
    look: Look, run: Run, small_mnist: SmallMnist, trained: Checkpoint, columns: int
) -> None:
    """Only a word that is longer than the terminal is left to it, on lines of its own."""
    run("download", "--mirror", small_mnist.folder)
    Path(LONG_FOLDER).mkdir(parents=True)
    weights = Path(LONG_FOLDER, "weights.safetensors")
    command = "digitcli train --recipe lesson --validation 1000 --seed 0 --log-every 100"
    checksums = {"train-images-idx3-ubyte.gz": f"sha256:{'0' * 64}"}
    metadata = replace(trained.metadata, command=command, data_checksums=checksums)
    save_checkpoint(weights, replace(trained, metadata=metadata))
    np.savez("net.npz", **trained.weights)  # type: ignore[arg-type]
    for number in range(11):
        draw_digit(number % 10, size=100).save(f"{LONG_FOLDER}/digit number {number:02}.png")
    flags = ("--epochs", "1", "--output", f"{LONG_FOLDER}/trained.safetensors")
    for arguments in (
        ("download",),
        ("download", "--force", "--mirror", small_mnist.folder),
        ("export", f"{LONG_FOLDER}/digits.npz", "--checkpoint", weights),
        ("import", "net.npz", "--output", f"{LONG_FOLDER}/imported.safetensors"),
        ("info", weights),
        ("train", *flags),
        ("eval", "--checkpoint", weights),
        ("predict", LONG_FOLDER, "--checkpoint", weights, "--min-probability", "1"),
        ("inspect-softmax", "--logits", "2,1", "--classes", "a long name,another", "--explain"),
    ):
        screen = look(*arguments, columns=columns)
        assert screen.code in (0, 1), screen.lines
        written = re.sub(r"\x1b\[[\d;?]*[A-Za-z]", "", screen.raw).replace("\r", "\n").splitlines()
        lines = [line for line in written if not re.search("[━▀]", line)]
        assert len(lines) > 0
        assert not [line for line in lines if cell_len(line) > columns and " " in line.strip()]


@pytest.mark.parametrize("columns", [60, 80, 90])
def test_examples_of_a_help_page_can_be_pasted(look: Look, run: Run, columns: int) -> None:
    for command in ("", "download", "train", "eval", "predict", "inspect-softmax", "import"):
        screen = look(*command.split(), "--help", columns=columns)
        text = "\n".join(screen.lines).partition("Examples")[2]
        pasted = re.sub(r" *\\\n +", " ", text)
        plain = run(*command.split(), "--help").stdout.partition("Examples")[2]
        examples = re.findall(r"\$ (.*)", plain)
        assert len(examples) > 2
        assert re.findall(r"\$ (.*)", pasted) == examples


def test_a_long_path_is_whole_below_its_name(look: Look, trained: Checkpoint) -> None:
    name = f"{'long' * 16}.safetensors"
    save_checkpoint(Path(name), trained)
    screen = look("info", name, columns=60)
    assert screen.lines[:3] == ["checkpoint", name[:60], name[60:]]


@pytest.mark.usefixtures("checkpoint")
def test_the_probability_beside_a_question_mark_is_that_of_a_digit(look: Look, run: Run) -> None:
    draw_digit(7, size=100).save("7.png")
    row = Image.new("L", (2 * 64, 64), 255)
    for place in range(2):
        row.paste(draw_digit(7), (64 * place, 0))
    row.save("77.png")
    share = r"\d\d\.\d\d%"
    for flags, name, pattern in (
        (("--min-probability", "1"), "7.png", rf"\?  7 at {share}, below 1$"),
        (("--min-probability", "0.1"), "77.png", rf"\?  7 at {share}, beside other shapes$"),
        (("--min-probability", "1", "--multi"), "77.png", rf"\?\?  77 at {share}$"),
        (("--min-probability", "1", "--multi"), "77.png", rf"^\?  7 at {share}"),
    ):
        screen = look("predict", name, *flags, columns=90)
        assert screen.code == 1
        assert any(re.search(pattern, line) for line in screen.lines), screen.lines
    narrow = look("predict", "77.png", "--min-probability", "0.1", columns=60).lines
    assert sum(line.startswith("▀" * 28) for line in narrow) == 14  # the image is not cut off
    Path("many").mkdir()
    for number in range(11):
        draw_digit(7, size=100).save(f"many/{number:02}.png")
    lines = look("predict", "many", "--min-probability", "1").lines
    assert re.fullmatch(rf"many/10\.png  \?  7 at {share}, below 1", lines[-2])
    result = run("predict", "77.png", "--min-probability", "0.1")  # no column is added
    assert re.fullmatch(r"77\.png\t\?\t0\.\d{4}\n", result.stdout)
    assert "there are 2 separate shapes" in result.stderr


def test_a_command_is_not_broken_in_two(look: Look) -> None:
    for columns in range(60, 120, 7):  # one of these widths ends at each of its spaces
        lines = look("inspect-softmax", columns=columns).lines
        assert sum("'digitcli inspect-softmax --logits 2,1,0.1'" in line for line in lines) == 1


@pytest.mark.parametrize("name", ["net.safetensors", "a net.safetensors", "it's 1.safetensors"])
def test_a_command_with_quoted_words_is_not_broken_in_two(look: Look, name: str) -> None:
    safetensors.numpy.save_file({"a": np.zeros(1, np.float32)}, name)
    command = f"'digitcli import {shlex.quote(name)} --output mine.safetensors'"
    for columns in range(60, 150, 7):
        lines = look("eval", "--checkpoint", name, columns=columns).lines
        assert len(lines) > 1 or columns > 110
        assert sum(command in line for line in lines) == 1 or columns < len(command)


@pytest.mark.parametrize("columns", ["0", "²", "wide"])
def test_columns_that_are_no_width_are_ignored(look: Look, columns: str) -> None:
    screen = look("predict", "missing.png", COLUMNS=columns)
    assert " ".join(screen.lines).startswith("digitcli: error: missing.png: cannot be read")


def test_columns_sets_the_width_of_every_line(look: Look) -> None:
    lines = look("inspect-softmax", columns=120, COLUMNS="60").lines
    assert len(lines) > 1
    assert max(map(len, lines)) <= 60
    facts = look("info", columns=120, COLUMNS="60").lines
    assert max(len(line) for line in facts if "/" not in line) <= 60  # a path may be longer


def test_many_pictures_are_a_line_each(look: Look) -> None:
    Path("scans").mkdir()
    for number in range(12):
        draw_digit(2 + number % 2, size=100).save(f"scans/{number:02}.png")
    Path("scans/99.png").touch()
    lines = look("predict", "scans", columns=200).lines
    assert sum(line.startswith("▀" * 28) for line in lines) == 10 * 14
    assert re.fullmatch(r"scans/10\.png  2  \d\d\.\d\d%", lines[-4])
    assert re.fullmatch(r"scans/11\.png  3  \d\d\.\d\d%", lines[-3])
    assert lines[-2].startswith("digitcli: error: scans/99.png: the file is empty")
    assert lines[-1] == "digitcli: 12 read, 0 in doubt, 1 failed"


@pytest.mark.parametrize("color", ["0", "1"])
def test_with_force_color_a_pipe_gets_the_same_lines(look: Look, color: str) -> None:
    draw_digit(7, size=100).save("7.png")
    outputs = []
    for environment in ({}, {"FORCE_COLOR": color}):
        for arguments in (["predict", "7.png"], [*LESSON, "--target", "cat"], ["predict", "-h"]):
            with Path("results").open("w") as results:
                look(*arguments, output=results, **environment)
            outputs.append(Path("results").read_text())
    assert outputs[:3] == outputs[3:]
    assert outputs[0].split("\t")[:2] == ["7.png", "7"]
