"""The checkpoint that another one replaces: what is kept of it, and how."""

import os
import stat
from pathlib import Path

import pytest

from digitcli.core.checkpointing.checkpoint import Checkpoint, save_checkpoint
from digitcli.core.checkpointing.replaced import find_replaced
from digitcli.core.files import atomic


@pytest.mark.skipif(os.name == "nt", reason="Windows has no modes")
@pytest.mark.parametrize("is_kept_before", [False, True])
def test_a_copy_has_the_mode_of_the_original_from_the_start(
    trained: Checkpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_kept_before: bool
) -> None:
    path, kept = tmp_path / "a.safetensors", tmp_path / "a.previous.safetensors"
    save_checkpoint(path, trained)
    path.chmod(0o600)
    if is_kept_before:
        kept.touch(0o644)
    modes, lock = [], atomic._lock

    def record(file: int) -> bool:  # the first call with a temporary file that was made
        modes.append(stat.S_IMODE(os.fstat(file).st_mode))
        return lock(file)

    monkeypatch.setattr(atomic, "_lock", record)
    replaced = find_replaced(path)
    assert replaced is not None
    replaced.keep()
    assert [*modes, stat.S_IMODE(kept.stat().st_mode)] == [0o600, 0o600]
    assert kept.read_bytes() == path.read_bytes()
