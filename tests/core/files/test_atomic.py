"""Files are replaced whole or not at all, under names that nobody can prepare."""

import os
import secrets
import stat
from pathlib import Path

import pytest

from digitcli.core.errors import DigitcliError
from digitcli.core.files.atomic import check_writable, write_atomically
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
