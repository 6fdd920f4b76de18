"""Reports: pages with every number and image, and text from outside that cannot break them."""

import io
import json
import os
import shlex
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from commands import Run, Start
from drawn_digits import draw_digit, save_digit
from image_folders import fill
from paths import BUNDLED
from PIL import Image
from read_page import Element, check_page, read_page

from digitcli.core.checkpointing.checkpoint import Checkpoint, save_checkpoint
from digitcli.core.evaluation.calibration import wilson_interval
from digitcli.core.evaluation.evaluate import evaluate
from digitcli.data.datasets.optdigits import load_optdigits
from digitcli.data.datasets.split import Split
from digitcli.report import evaluation, gallery
from digitcli.report.charts import Chart
from digitcli.report.gallery import SIDE, thumbnail

pytestmark = pytest.mark.usefixtures("checkpoint")

REPORT = Path("report.html")
OPTDIGITS = ("eval", "--dataset", "optdigits", "--json", "--report", REPORT)
HOSTILE = "<script>alert(1)</script>\"'&\x1b\u202e"
SHOWN = "<script>alert(1)</script>\"'&\\x1b\\u202e"


def in_percent(share: float) -> str:
    """Returns what a table in percent shows of a share."""
    return "<0.01 %" if 0 < share < 0.00005 else f"{100 * share:.2f} %"


def percent(share: float | None, digits: int = 2) -> str:
    return "–" if share is None else f"{100 * share:.{digits}f} %"


@pytest.fixture(scope="module")
def handwriting() -> Split:
    return load_optdigits("test")


@pytest.fixture
def value(run: Run) -> dict[str, Any]:
    """Scores on handwriting of a network that was trained on a font."""
    result = run(*OPTDIGITS)
    assert result.exit_code == 0, result.stderr
    assert result.stderr.splitlines()[-1] == "digitcli: wrote the report report.html"
    answer: dict[str, Any] = json.loads(result.stdout)
    return answer


def test_every_number_is_on_the_page(value: dict[str, Any]) -> None:
    page = read_page(REPORT)
    check_page(page)
    scores = {
        term.text: entry.text for term, entry in zip(
            page.one("dl", "scores").all("dt"),
            [div.all("dd")[0] for div in page.one("dl", "scores").all("div")],
            strict=True,
        )
    }  # fmt: skip
    wrong = round(360 * (1 - value["accuracy"]))
    assert scores == {
        "Accuracy": percent(value["accuracy"]),
        "Wrong": str(wrong),
        "Top-5 accuracy": percent(value["top5_accuracy"]),
        "Calibration error": percent(value["calibration"]["ece"]),
        "Loss": f"{value['loss']:.4f}",
        "Temperature": f"{value['temperature']:.4g}",
    }
    matrix = np.array(value["confusion_matrix"])
    missed, taken = (matrix.sum(axis=axis) - np.diag(matrix) for axis in (1, 0))
    for i, (row, score) in enumerate(
        zip(page.table("Scores by class"), value["per_class"], strict=True)
    ):
        shares = [percent(score[name]) for name in ("precision", "recall", "f1")]
        assert row == [str(i), *shares, str(score["support"]), str(missed[i]), str(taken[i])]
    rows = page.table("Confusion matrix: rows are true classes, columns predicted classes")
    assert [row[0] for row in rows] == list("0123456789")
    assert np.array_equal(np.array([row[1:] for row in rows], dtype=int), matrix)
    commonest = page.table("Most frequent mistakes")
    np.fill_diagonal(matrix, 0)
    assert [int(row[2]) for row in commonest] == sorted(matrix.ravel().tolist())[:-11:-1]
    for target, answer, count, share in commonest:
        assert matrix[int(target), int(answer)] == int(count)
        assert share == percent(int(count) / value["per_class"][int(target)]["support"])

    bins = [row for row in value["calibration"]["bins"] if row["count"]]
    shown = page.table("Answers by probability; empty bins are left out")
    assert [row[1:4] for row in shown] == [
        [str(row["count"]), percent(row["probability"]), percent(row["accuracy"])] for row in bins
    ]
    assert len(page.all("figure")[0].all("circle")) == len(bins)
    kept = {row[0]: row[1:] for row in page.table("Answers at each minimum probability")}
    for row in value["coverage"]:
        right = percent(row["accuracy"])
        answered = [str(row["count"]), percent(row["coverage"]), right]
        assert kept[f"{row['min_probability']:g}"][:3] == answered
    assert kept["none"] == ["360", "100.00 %", percent(value["accuracy"]), str(wrong)]


def cards_of(page: Element) -> list[Element]:
    return page.one("ol", "gallery").all("li", "card")


def test_mistakes_are_shown_the_worst_first(
    run: Run,
    value: dict[str, Any],
    handwriting: Split,
    trained: Checkpoint,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    result = evaluate(trained, handwriting.images, handwriting.labels, torch.device("cpu"))
    mistakes = np.flatnonzero(result.answers != handwriting.labels)
    cards = cards_of(read_page(REPORT))
    assert len(cards) == min(len(mistakes), evaluation.MAX_MISTAKES)
    assert len(mistakes) == round(360 * (1 - value["accuracy"]))
    left = []
    for card in cards:
        number = int(card.one("h3").text.rpartition(" ")[2])
        label, answer = int(handwriting.labels[number]), int(result.answers[number])
        assert label != answer
        assert card.one("h3").text == f"{answer} instead of {label} · image {number}"
        assert np.array_equal(card.one("img").picture(), handwriting.images[number])
        rows = [
            [cell.text for cell in row.inside if isinstance(cell, Element)]
            for row in card.one("tbody").all("tr")
        ]
        remarks = {answer: "answer", label: "target"}
        assert rows == [
            [str(i), "", in_percent(p), remarks.get(i, "")]
            for i, p in enumerate(result.probabilities[number])
        ]
        left.append(result.probabilities[number, label])
    assert left == sorted(left)

    monkeypatch.setattr(evaluation, "MAX_MISTAKES", 3)
    run(*OPTDIGITS)
    page = read_page(REPORT)
    assert [card.one("h3").text for card in cards_of(page)] == [
        card.one("h3").text for card in cards[:3]
    ]
    assert f"The 3 worst of {len(mistakes)}" in page.one("main").text


@pytest.mark.parametrize("trained_on", ["mnist", "fashion-mnist"])
def test_the_command_of_the_page_shows_its_images(
    run: Run, trained: Checkpoint, trained_on: str
) -> None:
    """Both with digits and with images that fill their frame, which are prepared otherwise."""
    fill(Path("my digits"), {"1": 2, "5": 3, "7": 8}, count=20)
    metadata = replace(trained.metadata, dataset=trained_on, temperature=1.3)
    save_checkpoint(Path("pretrained"), replace(trained, metadata=metadata))
    split = ("--dataset", "folder:my digits", "--split", "train")
    assert run("eval", "--checkpoint", "./pretrained", *split, "--report", REPORT).exit_code == 0
    page = read_page(REPORT)
    (command,) = (code.text for code in page.all("code") if "inspect" in code.text)
    assert command == (
        "digitcli inspect-softmax --index N --checkpoint ./pretrained "
        "--dataset 'folder:my digits' --split train"
    )
    cards = cards_of(page)
    assert len(cards) > 20
    for card in cards[:5]:
        words = card.one("h3").text.split()
        shown = run(*shlex.split(command.replace(" N ", f" {words[-1]} "))[1:], "--json")
        value = json.loads(shown.stdout)
        assert value["target"] == words[3]
        rows = [row.all("td") for row in card.one("tbody").all("tr")]
        shares = [in_percent(share) for share in value["probabilities"]]
        assert [cells[1].text for cells in rows] == shares


def test_the_bundled_weights_are_called_so(run: Run) -> None:
    draw_digit(5).save("5.png")
    bundled = ("--checkpoint", "pretrained", "--report", REPORT)
    assert run("eval", "--dataset", "optdigits", *bundled).exit_code == 0
    content = REPORT.read_text(encoding="utf-8")
    page = read_page(REPORT)
    assert page.one("h1").text == "Evaluation of the bundled weights"
    assert "optdigits, test. Checkpoint: the bundled weights." in page.one("header").text
    assert "--checkpoint pretrained --dataset optdigits --split test" in content
    assert str(BUNDLED.parent) not in content
    assert run("predict", "5.png", *bundled).exit_code == 0
    content = REPORT.read_text(encoding="utf-8")
    assert "Weights: the bundled weights." in content
    assert str(BUNDLED.parent) not in content


def test_names_from_outside_are_only_text(handwriting: Split, trained: Checkpoint) -> None:
    classes = (HOSTILE, "</style><b>", "{{ version }}", *"3456789")
    metadata = replace(
        trained.metadata, classes=classes, command=HOSTILE, versions={"<i>": "</dd>"}
    )
    hostile = replace(trained, metadata=metadata)
    result = evaluate(hostile, handwriting.images, handwriting.labels, torch.device("cpu"))
    evaluation.write_evaluation(
        REPORT,
        result,
        metadata,
        images=handwriting.images,
        labels=handwriting.labels,
        dataset="<h1>",
        split="&amp;",
        checkpoint=Path("a<b>\udcff/c\n"),
    )
    page = read_page(REPORT)
    check_page(page)
    assert not page.all("i")
    assert not page.all("b")
    assert page.one("h1").text == "Evaluation of c\\n"
    assert "<h1>, &amp;. Checkpoint: a<b>\\udcff/c\\n." in page.one("header").text
    named = [row[0] for row in page.table("Scores by class")]
    assert named[:3] == [SHOWN, "</style><b>", "{{ version }}"]
    assert SHOWN in [code.text for code in page.all("code")]


def test_a_network_without_mistakes_and_one_that_is_never_right(
    handwriting: Split, trained: Checkpoint
) -> None:
    right = evaluate(trained, handwriting.images, handwriting.labels, torch.device("cpu"))
    where = {"dataset": "optdigits", "split": "test", "checkpoint": Path("x")}
    for keep in (right.answers == handwriting.labels, right.answers != handwriting.labels):
        images, labels = handwriting.images[keep], handwriting.labels[keep]
        result = evaluate(trained, images, labels, torch.device("cpu"))
        assert result.accuracy in (0, 1)
        evaluation.write_evaluation(
            REPORT, result, trained.metadata, images=images, labels=labels, **where  # type: ignore[arg-type]
        )  # fmt: skip
        page = read_page(REPORT)
        check_page(page)
        assert bool(page.all("li", "card")) is (result.accuracy == 0)
        assert ("No mistakes." in page.one("main").text) is (result.accuracy == 1)


def test_predict_shows_each_image_its_input_and_the_answer(run: Run) -> None:
    save_digit(Path("pictures/a.png"), 7)
    draw_digit(3, size=900).save("pictures/b.jpg")
    sheet = Image.new("L", (200, 100), 255)
    for i in range(2):
        sheet.paste(draw_digit(4 + i, size=100), (100 * i, 0))
    sheet.save("pictures/c.png")
    Image.new("L", (40, 40), 200).save("pictures/d.png")
    Path("pictures/notes.txt").write_text("no picture")
    content = io.BytesIO()
    draw_digit(2).save(content, "PNG")
    flags = ("--report", REPORT, "--json", "--min-probability", "0.01")
    result = run("predict", "pictures", "missing.png", "-", *flags, input=content.getvalue())
    assert result.exit_code == 1
    answers = [json.loads(line) for line in result.stdout.splitlines()]
    answers = [answer for answer in answers if answer["digit"] is not None]
    assert result.stderr.splitlines()[-1] == "digitcli: wrote the report report.html"

    page = read_page(REPORT)
    check_page(page)
    assert page.one("h1").text == "How 6 images were read"
    assert "4 read, 1 of them in doubt" in page.one("header").text
    assert "2 failed" in page.one("header").text
    cards = cards_of(page)
    assert [card.one("h3").text for card in cards] == [
        "7 · pictures/a.png",
        "3 · pictures/b.jpg",
        "? · pictures/c.png",
        "pictures/d.png",
        "missing.png",
        "2 · -",
    ]
    read = [card for card in cards if card.all("table")]
    for card, answer in zip(read, answers, strict=True):
        rows = [
            [cell.text for cell in row.inside if isinstance(cell, Element)]
            for row in card.one("tbody").all("tr")
        ]
        expected = [[str(i), "", in_percent(p)] for i, p in enumerate(answer["probabilities"])]
        assert rows == expected
        assert card.all("img")[1].picture().shape == (28, 28)
    assert np.array_equal(cards[0].all("img")[0].picture(), np.asarray(draw_digit(7)))
    assert cards[1].all("img")[0].picture().shape == (SIDE, SIDE)
    assert np.array_equal(cards[5].all("img")[0].picture(), np.asarray(draw_digit(2)))
    shapes = "there are 2 separate shapes, and one of them is read; predict --multi reads them all"
    assert f"Warning: {shapes}." in cards[2].text
    assert "Failed: the image is blank; draw a digit" in cards[3].text
    assert len(cards[3].all("img")) == 1
    assert "Failed: cannot be read: No such file or directory" in cards[4].text
    assert not cards[4].all("img")


def test_of_many_images_the_most_urgent_are_shown(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gallery, "MAX_SHOWN", 4)
    for i in range(10):
        save_digit(Path(f"in/{i}.png"), i)
    Image.new("L", (40, 40), 200).save("in/5b.png")
    result = run("predict", "in", "--report", REPORT, "--json")
    answers = [json.loads(line) for line in result.stdout.splitlines()]
    answers = [answer for answer in answers if answer["digit"] is not None]
    least = sorted(answers, key=lambda answer: (answer["warning"] is None, answer["probability"]))
    expected = sorted(["in/5b.png", *(answer["path"] for answer in least[:3])])
    page = read_page(REPORT)
    assert [card.one("h3").text.rpartition(" ")[2] for card in cards_of(page)] == expected
    assert page.one("h1").text == "How 11 images were read"
    assert "The page shows the 4 images that most need to be checked" in page.one("main").text


@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not allow such names")
def test_hostile_file_names(start: Start) -> None:
    names = ["<img src=x onerror=alert(1)>.png", "\"><b>'.png", "a\n\u202eb.png"]
    for name in names:
        save_digit(Path("in", name), 5)
    save_digit(Path("in/z.png"), 5).rename(os.fsdecode(b"in/z\xff.png"))
    done = start("predict", "in", "--report", REPORT)
    assert done.returncode == 0, done.stderr
    page = read_page(REPORT)
    check_page(page)
    shown = sorted(card.one("h3").text.partition("· in/")[2] for card in cards_of(page))
    assert shown == sorted([*names[:2], "a\\n\\u202eb.png", "z\\udcff.png"])
    assert not page.all("b")


def test_a_folder_without_images(run: Run) -> None:
    Path("empty").mkdir()
    assert run("predict", "empty", "--report", REPORT).exit_code == 2
    page = read_page(REPORT)
    check_page(page)
    assert [card.one("h3").text for card in cards_of(page)] == ["empty"]


def test_quiet_does_not_mention_the_report(run: Run) -> None:
    save_digit(Path("7.png"), 7)
    result = run("predict", "7.png", "--report", "R.HTM", "--quiet")
    assert (result.stdout, result.stderr) == ("7\n", "")
    check_page(read_page(Path("R.HTM")))


@pytest.mark.parametrize("command", [["predict", "7.png"], ["eval", "--dataset", "optdigits"]])
@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("7.png", "7.png is not the name of an HTML page; name it report.html"),
        ("report", "report is not the name of an HTML page; name it report.html"),
        ("folder.html", "cannot write folder.html: not a regular file; choose another place"),
        ("7.png/report.html", "cannot write 7.png/report.html: "),
    ],
)
def test_a_path_that_cannot_be_written_fails_before_the_work(
    run: Run, command: list[str], name: str, problem: str
) -> None:
    content = save_digit(Path("7.png"), 7).read_bytes()
    Path("folder.html").mkdir()
    result = run(*command, "--report", name)
    assert result.exit_code == 2
    assert result.stdout == ""
    (line,) = result.stderr.splitlines()
    assert line.startswith(f"digitcli: error: {problem}")
    assert Path("7.png").read_bytes() == content


def test_an_old_page_stays_until_the_new_one_is_whole(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(28, os.strerror(28))

    REPORT.write_text("old")
    save_digit(Path("7.png"), 7)
    monkeypatch.setattr(os, "fsync", full)
    result = run("predict", "7.png", "--report", REPORT)
    assert result.exit_code == 2
    assert result.stderr.splitlines()[-1] == (
        "digitcli: error: cannot write report.html: No space left on device; "
        "choose another place with --report"
    )
    assert REPORT.read_text() == "old"
    assert not list(Path().glob(".*"))


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16", "F"])
def test_thumbnails_of_every_mode(mode: str) -> None:
    digit = draw_digit(5, size=600)
    if mode == "I;16":
        image = Image.fromarray(np.asarray(digit, dtype=np.uint16) * 257)
    else:
        image = digit.convert(mode)
    file = io.BytesIO()
    image.save(file, "TIFF")
    for size, kind in ((600, "JPEG"), (200, "PNG")):
        if size == 200:
            file = io.BytesIO()
            image.resize((200, 200), Image.Resampling.NEAREST).save(file, "TIFF")
        content = thumbnail(file.getvalue())
        assert content is not None
        with Image.open(io.BytesIO(content)) as small:
            assert (small.format, small.size) == (kind, (min(size, SIDE),) * 2)
            grey = np.asarray(small.convert("L"), dtype=float)
        expected = np.asarray(digit.resize(small.size, Image.Resampling.BOX), dtype=float)
        assert np.corrcoef(grey.ravel(), expected.ravel())[0, 1] > 0.9


def test_thumbnails_are_upright_and_in_color() -> None:
    image = Image.new("RGB", (300, 150), (200, 30, 30))
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by a quarter
    image.save("photo.jpg", exif=exif)
    content = thumbnail(Path("photo.jpg"))
    assert content is not None
    with Image.open(io.BytesIO(content)) as small:
        assert small.size == (SIDE // 2, SIDE)
        red, green, _ = np.asarray(small).mean(axis=(0, 1))
        assert red > 150
        assert green < 60
        assert not small.getexif()


def test_no_thumbnail_of_an_unreadable_file() -> None:
    assert thumbnail(b"") is None
    assert thumbnail(b"no picture") is None
    assert thumbnail(Path("missing")) is None


@pytest.mark.parametrize(
    ("right", "count", "expected"),
    [(0, 10, (0, 0.2775)), (5, 10, (0.2366, 0.7634)), (10, 10, (0.7225, 1)), (0, 1, (0, 0.7935))],
)
def test_wilsons_interval(right: int, count: int, expected: tuple[float, float]) -> None:
    """If no answer is right, the upper bound is z² / (count + z²)."""
    assert wilson_interval(right, count) == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("low", [0, 0.3, 0.9, 0.97, 0.9952, 0.99885])
def test_axes_have_a_few_round_numbers(low: float) -> None:
    ticks = Chart((low, 1), (0, 1)).x_ticks
    assert 3 <= len(ticks) <= 8
    labels = [tick.label for tick in ticks]
    assert len(set(labels)) == len(labels)
    assert float(labels[-1]) == 100
    for tick in ticks:
        share = float(tick.label) / 100
        assert low - 1e-9 <= share
        expected = Chart.left + (share - low) / (1 - low) * (Chart.right - Chart.left)
        assert tick.at == pytest.approx(expected, abs=0.06)


def test_hostile_classes_of_a_checkpoint(run: Run, trained: Checkpoint) -> None:
    classes = (HOSTILE, *"123456", "</table>", *"89")
    metadata = replace(trained.metadata, classes=classes)
    save_checkpoint(Path("odd"), replace(trained, metadata=metadata))
    save_digit(Path("7.png"), 7)
    assert run("predict", "7.png", "--checkpoint", "odd", "--report", REPORT).exit_code == 0
    (card,) = cards_of(read_page(REPORT))
    assert card.one("h3").text == "</table> · 7.png"
    assert card.one("tbody").all("tr")[0].all("th")[0].text == SHOWN
