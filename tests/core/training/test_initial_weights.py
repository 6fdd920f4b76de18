"""``train --from``: what a network knows is where it goes on from."""

import hashlib
import json
import shlex
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from commands import Launch, Run, kill_after
from drawn_digits import SmallMnist, drawn_data
from image_folders import draw_shapes, fill
from training_runs import CPU, run_training

from digitcli.cli.train.settings import new_settings
from digitcli.core.checkpointing.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from digitcli.core.checkpointing.locate import LATEST, find_bundled
from digitcli.core.checkpointing.metadata import layer_sizes
from digitcli.core.checkpointing.training_state import Settings
from digitcli.core.errors import DigitcliError
from digitcli.core.model import (
    MLP,
    compute_logits,
    extract_weights,
    load_mlp,
    normalize,
    update_batch_norm,
)
from digitcli.core.recipes import BEST, FINETUNE, TRANSFER, Recipe
from digitcli.core.training.data import TrainingData
from digitcli.core.training.initial_weights import InitialWeights, copy_weights
from digitcli.data.datasets.registry import find_dataset


@pytest.fixture
def start(trained: Checkpoint) -> InitialWeights:
    return InitialWeights(trained, "sha256:of a file", "trained")


def data_of(classes: str = "0123456789", mean: float = 0.1307, std: float = 0.3081) -> TrainingData:
    return replace(drawn_data(60, seed=7), classes=tuple(classes), mean=mean, std=std)


def scores(model: MLP, data: TrainingData) -> torch.Tensor:
    """The plain network's, batch normalization folded away."""
    x = normalize(data.train_images, data.mean, data.std, CPU)
    return compute_logits(load_mlp(extract_weights(model), CPU), x)


@pytest.mark.parametrize("batch_norm", [None, torch.nn.BatchNorm1d])
@pytest.mark.parametrize(("mean", "std"), [(0.1307, 0.3081), (0.3, 0.2)])
def test_a_start_answers_as_its_checkpoint_does(
    start: InitialWeights, batch_norm: type[torch.nn.BatchNorm1d] | None, mean: float, std: float
) -> None:
    data = data_of(mean=mean, std=std)
    model = MLP((784, 512, 256, 128, 64, 10), batch_norm=batch_norm)
    copy_weights(model, start, data)
    update_batch_norm(model, normalize(data.train_images, mean, std, CPU), neutral=True)
    known = start.checkpoint.metadata
    x = normalize(data.train_images, known.mean, known.std, CPU)
    expected = compute_logits(load_mlp(start.checkpoint.weights, CPU), x)
    torch.testing.assert_close(scores(model, data), expected, rtol=0, atol=1e-4)
    if batch_norm is None and mean == known.mean:
        for name, weight in extract_weights(model).items():
            assert np.array_equal(weight, start.checkpoint.weights[name])


def test_normalized_layers_begin_with_what_their_pictures_have(start: InitialWeights) -> None:
    data = data_of()
    model = MLP((784, 512, 256, 128, 64, 10), batch_norm=torch.nn.BatchNorm1d)
    copy_weights(model, start, data)
    x = normalize(data.train_images, data.mean, data.std, CPU)
    update_batch_norm(model, x, neutral=True)
    before = scores(model, data)
    torch.testing.assert_close(model(x), before, rtol=0, atol=1e-3)  # in training, over the batch


def test_other_classes_have_two_new_layers(start: InitialWeights) -> None:
    data = data_of(classes="abcdefghij")
    assert start.classes_with(data.classes) == data.classes
    torch.manual_seed(3)
    fresh = MLP((784, 512, 256, 128, 64, 10))
    torch.manual_seed(3)
    model = MLP((784, 512, 256, 128, 64, 10))
    copy_weights(model, start, data)
    weights = extract_weights(model)
    for new in ("l4.weight", "l5.weight"):
        assert np.array_equal(weights[new], extract_weights(fresh)[new])
    assert np.array_equal(weights["l3.weight"], start.checkpoint.weights["l3.weight"])


@pytest.mark.parametrize(("hidden", "copied"), [((), 0), ((32,), 1), ((32, 16), 1)])
def test_a_small_network_for_other_classes_keeps_its_first_layer(
    hidden: tuple[int, ...], copied: int
) -> None:
    sizes = (784, *hidden, 10)
    weights = extract_weights(MLP(sizes))
    metadata = replace(load_checkpoint(find_bundled()).metadata, layer_sizes=sizes)
    start = InitialWeights(Checkpoint(weights, metadata), "sha256:", "small")
    model = MLP(sizes)
    copy_weights(model, start, data_of(classes="abcdefghij"))
    kept = [np.array_equal(extract_weights(model)[name], weights[name]) for name in weights]
    assert kept == [number < 2 * copied for number in range(len(kept))]


def test_shapes_are_learned_from_the_bundled_weights(tmp_path: Path, run: Run) -> None:
    """Their last hidden layer alone says nothing of shapes: it was trained to be silent on them."""
    draw_shapes(tmp_path / "ten", 10, seed=0)
    draw_shapes(tmp_path / "others", 20, seed=1)
    flags = ("--dataset", "folder:ten", "--from", "pretrained", "--output", "shapes")
    assert "the last two layers are new" in run("train", *flags).stderr
    scored = run("eval", "--checkpoint", "shapes", "--dataset", "folder:others", "--json")
    assert json.loads(scored.stdout)["accuracy"] > 0.95


def test_frozen_layers_stay_bit_for_bit_and_the_others_learn(start: InitialWeights) -> None:
    recipe = Recipe("r", epochs=2, batch_size=20, lr=0.01, momentum=0.5, frozen=2)
    checkpoint = run_training(data_of(), recipe, initial=start).checkpoint
    for name, weight in checkpoint.weights.items():
        same = np.array_equal(weight, start.checkpoint.weights[name])
        assert same is (name[:2] in ("l1", "l2")), name
    assert checkpoint.metadata.data_checksums == {"from": "sha256:of a file"}


def test_what_cannot_be(start: InitialWeights) -> None:
    with pytest.raises(DigitcliError, match="finetune needs trained weights; give some"):
        run_training(data_of(), FINETUNE)
    for change in ({"frozen": 5}, {"frozen": -1}, {"frozen": 1, "batch_norm": True}):
        with pytest.raises(DigitcliError, match="frozen"):
            replace(FINETUNE, **change)  # type: ignore[arg-type]
    assert Settings("a", start.classes, "sha256:", None, FINETUNE, 0, 1)


def test_a_folder_of_some_digits_keeps_all_ten(run: Run, checkpoint: Path, tmp_path: Path) -> None:
    root = fill(tmp_path / "mine", {"3": 3, "5": 5})
    base = tmp_path / "base"
    checkpoint.rename(base)
    flags = ("--dataset", f"folder:{root}", "--from", base)
    result = run("train", *flags)
    assert result.exit_code == 0, result.stderr
    assert "new" not in result.stderr
    metadata = load_checkpoint(LATEST).metadata
    assert metadata.classes == tuple("0123456789")
    assert metadata.recipe == FINETUNE
    digest = hashlib.sha256(base.read_bytes()).hexdigest()
    assert metadata.data_checksums["from"] == f"sha256:{digest}"
    value = json.loads(run("eval", "--json").stdout)
    assert value["accuracy"] > 0.9
    assert [score["support"] > 0 for score in value["per_class"]] == [
        name in "35" for name in "0123456789"
    ]
    assert metadata.command == (
        "digitcli train --recipe finetune --dataset folder:mine --from base --seed 0"
    )
    before = LATEST.read_bytes()
    assert run(*shlex.split(metadata.command)[1:]).exit_code == 0
    assert LATEST.read_bytes() == before


def test_a_folder_of_other_things_says_so(run: Run, checkpoint: Path, tmp_path: Path) -> None:
    root = fill(tmp_path / "mine", {"B": 8, "C": 6})
    flags = ("--dataset", f"folder:{root}", "--from", checkpoint, "--output", "new")
    result = run("train", *flags)
    assert result.exit_code == 0, result.stderr
    note = f"digitcli: {checkpoint} has other classes, the last two layers are new\n"
    assert result.stderr.startswith(note)
    metadata = load_checkpoint(Path("new")).metadata
    assert (metadata.classes, metadata.recipe) == (("B", "C"), TRANSFER)
    assert metadata.accuracies[-1].accuracy > 0.9


def test_digitclis_own_weights_are_called_pretrained(run: Run, tmp_path: Path) -> None:
    root = fill(tmp_path / "mine", {"3": 3, "5": 5})
    flags = ("--dataset", f"folder:{root}", "--from", "pretrained", "--epochs", 1)
    assert run("train", *flags).exit_code == 0
    metadata = load_checkpoint(LATEST).metadata
    digest = hashlib.sha256(find_bundled().read_bytes()).hexdigest()
    assert metadata.data_checksums["from"] == f"sha256:{digest}"
    assert "--from pretrained" in metadata.command


def test_recipes_with_batch_normalization_start_too(
    run: Run, checkpoint: Path, small_mnist: SmallMnist
) -> None:
    before = json.loads(run("eval", "--mirror", small_mnist.folder, "--json").stdout)["accuracy"]
    flags = ("--recipe", "best", "--epochs", 1, "--batch-size", 50)
    assert run("train", *flags, "--from", checkpoint, "--output", "new").exit_code == 0
    metadata = load_checkpoint(Path("new")).metadata
    assert metadata.recipe
    assert metadata.recipe.batch_norm
    assert metadata.recipe.outliers == BEST.outliers
    assert metadata.accuracies[-1].accuracy > before - 0.25


def test_batch_normalization_begins_such_that_it_changes_nothing(start: InitialWeights) -> None:
    data = data_of()
    still = Recipe("r", epochs=1, batch_size=50, lr=1e-9, momentum=0.5, batch_norm=True)
    checkpoint = run_training(data, still, initial=start).checkpoint
    for name, weight in start.checkpoint.weights.items():
        np.testing.assert_allclose(checkpoint.weights[name], weight, rtol=0, atol=1e-4)


@pytest.mark.parametrize(
    ("known", "digits"), [("0123456789", True), ("0123456789A", False), ("A", True)]
)
def test_images_are_added_for_the_ten_digits_alone(
    trained: Checkpoint, known: str, digits: bool
) -> None:
    metadata = replace(trained.metadata, classes=tuple(known), layer_sizes=layer_sizes(len(known)))
    start = InitialWeights(Checkpoint(trained.weights, metadata), "sha256:", "known")
    given = {"dataset": "optdigits", "recipe": "best"}
    recipe = new_settings(given, find_dataset("optdigits"), start).recipe
    expected = (BEST.outliers, BEST.synthetic) if digits else (0, 0)
    assert (recipe.outliers, recipe.synthetic) == expected


@pytest.mark.parametrize(
    ("flags", "problem"),
    [
        (["--from", "nowhere"], "there is no checkpoint at nowhere; name another with --from"),
        (["--from", "bad"], "bad is not a safetensors file"),
        (["--from", ""], "name a file"),
        (["--recipe", "finetune"], "needs trained weights; give some, for example --from"),
    ],
)
def test_what_cannot_be_started_from(run: Run, flags: list[str], problem: str) -> None:
    Path("bad").write_bytes(b"no tensors")
    result = run("train", "--dataset", "optdigits", *flags)
    assert result.exit_code == 2
    assert problem in result.stderr
    assert not LATEST.exists()


def test_a_run_does_not_replace_what_it_starts_from(run: Run, checkpoint: Path) -> None:
    before = checkpoint.read_bytes()
    Path("link").symlink_to(checkpoint)
    flags = ("train", "--dataset", "optdigits", "--epochs", 1)
    for names in (("--from", checkpoint), ("--from", "link"), ("--from", "link", "--resume")):
        result = run(*flags, *names, "--output", checkpoint)
        assert result.exit_code == 2
        assert result.stderr == (
            f"digitcli: error: the run would start from {names[1]} and replace it; name another "
            "file with --output\n"
        )
    assert checkpoint.read_bytes() == before


def test_a_link_to_itself_gives_way_to_the_weights(run: Run, small_mnist: SmallMnist) -> None:
    Path("loop").symlink_to("loop")
    flags = ("train", "--mirror", small_mnist.folder, "--epochs", 1, "--output", "loop")
    result = run(*flags, "--from", "pretrained")
    assert result.exit_code == 0, result.stderr
    assert load_checkpoint(Path("loop")).metadata.epochs == 1


def test_an_interrupted_run_goes_on_without_its_start_and_refuses_another(
    run: Run, launch: Launch, checkpoint: Path, small_mnist: SmallMnist
) -> None:
    checkpoint.rename("start")
    flags = ("--recipe", "quick", "--lr", "0.001", "--epochs", 3, "--batch-size", 50)
    whole = ("--from", "start", "--mirror", small_mnist.folder, "--output", "whole", "--seed", 4)
    assert run("train", *flags, *whole).exit_code == 0
    process = launch("train", *flags, "--from", "start", "--seed", 4, "--save-every", 2)
    kill_after(process, 1)
    other = replace(load_checkpoint(Path("start")).metadata, seed=77)
    save_checkpoint(Path("other"), Checkpoint(load_checkpoint(Path("start")).weights, other))
    result = run("train", "--resume", "--from", "other")
    assert result.exit_code == 2
    assert "other settings (--from sha256:" in result.stderr
    Path("start").unlink()
    assert run("train", "--resume").exit_code == 0
    assert LATEST.read_bytes() == Path("whole").read_bytes()
    result = run("train", "--resume", "--from", "other")
    assert "other settings (--from sha256:" in result.stderr  # nor is it called complete
    assert run("train", "--resume").stderr.endswith("is complete, nothing is left to do\n")
