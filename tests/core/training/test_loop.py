"""The network: NumPy against torch, and the laws of training it."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from drawn_digits import drawn_data, drawn_pictures
from hypothesis import given, settings
from hypothesis import strategies as st
from training_runs import CPU, run_training

from digitcli.core.checkpointing.checkpoint import Checkpoint
from digitcli.core.checkpointing.metadata import EpochPoint, LossPoint, layer_sizes
from digitcli.core.device import choose_device
from digitcli.core.distributed.process_group import ProcessGroup
from digitcli.core.distributed.rank import Rank
from digitcli.core.errors import DigitcliError
from digitcli.core.evaluation.calibration import MIN_FIT_IMAGES, calibration, fit_temperature
from digitcli.core.evaluation.evaluate import evaluate
from digitcli.core.inference import forward, probabilities
from digitcli.core.model import (
    MLP,
    compute_logits,
    extract_weights,
    load_mlp,
    normalize,
    update_batch_norm,
)
from digitcli.core.recipes import (
    BEST,
    LESSON,
    QUICK,
    Deformation,
    Recipe,
    default_recipe,
    find_recipe,
)
from digitcli.core.softmax import softmax
from digitcli.core.training.callbacks.callback import Callback, EpochResult, LossReading
from digitcli.core.training.data import TrainingData
from digitcli.core.training.loader import Batch, BatchLoader, check_batches, fitting_batch_size
from digitcli.core.training.optimizers import make_optimizer


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=20)
def test_numpy_inference_agrees_with_torch(trained: Checkpoint, seed: int) -> None:
    noise = np.random.default_rng(seed).integers(0, 256, (5, 28, 28), dtype=np.uint8)
    images = np.concatenate([noise, drawn_pictures(5, seed)[0]])
    metadata = trained.metadata
    x = normalize(images, metadata.mean, metadata.std, CPU)
    logits = compute_logits(load_mlp(trained.weights, CPU), x)
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
    assert default_recipe("mnist") is LESSON
    assert find_recipe("quick") is QUICK


def test_one_cycle_climbs_and_falls_to_nothing() -> None:
    rates = [QUICK.lr_at(step / 1000) for step in range(1000)]
    assert rates[0] == pytest.approx(QUICK.lr / 25)
    assert rates[300] == pytest.approx(max(rates)) == pytest.approx(QUICK.lr)
    assert rates[:301] == sorted(rates[:301])
    assert rates[300:] == sorted(rates[300:], reverse=True)
    assert rates[-1] < QUICK.lr / 1000
    assert {LESSON.lr_at(step / 10) for step in range(10)} == {0.01}


class Recorder(Callback):
    def __init__(self) -> None:
        self.batches: list[tuple[int, int]] = []
        self.losses: list[LossPoint] = []
        self.epochs: list[EpochPoint] = []

    def on_batches(self, epoch: int, batch: int) -> None:
        self.batches.append((epoch, batch))

    def on_loss(self, reading: LossReading) -> None:
        self.losses.append(reading.point)

    def on_epoch(self, state: EpochResult) -> None:
        self.epochs.append(state.checkpoint.metadata.accuracies[-1])


@pytest.fixture(scope="module")
def data() -> TrainingData:
    return drawn_data()


SMALL = Recipe("small", epochs=2, batch_size=8, lr=0.05, momentum=0.5)


def test_training_is_plain_sgd_as_the_lesson_writes_it(data: TrainingData) -> None:
    recorder = Recorder()
    state = run_training(data, SMALL, seed=3, callbacks=[recorder])

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
        expected = weight.detach().numpy()
        np.testing.assert_allclose(
            state.checkpoint.weights[name], expected, rtol=0, atol=1e-5, equal_nan=False
        )


def test_nesterov_and_one_cycle_are_torchs(data: TrainingData) -> None:
    recipe = Recipe("r", 2, 8, 0.02, 0.9, nesterov=True, schedule="one-cycle")
    state = run_training(data, recipe, seed=3)

    torch.manual_seed(3)
    model = MLP(layer_sizes(10))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.02, momentum=0.9, nesterov=True)
    x = normalize(data.train_images, 0.1307, 0.3081, CPU)
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
        expected = weight.detach().numpy()
        np.testing.assert_allclose(
            state.checkpoint.weights[name], expected, rtol=0, atol=1e-5, equal_nan=False
        )


@pytest.mark.parametrize("decay", [0.0, 0.05])
@pytest.mark.parametrize(
    ("name", "momentum", "nesterov"),
    [("sgd", 0.0, False), ("sgd", 0.9, False), ("sgd", 0.9, True), ("adamw", 0.9, False)],
)
def test_the_updates_are_those_of_torchs_classes(
    name: str, momentum: float, nesterov: bool, decay: float
) -> None:
    recipe = Recipe("r", 1, 1, 0.1, momentum, nesterov=nesterov, optimizer=name, weight_decay=decay)
    torch.manual_seed(0)
    ours = [torch.randn(3, 4, requires_grad=True), torch.randn(4, requires_grad=True)]
    theirs = [p.detach().clone().requires_grad_() for p in ours]
    reference = (
        torch.optim.AdamW(theirs, lr=0.1, betas=(momentum, 0.99), weight_decay=decay)
        if name == "adamw"
        else torch.optim.SGD(
            theirs, lr=0.1, momentum=momentum, nesterov=nesterov, weight_decay=decay
        )
    )
    optimizer = make_optimizer(recipe, ours)
    for step in range(20):
        lr = 0.1 / (1 + step)  # it changes from step to step
        reference.param_groups[0]["lr"] = lr
        gradients = [torch.randn_like(p) for p in ours]
        optimizer.zero_grad()
        for our, their, gradient in zip(ours, theirs, gradients, strict=True):
            assert our.grad is None
            our.grad, their.grad = gradient.clone(), gradient.clone()
        reference.step()
        optimizer.step(lr)
        for our, their in zip(ours, theirs, strict=True):
            assert torch.allclose(our, their, rtol=0, atol=1e-6)


def test_batch_norm_folds_into_the_plain_network() -> None:
    torch.manual_seed(0)
    model = MLP((20, 16, 12, 5), batch_norm=torch.nn.BatchNorm1d)
    for norm in model.norms:
        for parameter in norm.parameters():
            torch.nn.init.normal_(parameter)
    x = 3 + 2 * torch.randn(1000, 20)
    update_batch_norm(model, x)
    weights = extract_weights(model)
    assert {name: weight.shape for name, weight in weights.items()} == {
        "l1.weight": (16, 20),
        "l1.bias": (16,),
        "l2.weight": (12, 16),
        "l2.bias": (12,),
        "l3.weight": (5, 12),
        "l3.bias": (5,),
    }
    with torch.inference_mode():
        expected, folded = model(x), load_mlp(weights, CPU)(x)  # in training, over all of them
    assert torch.allclose(folded, expected, rtol=1e-5, atol=1e-5)
    weights["l1.weight"][:] = 0  # a copy: the model is not touched
    assert model.layers[0].weight.abs().max() > 0


def test_what_is_folded_away_is_of_the_weights_as_they_are(data: TrainingData) -> None:
    recipe = replace(SMALL, optimizer="adamw", lr=0.01, batch_norm=True, batch_size=50, epochs=4)
    few = replace(data, train_images=data.train_images[:50], train_labels=data.train_labels[:50])
    few = replace(few, scored_images=few.train_images, scored_labels=few.train_labels)
    points = run_training(few, recipe).checkpoint.metadata.accuracies
    assert [point.accuracy > 0.5 for point in points] == [True] * 4  # after one step


def with_added_images(data: TrainingData) -> TrainingData:
    return replace(
        data,
        outliers=data.scored_images,
        synthetic_images=data.scored_images,
        synthetic_labels=data.scored_labels,
    )


def test_a_sample_disturbs_no_draw_and_is_the_same_each_time(data: TrainingData) -> None:
    torch.manual_seed(5)
    recipe = replace(BEST, batch_size=20, outliers=0.2, synthetic=0.25)
    batches = BatchLoader(with_added_images(data), recipe, CPU)
    before = torch.get_rng_state()
    samples = [batches.sample() for _ in range(2)]
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(*samples)
    assert samples[0].shape == (len(data.train_images) * 29 // 20, 784)


def test_scoring_between_epochs_draws_nothing() -> None:
    weights = extract_weights(MLP((20, 16, 5)))
    before = torch.get_rng_state()
    model = load_mlp(weights, CPU)
    assert torch.equal(torch.get_rng_state(), before)
    for name, weight in model.named_parameters():
        assert np.array_equal(weight.detach().numpy(), weights[name])


def test_what_is_trained_with_batch_norm_and_deformations_is_the_plain_network(
    data: TrainingData,
) -> None:
    recipe = replace(
        SMALL, optimizer="adamw", momentum=0.9, lr=0.003, batch_norm=True, batch_size=10
    )
    plain = run_training(data, recipe).checkpoint
    assert {n: w.shape for n, w in plain.weights.items()} == {
        n: tuple(p.shape) for n, p in MLP(layer_sizes(10)).named_parameters()
    }
    scores = forward(plain, data.scored_images)  # which knows of no normalization
    accuracy = (scores.argmax(axis=1) == data.scored_labels).mean()
    assert plain.metadata.accuracies[-1].accuracy == accuracy
    bent = replace(recipe, deformation=Deformation(rotation=10, elastic=1))
    one, other, third = (run_training(data, bent, seed=seed).checkpoint for seed in (0, 0, 1))
    assert one.metadata.recipe == bent
    for name, weight in one.weights.items():
        assert np.array_equal(weight, other.weights[name])
        assert not np.array_equal(weight, third.weights[name])
        assert not np.array_equal(weight, plain.weights[name])


def test_outliers_teach_the_network_to_have_no_answer(data: TrainingData) -> None:
    outliers = np.random.default_rng(0).integers(0, 256, (40, 28, 28), dtype=np.uint8)
    data = replace(data, outliers=outliers)
    sure = {}
    for share in (0.0, 1.0):
        recipe = replace(SMALL, epochs=15, outliers=share)
        trained = run_training(data, recipe).checkpoint
        sure[share] = probabilities(trained, outliers).max(axis=1).mean()
        digits = probabilities(trained, data.train_images).argmax(axis=1)
        assert (digits == data.train_labels).mean() > 0.9
    assert sure[1.0] < 0.2
    assert sure[0.0] > 0.4


def test_a_recipe_with_outliers_needs_some(data: TrainingData) -> None:
    with pytest.raises(DigitcliError, match="the recipe small needs outliers"):
        run_training(data, replace(SMALL, outliers=0.5))


def test_a_recipe_with_synthetic_digits_needs_some(data: TrainingData) -> None:
    with pytest.raises(DigitcliError, match="the recipe small needs synthetic digits"):
        run_training(data, replace(SMALL, synthetic=0.5))


def test_synthetic_digits_are_learned_beside_the_data_set(data: TrainingData) -> None:
    rng = np.random.default_rng(0)
    shapes = rng.integers(0, 256, (10, 28, 28), dtype=np.uint8)  # of no digit in the data set
    labels = np.arange(10)
    data = replace(data, synthetic_images=shapes, synthetic_labels=labels)
    accuracies = {}
    for fraction in (0.0, 0.5):
        trained = run_training(data, replace(SMALL, epochs=10, synthetic=fraction)).checkpoint
        accuracies[fraction] = (probabilities(trained, shapes).argmax(axis=1) == labels).mean()
        known = probabilities(trained, data.train_images).argmax(axis=1)
        assert (known == data.train_labels).mean() > 0.9
    assert accuracies[0.0] < 0.6
    assert accuracies[0.5] == 1


def test_an_unused_field_changes_nothing(data: TrainingData) -> None:
    plain = run_training(data, SMALL).checkpoint
    added = run_training(with_added_images(data), SMALL).checkpoint
    for name, weight in plain.weights.items():
        assert np.array_equal(weight, added.weights[name])
    assert plain.metadata.data_checksums == added.metadata.data_checksums


@pytest.mark.parametrize("size", [2, 3])
def test_processes_share_synthetic_digits_and_outliers(data: TrainingData, size: int) -> None:
    recipe = replace(BEST, batch_size=30, outliers=0.3, synthetic=0.25)
    data = with_added_images(data)

    def batches(group: ProcessGroup) -> list[Batch]:
        torch.manual_seed(2)
        loader = BatchLoader(data, recipe, CPU, group)
        assert loader.full_batch == 38
        return list(loader.epoch(loader.draw_order()))

    whole = batches(ProcessGroup(0, 1))
    parts = [batches(ProcessGroup(rank, size)) for rank in range(size)]
    for full, *shares in zip(whole, *parts, strict=True):
        assert sum(part.share for part in shares) == pytest.approx(1)
        assert sum(part.outlier_share for part in shares) == pytest.approx(1)
        rows = torch.cat([part.images for part in shares])
        assert len(rows) == len(full.images)
        order = [np.lexsort(images.numpy().T) for images in (rows, full.images)]
        assert torch.allclose(rows[order[0]], full.images[order[1]], atol=1e-6)
        labels = torch.cat([part.labels for part in shares])
        assert torch.equal(labels.sort().values, full.labels.sort().values)


def test_checksums_cover_the_added_images_that_a_recipe_uses(data: TrainingData) -> None:
    full = with_added_images(data)
    both = full.checksums_for(replace(SMALL, outliers=0.2, synthetic=0.2))
    assert both.keys() == {"outliers", "synthetic"}
    changed = replace(full, synthetic_labels=9 - data.scored_labels)
    other = changed.checksums_for(replace(SMALL, outliers=0.2, synthetic=0.2))
    assert other["outliers"] == both["outliers"]
    assert other["synthetic"] != both["synthetic"]


@pytest.mark.parametrize(("batch_size", "better"), [(1, 2), (9, 8), (99, 98)])
def test_a_single_picture_cannot_be_normalized(
    data: TrainingData, batch_size: int, better: int
) -> None:
    recipe = replace(SMALL, batch_norm=True, batch_size=batch_size)
    with pytest.raises(DigitcliError, match=f"give --batch-size {better}$"):
        run_training(data, recipe)


def test_equal_seeds_give_equal_bits_and_others_do_not(data: TrainingData) -> None:
    def weights(seed: int) -> bytes:
        state = run_training(data, SMALL, seed=seed)
        return b"".join(weight.tobytes() for weight in state.checkpoint.weights.values())

    assert weights(1) == weights(1)
    assert weights(1) != weights(2)


def test_what_an_observer_is_told(data: TrainingData) -> None:
    recorder = Recorder()
    state = run_training(data, SMALL, log_every=300, callbacks=[recorder])
    assert recorder.batches == [(1, 10), (1, 13), (2, 10), (2, 13)]
    assert recorder.losses == []
    assert tuple(recorder.epochs) == state.checkpoint.metadata.accuracies
    assert state.seconds > 0
    assert state.images_per_second == pytest.approx(200 / state.seconds)


def test_only_validation_fits_the_temperature(data: TrainingData) -> None:
    recipe = replace(SMALL, temperature=1.5)
    tested = run_training(data, recipe, log_every=300, command="a b")
    assert tested.checkpoint.metadata.temperature == 1.5
    assert tested.checkpoint.metadata.command == "a b"
    images, labels = drawn_pictures(MIN_FIT_IMAGES, 8)
    labels[::10] = 0  # so that there is something to fit
    held = replace(
        data,
        scored_on="validation",
        scored_images=images,
        scored_labels=labels,
        checksums={"a": "md5:b"},
    )
    validated = run_training(held, recipe, log_every=300).checkpoint
    temperature = fit_temperature(forward(validated, images), labels)
    assert validated.metadata.temperature == pytest.approx(temperature, rel=1e-3)
    assert validated.metadata.temperature not in (1, 1.5)
    assert validated.metadata.scored_on == "validation"
    assert validated.metadata.data_checksums == {"a": "md5:b"}
    for name, weight in validated.weights.items():  # what is held out changes no weight
        assert np.array_equal(weight, tested.checkpoint.weights[name])


def test_a_loss_that_is_no_number_stops_the_run(data: TrainingData) -> None:
    recipe = replace(SMALL, lr=1e20)
    with pytest.raises(DigitcliError, match="not finite from epoch 1, batch 2 on") as caught:
        run_training(data, recipe)
    assert caught.value.exit_code == 1


@pytest.mark.parametrize(
    ("pictures", "batch_size", "processes", "expected"),
    [
        (15, 16, 1, 15),
        (15, 16, 2, 12),  # 14 would leave one picture to two processes
        (100, 16, 3, 15),
        (9, 2, 3, 3),
        (8, 2, 3, None),  # the last would have two
        (3, 16, 4, None),
    ],
)
def test_the_batch_that_fits_is_taken_where_it_is_advised(
    data: TrainingData, pictures: int, batch_size: int, processes: int, expected: int | None
) -> None:
    data = replace(data, train_images=data.train_images[:pictures])
    recipe, world = replace(SMALL, batch_size=batch_size), Rank(0, processes)
    assert fitting_batch_size(pictures, recipe, world) == expected
    with pytest.raises(DigitcliError) as refused:
        check_batches(data, recipe, world)
    advice = "add images" if expected is None else f"give --batch-size {expected}"
    assert refused.value.next_step.startswith(advice)
    if expected is not None:
        check_batches(data, replace(recipe, batch_size=expected), world)


def test_a_batch_larger_than_the_data(data: TrainingData) -> None:
    with pytest.raises(DigitcliError, match="101 is larger than the 100 training images"):
        run_training(data, replace(SMALL, batch_size=101))


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
        {"outliers": -0.1},
        {"outliers": 1.1},
        {"outliers": float("nan")},
        {"synthetic": -0.1},
        {"synthetic": 1.1},
        {"synthetic": float("nan")},
        {"weight_decay": -0.1},
        {"weight_decay": float("nan")},
        {"weight_decay": float("inf")},
        {"schedule": "cosine"},
        {"optimizer": "adam"},
        {"nesterov": True, "momentum": 0},
        {"nesterov": True, "optimizer": "adamw"},
    ],
)
def test_impossible_recipes(change: dict[str, float]) -> None:
    with pytest.raises(DigitcliError, match=r"try|give|choose|leave"):
        replace(LESSON, **change)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["rotation", "scale", "shear", "shift", "elastic"])
@pytest.mark.parametrize("value", [-0.1, float("nan"), float("inf")])
def test_impossible_deformations(name: str, value: float) -> None:
    with pytest.raises(DigitcliError, match=f"{name} {value} is impossible; give 0 or more"):
        Deformation(**{name: value})
    assert Deformation(**{name: 0.5})


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
        run_training(data, SMALL, device=device, callbacks=[recorder])
        return [point.loss for point in recorder.losses]

    assert losses(choose_device("cuda")) == pytest.approx(losses(CPU), rel=1e-3)
    with pytest.raises(DigitcliError, match="no CUDA device 99"):
        choose_device("cuda:99")
