"""Files are replaced whole or not at all, under names that nobody can prepare."""

import errno
import os
import secrets
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from digitcli.core.errors import DigitcliError
from digitcli.core.files import atomic
from digitcli.core.files.atomic import check_writable, remove_durably, write_atomically
from digitcli.core.files.locks import exclusive_lock


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("name", [".a.{}.tmp", ".a.{}.probe"])
def test_a_prepared_link_is_not_followed(tmp_path: Path, name: str) -> None:
    """Names had the number of the process, which is easy to guess."""
    (tmp_path / "precious").write_text("precious")
    (tmp_path / name.format(os.getpid())).symlink_to("precious")
    check_writable(tmp_path / "a")
    write_atomically(tmp_path / "a", lambda file: file.write(b"new"))
    assert (tmp_path / "precious").read_text() == "precious"
    assert (tmp_path / "a").read_bytes() == b"new"


def test_a_link_under_the_very_name_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(secrets, "token_hex", lambda _: "0" * 16)
    (tmp_path / "precious").write_text("precious")
    (tmp_path / f".a.{'0' * 16}.tmp").symlink_to("precious")
    for act in (check_writable, lambda path: write_atomically(path, lambda _: None)):
        with pytest.raises(FileExistsError):
            act(tmp_path / "a")
    assert (tmp_path / "precious").read_text() == "precious"
    assert names_in(tmp_path) == [f".a.{'0' * 16}.tmp", "precious"]


def test_a_lock_file_that_is_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("precious")
    (tmp_path / ".a.lock").symlink_to("precious")
    with pytest.raises(DigitcliError), exclusive_lock(tmp_path / "a", "a test", wait=0):
        pass
    assert (tmp_path / "precious").read_text() == "precious"


@pytest.mark.skipif(os.name == "nt", reason="there are no such permissions")
@pytest.mark.parametrize("mode", [0o600, 0o640, 0o444, 0o666])
def test_the_permissions_of_a_replaced_file_are_kept(tmp_path: Path, mode: int) -> None:
    (tmp_path / "a").touch()
    (tmp_path / "a").chmod(mode)
    (tmp_path / "link").symlink_to("a")
    for name in ("a", "link"):
        check_writable(tmp_path / name)
        write_atomically(tmp_path / name, lambda file: file.write(b"new"))
        assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == mode


@pytest.mark.skipif(os.name == "nt", reason="there are no such permissions")
def test_a_new_file_has_the_permissions_that_the_user_asks_for(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        write_atomically(tmp_path / "a", lambda file: file.write(b"new"))
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o640


WRITE = """
import sys
from pathlib import Path
from digitcli.core.files import atomic
from digitcli.core.files.atomic import write_atomically
def write(file):
    print("open", flush=True)
    sys.stdin.read()
write_atomically(Path(sys.argv[1]), write)
"""


@pytest.mark.skipif(os.name == "nt", reason="there an open file cannot be removed")
def test_what_a_killed_process_left_is_swept_and_a_running_one_keeps_its_file(
    tmp_path: Path,
) -> None:
    path, command = tmp_path / "a", [sys.executable, "-c", WRITE, str(tmp_path / "a")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        (running,) = names_in(tmp_path)
        check_writable(path)
        assert names_in(tmp_path) == [running]
        process.kill()
    assert names_in(tmp_path) == [running]
    kept = [f".b.{'0' * 16}.tmp", ".a.tmp", ".a.123.tmp", f".a.{'0' * 16}.tmpx"]
    for name in kept:
        (tmp_path / name).touch()
    os.mkfifo(tmp_path / f".a.{'1' * 16}.tmp")
    check_writable(tmp_path / "b")
    kept.remove(f".b.{'0' * 16}.tmp")
    assert names_in(tmp_path) == sorted([*kept, running, f".a.{'1' * 16}.tmp"])
    check_writable(path)
    assert names_in(tmp_path) == sorted(kept)


def test_a_temporary_file_that_is_swept_before_it_is_locked_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock, first = atomic._lock, True

    def sweep_and_lock(file: int) -> bool:
        nonlocal first
        if first:
            first = False
            (tmp_path / names_in(tmp_path)[0]).unlink()
        return lock(file)

    monkeypatch.setattr(atomic, "_lock", sweep_and_lock)
    write_atomically(tmp_path / "a", lambda file: file.write(b"new"))
    assert (tmp_path / "a").read_bytes() == b"new"
    assert names_in(tmp_path) == ["a"]


def test_a_lock_that_fails_leaves_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr("fcntl.flock", fail)
    with (
        pytest.raises(DigitcliError, match="Input/output error"),
        exclusive_lock(tmp_path / "a", "a test", wait=0),
    ):
        pass
    assert names_in(tmp_path) == []


@pytest.mark.skipif(os.name == "nt", reason="there no folder is flushed")
def test_a_folder_that_cannot_be_flushed_has_the_new_file_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail_for_folders(file: int) -> None:
        if stat.S_ISDIR(os.fstat(file).st_mode):
            raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "fsync", fail_for_folders)
    write_atomically(tmp_path / "a", lambda file: file.write(b"new"))
    assert (tmp_path / "a").read_bytes() == b"new"
    remove_durably(tmp_path / "a")
    assert names_in(tmp_path) == []


@pytest.mark.parametrize("name", ["a" * 230, "a" * 244, "a" * 255, "ä" * 127])
def test_names_as_long_as_they_may_be(tmp_path: Path, name: str) -> None:
    """The names of temporary files and locks were longer."""
    path = tmp_path / name
    with exclusive_lock(path, "a test", wait=0):
        check_writable(path)
        write_atomically(path, lambda file: file.write(b"new"))
        assert len(names_in(tmp_path)) == 2  # and the lock
    assert names_in(tmp_path) == [name]
    leftover = atomic._temporary_path(path, "0" * 16)
    leftover.touch()
    check_writable(tmp_path / ("b" + name[1:]))
    assert leftover.exists()
    check_writable(path)
    assert names_in(tmp_path) == [name]
