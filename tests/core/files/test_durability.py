"""Power cuts: what a file system may keep of a run's system calls is never less than promised.

The calls of a run are recorded and replayed up to each one. What was not flushed by then may have
happened or not, in any combination: names until their folder is flushed, contents until their file
is.
"""

import hashlib
import itertools
import os
import stat
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from drawn_digits import drawn_data
from training_runs import run_training

from digitcli.core.checkpointing.checkpoint import load_checkpoint
from digitcli.core.checkpointing.training_state import load_state
from digitcli.core.recipes import Recipe
from digitcli.core.training.callbacks.checkpoint_writer import CheckpointWriter

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")

RECIPE = Recipe("plain", epochs=2, batch_size=60, lr=0.05, momentum=0.5)
TORN = "torn"

Call = tuple[str, Path, Any]


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[Call]:
    """Records the calls that change the names in this folder, and those that flush."""
    recorded: list[Call] = []

    def record(name: str, kind: str) -> None:
        call = getattr(os, name)

        def wrapper(path: Any, *arguments: Any, **options: Any) -> Any:
            result = call(path, *arguments, **options)
            if Path(path).is_relative_to(tmp_path):
                recorded.append((kind, Path(path), arguments[0] if name == "replace" else None))
            return result

        monkeypatch.setattr(os, name, wrapper)

    def fsync(file: int) -> None:
        path = Path(f"/proc/self/fd/{file}").readlink()
        if stat.S_ISDIR(os.fstat(file).st_mode):
            recorded.append(("flush folder", path, None))
        else:
            recorded.append(("flush", path, hashlib.sha256(path.read_bytes()).hexdigest()))

    for name, kind in (("replace", "rename"), ("unlink", "remove"), ("mkdir", "make folder")):
        record(name, kind)
    monkeypatch.setattr(os, "fsync", fsync)
    return recorded


def after_power_cut(calls: list[Call]) -> Iterator[dict[Path, str]]:
    """Yields the files, by content, that may be there after these calls."""
    flushed = {path: content for kind, path, content in calls if kind == "flush"}
    sure: list[tuple[int, str, Path, Any]] = []
    unsure: list[tuple[int, str, Path, Any]] = []
    for i, (kind, path, target) in enumerate(calls):
        if kind in ("rename", "remove", "make folder"):
            barrier = ("flush folder", path.parent, None)
            (sure if barrier in calls[i:] else unsure).append((i, kind, path, target))
    for count in range(len(unsure) + 1):
        for happened in itertools.combinations(unsure, count):
            files: dict[Path, str] = {}
            for _, kind, path, target in sorted([*sure, *happened]):
                if kind == "rename":
                    files[Path(target)] = flushed.get(path, TORN)
                elif kind == "remove":
                    files.pop(path, None)
            made = {path for _, kind, path, _ in [*sure, *happened] if kind == "make folder"}
            lost = {path for _, kind, path, _ in unsure if kind == "make folder"} - made
            yield {path: content for path, content in files.items() if not lost & set(path.parents)}


def test_a_power_cut_at_any_call_of_a_run(calls: list[Call], tmp_path: Path) -> None:
    data = replace(drawn_data(), checksums={"a": "md5:b"})
    writer = CheckpointWriter(tmp_path / "new" / "folder" / "run")
    epochs: list[int] = []  # number of calls after each epoch

    class Marker(CheckpointWriter):
        def on_epoch(self, result: Any) -> None:
            super().on_epoch(result)
            epochs.append(len(calls))

    with writer.locked():
        run_training(data, RECIPE, callbacks=[Marker(writer.output)])
    whole = {content for kind, _, content in calls if kind == "flush"}
    assert len(epochs) == 2
    for end in range(len(calls) + 1):
        for files in after_power_cut(calls[:end]):
            assert set(files.values()) <= whole
            if end >= epochs[0]:
                assert writer.output in files
                assert writer.state in files or end > epochs[0]
            if end >= epochs[1]:
                assert writer.state not in files, "a finished run would not start again"
    assert load_checkpoint(writer.output).metadata.epochs == 2


def test_a_power_cut_brings_back_no_state_of_another_run(calls: list[Call], tmp_path: Path) -> None:
    data = replace(drawn_data(), checksums={"a": "md5:b"})
    writer = CheckpointWriter(tmp_path / "run")
    run_training(data, replace(RECIPE, epochs=1), callbacks=[writer])
    state_of_other = writer.state
    state_of_other.write_bytes(b"another")
    calls.clear()
    run_training(data, RECIPE, callbacks=[writer])
    first_write = next(i for i, (kind, *_) in enumerate(calls) if kind == "flush")
    assert ("remove", state_of_other, None) in calls[:first_write]
    assert ("flush folder", tmp_path, None) in calls[:first_write]
    assert not state_of_other.exists()
    with pytest.raises(Exception, match="no training state"):
        load_state(state_of_other)
