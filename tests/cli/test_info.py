"""``digitcli info``: what a checkpoint records about itself."""

import json
import shlex
from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch
from commands import Run
from torch import nn

from digitcli.core.checkpointing.checkpoint import Checkpoint, save_checkpoint
from digitcli.core.checkpointing.locate import LATEST, find_bundled
from digitcli.text import percent

LAYERS = """\
layer	weight	bias	parameters
l1	512x784	512	401920
l2	256x512	256	131328
l3	128x256	128	32896
l4	64x128	64	8256
l5	10x64	10	650
"""


@pytest.mark.usefixtures("checkpoint")
def test_a_trained_checkpoint(run: Run, trained: Checkpoint) -> None:
    result = run("info")
    assert (result.exit_code, result.stderr) == (0, "")
    facts, layers = result.stdout.split("\n\n")
    assert layers == LAYERS
    values = dict(line.split("\t") for line in facts.splitlines())
    metadata, last = trained.metadata, trained.metadata.accuracies[-1]
    versions = ", ".join(f"{name} {number}" for name, number in sorted(metadata.versions.items()))
    assert values == {
        "checkpoint": str(LATEST),
        "network": "784-512-256-128-64-10, 575,050 parameters",
        "classes": "0, 1, 2, 3, 4, 5, 6, 7, 8, 9",
        "normalization": "mean 0.1307, std 0.3081",
        "temperature": "1",
        "dataset": "mnist",
        "recipe": "test  (batches of 32, sgd, learning rate 0.05, momentum 0.5, constant)",
        "epochs": "15 of 15",
        "seed": "0",
        "device": "cpu",
        "training loss": f"{last.loss:.4f}",
        "test accuracy": percent(last.accuracy),
        "versions": versions,
        "command": "",
    }


def test_json_has_everything(run: Run, trained: Checkpoint, checkpoint: Path) -> None:
    value = json.loads(run("info", checkpoint, "--json").stdout)
    assert value.pop("checkpoint") == str(checkpoint)
    assert value.pop("layers")[4] == {"layer": "l5", "inputs": 64, "outputs": 10, "parameters": 650}
    assert value == json.loads(json.dumps(asdict(trained.metadata)))


@pytest.mark.parametrize("name", ["fast.safetensors", "a b"])
def test_the_command_writes_the_checkpoint_where_it_is(
    run: Run, trained: Checkpoint, name: str
) -> None:
    command = "digitcli train --recipe lesson --seed 0"
    checkpoint = replace(trained, metadata=replace(trained.metadata, command=command))
    for path in (Path(name), LATEST):
        save_checkpoint(path, checkpoint)
    expected = f"{command} --output {shlex.quote(name)}"
    assert json.loads(run("info", name, "--json").stdout)["command"] == expected
    assert f"command\t{expected}\n" in run("info", name).stdout
    for path in (LATEST, LATEST.absolute()):
        assert f"command\t{command}\n" in run("info", path).stdout
    assert "--output" not in json.loads(run("info", "pretrained", "--json").stdout)["command"]


def test_imported_weights_have_no_training(run: Run) -> None:
    torch.save(nn.Linear(784, 30).state_dict(), "net.pth")
    run("import", "net.pth", "--output", "net", "--mean", "0.5")
    text = run("info", "net").stdout
    for line in (
        "network\t784-30, 23,550 parameters",
        "classes\t" + ", ".join(map(str, range(20))) + " and 10 more",
        "normalization\tmean 0.5, std 0.3081",
        "dataset\tunknown",
        "recipe\tnone: imported weights",
        "command\tdigitcli import net.pth --output net --mean 0.5",
    ):
        assert f"{line}\n" in text
    assert "checksum\timported file sha256:" in text
    assert "epochs" not in text
    trained = json.loads(run("info", "pretrained", "--json").stdout)
    imported = json.loads(run("info", "net", "--json").stdout)
    assert imported.keys() == trained.keys()
    assert imported["recipe"] is None


def test_which_checkpoint(run: Run, checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def shown() -> str:
        value: str = json.loads(run("info", "--json").stdout)["checkpoint"]
        return value

    assert shown() == str(LATEST)
    monkeypatch.setenv("DIGITCLI_CHECKPOINT", "pretrained")
    assert shown() == str(find_bundled())
    result = run("info", "missing")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "there is no checkpoint at missing" in result.stderr
    checkpoint.write_bytes(b"")
    assert "is empty" in run("info", checkpoint).stderr
