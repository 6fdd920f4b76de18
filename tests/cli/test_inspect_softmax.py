"""``digitcli inspect-softmax``: the lesson's example, pictures, and wrong use."""

import json
import math
import re
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from commands import Run
from drawn_digits import SmallMnist, drawn_pictures, save_digit

from digitcli.classifier import Classifier
from digitcli.core.checkpointing.checkpoint import Checkpoint, save_checkpoint
from digitcli.core.softmax import softmax

SOFTMAX = """\
class	score: z	power: e^z	exponential: exp(z - max)	probability: p	\
one-hot: y	loss: -y log p	gradient: p - y
cat	2	7.389	1	0.659	1	0.4170	-0.341
dog	1	2.718	0.368	0.242	0	0.0000	+0.242
person	0.1	1.105	0.15	0.099	0	0.0000	+0.099

temperature	1
sum of e^z	11.2125
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
    assert lines[1].split("\t") == [
        *("0", "11", "5.987e+04", "1", "0.99998", "0", "0.0000", "+0.99998")
    ]
    assert lines[2].split("\t")[-1] == "-0.99998"
    assert "soft max\t0.99998, 1.7e-05" in lines
    assert "margin\t11 in score, 0.99997 in p" in lines
    assert any("0 gets 0.99998 where" in line for line in lines)
    surer = run("inspect-softmax", "--logits", "40,0").stdout.splitlines()
    assert surer[1].split("\t")[4] == "1.000"  # which it is in 64 bits
    surest = run("inspect-softmax", "--logits", "22,0").stdout.splitlines()
    assert surest[1].split("\t")[4] == "0.9999999997"
    assert "sum of exponentials\t1.0000000003" in surest
    sure = run("inspect-softmax", "--logits", "1000,0").stdout.splitlines()
    assert sure[1].split("\t")[4] == "1.000"


def value_of(term: str) -> float:
    """Calculates a printed term as a reader does."""
    python = term.replace("×", "*").replace("√2", "2 ** 0.5")
    python = re.sub(r"e\^([0-9.]+)", r"exp(\1)", python).replace("e^(", "exp(")
    python = re.sub(r"log ([0-9.]+(?:e[-+]\d+)?)", r"log(\1)", python)
    return float(eval(python, {"exp": math.exp, "log": math.log, "__builtins__": {}}))  # noqa: S307


def unit_of(number: str) -> float:
    """Returns the size of a number's last digit, or of its fourth where zeros may be left out."""
    mantissa, _, exponent = number.partition("e")
    decimals = 10.0 ** (int(exponent or 0) - len(mantissa.partition(".")[2]))
    if "." in mantissa or float(number) == 0:
        return decimals
    return float(10.0 ** (math.floor(math.log10(abs(float(number)))) - 3))


def assert_holds(equation: str) -> None:
    """Checks the result of an equation, by every term before it that is written out."""
    *terms, result = equation.split(" = ")
    assert re.fullmatch(NUMBER, result), equation
    for term in terms:
        if term not in ("p", "z/T", "p - y", "-log p") and "..." not in term:
            error = abs(value_of(term) - float(result))
            assert error <= 0.501 * unit_of(result), f"{term} = {result} in {equation}"


NUMBER = r"[-+]?[0-9]+(?:\.[0-9]+)?(?:e[-+]?[0-9]+)?"


def assert_equations_hold(text: str) -> None:
    """Checks every equation after "In numbers", and what the sentences say of p and its loss."""
    lines = [line for line in text.splitlines() if " In numbers: " in line]
    assert len(lines) > 4
    for line in lines:
        sentence, _, formula = line.partition(" In numbers: ")
        if sentence.startswith(("Layers", "One-hot")):
            continue
        formula = re.sub(r"( for \S+)?\.$", "", formula)
        formula = re.sub(r" for the pixel in .*| if \S+ is right", "", formula)
        for equation in re.split(r" for \S+, ", formula):
            assert_holds(equation)
        for equation in re.findall(rf"e\^\S+ = {NUMBER}", sentence):
            assert_holds(equation)
        for loss, p in re.findall(rf"-log p = ({NUMBER}) for p = ({NUMBER})", sentence):
            assert_holds(f"-log {p} = {loss}")
        for before, after in re.findall(rf"loss goes from ({NUMBER}) to ({NUMBER})", sentence):
            assert before != after or float(before) < 1e-7  # a step that changes no float


@pytest.mark.parametrize("classes", [2, 3, 4, 10])
@pytest.mark.parametrize("spread", [0.1, 3, 30, 300])
def test_equations_hold_as_printed(run: Run, classes: int, spread: float) -> None:
    """A reader who calculates with the printed numbers finds the printed results."""
    rng = np.random.default_rng(classes)
    for attempt in range(4):
        scores = ",".join(map(str, rng.normal(0, spread, classes)))
        flags = ["--logits", scores, "--target", str(attempt % classes), "--explain"]
        if attempt:
            flags += ["--temperature", str(rng.uniform(0.5, 3))]
        if attempt % 2:
            flags += ["--step", str(rng.uniform(0.01, 2))]
        assert_equations_hold(run("inspect-softmax", *flags).stdout)
        without_target = run("inspect-softmax", *flags[:2], "--explain").stdout
        assert_holds(re.sub(".*numbers: | if .*", "", without_target.splitlines()[-1]))


@pytest.mark.parametrize(
    "scores", ["20,1,0", "22,0", "36,0", "40,0", "12.3456,-3", "700,1,2", "5,5"]
)
@pytest.mark.parametrize("target", ["0", "1"])
def test_equations_of_sure_answers_hold_as_printed(run: Run, scores: str, target: str) -> None:
    flags = ("inspect-softmax", "--logits", scores, "--target", target, "--step", "1", "--explain")
    text = run(*flags).stdout
    assert_equations_hold(text)
    for line in text.splitlines():
        for left, right, p in re.findall(rf"({NUMBER}) / ({NUMBER}) = ({NUMBER})", line):
            assert left != right or float(p) == 1


def test_scores_without_an_option_are_told_how_to_be_given(run: Run) -> None:
    for arguments in (("2", "1", "0.1"), ("--logits", "2", "1", "0.1")):
        result = run("inspect-softmax", *arguments)
        assert result.exit_code == 2
        assert result.stderr.endswith("; give scores as in --logits 2,1,0.1\n")


def test_large_scores_get_the_digits_that_their_difference_needs(run: Run) -> None:
    text = run("inspect-softmax", "--logits=1234560,1234000,0", "--explain").stdout
    assert " = e^(1.23456e+06 - 1.234e+06) = e^560 = 1.603e+243.\n" in text


@pytest.mark.usefixtures("checkpoint")
def test_equations_of_a_picture_hold_as_printed(run: Run) -> None:
    for digit in (3, 4):
        save_digit(Path("in.png"), digit)
        flags = ("inspect-softmax", "in.png", "--target", "4", "--step", "1", "--explain")
        assert_equations_hold(run(*flags).stdout)


def test_without_a_target_there_is_no_loss(run: Run) -> None:
    text = run(*LESSON).stdout
    assert text.splitlines()[0] == (
        "class\tscore: z\tpower: e^z\texponential: exp(z - max)\tprobability: p"
    )
    assert "loss" not in text
    assert "target" not in text
    value = json.loads(run(*LESSON, "--json").stdout)
    assert [value[key] for key in ("target", "one_hot", "loss", "gradient")] == [None] * 4


def test_json(run: Run) -> None:
    value = json.loads(run(*LESSON, "--target", "dog", "--json").stdout)
    assert list(value) == [
        "classes",
        "logits",
        "powers",
        "exponentials",
        "probabilities",
        "target",
        "one_hot",
        "loss",
        "gradient",
        "step",
        "top",
        "temperature",
        "checkpoint",
        "temperature_from",
        "network",
    ]
    assert (value["step"], value["network"]) == (None, None)
    assert value["powers"] == pytest.approx([7.389, 2.718, 1.105], abs=1e-3)
    assert sum(value["powers"]) == pytest.approx(11.2125, abs=1e-4)
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
    for sentence, figure, formula in zip(
        sentences,
        ["equally far", "e^1 = 2.718", "0.659", "0.417", "(-0.341)", "0.8021"],
        [
            "y = (1, 0, 0) for cat; √((1 - 0)² + (0 - 1)²) = √2 = 1.414.",
            "e^2 / e^1 = e^(2 - 1) = e^1 = 2.718.",
            "p = e^2 / (e^2 + e^1 + e^0.1) = 7.389 / 11.2125 = 0.659 for cat.",
            "-log 0.659 = 0.4170.",
            "p - y = 0.659 - 1 = -0.341 for cat, 0.242 - 0 = +0.242 for dog.",
            "-log(e^0.659 / (e^0.659 + e^0.242 + e^0.099)) = 0.8021.",
        ],
        strict=True,
    ):
        assert figure in sentence
        assert sentence.endswith(f" In numbers: {formula}")
    value = json.loads(run(*LESSON, "--target", "cat", "--explain", "--json").stdout)
    assert value["explanation"] == sentences


def test_temperature(run: Run) -> None:
    text = run(*LESSON, "--temperature", "2", "--explain").stdout
    assert "temperature\t2  (option)\n" in text
    assert "exp(z/T - max)" in text
    assert "flattens" in text
    assert "T is the checkpoint's" not in text


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
    assert "T is the checkpoint's" in text
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
    assert "there is no image 200 in mnist test; choose 0 to 199" in result.stderr


@pytest.mark.parametrize(
    ("flags", "problem"),
    [
        ([], "give exactly one of an image, --logits, --probabilities and --index"),
        (["a.png", "--logits", "1,2"], "give exactly one of an image, --logits, --prob"),
        (["--probabilities", "1,0", "--logits", "1,2"], "give exactly one of an image"),
        (["--probabilities", "0.7,0.2"], "sum to 1, and these sum to 0.9; give scores with --log"),
        (["--probabilities", "1.5,-0.5"], "probabilities are in 0..1 and sum to 1"),
        (["--probabilities", "nan,1"], "probabilities are in 0..1 and sum to 1"),
        (["--probabilities", "1"], "probabilities are of two classes or more, not 1"),
        (["--probabilities", "1,0", "--classes", "a"], "2 probabilities but 1 classes"),
        (["--probabilities", "1,0", "--step", "1"], "--temperature and --step change scores"),
        (["--probabilities", "1,0", "--temperature", "0"], "--temperature and --step change"),
        (["--probabilities", "a,b"], "'a,b' is not a list of numbers; write numbers like --prob"),
        (["--logits", "1,2", "--step", "1"], "a step needs the right class; name it with --target"),
        (["--logits", "1,2", "--target", "0", "--step", "0"], "the learning rate 0.0 is not a pos"),
        (["--logits", "1,2", "--target", "0", "--step", "nan"], "the learning rate nan is not a"),
        (
            ["--logits", "1,2", "--target", "0", "--step", "1e308", "--temperature", "0.001"],
            "the scores overflow at learning rate 1e+308",
        ),
        (["--logits", "1,2,3", "--target", "1,1,0"], "'1,1,0' is not a one-hot vector of 3 cla"),
        (["--logits", "1,2,3", "--target", "1,0"], "'1,0' is not a one-hot vector of 3 classes"),
        (["--logits", "1,,2"], "'1,,2' is not a list of numbers"),
        (["--logits", "1,two"], "'1,two' is not a list of numbers"),
        (["--logits", ""], "'' is not a list of numbers"),
        (["--logits", "5"], "two scores or more, not 1"),
        (["--logits", "1,nan"], "finite"),
        (["--logits", "1,2", "--classes", "a,b,c"], "2 scores but 3 classes"),
        (["--logits", "1,2", "--target", "cat"], "there is no class 'cat'; choose from 0, 1"),
        (["--logits", "1,2", "--temperature", "0"], "temperature 0.0"),
        (["--index", "0", "--classes", "a,b"], "--classes needs --logits"),
        (["missing.png"], "missing.png: cannot be read: No such file"),
        (["--index", "-1"], "--index"),
        (["--logits", "1,2", "--split", "test"], "--dataset and --split choose an image"),
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
    assert header.split("\t")[1:5] == [
        *("score: z", "scaled: z/T", "power: e^(z/T)", "exponential: exp(z/T - max)")
    ]
    assert first.split("\t")[1:3] == ["12", "15"]
    assert second == "1\t-3\t-3.75\t0.02352\t7.19e-09\t7.2e-09\t0\t0.0000\t+7.2e-09"
    assert "margin\t11 in score, 13.75 in z/T, 0.999998 in p\n" in text
    topics = re.findall(r"^([A-Z][a-z-]+): ", text, re.MULTILINE)
    assert topics[:4] == ["One-hot", "Temperature", "Exponentials", "Softmax"]
    assert "0 led 2 by 11, and leads by 13.75 now" in text


def test_the_sum_in_the_text_is_that_of_the_table(run: Run) -> None:
    text = run("inspect-softmax", "--logits", "12,1.5", "--explain").stdout
    assert "sum of exponentials\t1.00003\n" in text
    assert "divided by their sum, " in text


def test_probabilities_need_no_scores(run: Run) -> None:
    flags = ("inspect-softmax", "--probabilities", "0.7,0.2,0.1", "--classes", "cat,dog,person")
    for target in ("cat", "1,0,0", "[1, 0, 0]", "1，0，0"):
        text = run(*flags, "--target", target).stdout
        assert text == (
            "class\tprobability: p\tone-hot: y\tloss: -y log p\tgradient: p - y\n"
            "cat\t0.700\t1\t0.3567\t-0.300\n"
            "dog\t0.200\t0\t0.0000\t+0.200\n"
            "person\t0.100\t0\t0.0000\t+0.100\n"
            "\n"
            "sum of probabilities\t1.000000\n"
            "hard max\t1, 0, 0  (cat)\n"
            "target\tcat\n"
            "loss, NLLLoss of log p\t0.356675\n"
            "loss if softmax came twice\t0.767950\n"
        )
    value = json.loads(run(*flags, "--target", "cat", "--json").stdout)
    assert value.keys() == json.loads(run(*LESSON, "--json").stdout).keys()
    assert value["logits"] is value["powers"] is value["exponentials"] is None
    assert value["loss"] == pytest.approx(0.3567, abs=1e-4)
    lines = run(*flags, "--target", "cat", "--explain").stdout.splitlines()
    topics = [line.split(":")[0] for line in lines[-4:]]
    assert topics == ["One-hot", "Logarithm", "Gradient", "Twice"]
    assert "In numbers: -log 0.700 = 0.3567." in lines[-3]


def test_a_sure_answer_costs_nothing_or_everything(run: Run) -> None:
    flags = ("inspect-softmax", "--probabilities", "1,0,0", "--target")
    assert json.loads(run(*flags, "0", "--json").stdout)["loss"] == 0
    assert "loss, NLLLoss of log p\t0.000000\n" in run(*flags, "0", "--explain").stdout
    wrong = run(*flags, "1", "--explain")
    assert "loss, NLLLoss of log p\tinf\n" in wrong.stdout
    assert json.loads(run(*flags, "1", "--json").stdout)["loss"] is None
    assert json.loads(run(*flags[:2], "0.33,0.33,0.33", "--json").stdout)["top"] == "0"


def test_a_step_lowers_the_loss(run: Run) -> None:
    text = run(*LESSON, "--target", "cat", "--step", "1", "--explain").stdout
    header, cat, dog, *_ = text.splitlines()
    assert header.endswith("\tgradient: p - y\tafter the step: z\tafter the step: p")
    assert cat.endswith("\t-0.341\t2.341\t0.768")  # 2 + 0.341
    assert dog.endswith("\t+0.242\t0.7576\t0.158")  # 1 - 0.2424
    assert "loss, CrossEntropyLoss\t0.417030\n" in text
    assert "learning rate of the step\t1\n" in text
    assert "loss before the step\t0.417030\nloss after the step\t0.263624\n" in text
    last = text.splitlines()[-1]
    assert last.startswith("Step: ")
    assert "rises and the loss goes from 0.4170 to 0.2636" in last
    assert last.endswith("In numbers: 2 - 1 × (-0.341) = 2.341 for cat.")
    step = json.loads(run(*LESSON, "--target", "cat", "--step", "0.5", "--json").stdout)["step"]
    assert step["lr"] == 0.5
    assert step["logits"] == pytest.approx([2.1705, 0.87878, 0.05072], abs=1e-4)
    assert sum(step["probabilities"]) == pytest.approx(1)
    flags = (*LESSON, "--target", "cat", "--temperature", "2", "--step", "1", "--json")
    value = json.loads(run(*flags).stdout)
    gradient = np.array(value["gradient"]) / 2
    assert value["step"]["logits"] == pytest.approx(np.array([2, 1, 0.1]) - gradient)


@pytest.mark.parametrize(
    "scores",
    [
        "2，1，0.1",
        "[2, 1, 0.1]",
        "２，１，０．１",
        "［2，1，0.1］",
        "(2,1,0.1)",
        "2、1、0.1",
        "2 1 0.1",
        "2; 1; 0.1",
    ],
)
def test_lists_as_keyboards_write_them(run: Run, scores: str) -> None:
    result = run("inspect-softmax", "--logits", scores, "--classes", "猫，狗，人", "--json")
    value = json.loads(result.stdout)
    assert (value["logits"], value["classes"]) == ([2, 1, 0.1], ["猫", "狗", "人"])


def test_a_minus_sign_of_typography(run: Run) -> None:
    value = json.loads(run("inspect-softmax", "--logits", "1,−2", "--json").stdout)
    assert value["logits"] == [1, -2]


def test_powers_that_overflow(run: Run) -> None:
    flags = ("inspect-softmax", "--logits", "1000,999,-4", "--target", "2", "--explain")
    text = run(*flags).stdout
    assert text.splitlines()[1].split("\t")[:4] == ["0", "1000", "inf", "1"]
    assert "sum of e^z\tinf\n" in text
    assert "p = e^0 / (e^0 + e^(-1) + e^(-1004)) = 1 / 1.36788 = 0.731 for 0.\n" in text
    assert "In numbers: log 1.36788 - (-1004) = 1004.3133.\n" in text
    assert json.loads(run(*flags, "--json").stdout)["powers"][:2] == [None, None]


@pytest.mark.usefixtures("checkpoint")
def test_a_picture_is_followed_through_the_network(run: Run, trained: Checkpoint) -> None:
    save_digit(Path("4.png"), 4)
    text = run("inspect-softmax", "4.png", "--explain").stdout
    _, _, pixels, layers = text.split("\n\n")
    rows = [line.split("\t") for line in pixels.splitlines()]
    assert rows[0] == ["row", "column", "pixel", "pixel/255", "normalized"]
    assert rows[1][2:] == ["0", "0.0000", "-0.4242"]
    brightest = int(rows[3][2])
    assert rows[3][3:] == [
        f"{brightest / 255:.4f}",
        f"{(brightest / 255 - 0.1307) / 0.3081:.4f}",
    ]
    assert 0 < int(rows[2][2]) < brightest
    picture = Classifier.load().predict("4.png").picture
    for row, column, pixel, *_ in rows[1:]:
        assert picture[int(row), int(column)] == int(pixel)
    x = (picture.reshape(1, 784) / 255 - 0.1307) / 0.3081
    expected = []
    for number, (inputs, outputs) in enumerate(pairwise(trained.metadata.layer_sizes), start=1):
        x = x @ trained.weights[f"l{number}.weight"].T + trained.weights[f"l{number}.bias"]
        active = "-" if number == 5 else str((x > 0).sum())
        expected.append("\t".join([f"l{number}", str(inputs), str(outputs), active]))
        x = np.maximum(x, 0)
    lines = layers.splitlines()
    assert lines[:6] == ["layer\tinputs\toutputs\tactive", *expected]
    assert lines[6].startswith("Normalization: ")
    assert lines[7].startswith("Layers: ")
    assert "In numbers: 28 × 28 = 784, then 784-512-256-128-64-10; active " in lines[7]
    network = json.loads(run("inspect-softmax", "4.png", "--json").stdout)["network"]
    assert (network["mean"], network["std"]) == (0.1307, 0.3081)
    assert [layer["outputs"] for layer in network["layers"]] == [512, 256, 128, 64, 10]
    assert network["layers"][4]["active"] is None
    assert [pixel["value"] for pixel in network["pixels"]] == [int(row[2]) for row in rows[1:]]


def test_explanations_in_chinese(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Columns, names of facts and keys are for programs; they stay as they are."""
    flags = (*LESSON, "--target", "cat", "--explain")
    monkeypatch.setenv("LC_ALL", "zh_CN.UTF-8")
    text = run(*flags).stdout
    assert text.startswith(SOFTMAX)
    sentences = text.removeprefix(SOFTMAX).splitlines()
    assert [sentence.split("：")[0] for sentence in sentences] == [
        *("独热编码", "指数运算", "Softmax", "交叉熵", "梯度", "两次 softmax")
    ]
    assert sentences[3] == (
        "交叉熵：只看真实标签的概率，损失是 -log p = 0.417（p = 0.659）；完全肯定而且正确（p = 1）"
        "时损失为 0，p = 0.5 时为 0.693，p = 0.01 时为 4.605：答错时越肯定，损失越大，没有上限。"
        "代入数字：-log 0.659 = 0.4170。"
    )
    value = json.loads(run(*flags, "--json").stdout)
    assert value.pop("explanation") == sentences
    monkeypatch.setenv("LC_ALL", "en_US.UTF-8")
    assert value == json.loads(run(*LESSON, "--target", "cat", "--json").stdout)


@pytest.mark.usefixtures("checkpoint")
@pytest.mark.parametrize(
    "flags",
    [
        ["4.png", "--target", "4", "--step", "1", "--temperature", "2"],
        ["4.png"],
        ["--logits", "12,-3,1,4,5", "--target", "0", "--temperature", "0.8"],
        ["--logits", "1000,999,-4", "--target", "2", "--classes", "猫,狗,人"],
        ["--probabilities", "0.7,0.2,0.1", "--target", "1,0,0"],
        ["--probabilities", "0.7,0.2,0.1"],
    ],
)
def test_the_numbers_are_the_same_in_both_languages(
    run: Run, monkeypatch: pytest.MonkeyPatch, flags: list[str]
) -> None:
    save_digit(Path("4.png"), 4)
    english = run("inspect-softmax", *flags, "--explain").stdout.splitlines()
    monkeypatch.setenv("LC_ALL", "zh_CN.UTF-8")
    chinese = run("inspect-softmax", *flags, "--explain").stdout.splitlines()
    assert len(chinese) == len(english)
    explained = [line for line in english if " In numbers: " in line]
    assert chinese[: -len(explained)] == english[: -len(explained)]
    for line, translated in zip(explained, chinese[-len(explained) :], strict=True):
        numbers = r"[0-9]+\.[0-9]+(?:e[-+][0-9]+)?"
        assert re.findall(numbers, translated) == re.findall(numbers, line)
        assert not re.search("[{}]|[a-z]{3,} [a-z]{3,}", translated)
