"""``digitcli export``: other programs read the files, and invalid files are not written."""

import io
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import paths
import pytest
from commands import Run, Start, weights_note
from drawn_digits import drawn_pictures

from digitcli import __version__
from digitcli.core.checkpointing.checkpoint import Checkpoint, save_checkpoint
from digitcli.core.checkpointing.metadata import layer_sizes
from digitcli.core.export import npz, verify, write
from digitcli.core.export.formats import FORMATS
from digitcli.core.inference import probabilities
from digitcli.report import draw

Read = Callable[[Path], tuple[Callable[[npt.NDArray[np.uint8]], npt.NDArray[Any]], dict[str, str]]]
PAGE = paths.ROOT / "digitcli" / "core" / "export" / "README.md"

pytestmark = pytest.mark.usefixtures("checkpoint")


def read_onnx(path: Path) -> Any:
    onnxruntime = pytest.importorskip("onnxruntime")
    session = onnxruntime.InferenceSession(path)
    notes = session.get_modelmeta().custom_metadata_map
    return lambda pictures: session.run(None, {"pictures": pictures})[0], notes


def read_pt2(path: Path) -> Any:
    import torch

    notes = dict.fromkeys(("classes", "temperature", "digitcli", "command", "accuracy"), "")
    module = torch.export.load(path, extra_files=notes).module()
    return lambda pictures: module(torch.from_numpy(pictures)).detach().numpy(), notes


def read_npz(path: Path) -> Any:
    net = np.load(path)
    notes = {"classes": json.dumps(net["classes"].tolist()), **json.loads(net["notes"].item())}
    return npz.unpack(path.read_bytes()), notes


def read_html(path: Path) -> Any:
    content = path.read_bytes()
    notes = json.loads(draw.element(content, "settings"))["notes"]
    return draw.unpack(content), notes


READERS: dict[str, Read] = {
    "onnx": read_onnx,
    "pt2": read_pt2,
    "npz": read_npz,
    "html": read_html,
}


@pytest.fixture(params=FORMATS)
def name(request: pytest.FixtureRequest) -> str:
    if request.param == "onnx":
        pytest.importorskip("onnx")
        pytest.importorskip("onnxruntime")
    return str(request.param)


@pytest.fixture(scope="module")
def pictures() -> npt.NDArray[np.uint8]:
    digits, _ = drawn_pictures(60, 5)
    noise = np.random.default_rng(1).integers(0, 256, (940, 28, 28), dtype=np.uint8)
    return np.concatenate([digits, noise])


@pytest.mark.parametrize("temperature", [0.3, 1.0, 1.7, 4.0])
def test_the_printed_difference_is_not_below_the_measured_one(
    run: Run, trained: Checkpoint, temperature: float
) -> None:
    network = replace(trained, metadata=replace(trained.metadata, temperature=temperature))
    save_checkpoint(Path("checkpoints/latest.safetensors"), network)
    within = re.search(r"within (\S+) of", run("export", "digits.npz").stdout)
    measured = json.loads(run("export", "digits.npz", "--json").stdout)["difference"]
    assert within is not None
    assert measured <= float(within[1]) < 2 * measured + 1e-12


def test_other_programs_read_the_files(
    run: Run, trained: Checkpoint, pictures: npt.NDArray[np.uint8], name: str
) -> None:
    metadata = replace(trained.metadata, temperature=1.7, command="digitcli train")
    network = replace(trained, metadata=metadata)
    save_checkpoint(Path("checkpoints/latest.safetensors"), network)
    result = run("export", f"digits.{name}")
    assert result.exit_code == 0, result.stderr
    assert result.stderr == weights_note(network)
    size = Path(f"digits.{name}").stat().st_size
    assert re.fullmatch(
        rf"wrote digits\.{name}  \({name}, {size:,} bytes; "
        r"within \de-\d\d of digitcli on 1,000 images\)\n",
        result.stdout,
    )
    answer, notes = READERS[name](Path(f"digits.{name}"))
    for count in (1, 7, 1000):
        found = answer(pictures[:count])
        assert found.dtype == np.float32
        assert found.shape == (count, 10)
        assert np.abs(found - probabilities(network, pictures[:count])).max() < 1e-5
    assert json.loads(notes["classes"]) == list("0123456789")
    assert notes["temperature"] == "1.7"
    assert notes["digitcli"] == __version__
    assert notes["command"] == "digitcli train"
    assert float(notes["accuracy"]) == metadata.accuracies[-1].accuracy


def test_json(run: Run) -> None:
    value = json.loads(run("export", "digits.npz", "--json").stdout)
    assert list(value) == [
        "path", "format", "bytes", "checked", "difference", "notes", "checkpoint",
    ]  # fmt: skip
    assert (value["path"], value["format"], value["checked"]) == ("digits.npz", "npz", 1000)
    assert value["bytes"] == Path("digits.npz").stat().st_size
    assert 0 < value["difference"] < 1e-5
    assert value["checkpoint"] == "checkpoints/latest.safetensors"
    notes = value["notes"]
    assert notes["classes"] == list("0123456789")
    assert "uint8 (batch, 28, 28)" in notes["input"]
    assert "float32 (batch, 10)" in notes["output"]
    assert "less 0.1307, divided by 0.3081" in notes["preprocessing"]
    assert (notes["dataset"], notes["scored_on"]) == ("mnist", "test")


def test_other_classes(run: Run, trained: Checkpoint, name: str) -> None:
    classes = ("größer", "kleiner", "=")
    rng = np.random.default_rng(0)
    weights = {
        **trained.weights,
        "l5.weight": rng.normal(size=(3, 64)).astype(np.float32),
        "l5.bias": rng.normal(size=3).astype(np.float32),
    }
    metadata = replace(
        trained.metadata, classes=classes, layer_sizes=layer_sizes(3), accuracies=(), mean=0.9
    )
    save_checkpoint(Path("three"), Checkpoint(weights, metadata))
    assert run("export", f"x.{name}", "--checkpoint", "three").exit_code == 0
    answer, notes = READERS[name](Path(f"x.{name}"))
    assert json.loads(notes["classes"]) == list(classes)
    assert answer(np.zeros((2, 28, 28), np.uint8)).shape == (2, 3)


def test_onnx_is_valid_and_runs_on_old_runtimes(run: Run) -> None:
    onnx = pytest.importorskip("onnx")
    assert run("export", "digits.onnx").exit_code == 0
    model = onnx.load("digits.onnx")
    onnx.checker.check_model(model, full_check=True)
    assert [(o.domain, o.version) for o in model.opset_import] == [("", 13)]
    assert model.ir_version == 7
    assert len(model.graph.node) == 12
    (into,), (out,) = model.graph.input, model.graph.output
    assert into.type.tensor_type.elem_type == onnx.TensorProto.UINT8
    assert out.type.tensor_type.elem_type == onnx.TensorProto.FLOAT
    assert [d.dim_param or d.dim_value for d in into.type.tensor_type.shape.dim] == [
        "batch", 28, 28,
    ]  # fmt: skip


def test_the_same_checkpoint_gives_the_same_file(run: Run) -> None:
    pytest.importorskip("onnx")
    for name in ("onnx", "npz", "html"):
        for number in (1, 2):
            run("export", f"{number}.{name}")
        assert Path(f"1.{name}").read_bytes() == Path(f"2.{name}").read_bytes()


def test_the_format_is_chosen_by_name_or_option(run: Run) -> None:
    for arguments in (["x.NPZ"], ["--format", "npz", "weights.bin"], ["y.npz", "--format", "npz"]):
        result = run("export", *arguments)
        assert result.exit_code == 0, result.stderr
        assert "(npz, " in result.stdout
    assert np.load("weights.bin")["l5.bias"].shape == (10,)


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ([], "Missing argument 'OUT'"),
        (
            ["digits"],
            "the name digits does not end in a format; give --format onnx, pt2, npz or html",
        ),
        (["digits.pth"], "the name digits.pth does not end in a format"),
        (
            ["x.npz", "--format", "onnx"],
            "--format onnx and the name x.npz contradict each other",
        ),
        (
            ["x.onnx", "--format", "tflite"],
            "there is no format 'tflite'; choose onnx, pt2, npz or html",
        ),
        (["folder/"], "name a file"),
        (["x.npz", "--checkpoint", "missing"], "there is no checkpoint at missing"),
        (
            ["--format", "npz", "checkpoints/../checkpoints/latest.safetensors"],
            "is the checkpoint itself",
        ),
    ],
)
def test_wrong_use(run: Run, checkpoint: Path, arguments: list[str], problem: str) -> None:
    before = checkpoint.read_bytes()
    result = run("export", *arguments)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert problem in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert checkpoint.read_bytes() == before


def test_places_that_cannot_be_written(run: Run) -> None:
    Path("file").touch()
    Path("folder.npz").mkdir()
    for place, why in (
        ("file/x.npz", "Not a directory|File exists"),
        ("folder.npz", "regular file"),
    ):
        result = run("export", place)
        assert result.exit_code == 2
        assert re.search(rf"cannot write {place}: .*({why})", result.stderr)
        assert result.stdout == ""


def test_an_old_file_is_replaced_with_a_note(run: Run) -> None:
    Path("x.npz").write_text("old")
    result = run("export", "x.npz")
    assert result.stderr.splitlines()[1:] == ["digitcli: x.npz will be replaced"]
    assert np.load("x.npz")["l1.weight"].shape == (512, 784)
    assert sorted(path.name for path in Path().iterdir()) == ["checkpoints", "x.npz"]


def test_a_file_with_other_probabilities_is_not_written(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(write, "fold", lambda checkpoint: checkpoint.weights)
    Path("x.npz").write_text("old")
    result = run("export", "x.npz")
    assert (result.exit_code, result.stdout) == (1, "")
    assert re.search(r"x\.npz is not written: .* are off by \d\.\de", result.stderr)
    assert Path("x.npz").read_text() == "old"
    assert sorted(path.name for path in Path().iterdir()) == ["checkpoints", "x.npz"]


@pytest.mark.parametrize("package", ["onnx", "onnxruntime"])
def test_without_the_extra(package: str) -> None:
    pytest.importorskip("onnx")
    program = (
        f"import sys; sys.modules[{package!r}] = None; "
        "from digitcli.__main__ import main; sys.argv[0] = 'digitcli'; main()"
    )
    command = [sys.executable, "-c", program, "export", "x.onnx"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines()[-1] == (
        "digitcli: error: ONNX files need onnx and onnxruntime, which cannot be imported: import "
        f"of {package} halted; None in sys.modules; run pip install 'digitcli[onnx]'"
    )
    assert not Path("x.onnx").exists()


def test_the_verification_finds_every_kind_of_difference(trained: Checkpoint) -> None:
    def correct(pictures: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        return probabilities(trained, pictures).astype(np.float32)

    def flawed(pictures: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        found = correct(pictures)
        found[-1, 3] += np.float32(0.25)
        return found

    assert verify.max_difference(correct, trained) < 1e-5
    assert verify.max_difference(flawed, trained) == pytest.approx(0.25, abs=1e-4)
    wrong_ones: list[Callable[[npt.NDArray[np.uint8]], Any]] = [
        lambda pictures: correct(pictures)[:, :9],
        lambda pictures: correct(pictures[:1]),
        lambda pictures: correct(pictures).astype(np.float64),
        lambda pictures: correct(pictures) * np.float32(np.nan),
    ]
    for wrong in wrong_ones:
        assert verify.max_difference(wrong, trained) == np.inf


def test_the_verification_uses_varied_images(trained: Checkpoint) -> None:
    pictures = verify.make_test_images()
    assert pictures.shape == (1000, 28, 28)
    assert np.array_equal(pictures, verify.make_test_images())
    assert (pictures[0] == 0).all()
    assert (pictures[1] == 255).all()
    assert len(np.unique(pictures.reshape(1000, -1), axis=0)) == 1000
    answers = probabilities(trained, pictures)
    assert len(set(answers.argmax(axis=1))) >= 5
    assert min(np.sum(answers.max(axis=1) > 0.9), np.sum(answers.max(axis=1) < 0.6)) >= 50


def test_npz_needs_no_pickle(run: Run) -> None:
    assert run("export", "digits.npz").exit_code == 0
    with np.load(io.BytesIO(Path("digits.npz").read_bytes()), allow_pickle=False) as net:
        assert sorted(net.files) == sorted(
            [f"l{n}.{part}" for n in range(1, 6) for part in ("weight", "bias")]
            + ["classes", "notes"]
        )
        assert {net[key].dtype for key in net.files if key.startswith("l")} == {np.dtype("f4")}


def test_a_torch_program_leaves_no_cache(start: Start, checkpoint: Path, tmp_path: Path) -> None:
    folder = tmp_path / "temporary"
    folder.mkdir()
    flags = ("--checkpoint", checkpoint)
    done = start("export", "x.pt2", *flags, env={**os.environ, "TMPDIR": str(folder)})
    assert done.returncode == 0, done.stderr
    assert list(folder.iterdir()) == []
