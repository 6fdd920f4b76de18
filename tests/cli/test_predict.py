"""``digitcli predict``: files, folders and pipes, valid and invalid."""

import io
import json
from pathlib import Path

import pytest
from commands import Run, Start, weights_note
from drawn_digits import draw_digit, save_digit
from PIL import Image

from digitcli.core.checkpointing.checkpoint import Checkpoint
from digitcli.text import below_one, percent

pytestmark = pytest.mark.usefixtures("checkpoint")


def test_a_line_per_image(run: Run, trained: Checkpoint) -> None:
    paths = [save_digit(Path(f"{digit}.png"), digit) for digit in range(10)]
    result = run("predict", *paths)
    assert result.exit_code == 0
    assert result.stderr == weights_note(trained)
    rows = [line.split("\t") for line in result.stdout.splitlines()]
    assert [row[0] for row in rows] == [f"{digit}.png" for digit in range(10)]
    assert [row[1] for row in rows] == list("0123456789")
    assert all(0.1 <= float(row[2]) <= 1 and len(row[2]) == 6 for row in rows)


def test_json(run: Run) -> None:
    save_digit(Path("7.png"), 7)
    result = run("predict", "7.png", "7.png", "--json")
    first, second = map(json.loads, result.stdout.splitlines())
    assert first == second
    assert list(first) == [
        "path",
        "digit",
        "probability",
        "probabilities",
        "warning",
        "checkpoint",
        "error",
    ]
    assert (first["path"], first["digit"]) == ("7.png", 7)
    assert first["checkpoint"] == "checkpoints/latest.safetensors"
    assert len(first["probabilities"]) == 10
    assert sum(first["probabilities"]) == pytest.approx(1)
    assert first["probabilities"][7] == first["probability"] == max(first["probabilities"])


@pytest.mark.parametrize("flags", [[], ["--top", "3"], ["--multi"]])
def test_json_of_a_failed_picture_has_the_same_keys(run: Run, flags: list[str]) -> None:
    save_digit(Path("7.png"), 7)
    Path("empty.png").touch()
    Image.new("L", (9, 9)).save("blank.png")
    names = ("7.png", "empty.png", "blank.png", "gone.png")
    output = run("predict", *names, "--json", *flags).stdout
    read, *failed = map(json.loads, output.splitlines())
    assert read["error"] is None
    for record in failed:
        assert list(record) == list(read)
        known = {key: value for key, value in record.items() if value is not None}
        assert known.keys() == {"path", "checkpoint", "error"}


def test_quiet(run: Run) -> None:
    save_digit(Path("3.png"), 3)
    assert run("predict", "--quiet", "3.png").stdout == "3\n"


def test_top(run: Run) -> None:
    save_digit(Path("3.png"), 3)
    value = json.loads(run("predict", "3.png", "--top", "3", "--json").stdout)
    assert value["top"][0]["digit"] == 3
    ranked = sorted(value["probabilities"], reverse=True)[:3]
    assert [entry["probability"] for entry in value["top"]] == ranked
    row = run("predict", "3.png", "--top", "3").stdout.rstrip("\n").split("\t")
    assert row == ["3.png"] + [
        cell
        for entry in value["top"]
        for cell in (str(entry["digit"]), f"{entry['probability']:.4f}")
    ]


def test_standard_input(run: Run) -> None:
    buffer = io.BytesIO()
    draw_digit(5).save(buffer, "JPEG")
    assert run("predict", "-", "--quiet", input=buffer.getvalue()).stdout == "5\n"


def test_a_folder(run: Run) -> None:
    for digit in (4, 2):
        save_digit(Path(f"scans/sub/{digit}.png"), digit)
    Path("scans/readme.txt").write_text("no picture")
    lines = run("predict", "scans").stdout.splitlines()
    assert [line.split("\t")[:2] for line in lines] == [
        ["scans/sub/2.png", "2"],
        ["scans/sub/4.png", "4"],
    ]


def test_an_answer_below_the_minimum_is_a_question_mark(run: Run) -> None:
    save_digit(Path("8.png"), 8)
    result = run("predict", "8.png", "--min-probability", "1")
    assert result.exit_code == 1
    assert result.stdout.split("\t")[1] == "?"
    assert (
        json.loads(run("predict", "8.png", "--min-probability", "1", "--json").stdout)["digit"]
        == "?"
    )
    assert run("predict", "8.png", "--min-probability", "0.1").exit_code == 0


def test_one_bad_image_does_not_stop_the_others(run: Run) -> None:
    save_digit(Path("1.png"), 1)
    save_digit(Path("2.png"), 2)
    Path("bad.png").write_text("no picture")
    Image.new("L", (50, 50), 200).save("blank.png")
    result = run("predict", "1.png", "bad.png", "missing.png", "blank.png", "2.png", "-q")
    assert result.exit_code == 1
    assert result.stdout == "1\n2\n"
    assert result.stderr.splitlines() == [
        "digitcli: error: bad.png: not an image; "
        "give a PNG, JPEG, GIF, BMP, PPM, WebP, TIFF, AVIF, ICO, JPEG 2000 or HEIC file",
        "digitcli: error: missing.png: cannot be read: No such file or directory; "
        "check the path and its permissions",
        "digitcli: error: blank.png: the image is blank; "
        "draw a digit, dark on light or light on dark",
    ]


def test_only_bad_images(run: Run) -> None:
    Path("empty").mkdir()
    for name in ("missing.png", "empty"):
        result = run("predict", name)
        assert result.exit_code == 2
        assert result.stdout == ""
        assert len(result.stderr.splitlines()) == 1


def test_wrong_use(run: Run) -> None:
    for flags, problem in (
        ([], "there is no image to read"),
        (["a.png", "--top", "0"], "--top"),
        (["a.png", "--json", "--quiet"], "--json and --quiet"),
        (["a.png", "--top", "3", "--quiet"], "--quiet and --top exclude each other"),
        (["-", "--files-from", "-"], "an image and a list at once"),
        (["--files-from", ""], "'--files-from': name a file"),
        (["a.png", "--files-from", ""], "'--files-from': name a file"),
        (["--files-from", "missing"], "cannot read the list missing: No such file"),
        (["a.png", "--min-probability", "2"], "--min-probability"),
        (["a.png", "--checkpoint", "missing"], "there is no checkpoint at missing"),
    ):
        result = run("predict", *flags)
        assert result.exit_code == 2
        assert problem in result.stderr
        assert len(result.stderr.splitlines()) == 1


def test_names_cannot_break_a_line_or_color_it(run: Run) -> None:
    name = "a\tb\nc\x1b[31m[red].png"
    save_digit(Path(name), 6)
    line = run("predict", name).stdout
    assert line.count("\n") == 1
    assert line.split("\t")[:2] == ["a\\tb\\nc\\x1b[31m[red].png", "6"]
    assert json.loads(run("predict", name, "--json").stdout)["path"] == name


@pytest.mark.parametrize("separator", ["\n", "\0"])
def test_names_from_a_list(run: Run, separator: str) -> None:
    names = ["2.png", "a name with spaces.png", "missing.png", "5.png"]
    for name, digit in zip(names, (2, 4, 0, 5), strict=True):
        if name != "missing.png":
            save_digit(Path(name), digit)
    Path("list").write_text(separator.join(names) + separator)
    result = run("predict", "--files-from", "list", "2.png")
    assert result.exit_code == 1
    rows = [line.split("\t")[:2] for line in result.stdout.splitlines()]
    assert rows == [
        ["2.png", "2"],  # names on the command line come first
        ["2.png", "2"],
        ["a name with spaces.png", "4"],
        ["5.png", "5"],
    ]
    assert result.stderr.count("missing.png") == 1


def test_a_probability_below_1_is_never_rounded_to_1(run: Run) -> None:
    save_digit(Path("7.png"), 7)
    flags = ("7.png", "--checkpoint", "pretrained")
    probability = json.loads(run("predict", *flags, "--json").stdout)["probability"]
    assert 0.99995 < probability < 1
    assert run("predict", *flags).stdout == "7.png\t7\t0.9999\n"
    assert run("predict", *flags, "--min-probability", "1").stdout == "7.png\t?\t0.9999\n"
    assert run("predict", *flags, "--multi").stdout == "7.png\t7\t0.9999\t0.9999\n"
    assert [below_one(p) for p in (0.5, 0.99992, 1 - 1e-12, 1)] == [0.5, 0.9999, 0.9999, 1]
    assert [below_one(p, 3) for p in (0.9994, 0.9996, -0.9996, -1)] == [0.999, 0.999, -0.999, -1]
    assert [percent(n / 60_000) for n in (59_999, 60_000)] == ["99.99%", "100.00%"]


def test_a_list_from_windows(run: Run) -> None:
    names = ["2.png", "4.png", "odd\r"]
    for name, digit in zip(names, (2, 4, 5), strict=True):
        save_digit(Path("picture.png"), digit).rename(name)
    Path("list").write_bytes(b"2.png\r\n\r\n4.png\r\nodd\r\r\n4.png\r")
    result = run("predict", "--files-from", "list", "--quiet")
    assert (result.exit_code, result.stdout) == (0, "2\n4\n5\n4\n"), result.stderr
    Path("list").write_bytes(b"2.png\0odd\r\0")
    assert run("predict", "--files-from", "list", "--quiet").stdout == "2\n5\n"


@pytest.mark.parametrize("content", ["", "\n\n", "\r\n", "\0"])
def test_an_empty_list(start: Start, run: Run, content: str) -> None:
    done = start("predict", "--files-from", "-", input=content)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == ("digitcli: error: the list - is empty; put names in it\n")
    save_digit(Path("2.png"), 2)
    Path("-").write_text("2.png\n")  # a file, not standard input
    assert run("predict", "--files-from", "./-", "-q").stdout == "2\n"
    Path("list").write_text(content)
    assert run("predict", "2.png", "--files-from", "list", "-q").stdout == "2\n"


def test_names_from_a_pipe_are_answered_as_they_come(start: Start) -> None:
    save_digit(Path("3.png"), 3)
    done = start("predict", "--files-from", "-", "--quiet", input="3.png\n" * 300)
    assert (done.returncode, done.stdout) == (0, "3\n" * 300)


def test_many_images_of_all_sizes_stay_in_order(run: Run) -> None:
    for i in range(300):
        size = 1500 if i % 50 == 0 else 40
        draw_digit(i % 10, size=size).save(f"{i:03}.{'bmp' if size > 100 else 'png'}")
    result = run("predict", ".")
    rows = [line.split("\t") for line in result.stdout.splitlines()]
    assert [row[0][:3] for row in rows] == [f"{i:03}" for i in range(300)]
    assert [int(row[1]) for row in rows] == [i % 10 for i in range(300)]


@pytest.mark.parametrize("name", ["", "a" * 300, "nul\0.png"])
def test_names_that_cannot_be_files(run: Run, name: str) -> None:
    save_digit(Path("1.png"), 1)
    result = run("predict", name, "1.png", "-q")
    assert result.exit_code == 1
    assert result.stdout == "1\n"
    assert len(result.stderr.splitlines()) == 1


ADDRESS = "https://example.org/7.png?a=1&b=2"


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("", "the name of an image is empty; name a file"),
        (
            ADDRESS,
            f"{ADDRESS}: an address, not a file; "
            f"fetch it first, as in: curl -sL '{ADDRESS}' | digitcli predict -",
        ),
    ],
)
def test_an_error_of_a_name_has_the_next_step(run: Run, name: str, line: str) -> None:
    save_digit(Path("2.png"), 2)
    for command in ("predict", "inspect-softmax"):
        result = run(command, name)
        assert (result.exit_code, result.stdout) == (2, "")
        assert result.stderr == f"digitcli: error: {line}\n"
    both = run("predict", "-q", name, "2.png")
    assert (both.exit_code, both.stdout) == (1, "2\n")


def test_pictures_and_lists_on_standard_input(run: Run) -> None:
    """The words for both are in the error that a user of the other one sees."""
    picture = save_digit(Path("2.png"), 2).read_bytes()
    unnamed = run("predict", "-q", input=picture)
    assert unnamed.exit_code == 2
    assert "- for an image on standard input, or --files-from - for a list" in unnamed.stderr
    listed = run("predict", "-", input=b"2.png\n3.png\n")
    assert listed.exit_code == 2
    assert listed.stderr == (
        "digitcli: error: -: not an image; a list of names needs --files-from -\n"
    )


@pytest.mark.parametrize(
    ("form", "hint"),
    [
        ([], "the list is a table; 'cut -f1' keeps the names in its first column"),
        (["--json"], "the list is JSON; 'jq -r .path' extracts the names"),
    ],
)
def test_a_list_of_results_gets_a_hint_once(run: Run, form: list[str], hint: str) -> None:
    names = [str(save_digit(Path(f"{digit}.png"), digit)) for digit in (2, 7)]
    Path("list").write_text(run("predict", *names, *form).stdout)
    result = run("predict", "--files-from", "list")
    assert (result.exit_code, result.stdout) == (2, "")
    *errors, last = result.stderr.splitlines()
    assert len(errors) == 2
    assert last == f"digitcli: {hint}"
    if not form:  # a file may be named so
        for line in Path("list").read_text().splitlines():
            draw_digit(2).save(line, "PNG")
        assert "the list is" not in run("predict", "--files-from", "list").stderr
    Path("list").write_text("missing.png\n")
    assert "the list is" not in run("predict", "--files-from", "list").stderr
    assert "the list is" not in run("predict", "--files-from", "list", "no\ttable").stderr


@pytest.mark.parametrize("form", [[], ["--json"], ["--quiet"]])
def test_many_images_are_summed_up(run: Run, form: list[str]) -> None:
    save_digit(Path("2.png"), 2)
    Path("empty.png").touch()
    few = run("predict", *["2.png"] * 10, *form)
    assert " read, " not in few.stderr
    many = run("predict", *["2.png"] * 10, "empty.png", "--min-probability", "1", *form)
    summary = "digitcli: 10 read, 10 in doubt, 1 failed\n"
    assert many.stderr.endswith(summary) == (form != ["--quiet"])


@pytest.mark.usefixtures("checkpoint")
def test_the_weights_are_named_though_the_first_picture_fails(
    run: Run, trained: Checkpoint
) -> None:
    save_digit(Path("7.png"), 7)
    result = run("predict", "gone.png", "7.png", "7.png")
    assert result.stderr.splitlines(keepends=True)[1:2] == [weights_note(trained)]
    assert result.stderr.count("using the weights") == 1
    assert "using" not in run("predict", "gone.png", "gone.png").stderr
