"""``digitcli import``: weights of other programs, and files that are refused."""

import io
import json
import os
import pickle
import shlex
import struct
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy
import safetensors.torch
import torch
from commands import Run
from conftest import Shared
from drawn_digits import SmallMnist, drawn_pictures, save_digit
from image_folders import fill
from measured import measured
from torch import Tensor, nn
from torch.nn import functional

from digitcli.core.checkpointing.checkpoint import load_checkpoint
from digitcli.core.errors import DigitcliError
from digitcli.core.importing import read

LESSON = (784, 512, 256, 128, 64, 10)


class Net(nn.Module):
    """A network as a script defines it, with layers l1, l2, ..."""

    def __init__(self, *sizes: int) -> None:
        super().__init__()
        for number, (inputs, outputs) in enumerate(pairwise(sizes), start=1):
            self.add_module(f"l{number}", nn.Linear(inputs, outputs))

    def forward(self, x: Tensor) -> Tensor:
        *hidden, last = self.children()
        for layer in hidden:
            x = functional.relu(layer(x))
        return last(x)


def network_input(images: np.ndarray) -> Tensor:
    return ((torch.from_numpy(images).float() / 255 - 0.1307) / 0.3081).view(-1, 784)


def train_script(*sizes: int) -> tuple[dict[str, Tensor], float]:
    """Trains as a script does that knows nothing of digitcli; returns weights and accuracy."""
    torch.manual_seed(0)
    model, criterion = Net(*sizes), nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.5)
    images, labels = drawn_pictures(600, 1)  # those of the small MNIST
    x, y = network_input(images), torch.from_numpy(labels)
    for _ in range(1):
        for batch in torch.randperm(len(x)).split(32):
            optimizer.zero_grad()
            criterion(model(x[batch]), y[batch]).backward()
            optimizer.step()
    images, labels = drawn_pictures(200, 2)
    with torch.no_grad():
        right = model(network_input(images)).argmax(dim=1) == torch.from_numpy(labels)
    return dict(model.state_dict()), right.double().mean().item()


@pytest.fixture(scope="session")
def lesson(shared: Shared) -> tuple[dict[str, Tensor], float]:
    return shared.get("lesson", lambda: train_script(*LESSON))


@pytest.fixture(scope="session")
def narrow(shared: Shared) -> tuple[dict[str, Tensor], float]:
    return shared.get("narrow", lambda: train_script(784, 40, 30, 10))


def save_npz(weights: dict[str, Tensor], path: str) -> None:
    np.savez(path, **{name: tensor.numpy() for name, tensor in weights.items()})  # type: ignore[arg-type]


Weights = dict[str, Tensor]
WAYS: dict[str, Callable[[Weights, str], object]] = {
    "mnist.pth": torch.save,
    "training.pt": lambda weights, path: torch.save(
        {"epoch": 3, "model_state_dict": weights, "optimizer": {"state": {}, "param_groups": []}},
        path,
    ),
    "parallel.pth": lambda weights, path: torch.save(
        OrderedDict((f"module.{name}", tensor) for name, tensor in weights.items()), path
    ),
    "old.pth": lambda weights, path: torch.save(
        {"model": weights}, path, _use_new_zipfile_serialization=False
    ),
    "bare.safetensors": safetensors.torch.save_file,
    "net.npz": save_npz,
}


@pytest.mark.parametrize("name", WAYS)
def test_the_lessons_network_scores_as_in_its_script(
    run: Run, small_mnist: SmallMnist, lesson: tuple[Weights, float], name: str
) -> None:
    weights, accuracy = lesson
    assert 0.2 < accuracy < 1
    WAYS[name](weights, name)
    result = run("import", name, "--output", "mine.safetensors")
    assert result.exit_code == 0, result.stderr
    assert result.stderr == (
        "digitcli: assumed mean 0.1307, std 0.3081, classes 0 to 9, data set mnist; change with "
        "--mean --std --classes --dataset\n"
    )
    first = "module.l1" if name == "parallel.pth" else "l1"
    lines = result.stdout.splitlines()
    assert lines[0] == "layer\tfound\tweight\tbias\tparameters"
    assert lines[1] == f"l1\t{first}\t512x784\t512\t401920"
    assert lines[-1].startswith("wrote mine.safetensors  (")
    assert lines[-1].endswith("; 784-512-256-128-64-10, 575,050 parameters)")
    mirror = ("--mirror", small_mnist.folder)
    value = json.loads(run("eval", "--checkpoint", "mine.safetensors", *mirror, "--json").stdout)
    assert (value["dataset"], value["count"]) == ("mnist", 200)
    assert value["accuracy"] == accuracy
    for key, tensor in load_checkpoint(Path("mine.safetensors")).weights.items():
        assert np.array_equal(tensor, weights[key].numpy())


def test_a_sequential_network_of_half_precision(run: Run) -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(784, 20), nn.ReLU(), nn.Linear(20, 10))
    torch.save(model.bfloat16().state_dict(), "net.pth")
    value = json.loads(run("import", "net.pth", "--output", "new", "--json").stdout)
    assert value == {
        "path": "net.pth",
        "format": "torch",
        "layers": [
            {"layer": "l1", "inputs": 784, "outputs": 20, "parameters": 15700, "name": "1"},
            {"layer": "l2", "inputs": 20, "outputs": 10, "parameters": 210, "name": "3"},
        ],
        "classes": list("0123456789"),
        "mean": 0.1307,
        "std": 0.3081,
        "dataset": "mnist",
        "assumed": ["mean", "std", "classes", "dataset"],
        "checkpoint": "new",
    }
    weights = load_checkpoint(Path("new")).weights
    assert np.array_equal(weights["l2.weight"], model.state_dict()["3.weight"].float().numpy())


def test_every_command_takes_other_widths(
    run: Run, small_mnist: SmallMnist, narrow: tuple[Weights, float], tmp_path: Path
) -> None:
    weights, accuracy = narrow
    torch.save(weights, "n.pth")
    assert run("import", "n.pth", "--output", "n").exit_code == 0
    save_digit(Path("7.png"), 7)
    use = ("--checkpoint", "n")
    predicted = run("predict", "7.png", *use)
    assert predicted.exit_code == 0
    assert "digitcli: using the weights n (mnist, imported)\n" in predicted.stderr
    assert run("predict", "--multi", "7.png", *use).exit_code == 0
    assert run("inspect-softmax", "7.png", *use, "--explain").exit_code == 0
    mirror = ("--mirror", small_mnist.folder)
    assert (
        run("eval", *use, *mirror, "--min-accuracy", accuracy, "--report", "r.html").exit_code == 0
    )
    for name in ("n.npz", "n.pt2", "n.onnx"):
        if name.endswith("onnx"):
            pytest.importorskip("onnx")
        assert run("export", name, *use).exit_code == 0
    assert run("info", "n").exit_code == 0
    # goes on from there, with the same classes and with others, also after an interruption
    tuned = run("train", "--from", "n", "--epochs", 1, "--output", "tuned")
    assert tuned.exit_code == 0, tuned.stderr
    assert load_checkpoint(Path("tuned")).metadata.layer_sizes == (784, 40, 30, 10)
    folder = fill(tmp_path / "letters", {"B": 8, "C": 6})
    flags = ("train", "--dataset", f"folder:{folder}", "--from", "n", "--epochs", 2)
    assert run(*flags, "--output", "bc").exit_code == 0
    assert load_checkpoint(Path("bc")).metadata.layer_sizes == (784, 40, 30, 2)
    result = run("train", "--resume", "--output", "n")
    assert result.exit_code == 2
    assert "n was imported, so there is no run to resume" in result.stderr


def test_a_single_layer_can_be_trained_further(run: Run, small_mnist: SmallMnist) -> None:
    torch.save(nn.Linear(784, 10).state_dict(), "linear.pth")
    assert run("import", "linear.pth", "--output", "linear").exit_code == 0
    flags = ("--from", "linear", "--epochs", 1, "--mirror", small_mnist.folder)
    result = run("train", *flags)
    assert result.exit_code == 0, result.stderr
    assert run("eval").exit_code == 0


def test_an_interrupted_run_keeps_the_widths(
    run: Run, small_mnist: SmallMnist, monkeypatch: pytest.MonkeyPatch
) -> None:
    from digitcli.core.training.callbacks.checkpoint_writer import CheckpointWriter

    torch.save(Net(784, 30, 10).state_dict(), "net.pth")
    run("import", "net.pth", "--output", "net")
    flags = ("train", "--from", "net", "--recipe", "lesson", "--epochs", 2)
    mirror = ("--mirror", small_mnist.folder)
    assert run(*flags, *mirror, "--output", "whole").exit_code == 0
    write = CheckpointWriter.on_epoch

    def stop(writer: CheckpointWriter, result: Any) -> None:
        write(writer, result)
        raise DigitcliError("stopped")

    with monkeypatch.context() as patch:
        patch.setattr(CheckpointWriter, "on_epoch", stop)
        assert run(*flags, "--output", "part").exit_code == 2
    resumed = run("train", "--resume", "--output", "part")
    assert resumed.exit_code == 0, resumed.stderr
    assert Path("part").read_bytes() == Path("whole").read_bytes()


def test_what_is_assumed_can_be_given(run: Run) -> None:
    torch.save(Net(784, 16, 3).state_dict(), "abc.pth")
    flags = ("import", "abc.pth", "--output", "abc")
    plain = run(*flags)
    assert "assumed mean 0.1307, std 0.3081, classes 0 to 2, data set unknown;" in plain.stderr
    result = run(*flags, "--classes", "A, B,C", "--mean", 0, "--std", 1, "--json")
    assert json.loads(result.stdout)["assumed"] == ["dataset"]
    kept = Path("abc.previous.safetensors")
    assert f"digitcli: abc will be replaced, and kept as {kept}\n" in result.stderr
    assert load_checkpoint(kept).metadata.classes == ("0", "1", "2")
    again = run(*flags, "--classes", "A, B,C", "--mean", 0, "--std", 1)
    instead = f"digitcli: abc will be replaced, and kept as {kept}, in place of the copy there\n"
    assert instead in again.stderr
    assert load_checkpoint(kept).metadata.classes == ("A", "B", "C")
    metadata = load_checkpoint(Path("abc")).metadata
    assert (metadata.classes, metadata.mean, metadata.std) == (("A", "B", "C"), 0, 1)
    assert (metadata.dataset, metadata.recipe, metadata.epochs) == ("unknown", None, 0)
    assert metadata.command == (
        "digitcli import abc.pth --output abc --classes 'A, B,C' --mean 0.0 --std 1.0"
    )
    assert run(*shlex.split(metadata.command)[1:]).exit_code == 0
    run("import", Path("abc.pth").resolve(), "--output", "elsewhere")
    assert "digitcli import abc.pth" in load_checkpoint(Path("elsewhere")).metadata.command
    unknown = run("eval", "--checkpoint", "abc")
    assert unknown.exit_code == 2
    assert (
        "abc was imported, and its data set is not known; name the data set with" in unknown.stderr
    )


@pytest.mark.parametrize("is_link", [False, True])
def test_nothing_is_replaced_that_cannot_be_kept(run: Run, is_link: bool) -> None:
    torch.save(Net(784, 10).state_dict(), "net.pth")
    Path("net").write_text("notes")
    kept = Path("net.previous.safetensors")
    reason = f"cannot write {kept}: not a regular file"
    if is_link:
        kept.symlink_to("net")
        reason = f"net cannot be kept as {kept}: both are the same file"
    else:
        kept.mkdir()
    result = run("import", "net.pth", "--output", "net")
    assert result.exit_code == 2
    assert result.stderr == f"digitcli: error: {reason}; choose another place with --output\n"
    assert Path("net").read_text() == "notes"


def test_the_data_set_can_be_named(run: Run) -> None:
    torch.save(Net(784, 10).state_dict(), "clothes.pth")
    flags = ("import", "clothes.pth", "--output", "clothes", "--dataset", "fashion-mnist")
    result = run(*flags)
    assert result.exit_code == 0
    assert result.stderr == (
        "digitcli: assumed mean 0.1307, std 0.3081; change with --mean --std\n"
    )
    metadata = load_checkpoint(Path("clothes")).metadata
    assert metadata.dataset == "fashion-mnist"
    assert metadata.classes[0] == "T-shirt/top"
    result = run("import", "clothes.pth", "--output", "optdigits", "--dataset", "optdigits")
    assert (result.exit_code, result.stderr) == (0, "")
    metadata = load_checkpoint(Path("optdigits")).metadata
    assert (metadata.mean, metadata.std) == (0.1436, 0.2849)


class Dangerous:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, ("ran",)


def zipped(**members: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def torch_bytes(value: object, **options: bool) -> bytes:
    buffer = io.BytesIO()
    torch.save(value, buffer, **options)
    return buffer.getvalue()


def npy(header: str, data: bytes = b"") -> bytes:
    text = header.encode() + b"\n"
    return b"\x93NUMPY\1\0" + struct.pack("<H", len(text)) + text + data


def safetensors_bytes(header: object, data: bytes = b"") -> bytes:
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


HUGE = "{'descr': '<f4', 'fortran_order': False, 'shape': (1000000, 1000000), }"
ONE = "{'descr': '<f4', 'fortran_order': False, 'shape': (1,), }"
OBJECTS = "{'descr': '|O', 'fortran_order': False, 'shape': (1,), }"
STRIDED = {"fc.weight": torch.zeros(1).expand(100_000, 100_000), "fc.bias": torch.zeros(10)}
GOOD = Net(784, 8, 10).state_dict()


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "net is empty"),
        (b"no weights", "net is no file of torch.save, safetensors or savez"),
        (b"\x08\x07\x12\x07pytorch" + bytes(99), "net is an ONNX model; give a file of torch.save"),
        (b"\x08\x04\x12\x10\x0a" + bytes(99), "net is no file of torch.save"),  # Core ML
        (b"\x08\x01\x12\xd0\x0f" + bytes(99), "net is no file of torch.save"),  # TensorFlow
        (b"<!DOCTYPE html>\n<html></html>", "net is an HTML page; give a file of torch.save"),
        (b"\xef\xbb\xbf<html>\n</html>", "net is an HTML page; give a file of torch.save"),
        (b"\x89HDF\r\n\x1a\n" + bytes(99), "net is an HDF5 file; give a file of torch.save"),
        (b"\x1c\0\0\0TFL3" + bytes(99), "net is a TensorFlow Lite model; give a file of"),
        (b"PK\3\4 and nothing else", "net is a damaged zip archive"),
        (b"\x80\x02 and nothing else", "net is a damaged file of torch.save"),
        (torch_bytes(GOOD)[:-30], "net is a damaged zip archive"),
        (torch_bytes(nn.Linear(784, 10)), "a pickled torch.nn.modules.linear.Linear"),
        (torch_bytes({"model": Dangerous()}), "posix.mkdir"),
        (torch_bytes(Dangerous(), _use_new_zipfile_serialization=False), "posix.mkdir"),
        (pickle.dumps(Dangerous()), "net "),
        (zipped(**{"a/data.pkl": pickle.dumps(Dangerous()), "a/version": b"3\n"}), "net "),
        (torch_bytes([torch.zeros(2)]), "net holds a list, no state dict"),
        (torch_bytes({"epoch": 1}), "net holds no state dict (found epoch)"),
        (torch_bytes({"a": GOOD, "b": GOOD}), "net holds several state dicts (a, b)"),
        (torch_bytes(STRIDED), "the tensors of net take more than 268,435,456 bytes"),
        (torch_bytes({"x": torch.eye(3).to_sparse()}), "sparse, quantized"),
        (torch_bytes(GOOD | {"c.weight": torch.zeros(1, 1, 3, 3)}), "net: c.weight is 1x1x3x3"),
        (torch_bytes(GOOD | {"l1.bias": torch.full((8,), torch.nan)}), "net holds nan or infinity"),
        (torch_bytes(Net(784, 5000, 10).state_dict()), "net has a layer of width 5000, not 1 to"),
        (torch_bytes(Net(784, 1000).state_dict()), "net has 1,000 classes, not 2 to 100"),
        (zipped(code=b"x"), "net is a zip archive that neither torch.save nor savez wrote (code)"),
        (zipped(**{"m/data.pkl": b"", "m/constants.pkl": b""}), "net is a TorchScript program"),
        (zipped(**{"a.npy": npy(HUGE)}), "net is a damaged npz file (an array ends early)"),
        (zipped(**{"a.npy": npy(OBJECTS, b"12345678")}), "an array holds Python objects"),
        (zipped(**{"a.npy": b"\x93NUMPY\1"}), "net is a damaged npz file"),
        (zipped(**{"a.npy": bytes(2**28 + 1)}), "net holds more than 268,435,456 bytes"),
        (npy(HUGE), "net holds a single array"),
        (safetensors_bytes([]), "net is a damaged safetensors file"),
        (safetensors_bytes({"a": {"dtype": "F32"}}), "net is a damaged safetensors file"),
        (
            safetensors_bytes({"a": {"dtype": "BF16", "shape": [0], "data_offsets": [0, 0]}}),
            "net holds a as BF16, not F32, F64 or F16",
        ),
    ],
)
def test_files_that_are_refused(run: Run, content: bytes, problem: str) -> None:
    Path("net").write_bytes(content)
    result = run("import", "net", "--output", "new")
    assert (result.exit_code, result.stdout) == (2, "")
    (line,) = result.stderr.splitlines()
    assert problem in line
    assert len(line) < 500
    assert [str(path) for path in Path().iterdir()] == ["net"]  # nothing was run, nothing written


@pytest.mark.parametrize(
    ("flags", "problem"),
    [
        (["missing", "--output", "new"], "cannot read missing: No such file"),
        ([".", "--output", "new"], ". is not a file"),
        (["net"], "Missing option '--output'"),
        (["net", "--output", "net"], "net is the file to import; give another --output"),
        (["net", "--output", "x.training.safetensors"], "is the name of a training state"),
        (["net", "--output", "net/new"], "cannot write net/new"),
        (["net", "--output", "new", "--classes", "a,b"], "10 outputs, and there are 2 classes"),
        (["net", "--output", "new", "--classes", "0,0,2,3,4,5,6,7,8,9"], "a duplicate"),
        (["net", "--output", "new", "--std", "0"], "the normalization in net is impossible"),
        (["net", "--output", "new", "--std", "nan"], "the normalization in net is impossible"),
        (["net", "--output", "new", "--mean", "nan"], "the normalization in net is impossible"),
        (["net", "--output", "new", "--dataset", "letters"], "there is no data set 'letters'"),
    ],
)
def test_wrong_use(run: Run, flags: list[str], problem: str) -> None:
    torch.save(GOOD, "net")
    result = run("import", *flags)
    assert (result.exit_code, result.stdout) == (2, "")
    (line,) = result.stderr.splitlines()
    assert problem in line
    assert [str(path) for path in Path().iterdir()] == ["net"]


def test_digitclis_own_files_are_refused(run: Run, checkpoint: Path) -> None:
    result = run("import", checkpoint, "--output", "new")
    assert "is a checkpoint of digitcli already" in result.stderr
    for name in ("own.npz", "own.pt2", "own.onnx", "own.html"):
        assert run("export", name).exit_code == 0
        result = run("import", name, "--output", "new")
        assert result.stderr == (
            f"digitcli: error: {name} is an export of digitcli, with the normalization in its "
            "weights; use the checkpoint that it was made from\n"
        )
        assert result.exit_code == 2
    assert not Path("new").exists()


def test_a_program_of_torch_is_named_with_a_command_that_saves_its_weights(run: Run) -> None:
    program = torch.export.export(Net(784, 8, 10), (torch.zeros(2, 784),))
    torch.export.save(program, "net.pt2")
    result = run("import", "net.pt2", "--output", "new")
    assert result.stderr == (
        "digitcli: error: net.pt2 is a program of torch.export; save its weights with "
        "torch.save(torch.export.load('net.pt2').state_dict, 'weights.pth')\n"
    )
    torch.save(torch.export.load("net.pt2").state_dict, "weights.pth")  # as it says
    assert run("import", "weights.pth", "--output", "new").exit_code == 0


@pytest.mark.parametrize("name", [name for name in WAYS if name != "training.pt"])
def test_other_commands_name_this_one(run: Run, name: str) -> None:
    WAYS[name](GOOD, name)
    save_digit(Path("7.png"), 7)
    for command in (
        ["predict", "7.png", "--checkpoint", name],
        ["inspect-softmax", "7.png", "--checkpoint", name],
        ["eval", "--checkpoint", name],
        ["export", "x.npz", "--checkpoint", name],
        ["info", name],
        ["train", "--from", name],
    ):
        result = run(*command)
        assert (result.exit_code, result.stdout) == (2, "")
        assert result.stderr.endswith(
            f"make it a checkpoint with 'digitcli import {name} --output mine.safetensors'\n"
        )


def test_a_large_file_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    with Path("large.pth").open("wb") as file:
        file.write(b"PK\3\4")
        file.truncate(10**12)  # sparse: takes no space on disk
    done = measured("import", "large.pth", "--output", "new")
    assert done.code == 2
    assert done.errors.count("\n") == 1
    assert "large.pth holds more than 268,435,456 bytes" in done.errors
    assert done.megabytes < 700
    monkeypatch.setattr(read, "_MAX_MEMBERS", 3)
    Path("many.npz").write_bytes(zipped(a=b"", b=b"", c=b"", d=b""))
    with pytest.raises(DigitcliError, match=r"many\.npz holds more than 3 files"):
        read.read_tensors(Path("many.npz"))


def test_an_archive_is_opened_once(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("net.npz").write_bytes(zipped(**{"a.npy": npy(ONE, bytes(4))}))
    opened = []

    class Watched(zipfile.ZipFile):
        def __init__(self, file: io.BytesIO) -> None:
            opened.append(file)
            super().__init__(file)

    monkeypatch.setattr(zipfile, "ZipFile", Watched)
    format_, _, tensors = read.read_tensors(Path("net.npz"))
    assert (format_, list(tensors), len(opened)) == ("npz", ["a"], 1)


def test_special_files_do_not_block(run: Run) -> None:
    os.mkfifo("pipe")
    for name in ("pipe", "/dev/zero"):
        assert f"{name} is not a file" in run("import", name, "--output", "new").stderr
