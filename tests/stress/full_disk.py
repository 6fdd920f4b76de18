"""Runs digitcli on full disks, without permissions, and with folders that vanish.

``python tests/stress/full_disk.py`` (two minutes; Linux, as root or where user namespaces are
allowed): a small tmpfs is the disk that fills up, before or during the work; folders become
read-only, vanish, or are replaced by a file. Old files must stay unchanged, the error must be one
line with exit code 2, no temporary file may stay, and an interrupted run must resume from where it
was saved to the same file as an uninterrupted one. Results are JSON on standard output; the exit
code is 1 if an expectation failed.
"""

import hashlib
import json
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from small_world import SmallWorld

from digitcli.core.checkpointing.training_state import state_path

RUN = ("--epochs", "40", "--batch-size", "10", "--log-every", "30", "--seed", "3")
WITHOUT_RIGHTS = (
    "setpriv",
    "--bounding-set=-dac_override,-dac_read_search",
)
"""Prefix of a command without the capabilities by which root ignores permissions."""


class Scene:
    """The folders that the scenarios use, and the failures found."""

    def __init__(self, folder: Path) -> None:
        self.world = SmallWorld(folder / "world")
        self.disk = folder / "disk"
        self.rescue = folder / "rescue"
        self.environment = {
            **self.world.environment,
            "XDG_STATE_HOME": str(self.rescue),
            "TMPDIR": str(folder),
        }
        mirror = str(self.world.mnist.folder)
        self.call("download", "--mirror", mirror)
        done = self.call("train", *RUN, "--output", str(folder / "whole"))
        assert done.returncode == 0, done.stderr
        self.whole = (folder / "whole").read_bytes()
        self.failures: list[str] = []

    def command(self, *arguments: str) -> list[str]:
        return [*WITHOUT_RIGHTS, *self.world.command(*arguments)]

    def call(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            self.command(*arguments),
            check=False,
            capture_output=True,
            text=True,
            env=self.environment,
        )

    def train(self, output: Path, during: Callable[[], None] | None = None) -> tuple[int, str]:
        """Trains, and calls ``during`` after the first epoch is saved."""
        process = subprocess.Popen(
            self.command("train", *RUN, "--output", str(output)),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=self.environment,
        )
        assert process.stdout is not None
        if during is not None:
            while "accuracy" not in process.stdout.readline():
                pass
            during()
        _, errors = process.communicate()
        return process.returncode, errors

    def expect(self, is_met: bool, failure: str) -> None:
        if not is_met:
            self.failures.append(failure)

    def expect_error(self, name: str, code: int, errors: str, advice: str) -> None:
        """Expects exit code 2 and a one-line error that ends with the advice."""
        lines = [line for line in errors.splitlines() if line.startswith("digitcli: error: ")]
        self.expect(code == 2, f"{name}: exit code {code}: {errors}")
        self.expect(len(lines) == 1 and advice in lines[0], f"{name}: says {errors!r}")
        self.expect("Traceback" not in errors, f"{name}: {errors}")

    def expect_rescue(self, name: str, code: int, errors: str) -> None:
        """Expects that the run was saved elsewhere, and resumes from there to the same file."""
        self.expect_error(name, code, errors, "the run was saved elsewhere, continue with '")
        command = errors.rsplit("continue with '", 1)[-1].rstrip().removesuffix("'")
        words = shlex.split(command)
        if words[:1] != ["digitcli"]:
            return
        done = self.call(*words[1:])
        content = Path(words[-1]).read_bytes() if Path(words[-1]).exists() else b""
        self.expect(done.returncode == 0, f"{name}: resuming says {done.stderr!r}")
        self.expect(content == self.whole, f"{name}: the resumed run differs")


@contextmanager
def small_disk(scene: Scene, megabytes: int) -> Iterator[Path]:
    scene.disk.mkdir()
    subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(scene.disk)], check=True
    )
    try:
        yield scene.disk
    finally:
        subprocess.run(["umount", str(scene.disk)], check=True)
        scene.disk.rmdir()


def fill(disk: Path) -> None:
    """Fills a disk to the last byte."""
    with (disk / "ballast").open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(65536))
        except OSError:
            pass


def hashes(folder: Path) -> dict[str, str]:
    """Returns the SHA-256 of each file in a folder, apart from the one of ``fill``."""
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file() and path.name != "ballast"
    }


def full_before(scene: Scene) -> None:
    with small_disk(scene, 6) as disk:
        old = disk / "run"
        old.write_bytes(b"precious")
        fill(disk)
        before = hashes(disk)
        code, errors = scene.train(old)
        scene.expect_rescue("a disk full from the start", code, errors)
        scene.expect(hashes(disk) == before, f"a disk full from the start: {hashes(disk)}")


def full_during(scene: Scene) -> None:
    with small_disk(scene, 16) as disk:
        code, errors = scene.train(disk / "run", lambda: fill(disk))
        scene.expect_rescue("a disk that fills up", code, errors)
        seen = hashes(disk)
        scene.expect(
            set(seen) <= {"run", "run.training.safetensors"}, f"a disk that fills up: {seen}"
        )
        done = scene.call("eval", "--checkpoint", str(disk / "run"))
        scene.expect(done.returncode == 0, f"a disk that fills up: {done.stderr}")


def full_home(scene: Scene) -> None:
    with small_disk(scene, 16) as disk:
        elsewhere = scene.environment
        scene.environment = {**elsewhere, "XDG_STATE_HOME": str(disk)}
        name = "a disk that fills up with the user's own folder on it"
        code, errors = scene.train(disk / "run", lambda: fill(disk))
        scene.expect_rescue(name, code, errors)
        scene.environment = elsewhere
        (disk / "ballast").unlink()
        done = scene.call("train", "--resume", "--output", str(disk / "run"))
        scene.expect(done.returncode == 0, f"{name}: resuming says {done.stderr!r}")
        scene.expect((disk / "run").read_bytes() == scene.whole, f"{name}: the result differs")
        left = {path.name for path in disk.rglob("*")} - {"run", "digitcli"}
        scene.expect(not left, f"{name}: {left} is left over")


def full_download(scene: Scene) -> None:
    with small_disk(scene, 1) as disk:
        fill(disk)
        mirror = str(scene.world.mnist.folder)
        done = scene.call("download", "--mirror", mirror, "--data-dir", str(disk))
        scene.expect_error("a download to a full disk", done.returncode, done.stderr, "--data-dir")
        left = [path for path in disk.rglob("*") if path.is_file() and path.name != "ballast"]
        scene.expect(not left, f"a download to a full disk: {left} are left over")


def read_only(scene: Scene) -> None:
    folder = scene.disk
    folder.mkdir()
    (folder / "run").write_bytes(b"precious")
    folder.chmod(0o555)
    before = hashes(folder)
    for arguments in (
        ("train", *RUN, "--output", str(folder / "run")),
        ("export", str(folder / "run.npz")),
        ("download", "--data-dir", str(folder), "--mirror", str(scene.world.mnist.folder)),
        ("train", *RUN, "--output", str(folder / "new" / "run")),
    ):
        done = scene.call(*arguments)
        scene.expect_error(f"{arguments[0]} to a read-only folder", done.returncode,
                           done.stderr, "choose another")  # fmt: skip
    scene.expect(hashes(folder) == before, f"a read-only folder: {hashes(folder)}")
    folder.chmod(0o755)
    shutil.rmtree(folder)


def permissions_lost(scene: Scene) -> None:
    folder = scene.disk
    code, errors = scene.train(folder / "run", lambda: folder.chmod(0o555))
    folder.chmod(0o755)
    scene.expect_rescue("a folder that becomes read-only", code, errors)
    done = scene.call("eval", "--checkpoint", str(folder / "run"))
    scene.expect(done.returncode == 0, f"a folder that becomes read-only: {done.stderr}")
    shutil.rmtree(folder)


def vanished(scene: Scene) -> None:
    folder = scene.disk
    output = folder / "run"
    code, errors = scene.train(output, lambda: shutil.rmtree(folder))
    scene.expect(code == 0, f"a folder that vanishes: exit code {code}: {errors}")
    scene.expect(output.read_bytes() == scene.whole, "a folder that vanishes: the result differs")
    left = {path.name for path in folder.iterdir()} - {"run"}
    scene.expect(not left, f"a folder that vanishes: {left} is left over")
    shutil.rmtree(folder)


def became_a_file(scene: Scene) -> None:
    folder = scene.disk

    def replace_by_file() -> None:
        shutil.rmtree(folder)
        folder.write_bytes(b"a file")

    code, errors = scene.train(folder / "run", replace_by_file)
    scene.expect_rescue("a folder that became a file", code, errors)
    scene.expect(folder.read_bytes() == b"a file", "a folder that became a file: it was changed")
    folder.unlink()


SCENARIOS = (
    full_before,
    full_during,
    full_home,
    full_download,
    read_only,
    permissions_lost,
    vanished,
    became_a_file,
)


def main() -> int:
    if os.geteuid() != 0:  # in a new namespace, where it may mount
        os.execvp("unshare", ["unshare", "-Urm", sys.executable, *sys.argv])  # noqa: S606
    with tempfile.TemporaryDirectory() as name:
        scene = Scene(Path(name))
        assert not state_path(Path(name) / "whole").exists()
        for scenario in SCENARIOS:
            scenario(scene)
        figures = {
            "scenarios": len(SCENARIOS),
            "broken": len(scene.failures),
            "faults": scene.failures,
        }
    print(json.dumps(figures))
    return 1 if scene.failures else 0


if __name__ == "__main__":
    sys.exit(main())
