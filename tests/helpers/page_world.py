"""The folder that the commands on the pages run in, with all files that the pages name."""

import gzip
import json
import os
import shlex
import shutil
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path

import image_folders
import numpy as np
import sample_images
from drawn_digits import SmallMnist, md5, save_digit
from page_blocks import ANY_LINES, Block, Shown, agrees, shown
from paths import BUNDLED, HELPERS, ROOT

from digitcli.core.checkpointing.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from digitcli.data.download.manifest import DataFile

_END = "\x1e"
"""Separates the outputs of the commands of a block."""

_LABELS_START = 8
"""Bytes of the header of MNIST's files of labels."""

_AS_ON_A_TERMINAL = 'ls() { command ls -C -T 0 "$@"; }'

_STANDS_FOR = (
    ("/media/usb", "{world}/usb"),
    ("/srv/", "{world}/srv/"),
    ("/archive", "{world}/archive"),
    ("https://mirror.example/mnist", "file://{world}/srv/mnist"),
    ("/home/you", "{world}/home"),
    ("--validation 10000", "--validation 100"),
)
"""Places and sizes on the pages, and where they are here."""


class PageWorld:
    """A folder for the blocks of one page, which run in their order.

    Args:
        folder: An empty folder.
        mnist: Small data that stands in for MNIST.
        trained: A network that reads drawn digits.
    """

    def __init__(self, folder: Path, mnist: SmallMnist, trained: Checkpoint) -> None:
        self.folder = folder / "home" / "digits"
        self._world = str(folder)
        for name in ("home", "home/digits", "bin"):
            (folder / name).mkdir()
        files = _write_mnist(folder / "usb" / "mnist", mnist)
        shutil.copytree(folder / "usb" / "mnist", folder / "srv" / "mnist")
        (folder / "files.json").write_text(
            json.dumps([list(asdict(file).values()) for file in files])
        )
        _save_bundled(folder / "pretrained.safetensors", files)
        _save_program(folder / "bin" / "digitcli", folder)
        _write_images(self.folder)
        save_digit(folder / "archive" / "8.png", 8)
        _write_weights(self.folder, trained)
        self._environment = {
            **{name: value for name, value in os.environ.items() if name != "DIGITCLI_DATA_DIR"},
            "PATH": f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}",
            "HOME": str(folder / "home"),
            "XDG_CACHE_HOME": str(folder / "home" / ".cache"),
            "XDG_STATE_HOME": str(folder / "home" / ".local" / "state"),
            "DIGITCLI_MIRROR": str(folder / "usb" / "mnist"),
            "LC_ALL": "C.UTF-8",
            "LIMITS": "none",
        }

    def run(self, block: Block) -> None:
        """Runs a block of shell commands and checks what it prints."""
        if block.language == "sh":
            printed, code = self._bash(self._here(block.text), "-e")
            assert code == 0, f"{block} ends with {code}:\n{printed}"
            assert "Traceback" not in printed, f"{block}:\n{printed}"
            return
        commands = shown(block)
        script = "\n".join(map(self._script, commands))
        printed, _ = self._bash(script)
        results = printed.split(_END)
        for number, command in enumerate(commands):
            text, code = results[2 * number], int(results[2 * number + 1])
            _check(block, command, self._as_on_page(text), code)

    def _script(self, command: Shown) -> str:
        before = "export INTERRUPT=1\n" if command.interrupted else ""
        end = f"\ncode=$?\nprintf '{_END}%s{_END}' $code\nunset INTERRUPT\n(exit $code)"
        return f"{before}{self._here(command.command)}{end}"

    def _bash(self, script: str, *options: str) -> tuple[str, int]:
        done = subprocess.run(
            ["bash", *options, "-o", "pipefail", "-c", f"{_AS_ON_A_TERMINAL}\n{script}"],
            cwd=self.folder,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=600,
            check=False,
        )
        return done.stdout, done.returncode

    def _here(self, text: str) -> str:
        for name, place in _STANDS_FOR:
            text = text.replace(name, place.format(world=self._world))
        return text

    def _as_on_page(self, text: str) -> str:
        for name, place in _STANDS_FOR:
            text = text.replace(place.format(world=self._world), name)
        return text


def _check(block: Block, command: Shown, printed: str, code: int) -> None:
    said = f"{block}: $ {command.command}\n{printed}(exit code {code})"
    assert "Traceback (most recent call last)" not in printed, said
    expected = command.output.replace("^C", "")
    if expected.strip():
        assert agrees(expected, printed, varies=block.varies), said
    if expected.strip() in ("", ANY_LINES):
        assert code == 0, said


def _write_mnist(folder: Path, mnist: SmallMnist) -> list[DataFile]:
    """Copies the small data, with a hundredth of the labels wrong.

    So classes have different numbers of images, as MNIST's have, and no network is always right.
    """
    shutil.copytree(mnist.folder, folder)
    files = []
    for file in mnist.files:
        content = bytearray(gzip.decompress((folder / file.archive).read_bytes()))
        if "labels" in file.name:
            for place in range(_LABELS_START, len(content), 100):
                content[place] = (content[place] + 3) % 10
        archive = gzip.compress(content, mtime=0)
        (folder / file.archive).write_bytes(archive)
        files.append(DataFile(file.name, md5(archive), md5(bytes(content))))
    return files


def _save_bundled(path: Path, files: list[DataFile]) -> None:
    """Saves the bundled weights as if they had been scored on the small test images."""
    bundled = load_checkpoint(BUNDLED)
    checksums = {file.name: f"md5:{file.md5}" for file in files}
    metadata = replace(bundled.metadata, data_checksums=checksums)
    save_checkpoint(path, replace(bundled, metadata=metadata))


def _save_program(path: Path, world: Path) -> None:
    words = shlex.join([sys.executable, str(HELPERS / "page_cli.py"), str(world)])
    path.write_text(f'#!/bin/sh\nexec {words} "$@"\n')
    path.chmod(0o755)


def _write_images(folder: Path) -> None:
    shutil.copytree(ROOT / "tests" / "images", folder / "tests" / "images")
    for name in ("image.png", "seven.png", "digit.png", "photo.jpg"):
        sample_images.seven().save(folder / name)
    sample_images.nine().save(folder / "nine.png")
    sample_images.postcode().save(folder / "postcode.png")
    for digit in range(10):
        save_digit(folder / "scans" / f"{digit}.png", digit)
    for name in ("handwriting", "mine"):
        image_folders.fill(folder / name, {str(digit): digit for digit in range(10)}, count=12)
    (folder / "handwriting" / "Thumbs.db").write_bytes(b"")
    (folder / "handwriting" / "__MACOSX").mkdir()


def _write_weights(folder: Path, trained: Checkpoint) -> None:
    save_checkpoint(folder / "fast.safetensors", trained)
    save_checkpoint(folder / "good.safetensors", trained)
    weights = {name: np.asarray(array) for name, array in trained.weights.items()}
    np.savez(folder / "net.npz", **weights)  # type: ignore[arg-type]
    import torch  # takes seconds

    tensors = {name: torch.from_numpy(array.copy()) for name, array in weights.items()}
    for name in ("mnist.pth", "clothes.pth"):
        torch.save(tensors, folder / name)
    last = {name: tensor[:3] for name, tensor in tensors.items() if name.startswith("l5.")}
    torch.save({**tensors, **last}, folder / "abc.pth")
