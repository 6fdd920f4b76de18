"""The network: NumPy against torch, and the laws of training it."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from drawn_digits import drawn_pictures
from hypothesis import given, settings
from hypothesis import strategies as st

from digitcli.core.batches import TrainingData
from digitcli.core.calibration import calibration, fit_temperature
from digitcli.core.checkpoint import Checkpoint, EpochPoint, LossPoint, layer_sizes
from digitcli.core.device import choose_device
from digitcli.core.errors import DigitcliError
from digitcli.core.evaluation import evaluate
from digitcli.core.inference import forward, probabilities
from digitcli.core.model import MLP, normalised, plain_mlp, predict_logits
from digitcli.core.recipes import LESSON, QUICK, Recipe, find_recipe
from digitcli.core.softmax import softmax
from digitcli.core.training import Observer, TrainingState, train

CPU = torch.device("cpu")


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=20)
def test_numpy_inference_agrees_with_torch(trained: Checkpoint, seed: int) -> None:
    noise = np.random.default_rng(seed).integers(0, 256, (5, 28, 28), dtype=np.uint8)
    images = np.concatenate([noise, drawn_pictures(5, seed)[0]])
    metadata = trained.metadata
    x = normalised(images, metadata.mean, metadata.std, CPU)
    logits = predict_logits(plain_mlp(trained.weights, CPU), x)
    scores = forward(trained, images)
    assert scores.dtype == np.float32
    assert scores == pytest.approx(logits.numpy(), rel=1e-5, abs=1e-5)
    assert softmax(scores) == pytest.approx(torch.softmax(logits, 1).numpy(), abs=1e-5)


def test_the_network_is_the_lessons() -> None:
    model = MLP(layer_sizes(10))
    assert sum(p.numel() for p in model.parameters()) == 575_050
    shapes = {name: tuple(p.shape) for name, p in model.named_parameters()}
    assert shapes["l1.weight"] == (512, 784)
    assert shapes["l5.weight"] == (10, 64)
    assert len(shapes) == 10
    assert Recipe("lesson", epochs=10, batch_size=64, lr=0.01, momentum=0.5) == LESSON
    assert find_recipe(None, "mnist") is LESSON
    assert find_recipe("quick", "mnist") is QUICK


def test_one_cycle_climbs_and_falls_to_nothing() -> None:
    rates = [QUICK.lr_at(step / 1000) for step in range(1000)]
    assert rates[0] == pytest.approx(QUICK.lr / 25)
    assert rates[300] == pytest.approx(max(rates)) == pytest.approx(QUICK.lr)
    assert rates[:301] == sorted(rates[:301])
    assert rates[300:] == sorted(rates[300:], reverse=True)
    assert rates[-1] < QUICK.lr / 1000
    assert {LESSON.lr_at(step / 10) for step in range(10)} == {0.01}


class Recorder(Observer):
    def __init__(self) -> None:
        self.batches: list[tuple[int, int]] = []
        self.losses: list[LossPoint] = []
        self.epochs: list[EpochPoint] = []

    def on_batches(self, epoch: int, batch: int) -> None:
        self.batches.append((epoch, batch))

    def on_loss(self, point: LossPoint) -> None:
        self.losses.append(point)

    def on_epoch(self, state: TrainingState) -> None:
        self.epochs.append(state.checkpoint.metadata.accuracies[-1])


@pytest.fixture(scope="module")
def data() -> TrainingData:
    train_images, train_labels = drawn_pictures(100, 1)
    test_images, test_labels = drawn_pictures(50, 2)
    digits = tuple("0123456789")
    return TrainingData(
        "small", digits, 0.1307, 0.3081, train_images, train_labels, test_images, test_labels
    )


SMALL = Recipe("small", epochs=2, batch_size=8, lr=0.05, momentum=0.5)


def test_training_is_plain_sgd_as_the_lesson_writes_it(data: TrainingData) -> None:
    recorder = Recorder()
    state = train(data, SMALL, seed=3, log_every=5, device=CPU, observers=[recorder])

    torch.manual_seed(3)
    model = MLP(layer_sizes(10))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.5)
    x = torch.from_numpy(data.train_images).reshape(-1, 784) / 255
    x = (x - 0.1307) / 0.3081
    y = torch.from_numpy(data.train_labels)
    running = []
    for _ in range(2):
        order = torch.randperm(100)
        losses = []
        for i in range(0, 100, 8):
            optimizer.zero_grad()
            loss = torch.nn.CrossEntropyLoss()(model(x[order[i : i + 8]]), y[order[i : i + 8]])
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        running += [np.mean(losses[0:5]), np.mean(losses[5:10])]
    assert [point.loss for point in recorder.losses] == pytest.approx(running, rel=1e-4)
    assert [(p.epoch, p.batch) for p in recorder.losses] == [(1, 5), (1, 10), (2, 5), (2, 10)]
    for name, weight in model.named_parameters():
        assert state.checkpoint.weights[name] == pytest.approx(weight.detach().numpy(), abs=1e-5)


def test_nesterov_and_one_cycle_are_torchs(data: TrainingData) -> None:
    recipe = Recipe("r", 2, 8, 0.02, 0.9, nesterov=True, schedule="one-cycle")
    state = train(data, recipe, seed=3, log_every=5, device=CPU)

    torch.manual_seed(3)
    model = MLP(layer_sizes(10))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.02, momentum=0.9, nesterov=True)
    x = normalised(data.train_images, 0.1307, 0.3081, CPU)
    y = torch.from_numpy(data.train_labels)
    step = 0
    for _ in range(2):
        order = torch.randperm(100)
        for i in range(0, 100, 8):
            optimizer.param_groups[0]["lr"] = recipe.lr_at(step / 26)
            optimizer.zero_grad()
            loss = torch.nn.CrossEntropyLoss()(model(x[order[i : i + 8]]), y[order[i : i + 8]])
            loss.backward()
            optimizer.step()
            step += 1
    for name, weight in model.named_parameters():
        assert state.checkpoint.weights[name] == pytest.approx(weight.detach().numpy(), abs=1e-5)


def test_equal_seeds_give_equal_bits_and_others_do_not(data: TrainingData) -> None:
    def weights(seed: int) -> bytes:
        state = train(data, SMALL, seed=seed, log_every=5, device=CPU)
        return b"".join(weight.tobytes() for weight in state.checkpoint.weights.values())

    assert weights(1) == weights(1)
    assert weights(1) != weights(2)


def test_what_an_observer_is_told(data: TrainingData) -> None:
    recorder = Recorder()
    state = train(data, SMALL, seed=0, log_every=300, device=CPU, observers=[recorder])
    assert recorder.batches == [(1, 10), (1, 13), (2, 10), (2, 13)]
    assert recorder.losses == []
    assert tuple(recorder.epochs) == state.checkpoint.metadata.accuracies
    assert state.seconds > 0
    assert state.images_per_second == pytest.approx(200 / state.seconds)


def test_only_validation_fits_the_temperature(data: TrainingData) -> None:
    recipe = replace(SMALL, temperature=1.5)
    tested = train(data, recipe, seed=0, log_every=300, device=CPU, command="a b")
    assert tested.checkpoint.metadata.temperature == 1.5
    assert tested.checkpoint.metadata.command == "a b"
    held = replace(data, scored_on="validation", checksums={"a": "md5:b"})
    validated = train(held, recipe, seed=0, log_every=300, device=CPU).checkpoint
    scores = forward(validated, data.scored_images)
    assert validated.metadata.temperature == pytest.approx(
        fit_temperature(scores, data.scored_labels), rel=1e-3
    )
    assert validated.metadata.temperature != 1.5
    assert validated.metadata.scored_on == "validation"
    assert validated.metadata.data_checksums == {"a": "md5:b"}
    for name, weight in validated.weights.items():  # what is held out changes no weight
        assert np.array_equal(weight, tested.checkpoint.weights[name])


def test_a_loss_that_is_no_number_stops_the_run(data: TrainingData) -> None:
    recipe = replace(SMALL, lr=1e20)
    with pytest.raises(DigitcliError, match=r"loss became (nan|inf)") as caught:
        train(data, recipe, seed=0, log_every=5, device=CPU)
    assert caught.value.exit_code == 1


def test_a_batch_larger_than_the_data(data: TrainingData) -> None:
    with pytest.raises(DigitcliError, match="101 is more than the 100 training pictures"):
        train(data, replace(SMALL, batch_size=101), seed=0, log_every=5, device=CPU)


@pytest.mark.parametrize(
    "change",
    [
        {"epochs": 0},
        {"batch_size": 0},
        {"lr": 0},
        {"lr": float("nan")},
        {"lr": float("inf")},
        {"momentum": -0.1},
        {"momentum": 1},
        {"momentum": float("nan")},
        {"temperature": 0},
        {"temperature": float("nan")},
        {"temperature": float("inf")},
    ],
)
def test_impossible_recipes(change: dict[str, float]) -> None:
    with pytest.raises(DigitcliError, match=r"try|give"):
        replace(LESSON, **change)  # type: ignore[arg-type]


def test_evaluation_counts_as_by_hand(trained: Checkpoint) -> None:
    images, labels = drawn_pictures(200, 7)
    wrong = labels.copy()
    wrong[:40] = (wrong[:40] + 1) % 10  # so that there is something to count
    trained = replace(trained, metadata=replace(trained.metadata, temperature=0.5))
    result = evaluate(trained, images, wrong, CPU)
    scores = forward(trained, images)
    guesses = scores.argmax(axis=1)
    p = softmax(scores / 0.5)
    assert probabilities(trained, images) == pytest.approx(p)
    assert result.temperature == 0.5
    assert result.count == 200
    assert result.accuracy == pytest.approx((guesses == wrong).mean())
    assert result.loss == pytest.approx(-np.log(p[np.arange(200), wrong]).mean(), rel=1e-4)
    ranks = (scores > scores[np.arange(200), wrong][:, None]).sum(axis=1)
    assert result.top5_accuracy == pytest.approx((ranks < 5).mean())
    for i, score in enumerate(result.per_class):
        right = ((guesses == i) & (wrong == i)).sum()
        assert score.name == str(i)
        assert score.support == (wrong == i).sum()
        assert score.precision == pytest.approx(right / max(1, (guesses == i).sum()))
        assert score.recall == pytest.approx(right / (wrong == i).sum())
        assert result.confusion_matrix[i, i] == right
    assert sum(b.count for b in result.calibration.bins) == 200
    expected = calibration(p.max(axis=1), guesses == wrong)
    assert result.calibration.ece == pytest.approx(expected.ece, abs=1e-5)
    for row in result.coverage:
        kept = p.max(axis=1) >= row.min_probability
        assert row.coverage == kept.mean()
        assert row.accuracy == (guesses == wrong)[kept].mean()
    assert result.confusion_matrix.sum() == 200
    assert (result.confusion_matrix.sum(axis=0) == np.bincount(guesses, minlength=10)).all()


def test_devices() -> None:
    assert choose_device("cpu").type == "cpu"
    assert choose_device("auto").type in {"cpu", "cuda", "mps"}
    for name in ("gpu", "cuda:", "cuda:x", "cpu:0", ""):
        with pytest.raises(DigitcliError, match="choose auto, cpu, cuda, cuda:N or mps"):
            choose_device(name)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_cuda_without_cuda_names_the_torch_build() -> None:
    with pytest.raises(DigitcliError, match=torch.__version__.replace("+", r"\+")) as caught:
        choose_device("cuda")
    assert "--device cpu" in str(caught.value)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_cuda_trains_to_the_same_losses(data: TrainingData) -> None:
    def losses(device: torch.device) -> list[float]:
        recorder = Recorder()
        train(data, SMALL, seed=0, log_every=5, device=device, observers=[recorder])
        return [point.loss for point in recorder.losses]

    assert losses(choose_device("cuda")) == pytest.approx(losses(CPU), rel=1e-3)
    with pytest.raises(DigitcliError, match="no CUDA device 99"):
        choose_device("cuda:99")
