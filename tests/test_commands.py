"""The commands' whole output, off a terminal and as JSON."""

import io
import json
import os
from pathlib import Path

import numpy as np
import pytest
from conftest import Run, Start
from drawn_digits import SmallMnist, draw_digit, drawn_pictures
from PIL import Image

from digitcli import __version__
from digitcli.core.checkpoint import load_checkpoint

FLAGS = ("--epochs", "2", "--batch-size", "50", "--log-every", "5", "--lr", "0.05")


def save_digit(path: Path, digit: int, **options: object) -> Path:
    path.parent.mkdir(exist_ok=True, parents=True)
    draw_digit(digit, **options).save(path)  # type: ignore[arg-type]
    return path


class TestTrain:
    def test_plain_lines(self, run: Run, small_mnist: SmallMnist, tmp_path: Path) -> None:
        result = run("train", *FLAGS, "--mirror", small_mnist.folder)
        assert result.exit_code == 0, result.stderr
        path = Path("checkpoints/latest.safetensors")
        metadata = load_checkpoint(path).metadata
        expected = []
        for epoch in (1, 2):
            losses = [point for point in metadata.losses if point.epoch == epoch]
            assert [point.batch for point in losses] == [5, 10]
            expected += [f"epoch {epoch}  batch {p.batch}  loss {p.loss:.3f}" for p in losses]
            point = metadata.accuracies[epoch - 1]
            expected.append(
                f"epoch {epoch}  mean loss {point.loss:.3f}  test accuracy {point.accuracy:.2%}"
            )
        *lines, last = result.stdout.splitlines()
        assert lines == expected
        assert last.startswith(f"saved {path}  (")
        assert last.endswith(" images/s)")
        assert result.stderr.splitlines() == [  # the missing data is downloaded first
            f"digitcli: fetching {file.archive}" for file in small_mnist.files
        ]
        assert [file.name for file in (tmp_path / "checkpoints").iterdir()] == [path.name]

    def test_json_lines(self, run: Run, small_mnist: SmallMnist) -> None:
        result = run("train", *FLAGS, "--mirror", small_mnist.folder, "--seed", 7, "--json")
        *events, done = map(json.loads, result.stdout.splitlines())
        assert [event["event"] for event in events] == ["loss", "loss", "epoch"] * 2
        metadata = load_checkpoint(Path(done["checkpoint"])).metadata
        assert [e["loss"] for e in events if e["event"] == "loss"] == [
            point.loss for point in metadata.losses
        ]
        assert done.pop("seconds") > 0
        assert done.pop("images_per_second") > 0
        assert done == {
            "event": "done",
            "checkpoint": "checkpoints/latest.safetensors",
            "dataset": "mnist",
            "recipe": {
                "name": "lesson",
                "epochs": 2,
                "batch_size": 50,
                "lr": 0.05,
                "momentum": 0.5,
            },
            "epochs": 2,
            "seed": 7,
            "device": metadata.device,
            "loss": metadata.accuracies[-1].loss,
            "accuracy": metadata.accuracies[-1].accuracy,
        }

    def test_equal_seeds_give_equal_files(self, run: Run, small_mnist: SmallMnist) -> None:
        for name in ("a", "b"):
            run("train", *FLAGS, "--mirror", small_mnist.folder, "--output", name, "--seed", 5)
        assert Path("a").read_bytes() == Path("b").read_bytes()

    def test_damaged_data_is_mended_first(self, run: Run, small_mnist: SmallMnist) -> None:
        run("download", "--mirror", small_mnist.folder)
        path = Path("data/MNIST/raw") / small_mnist.files[0].name
        path.write_bytes(path.read_bytes()[:-1])
        assert run("train", *FLAGS).exit_code == 0
        assert path.stat().st_size == 600 * 784 + 16

    @pytest.mark.parametrize(
        ("flags", "problem"),
        [
            (["--epochs", "0"], "--epochs"),
            (["--lr", "nan"], "learning rate nan"),
            (["--lr", "-1"], "learning rate -1.0"),
            (["--lr", "fast"], "--lr"),
            (["--momentum", "1"], "momentum 1.0"),
            (["--batch-size", "0"], "--batch-size"),
            (["--batch-size", "601"], "601 is more than the 600 training pictures"),
            (["--dataset", "cifar"], "there is no data set 'cifar'; choose mnist or optdigits"),
            (["--device", "gpu"], "there is no device 'gpu'"),
            (["--log-every", "0"], "--log-every"),
            (["--seed", "-1"], "--seed"),
            (["--output", "."], "cannot write .: Is a directory"),
            (["--output", "old/new"], "cannot write old/new: "),
        ],
    )
    def test_wrong_use_changes_nothing(
        self, run: Run, small_mnist: SmallMnist, flags: list[str], problem: str
    ) -> None:
        Path("old").write_text("precious")
        result = run("train", "--output", "old", "--mirror", small_mnist.folder, *flags)
        assert result.exit_code == 2
        assert result.stdout == ""
        last = result.stderr.splitlines()[-1]
        assert last.startswith("digitcli: error: ")
        assert problem in last
        assert Path("old").read_text() == "precious"

    def test_a_diverging_run_keeps_the_old_checkpoint(
        self, run: Run, small_mnist: SmallMnist
    ) -> None:
        Path("old").write_text("precious")
        result = run("train", "--lr", "1e20", "--output", "old", "--mirror", small_mnist.folder)
        assert result.exit_code == 1
        assert "lower --lr or --momentum" in result.stderr
        assert Path("old").read_text() == "precious"

    def test_no_mirror_and_no_data(self, run: Run) -> None:
        result = run("train", "--mirror", "/nowhere")
        assert result.exit_code == 2
        assert "no mirror served" in result.stderr.splitlines()[-1]


@pytest.mark.usefixtures("checkpoint")
class TestEval:
    def test_plain_lines(self, run: Run, small_mnist: SmallMnist) -> None:
        value = json.loads(run("eval", "--mirror", small_mnist.folder, "--json").stdout)
        lines = run("eval").stdout.splitlines()
        assert lines[:8] == [
            "checkpoint\tcheckpoints/latest.safetensors",
            "dataset\tmnist",
            "split\ttest",
            "count\t200",
            f"loss\t{value['loss']:.4f}",
            f"accuracy\t{value['accuracy']:.4f}",
            f"top5_accuracy\t{value['top5_accuracy']:.4f}",
            "",
        ]
        assert lines[8] == "class\tprecision\trecall\tf1\tsupport"
        for line, score in zip(lines[9:19], value["per_class"], strict=True):
            numbers = [f"{score[key]:.4f}" for key in ("precision", "recall", "f1")]
            assert line.split("\t") == [score["name"], *numbers, str(score["support"])]
        assert lines[19] == ""
        assert lines[20] == "\t".join(["true\\predicted", *"0123456789"])
        for i, line in enumerate(lines[21:]):
            assert line.split("\t") == [str(i), *map(str, value["confusion_matrix"][i])]

    def test_json(self, run: Run, small_mnist: SmallMnist) -> None:
        result = run("eval", "--split", "train", "--mirror", small_mnist.folder, "--json")
        value = json.loads(result.stdout)
        assert list(value) == [
            "dataset",
            "split",
            "count",
            "loss",
            "accuracy",
            "top5_accuracy",
            "per_class",
            "confusion_matrix",
            "checkpoint",
        ]
        assert (value["dataset"], value["split"], value["count"]) == ("mnist", "train", 600)
        assert 0.95 < value["accuracy"] <= value["top5_accuracy"] <= 1
        assert np.sum(value["confusion_matrix"]) == 600
        assert np.trace(value["confusion_matrix"]) == round(value["accuracy"] * 600)

    def test_the_accuracy_gate(self, run: Run, small_mnist: SmallMnist) -> None:
        mirror = ("--mirror", small_mnist.folder)
        assert run("eval", *mirror, "--min-accuracy", "0.9").exit_code == 0
        # trained on a font, the network is no good at handwriting
        handwriting = ("--dataset", "optdigits", "--json")
        accuracy = json.loads(run("eval", *handwriting).stdout)["accuracy"]
        result = run("eval", *handwriting, "--min-accuracy", "0.99")
        assert result.exit_code == 1
        assert result.stderr == f"digitcli: the accuracy {accuracy:.4f} is below 0.99\n"

    def test_wrong_use(self, run: Run, small_mnist: SmallMnist) -> None:
        for flags, problem in (
            (["--split", "validation"], "there is no split 'validation'; choose train or test"),
            (["--dataset", "cifar"], "there is no data set 'cifar'"),
            (["--checkpoint", "missing"], "there is no checkpoint at missing"),
            (["--min-accuracy", "97"], "--min-accuracy"),
        ):
            result = run("eval", "--mirror", small_mnist.folder, *flags)
            assert result.exit_code == 2
            assert problem in result.stderr
            assert len(result.stderr.splitlines()) == 1

    def test_optdigits(self, run: Run) -> None:
        value = json.loads(run("eval", "--dataset", "optdigits", "--json").stdout)
        assert (value["dataset"], value["count"]) == ("optdigits", 360)


@pytest.mark.usefixtures("checkpoint")
class TestPredict:
    def test_a_line_per_picture(self, run: Run) -> None:
        paths = [save_digit(Path(f"{digit}.png"), digit) for digit in range(10)]
        result = run("predict", *paths)
        assert result.exit_code == 0
        assert result.stderr == ""
        rows = [line.split("\t") for line in result.stdout.splitlines()]
        assert [row[0] for row in rows] == [f"{digit}.png" for digit in range(10)]
        assert [row[1] for row in rows] == list("0123456789")
        assert all(0.1 <= float(row[2]) <= 1 and len(row[2]) == 6 for row in rows)

    def test_json(self, run: Run) -> None:
        save_digit(Path("7.png"), 7)
        result = run("predict", "7.png", "7.png", "--json")
        first, second = map(json.loads, result.stdout.splitlines())
        assert first == second
        assert list(first) == ["path", "digit", "probability", "probabilities"]
        assert (first["path"], first["digit"]) == ("7.png", 7)
        assert len(first["probabilities"]) == 10
        assert sum(first["probabilities"]) == pytest.approx(1)
        assert first["probabilities"][7] == first["probability"] == max(first["probabilities"])

    def test_quiet(self, run: Run) -> None:
        save_digit(Path("3.png"), 3)
        assert run("predict", "--quiet", "3.png").stdout == "3\n"

    def test_top(self, run: Run) -> None:
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

    def test_standard_input(self, run: Run) -> None:
        buffer = io.BytesIO()
        draw_digit(5).save(buffer, "JPEG")
        assert run("predict", "-", "--quiet", input=buffer.getvalue()).stdout == "5\n"

    def test_a_folder(self, run: Run) -> None:
        for digit in (4, 2):
            save_digit(Path(f"scans/sub/{digit}.png"), digit)
        Path("scans/readme.txt").write_text("no picture")
        lines = run("predict", "scans").stdout.splitlines()
        assert [line.split("\t")[:2] for line in lines] == [
            ["scans/sub/2.png", "2"],
            ["scans/sub/4.png", "4"],
        ]

    def test_below_the_minimum_the_digit_is_a_question_mark(self, run: Run) -> None:
        save_digit(Path("8.png"), 8)
        result = run("predict", "8.png", "--min-probability", "1")
        assert result.exit_code == 1
        assert result.stdout.split("\t")[1] == "?"
        assert (
            json.loads(run("predict", "8.png", "--min-probability", "1", "--json").stdout)["digit"]
            == "?"
        )
        assert run("predict", "8.png", "--min-probability", "0.1").exit_code == 0

    def test_one_bad_picture_does_not_stop_the_others(self, run: Run) -> None:
        save_digit(Path("1.png"), 1)
        save_digit(Path("2.png"), 2)
        Path("bad.png").write_text("no picture")
        Image.new("L", (50, 50), 200).save("blank.png")
        result = run("predict", "1.png", "bad.png", "missing.png", "blank.png", "2.png", "-q")
        assert result.exit_code == 1
        assert result.stdout == "1\n2\n"
        assert result.stderr.splitlines() == [
            "digitcli: error: bad.png: it is not a picture; "
            "give a PNG, JPEG, GIF, BMP, TIFF or WebP file",
            "digitcli: error: missing.png: cannot read it: No such file or directory; "
            "check the path and its permissions",
            "digitcli: error: blank.png: the picture is blank; "
            "draw a digit, dark on light or light on dark",
        ]

    def test_nothing_but_bad_pictures(self, run: Run) -> None:
        Path("empty").mkdir()
        for name in ("missing.png", "empty"):
            result = run("predict", name)
            assert result.exit_code == 2
            assert result.stdout == ""
            assert len(result.stderr.splitlines()) == 1

    def test_wrong_use(self, run: Run) -> None:
        for flags, problem in (
            ([], "Missing argument"),
            (["a.png", "--top", "0"], "--top"),
            (["a.png", "--min-probability", "2"], "--min-probability"),
            (["a.png", "--checkpoint", "missing"], "there is no checkpoint at missing"),
        ):
            result = run("predict", *flags)
            assert result.exit_code == 2
            assert problem in result.stderr
            assert len(result.stderr.splitlines()) == 1

    def test_names_from_outside_cannot_break_a_line_or_colour_it(self, run: Run) -> None:
        name = "a\tb\nc\x1b[31m[red].png"
        save_digit(Path(name), 6)
        line = run("predict", name).stdout
        assert line.count("\n") == 1
        assert line.split("\t")[:2] == ["a\\tb\\nc\\x1b[31m[red].png", "6"]
        assert json.loads(run("predict", name, "--json").stdout)["path"] == name


SOFTMAX = """\
class	score: z	exponential: exp(z - max)	probability: p	\
one-hot: y	loss: -y log p	gradient: p - y
cat	2	1	0.659	1	0.4170	-0.341
dog	1	0.368	0.242	0	0.0000	+0.242
person	0.1	0.15	0.099	0	0.0000	+0.099

temperature	1
sum of exponentials	1.51745
sum of probabilities	1.000000
hard max	1, 0, 0  (cat)
soft max	0.659, 0.242, 0.099
margin	1 in score, 0.417 in p
target	cat
loss, LogSoftmax + NLLLoss	0.417030
loss, CrossEntropyLoss	0.417030
loss if softmax came twice	0.802121
"""

LESSON = ("inspect-softmax", "--logits", "2,1,0.1", "--classes", "cat,dog,person")


class TestInspectSoftmax:
    def test_the_lessons_example_in_whole(self, run: Run) -> None:
        result = run(*LESSON, "--target", "cat")
        assert result.exit_code == 0
        assert result.stdout == SOFTMAX

    def test_without_a_target_what_needs_one_is_left_out(self, run: Run) -> None:
        text = run(*LESSON).stdout
        assert text.splitlines()[0] == "class\tscore: z\texponential: exp(z - max)\tprobability: p"
        assert "loss" not in text
        assert "target" not in text
        value = json.loads(run(*LESSON, "--json").stdout)
        assert [value[key] for key in ("target", "one_hot", "loss", "gradient")] == [None] * 4

    def test_json(self, run: Run) -> None:
        value = json.loads(run(*LESSON, "--target", "dog", "--json").stdout)
        assert list(value) == [
            "classes",
            "logits",
            "exponentials",
            "probabilities",
            "target",
            "one_hot",
            "loss",
            "gradient",
            "top",
            "temperature",
        ]
        assert value["classes"] == ["cat", "dog", "person"]
        assert value["logits"] == [2, 1, 0.1]
        assert value["exponentials"] == pytest.approx([1, np.exp(-1), np.exp(-1.9)])
        assert value["probabilities"] == pytest.approx([0.65900, 0.24243, 0.09856], abs=1e-5)
        assert (value["target"], value["top"], value["temperature"]) == ("dog", "cat", 1)
        assert value["one_hot"] == [0, 1, 0]
        assert value["loss"] == pytest.approx(1.41703, abs=1e-5)
        assert sum(value["gradient"]) == pytest.approx(0)

    def test_explanations_tell_the_numbers_at_hand(self, run: Run) -> None:
        text = run(*LESSON, "--target", "cat", "--explain").stdout
        assert text.startswith(SOFTMAX)
        sentences = text.removeprefix(SOFTMAX).splitlines()
        assert [sentence.split(":")[0] for sentence in sentences] == [
            "One-hot",
            "Exponentials",
            "Softmax",
            "Logarithm",
            "Gradient",
            "Twice",
        ]
        for sentence, figure in zip(
            sentences,
            ["1.414", "e^1 = 2.718", "0.659", "0.4170", "(-0.341)", "0.8021"],
            strict=True,
        ):
            assert figure in sentence
        value = json.loads(run(*LESSON, "--target", "cat", "--explain", "--json").stdout)
        assert value["explanation"] == sentences

    def test_temperature(self, run: Run) -> None:
        text = run(*LESSON, "--temperature", "2", "--explain").stdout
        assert "temperature\t2\n" in text
        assert "exp(z/T - max)" in text
        assert "flattens" in text

    @pytest.mark.parametrize("scores", ["1000,999,0", "-1000,0,1000", "1e308,0", "3, 4"])
    def test_scores_of_any_size(self, run: Run, scores: str) -> None:
        result = run("inspect-softmax", "--logits", scores, "--explain", "--json")
        assert result.exit_code == 0
        assert sum(json.loads(result.stdout)["probabilities"]) == pytest.approx(1)

    @pytest.mark.usefixtures("checkpoint")
    def test_a_picture(self, run: Run) -> None:
        save_digit(Path("4.png"), 4)
        seen = json.loads(run("predict", "4.png", "--json").stdout)
        value = json.loads(run("inspect-softmax", "4.png", "--target", "4", "--json").stdout)
        assert value["probabilities"] == pytest.approx(seen["probabilities"])
        assert (value["top"], value["target"]) == ("4", "4")
        piped = run(
            "inspect-softmax", "-", "--target", "4", "--json", input=Path("4.png").read_bytes()
        )
        assert json.loads(piped.stdout) == value

    @pytest.mark.usefixtures("checkpoint")
    def test_a_picture_of_a_data_set_knows_its_target(
        self, run: Run, small_mnist: SmallMnist
    ) -> None:
        labels = drawn_pictures(200, 2)[1]
        for index in (0, 199):
            result = run(
                "inspect-softmax", "--index", index, "--mirror", small_mnist.folder, "--json"
            )
            assert json.loads(result.stdout)["target"] == str(labels[index])
        result = run("inspect-softmax", "--index", "200")
        assert result.exit_code == 2
        assert "there is no picture 200 in mnist test; choose 0 to 199" in result.stderr

    @pytest.mark.parametrize(
        ("flags", "problem"),
        [
            ([], "one of a picture, --logits and --index"),
            (["a.png", "--logits", "1,2"], "one of a picture, --logits and --index"),
            (["--logits", "1,two"], "'1,two' is not a list of numbers"),
            (["--logits", ""], "'' is not a list of numbers"),
            (["--logits", "5"], "two scores or more, not 1"),
            (["--logits", "1,nan"], "finite"),
            (["--logits", "1,2", "--classes", "a,b,c"], "2 scores but 3 classes"),
            (["--logits", "1,2", "--target", "cat"], "there is no class 'cat'; choose from 0, 1"),
            (["--logits", "1,2", "--temperature", "0"], "temperature 0.0"),
            (["--index", "0", "--classes", "a,b"], "--classes names plain scores"),
            (["missing.png"], "missing.png: cannot read it: No such file"),
            (["--index", "-1"], "--index"),
        ],
    )
    @pytest.mark.usefixtures("checkpoint")
    def test_wrong_use(self, run: Run, flags: list[str], problem: str) -> None:
        result = run("inspect-softmax", *flags)
        assert result.exit_code == 2
        assert result.stdout == ""
        assert problem in result.stderr
        assert len(result.stderr.splitlines()) == 1


@pytest.mark.usefixtures("checkpoint")
@pytest.mark.parametrize("command", ["eval", "predict", "inspect-softmax"])
@pytest.mark.parametrize("content", [None, b"", b"foreign" * 100])
def test_a_bad_checkpoint_is_one_line(run: Run, command: str, content: bytes | None) -> None:
    save_digit(Path("1.png"), 1)
    if content is not None:
        Path("bad").write_bytes(content)
    arguments = [] if command == "eval" else ["1.png"]
    result = run(command, *arguments, "--checkpoint", "bad")
    assert result.exit_code == 2
    assert result.stdout == ""
    assert len(result.stderr.splitlines()) == 1
    assert "digitcli train" in result.stderr


def test_the_checkpoint_may_come_from_the_environment(
    run: Run, checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_digit(Path("9.png"), 9)
    moved = checkpoint.rename("elsewhere")
    monkeypatch.setenv("DIGITCLI_CHECKPOINT", str(moved))
    assert run("predict", "9.png", "-q").stdout == "9\n"


class TestAsAProcess:
    """The same commands, started as a shell starts them."""

    def test_train_eval_predict(self, start: Start, small_mnist: SmallMnist) -> None:
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

    def test_cuda_without_cuda(self, start: Start) -> None:
        import torch

        if torch.cuda.is_available():
            pytest.skip("there is a CUDA device")
        done = start("train", "--dataset", "optdigits", "--device", "cuda")
        assert done.returncode == 2
        assert torch.__version__ in done.stderr
        assert len(done.stderr.splitlines()) == 1

    @pytest.mark.usefixtures("checkpoint")
    def test_a_closed_pipe_ends_quietly(self, start: Start) -> None:
        save_digit(Path("0.png"), 0)
        reader, writer = os.pipe()
        os.close(reader)
        done = start("predict", *["0.png"] * 50, stdout=writer, stderr=-1, capture_output=False)
        os.close(writer)
        assert done.returncode == 128 + 13
        assert done.stderr == ""


def test_version(run: Run) -> None:
    assert run("--version").stdout == f"digitcli {__version__}\n"


def test_no_command_shows_the_help(run: Run) -> None:
    result = run()
    assert result.exit_code == 2
    assert "inspect-softmax" in result.stdout
    assert "error" not in result.stderr


def test_an_unknown_command(run: Run) -> None:
    result = run("trian")
    assert result.exit_code == 2
    assert result.stderr == (
        "digitcli: error: No such command 'trian'. Did you mean 'train'?; see 'digitcli --help'\n"
    )


@pytest.mark.parametrize(
    "command", [[], ["download"], ["train"], ["eval"], ["predict"], ["inspect-softmax"]]
)
def test_every_help_ends_in_examples(run: Run, command: list[str]) -> None:
    result = run(*command, "--help")
    assert result.exit_code == 0
    _, examples = result.stdout.split("Examples")
    commands = [line for line in examples.splitlines() if line.strip().startswith("$ ")]
    assert len(commands) >= 3
    assert all("digitcli" in line for line in commands)


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
