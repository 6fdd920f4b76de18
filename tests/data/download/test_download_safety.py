"""Downloads with hostile mirrors, concurrent or killed processes, links, and full disks."""

import contextlib
import os
import resource
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from commands import Run, Start
from downloads import is_whole, raw
from drawn_digits import SmallMnist
from faulty_server import CERTIFICATE, FaultyServer, dripping_handshake, serve

from digitcli.data.download import downloader, fetch

pytestmark = pytest.mark.usefixtures("impatient")

Begin = Callable[..., "contextlib.AbstractContextManager[subprocess.Popen[str]]"]


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetch, "CONNECT_TIMEOUT", 0.5)
    monkeypatch.setattr(fetch, "RESPONSE_TIMEOUT", 1.0)
    monkeypatch.setattr(fetch, "READ_TIMEOUT", 0.5)
    monkeypatch.setattr(fetch, "TOTAL_TIMEOUT", 3.0)


@pytest.fixture
def tls_server(small_mnist: SmallMnist, monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultyServer]:
    """A server with TLS, trusted by the client."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(CERTIFICATE))
    with serve(small_mnist.folder, tls=True) as running:
        yield running


@pytest.fixture
def begin(program: list[str]) -> Begin:
    """Starts a command in its own process, without time limits; it is killed at the end."""

    @contextlib.contextmanager
    def call(*arguments: str | Path) -> Iterator["subprocess.Popen[str]"]:
        with subprocess.Popen(
            [*program, *map(str, arguments)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "LIMITS": "none"},
        ) as process:
            try:
                yield process
            finally:
                process.kill()

    return call


def until(condition: Callable[[], object]) -> None:
    """Waits until the condition is true."""
    deadline = time.monotonic() + 300
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


# Redirects and certificates


def test_over_tls(
    run: Run, tls_server: FaultyServer, tmp_path: Path, small_mnist: SmallMnist
) -> None:
    assert run("download", "--mirror", tls_server.address("good")).exit_code == 0
    assert is_whole(tmp_path, small_mnist)


@pytest.mark.usefixtures("tls_server")
def test_an_untrusted_certificate(
    run: Run, tls_server: FaultyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("REQUESTS_CA_BUNDLE")
    result = run("download", "--mirror", tls_server.address("good"))
    assert result.exit_code == 2
    assert "certificate verify failed" in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_a_redirect_from_https_to_http_is_not_followed(
    run: Run,
    server: FaultyServer,
    tls_server: FaultyServer,
    tmp_path: Path,
    small_mnist: SmallMnist,
) -> None:
    tls_server.redirect_to = server.address("good")
    result = run("download", "--mirror", tls_server.address("redirect"))
    assert result.exit_code == 2
    assert "redirects from https to http, which is not followed" in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert server.requests == []

    mirrors = ["--mirror", tls_server.address("redirect"), "--mirror", server.address("good")]
    assert run("download", *mirrors).exit_code == 0
    assert is_whole(tmp_path, small_mnist)


def test_no_chain_of_redirects_leads_from_https_to_http(
    run: Run, server: FaultyServer, tls_server: FaultyServer
) -> None:
    server.redirect_to = tls_server.address("redirect")
    tls_server.redirect_to = server.address("good")
    result = run("download", "--mirror", server.address("redirect"))
    assert result.exit_code == 2
    assert "redirects from https to http" in result.stderr


@pytest.mark.parametrize("way", ["http to http", "http to https", "https to https"])
def test_other_redirects_are_followed(
    run: Run, server: FaultyServer, tls_server: FaultyServer, way: str
) -> None:
    servers = {"http": server, "https": tls_server}
    start, end = way.split(" to ")
    servers[start].redirect_to = servers[end].address("good")
    assert run("download", "--mirror", servers[start].address("redirect")).exit_code == 0
    assert len([path for path in servers[end].requests if path.startswith("/good/")]) == 4


@pytest.mark.parametrize("scheme", ["ftp", "file", "data", "javascript"])
def test_a_redirect_to_another_scheme(run: Run, server: FaultyServer, scheme: str) -> None:
    server.redirect_to = f"{scheme}:///etc"
    result = run("download", "--mirror", server.address("redirect"))
    assert result.exit_code == 2
    assert f"redirects from http to {scheme}, which is not followed" in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_the_body_of_a_redirect_is_not_read(
    run: Run, server: FaultyServer, tmp_path: Path, small_mnist: SmallMnist
) -> None:
    server.redirect_to = server.address("good")
    assert run("download", "--mirror", server.address("chatty")).exit_code == 0
    assert is_whole(tmp_path, small_mnist)


def test_an_archive_with_a_content_encoding_is_not_decompressed(
    run: Run, server: FaultyServer, tmp_path: Path, small_mnist: SmallMnist
) -> None:
    assert run("download", "--mirror", server.address("encoded")).exit_code == 0
    assert is_whole(tmp_path, small_mnist)


@pytest.mark.parametrize("behaviour", ["bomb", "chunk_size", "headers", "endless"])
def test_a_mirror_that_fills_the_memory(
    start: Start, server: FaultyServer, tmp_path: Path, behaviour: str
) -> None:
    def limited() -> None:
        resource.setrlimit(resource.RLIMIT_DATA, (2**29, 2**29))

    done = start("download", "--mirror", server.address(behaviour), preexec_fn=limited)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert done.stderr.count("error: ") == 1
    assert "no mirror served train-images-idx3-ubyte.gz" in done.stderr
    assert not raw(tmp_path).exists()


# Time limits


def test_an_endless_body_that_is_just_fast_enough(run: Run, server: FaultyServer) -> None:
    result = run("download", "--mirror", server.address("trickle"))
    assert result.exit_code == 2
    assert "took too long" in result.stderr


def test_a_handshake_byte_by_byte(run: Run) -> None:
    with dripping_handshake() as port:
        result = run("download", "--mirror", f"https://127.0.0.1:{port}")
    assert result.exit_code == 2
    assert "timed out" in result.stderr


@pytest.mark.parametrize("fault", ["header_drip", "continue", "chunks", "stall", "handshake"])
def test_a_mirror_given_up_keeps_no_thread_and_no_connection(
    run: Run, server: FaultyServer, fault: str
) -> None:
    def running() -> int:
        return sum("_read_mirror" in thread.name for thread in threading.enumerate())

    with dripping_handshake() as port:
        bad = f"https://127.0.0.1:{port}" if fault == "handshake" else server.address(fault)
        assert run("download", "--mirror", bad).exit_code == 2
        until(lambda: running() == 0)  # while the server goes on


def test_ctrl_c_while_a_mirror_says_nothing(
    begin: Begin, server: FaultyServer, tmp_path: Path
) -> None:
    with begin("download", "--mirror", server.address("silent")) as process:
        until(lambda: server.requests)
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=300)
    assert process.returncode == 130
    assert stderr == "digitcli: error: interrupted\n"
    assert not raw(tmp_path).exists()


# Concurrent and killed processes


@pytest.mark.parametrize("second", ["download", "eval"])
@pytest.mark.usefixtures("checkpoint")
def test_two_at_once_fetch_once(
    begin: Begin, server: FaultyServer, tmp_path: Path, small_mnist: SmallMnist, second: str
) -> None:
    with begin("download", "--mirror", server.address("gated")) as one:
        until(lambda: server.requests)
        with begin(second, "--mirror", server.address("good")) as two:
            assert two.stderr is not None
            notes = iter(two.stderr)
            note = next(line for line in notes if not line.startswith("digitcli: using "))
            assert note.startswith(f"digitcli: waiting for process {one.pid} on ")
            assert "(downloading mnist, since " in note
            server.gate.set()
            assert one.wait(300) == 0
            assert two.wait(300) == 0
            assert all(line.startswith("digitcli: using ") for line in notes)
    assert len(server.requests) == 4
    assert is_whole(tmp_path, small_mnist)


@contextlib.contextmanager
def one_waiting_for_another(
    begin: Begin, server: FaultyServer, behaviour: str
) -> Iterator[tuple["subprocess.Popen[str]", "subprocess.Popen[str]"]]:
    """Yields a download from a mirror with a behaviour, and one that waits for it."""
    with begin("download", "--mirror", server.address(behaviour)) as one:
        until(lambda: server.requests)
        with begin("download", "--mirror", server.address("good")) as two:
            assert two.stderr is not None
            assert "waiting for process" in two.stderr.readline()
            yield one, two


def test_a_waiting_download_goes_on_when_the_first_has_failed(
    begin: Begin, server: FaultyServer, tmp_path: Path, small_mnist: SmallMnist
) -> None:
    """The first removes the folder, which it leaves empty."""
    with one_waiting_for_another(begin, server, "silent") as (one, two):
        one.send_signal(signal.SIGINT)
        assert one.wait(300) == 130
        assert two.stderr is not None
        assert two.wait(300) == 0, two.stderr.read()
    assert is_whole(tmp_path, small_mnist)


def test_a_wait_for_another_process_is_bounded(
    run: Run, begin: Begin, server: FaultyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(downloader, "LOCK_TIMEOUT", 0.2)
    with begin("download", "--mirror", server.address("gated")) as one:
        until(lambda: server.requests)
        result = run("download", "--mirror", server.address("good"))
    assert result.exit_code == 2
    assert f"raw is being written by process {one.pid} on " in result.stderr
    assert result.stderr.endswith("or choose another folder with --data-dir\n")


def test_ctrl_c_while_it_waits_for_another_process(begin: Begin, server: FaultyServer) -> None:
    with one_waiting_for_another(begin, server, "gated") as (one, two):
        two.send_signal(signal.SIGINT)
        assert two.wait(300) == 130
        server.gate.set()
        assert one.wait(300) == 0


def test_the_next_download_repairs_what_a_killed_one_left(
    run: Run, begin: Begin, server: FaultyServer, tmp_path: Path, small_mnist: SmallMnist
) -> None:
    with begin("download", "--mirror", server.address("gated")) as process:
        until(lambda: server.requests)
        process.kill()
    assert all(path.name.startswith((".partial-", ".lock")) for path in raw(tmp_path).iterdir())
    assert run("download", "--mirror", server.address("good")).exit_code == 0
    assert is_whole(tmp_path, small_mnist)


def leave_behind(folder: Path, small_mnist: SmallMnist) -> None:
    """Creates the leftovers of killed downloads, of this version and earlier ones."""
    (folder / ".partial-abc").mkdir()
    (folder / ".partial-abc" / "tmpx").write_bytes(b"half")
    (folder / f".{small_mnist.files[0].name}.123.tmp").write_bytes(b"half")
    (folder / f".{small_mnist.files[0].archive}.123.tmp").write_bytes(b"half")
    (folder / ".lock").write_bytes(b"")


def test_leftovers_are_removed_although_all_files_are_valid(
    run: Run, tmp_path: Path, small_mnist: SmallMnist
) -> None:
    run("download", "--mirror", small_mnist.folder)
    leave_behind(raw(tmp_path), small_mnist)
    assert run("download", "--mirror", "/nowhere").exit_code == 0
    assert is_whole(tmp_path, small_mnist)


def test_the_temporary_files_of_a_running_download_stay(
    run: Run, begin: Begin, server: FaultyServer, tmp_path: Path, small_mnist: SmallMnist
) -> None:
    run("download", "--mirror", small_mnist.folder)
    with begin("download", "--force", "--mirror", server.address("gated")) as process:
        until(lambda: server.requests)
        assert (
            run("download", "--mirror", "/nowhere").exit_code == 0
        )  # all files are valid: no wait
        assert len(list(raw(tmp_path).glob(".partial-*"))) == 1
        server.gate.set()
        assert process.wait(300) == 0
    assert is_whole(tmp_path, small_mnist)


# Links and files of other kinds


def test_a_link_under_a_files_name_is_replaced_and_not_written_through(
    run: Run, tmp_path: Path, small_mnist: SmallMnist
) -> None:
    outside = tmp_path / "outside"
    outside.write_bytes(b"precious")
    raw(tmp_path).mkdir(parents=True)
    (raw(tmp_path) / small_mnist.files[0].name).symlink_to(outside)
    (raw(tmp_path) / small_mnist.files[1].archive).symlink_to(outside)
    (raw(tmp_path) / small_mnist.files[2].name).symlink_to(tmp_path / "missing")
    assert run("download", "--mirror", small_mnist.folder).exit_code == 0
    assert is_whole(tmp_path, small_mnist)
    assert not any(path.is_symlink() for path in raw(tmp_path).iterdir())
    assert outside.read_bytes() == b"precious"
    assert not (tmp_path / "missing").exists()


@pytest.mark.parametrize("part", ["MNIST", "MNIST/raw"])
def test_a_folder_that_is_a_link_out_of_the_data_folder(
    run: Run, tmp_path: Path, small_mnist: SmallMnist, part: str
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    link = tmp_path / "data" / part
    link.parent.mkdir(parents=True)
    link.symlink_to(outside)
    result = run("download", "--mirror", small_mnist.folder)
    assert result.exit_code == 2
    assert "is a link that leads out of" in result.stderr
    assert list(outside.iterdir()) == []


def test_links_that_stay_in_the_data_folder_or_lead_to_it(
    run: Run, tmp_path: Path, small_mnist: SmallMnist
) -> None:
    (tmp_path / "disk" / "elsewhere").mkdir(parents=True)
    (tmp_path / "data").symlink_to(tmp_path / "disk")
    (tmp_path / "disk" / "MNIST").symlink_to("elsewhere")
    assert run("download", "--mirror", small_mnist.folder).exit_code == 0
    assert is_whole(tmp_path, small_mnist)


def test_a_leftover_that_is_a_link_goes_alone(
    run: Run, tmp_path: Path, small_mnist: SmallMnist
) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "precious").touch()
    raw(tmp_path).mkdir(parents=True)
    (raw(tmp_path) / ".partial-x").symlink_to(tmp_path / "outside")
    assert run("download", "--mirror", small_mnist.folder).exit_code == 0
    assert is_whole(tmp_path, small_mnist)
    assert (tmp_path / "outside" / "precious").exists()


@pytest.mark.parametrize("kind", ["pipe", "device", "folder"])
def test_a_mirror_file_that_is_no_regular_file(
    run: Run, tmp_path: Path, small_mnist: SmallMnist, kind: str
) -> None:
    mirror = shutil.copytree(small_mnist.folder, tmp_path / "mirror")
    path = mirror / small_mnist.files[0].archive
    path.unlink()
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "device":
        path.symlink_to("/dev/zero")
    else:
        path.mkdir()
    result = run("download", "--mirror", mirror)
    assert result.exit_code == 2
    assert "not a file" in result.stderr


def test_a_mirror_file_that_is_too_large(run: Run, tmp_path: Path, small_mnist: SmallMnist) -> None:
    mirror = shutil.copytree(small_mnist.folder, tmp_path / "mirror")
    with (mirror / small_mnist.files[0].archive).open("wb") as file:
        file.truncate(10**12)
    result = run("download", "--mirror", mirror)
    assert result.exit_code == 2
    assert "sends 1,000,000,000,000 bytes; no file has more than 67,108,864" in result.stderr


@pytest.mark.parametrize("kind", ["pipe", "device", "huge"])
def test_other_kinds_of_files_are_replaced_without_being_read(
    run: Run, tmp_path: Path, small_mnist: SmallMnist, kind: str
) -> None:
    raw(tmp_path).mkdir(parents=True)
    for name in (small_mnist.files[0].name, small_mnist.files[0].archive):
        path = raw(tmp_path) / name
        if kind == "pipe":
            os.mkfifo(path)
        elif kind == "device":
            path.symlink_to("/dev/zero")
        else:
            with path.open("wb") as file:
                file.truncate(10**12)
    assert run("download", "--mirror", small_mnist.folder).exit_code == 0
    assert is_whole(tmp_path, small_mnist)


def test_the_files_have_the_usual_permissions(
    run: Run, tmp_path: Path, small_mnist: SmallMnist
) -> None:
    before = os.umask(0o022)
    try:
        run("download", "--mirror", small_mnist.folder)
    finally:
        os.umask(before)
    assert {path.stat().st_mode & 0o777 for path in raw(tmp_path).iterdir()} == {0o644}


def test_replaced_files_keep_their_permissions(
    run: Run, tmp_path: Path, small_mnist: SmallMnist
) -> None:
    run("download", "--mirror", small_mnist.folder)
    for number, path in enumerate(sorted(raw(tmp_path).iterdir())):
        path.chmod((0o600, 0o640)[number % 2])
    before = {path: path.stat() for path in raw(tmp_path).iterdir()}
    assert run("download", "--force", "--mirror", small_mnist.folder).exit_code == 0
    for path, status in before.items():
        assert path.stat().st_mode == status.st_mode
        assert path.stat().st_ino != status.st_ino


def test_new_folders_are_flushed_in_those_above(
    run: Run, tmp_path: Path, small_mnist: SmallMnist, monkeypatch: pytest.MonkeyPatch
) -> None:
    flushed = []
    fsync = os.fsync

    def watched(file: int) -> None:
        flushed.append(Path(f"/proc/self/fd/{file}").readlink())
        fsync(file)

    monkeypatch.setattr(os, "fsync", watched)
    assert run("download", "--mirror", small_mnist.folder).exit_code == 0
    assert {tmp_path, tmp_path / "data", tmp_path / "data" / "MNIST"} <= {*flushed[:3]}


# Full disks and read-only folders


def test_a_full_disk_is_a_one_line_error_and_loses_nothing(
    run: Run, start: Start, tmp_path: Path, small_mnist: SmallMnist
) -> None:
    run("download", "--mirror", small_mnist.folder)
    for limit in (1000, 100_000):  # while an archive is fetched, and while it is extracted

        def limited(limit: int = limit) -> None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

        arguments = ["download", "--force", "--mirror", small_mnist.folder]
        done = start(*arguments, preexec_fn=limited)
        assert done.returncode == 2
        assert done.stderr.splitlines()[-1] == (
            f"digitcli: error: cannot write {raw(tmp_path)}: File too large; "
            "choose another folder with --data-dir"
        )
        assert is_whole(tmp_path, small_mnist)


@pytest.fixture
def without_privileges(program: list[str]) -> Callable[..., "subprocess.CompletedProcess[str]"]:
    """Runs a command subject to file permissions, even if root runs the tests."""
    prefix = []
    if os.geteuid() == 0:
        if shutil.which("setpriv") is None:
            pytest.skip("root may write anywhere")
        prefix = ["setpriv", "--bounding-set", "-dac_override,-dac_read_search"]

    def call(*arguments: str | Path) -> "subprocess.CompletedProcess[str]":
        command = [*prefix, *program, *map(str, arguments)]
        return subprocess.run(command, check=False, capture_output=True, text=True, timeout=120)

    return call


@contextlib.contextmanager
def read_only(folder: Path) -> Iterator[None]:
    folders = [folder, folder.parent, folder.parent.parent]
    for each in folders:
        each.chmod(0o555)
    try:
        yield
    finally:
        for each in folders:
            each.chmod(0o755)


@pytest.mark.parametrize("leftovers", [False, True])
@pytest.mark.usefixtures("checkpoint")
def test_a_read_only_folder_whose_files_are_valid(
    run: Run,
    without_privileges: Callable[..., "subprocess.CompletedProcess[str]"],
    tmp_path: Path,
    small_mnist: SmallMnist,
    leftovers: bool,
) -> None:
    run("download", "--mirror", small_mnist.folder)
    if leftovers:
        leave_behind(raw(tmp_path), small_mnist)
    with read_only(raw(tmp_path)):
        done = without_privileges("download", "--mirror", "/nowhere")
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.endswith("complete and valid\n")
        assert without_privileges("eval", "--mirror", "/nowhere").returncode == 0


@pytest.mark.parametrize("damage", ["missing", "damaged archive"])
def test_a_read_only_folder_that_needs_repair(
    run: Run,
    without_privileges: Callable[..., "subprocess.CompletedProcess[str]"],
    tmp_path: Path,
    small_mnist: SmallMnist,
    damage: str,
) -> None:
    run("download", "--mirror", small_mnist.folder)
    if damage == "missing":
        (raw(tmp_path) / small_mnist.files[0].name).unlink()
    else:
        (raw(tmp_path) / small_mnist.files[0].archive).write_bytes(b"half")
    with read_only(raw(tmp_path)):
        done = without_privileges("download", "--mirror", small_mnist.folder)
    assert done.returncode == 2
    assert done.stderr == (
        f"digitcli: error: cannot write to {raw(tmp_path)}: Permission denied; "
        "choose another folder with --data-dir\n"
    )


def test_without_locks_a_download_removes_no_leftovers(
    run: Run, tmp_path: Path, small_mnist: SmallMnist, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They may belong to a running download."""

    @contextlib.contextmanager
    def unlocked(*_: object, **__: object) -> Iterator[bool]:
        yield False

    monkeypatch.setattr(downloader, "exclusive_lock", unlocked)
    raw(tmp_path).mkdir(parents=True)
    (raw(tmp_path) / ".partial-other").mkdir()
    assert run("download", "--mirror", small_mnist.folder).exit_code == 0
    (raw(tmp_path) / ".partial-other").rmdir()
    assert is_whole(tmp_path, small_mnist)
