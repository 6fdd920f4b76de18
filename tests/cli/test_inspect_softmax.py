"""``digitcli inspect-softmax``: the lesson's example, pictures, and wrong use."""

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from commands import Run
from drawn_digits import SmallMnist, drawn_pictures, save_digit

from digitcli.core.checkpointing.checkpoint import Checkpoint, save_checkpoint
from digitcli.core.softmax import softmax

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


def test_the_lessons_example(run: Run) -> None:
    result = run(*LESSON, "--target", "cat")
    assert result.exit_code == 0
    assert result.stdout == SOFTMAX


def test_less_than_1_is_not_shown_as_1(run: Run) -> None:
    scores = ("inspect-softmax", "--logits", "11,0")
    lines = run(*scores, "--target", "1", "--explain").stdout.splitlines()
    assert lines[1].split("\t") == ["0", "11", "1", "0.999", "0", "0.0000", "+0.999"]
    assert lines[2].split("\t")[-1] == "-0.999"
    assert "soft max\t0.999, 1.7e-05" in lines
    assert "margin\t11 in score, 0.999 in p" in lines
    assert any("0 gets 0.999 where" in line for line in lines)
    sure = run("inspect-softmax", "--logits", "1000,0").stdout.splitlines()
    assert sure[1].split("\t")[3] == "1.000"


def test_without_a_target_there_is_no_loss(run: Run) -> None:
    text = run(*LESSON).stdout
    assert text.splitlines()[0] == "class\tscore: z\texponential: exp(z - max)\tprobability: p"
    assert "loss" not in text
    assert "target" not in text
    value = json.loads(run(*LESSON, "--json").stdout)
    assert [value[key] for key in ("target", "one_hot", "loss", "gradient")] == [None] * 4


def test_json(run: Run) -> None:
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
        "checkpoint",
        "temperature_from",
    ]
    assert value["checkpoint"] is None
    assert value["classes"] == ["cat", "dog", "person"]
    assert value["logits"] == [2, 1, 0.1]
    assert value["exponentials"] == pytest.approx([1, np.exp(-1), np.exp(-1.9)])
    assert value["probabilities"] == pytest.approx([0.65900, 0.24243, 0.09856], abs=1e-5)
    assert (value["target"], value["top"]) == ("dog", "cat")
    assert (value["temperature"], value["temperature_from"]) == (1, "default")
    assert value["one_hot"] == [0, 1, 0]
    assert value["loss"] == pytest.approx(1.41703, abs=1e-5)
    assert sum(value["gradient"]) == pytest.approx(0)


def test_explanations_contain_the_numbers_at_hand(run: Run) -> None:
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
        ["1.414", "e^1 = 2.718", "0.659", "0.417", "(-0.341)", "0.8021"],
        strict=True,
    ):
        assert figure in sentence
    value = json.loads(run(*LESSON, "--target", "cat", "--explain", "--json").stdout)
    assert value["explanation"] == sentences


def test_temperature(run: Run) -> None:
    text = run(*LESSON, "--temperature", "2", "--explain").stdout
    assert "temperature\t2  (option)\n" in text
    assert "exp(z/T - max)" in text
    assert "flattens" in text
    assert "the checkpoint has it" not in text


@pytest.mark.parametrize("scores", ["1000,999,0", "-1000,0,1000", "1e308,0", "3, 4"])
def test_scores_of_any_size(run: Run, scores: str) -> None:
    result = run("inspect-softmax", "--logits", scores, "--explain", "--json")
    assert result.exit_code == 0
    assert sum(json.loads(result.stdout)["probabilities"]) == pytest.approx(1)


@pytest.mark.usefixtures("checkpoint")
def test_a_picture(run: Run) -> None:
    save_digit(Path("4.png"), 4)
    seen = json.loads(run("predict", "4.png", "--json").stdout)
    value = json.loads(run("inspect-softmax", "4.png", "--target", "4", "--json").stdout)
    assert value["probabilities"] == pytest.approx(seen["probabilities"])
    assert (value["top"], value["target"]) == ("4", "4")
    piped = run("inspect-softmax", "-", "--target", "4", "--json", input=Path("4.png").read_bytes())
    assert json.loads(piped.stdout) == value


def test_a_picture_is_read_at_the_temperature_of_the_checkpoint(
    run: Run, trained: Checkpoint
) -> None:
    save_digit(Path("4.png"), 4)
    metadata = replace(trained.metadata, temperature=2.5)
    save_checkpoint(Path("warm"), replace(trained, metadata=metadata))
    flags = ("inspect-softmax", "4.png", "--checkpoint", "warm")
    text = run(*flags, "--explain").stdout
    assert "temperature\t2.5  (checkpoint)\n" in text
    assert "the checkpoint has it" in text
    value = json.loads(run(*flags, "--json").stdout)
    assert (value["temperature"], value["temperature_from"]) == (2.5, "checkpoint")
    assert value["probabilities"] == pytest.approx(softmax(np.array(value["logits"]) / 2.5))
    seen = json.loads(run("predict", "4.png", "--checkpoint", "warm", "--json").stdout)
    assert value["probabilities"] == pytest.approx(seen["probabilities"])
    cold = json.loads(run(*flags, "--temperature", "1", "--json").stdout)
    assert (cold["temperature"], cold["temperature_from"]) == (1, "option")
    assert max(cold["probabilities"]) > max(value["probabilities"])


@pytest.mark.usefixtures("checkpoint")
def test_a_picture_of_a_data_set_knows_its_target(run: Run, small_mnist: SmallMnist) -> None:
    labels = drawn_pictures(200, 2)[1]
    for index in (0, 199):
        result = run("inspect-softmax", "--index", index, "--mirror", small_mnist.folder, "--json")
        assert json.loads(result.stdout)["target"] == str(labels[index])
    result = run("inspect-softmax", "--index", "200")
    assert result.exit_code == 2
    assert "there is no picture 200 in mnist test; choose 0 to 199" in result.stderr


@pytest.mark.parametrize(
    ("flags", "problem"),
    [
        ([], "give exactly one of a picture, --logits and --index"),
        (["a.png", "--logits", "1,2"], "give exactly one of a picture, --logits and --index"),
        (["--logits", "1,two"], "'1,two' is not a list of numbers"),
        (["--logits", ""], "'' is not a list of numbers"),
        (["--logits", "5"], "two scores or more, not 1"),
        (["--logits", "1,nan"], "finite"),
        (["--logits", "1,2", "--classes", "a,b,c"], "2 scores but 3 classes"),
        (["--logits", "1,2", "--target", "cat"], "there is no class 'cat'; choose from 0, 1"),
        (["--logits", "1,2", "--temperature", "0"], "temperature 0.0"),
        (["--index", "0", "--classes", "a,b"], "--classes needs --logits"),
        (["missing.png"], "missing.png: cannot read it: No such file"),
        (["--index", "-1"], "--index"),
        (["--logits", "1,2", "--split", "test"], "--dataset and --split choose a picture"),
        (["--logits", "1e308,-1e308"], "overflow at temperature 1.0"),
        (
            ["--logits", "1,2", "--temperature", "1e-320"],
            "overflow at temperature 1e-320; give smaller scores, or raise --temp",
        ),
        (
            ["--logits", "1,2", "--temperature", "1e-320", "--json"],
            "overflow at temperature 1e-320; give smaller scores, or raise --temp",
        ),
    ],
)
@pytest.mark.usefixtures("checkpoint")
def test_wrong_use(run: Run, flags: list[str], problem: str) -> None:
    result = run("inspect-softmax", *flags)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert problem in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_a_temperature_has_its_own_step(run: Run) -> None:
    flags = ("--logits", "12,-3,1", "--target", "0", "--temperature", "0.8", "--explain")
    text = run("inspect-softmax", *flags).stdout
    header, first, second, *_ = text.splitlines()
    assert header.split("\t")[1:4] == ["score: z", "scaled: z/T", "exponential: exp(z/T - max)"]
    assert first.split("\t")[1:3] == ["12", "15"]
    assert second == "1\t-3\t-3.75\t7.19e-09\t7.2e-09\t0\t0.0000\t+7.2e-09"
    assert "margin\t11 in score, 13.75 in z/T, 0.999 in p\n" in text
    topics = re.findall(r"^([A-Z][a-z-]+): ", text, re.MULTILINE)
    assert topics[:4] == ["One-hot", "Temperature", "Exponentials", "Softmax"]
    assert "0 led 2 by 11, and leads by 13.75 now" in text


def test_the_sum_in_the_text_is_that_of_the_table(run: Run) -> None:
    text = run("inspect-softmax", "--logits", "12,1.5", "--explain").stdout
    assert "sum of exponentials\t1.00003\n" in text
    assert "divided by their sum 1.00003, " in text
