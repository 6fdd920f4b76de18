"""Downloading from HTTP servers on loopback, good and faulty ones."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from commands import Run, Start
from downloads import is_whole, raw
from drawn_digits import SmallMnist, drawn_pictures
from faulty_server import FaultyServer, closed_port

from digitcli.data.download import fetch, manifest


def test_a_folder_as_the_mirror(run: Run, small_mnist: SmallMnist, tmp_path: Path) -> None:
    result = run("download", "--mirror", small_mnist.folder)
    assert result.exit_code == 0
    sizes = [600 * 784 + 16, 600 + 8, 200 * 784 + 16, 200 + 8]
    assert result.stdout.splitlines() == [
        *(
            f"{file.name}  {size:,} bytes  from {small_mnist.folder}/{file.archive}"
            for file, size in zip(small_mnist.files, sizes, strict=True)
        ),
        f"mnist is in {raw(tmp_path)}",
    ]
    assert result.stderr.splitlines() == [
        f"digitcli: fetching {file.archive}" for file in small_mnist.files
    ]
    assert is_whole(tmp_path, small_mnist)

    again = run("download", "--mirror", "/nowhere")
    assert again.exit_code == 0
    assert again.stdout == f"mnist is in {raw(tmp_path)}, complete and valid\n"
    assert again.stderr == ""


def test_json(run: Run, small_mnist: SmallMnist, tmp_path: Path) -> None:
    address = small_mnist.folder.as_uri()
    value = json.loads(run("download", "--mirror", address, "--json").stdout)
    assert value["dataset"] == "mnist"
    assert value["folder"] == str(raw(tmp_path))
    assert value["files"] == [
        {
            "name": file.name,
            "bytes": (raw(tmp_path) / file.name).stat().st_size,
            "md5": file.md5,
            "source": f"{address}/{file.archive}",
        }
        for file in small_mnist.files
    ]
    again = json.loads(run("download", "--json").stdout)
    assert [file["source"] for file in again["files"]] == [None] * 4


def test_optdigits_needs_no_download(run: Run) -> None:
    result = run("download", "--dataset", "optdigits")
    assert result.stdout == "optdigits comes with scikit-learn; there is nothing to download\n"
    assert json.loads(run("download", "--dataset", "optdigits", "--json").stdout)["files"] == []


def test_torchvision_reads_the_folder(run: Run, small_mnist: SmallMnist, tmp_path: Path) -> None:
    from torchvision.datasets import MNIST

    run("download", "--mirror", small_mnist.folder)
    train = MNIST(str(tmp_path / "data"), train=True, download=False)
    images, labels = drawn_pictures(600, 1)
    assert np.array_equal(train.data.numpy(), images)
    assert np.array_equal(train.targets.numpy(), labels)


FAULTS = [
    *(
        "403",
        "404",
        "500",
        "503",
        "304",
        "short",
        "wrong",
        "long",
        "page",
        "reset",
        "stall",
        "drip",
    ),
    *("header_drip", "silent", "endless", "huge", "nonsense", "continue", "chunks"),
    *("loop", "spiral", "nowhere"),
]


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetch, "CONNECT_TIMEOUT", 0.5)
    monkeypatch.setattr(fetch, "RESPONSE_TIMEOUT", 1.0)
    monkeypatch.setattr(fetch, "READ_TIMEOUT", 0.5)


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("fault", [*FAULTS, "refused", "no folder", "no such scheme"])
def test_the_next_mirror_is_tried_after_a_faulty_one(
    run: Run, server: FaultyServer, small_mnist: SmallMnist, tmp_path: Path, fault: str
) -> None:
    bad = {
        "refused": f"http://127.0.0.1:{closed_port()}",
        "no folder": str(tmp_path / "missing"),
        "no such scheme": "gopher://127.0.0.1",
    }.get(fault, server.address(fault))
    result = run("download", "--mirror", bad, "--mirror", server.address("good"))
    assert result.exit_code == 0, result.stderr
    assert is_whole(tmp_path, small_mnist)
    # the mirror that failed is not asked again while the other one serves
    assert result.stderr.count(f"digitcli: {bad}/") == 1
    assert server.requests.count(f"/{fault}/{small_mnist.files[1].archive}") == 0


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize(
    ("fault", "problem"),
    [
        ("404", "HTTP 404"),
        ("503", "HTTP 503"),
        ("wrong", "wrong checksum"),
        ("page", "wrong checksum"),
        ("long", "wrong checksum"),
        ("reset", "Connection reset by peer"),
        ("stall", "timed out"),
        ("drip", "too slow"),
        ("header_drip", "timed out"),
        ("silent", "timed out"),
        ("continue", "timed out"),
        ("chunks", "timed out"),
        ("endless", "bytes; no file has more than 67,108,864"),
        ("huge", "sends 1,000,000,000,000 bytes; no file has more than 67,108,864"),
        ("304", "HTTP 304"),
        ("loop", "more than 5 redirects"),
        ("spiral", "more than 5 redirects"),
    ],
)
def test_an_error_without_a_good_mirror_is_one_line(
    run: Run, server: FaultyServer, tmp_path: Path, fault: str, problem: str
) -> None:
    result = run("download", "--mirror", server.address(fault))
    assert result.exit_code == 2
    assert result.stdout == ""
    last = result.stderr.splitlines()[-1]
    assert last.startswith("digitcli: error: no mirror served train-images-idx3-ubyte.gz (http://")
    assert problem in last
    assert last.endswith(
        "; check the network, or copy train-images-idx3-ubyte.gz, train-labels-idx1-ubyte.gz, "
        "t10k-images-idx3-ubyte.gz, t10k-labels-idx1-ubyte.gz from another computer into a folder "
        "and run 'digitcli download --mirror FOLDER'"
    )
    assert not raw(tmp_path).exists()


@pytest.mark.parametrize("prefix", ["", "file://"])
def test_an_unusable_folder_of_archives_is_described(
    run: Run, small_mnist: SmallMnist, tmp_path: Path, prefix: str
) -> None:
    folder = tmp_path / "usb"
    names = [file.archive for file in small_mnist.files]
    step = f"give --mirror a folder that has {', '.join(names)}"

    def error() -> str:
        result = run("download", "--mirror", f"{prefix}{folder}")
        assert result.exit_code == 2
        return result.stderr.splitlines()[-1]

    assert error() == f"digitcli: error: there is no folder {folder}; {step}"
    folder.mkdir()
    assert error() == f"digitcli: error: the folder {folder} has no files of the data set; {step}"
    for name in names[:2]:
        shutil.copy(small_mnist.folder / name, folder)
    lacks = f"the folder {folder} lacks {names[2]}, {names[3]}"
    assert error() == f"digitcli: error: {lacks}; {step}"
    shutil.rmtree(folder)
    folder.touch()
    assert error() == f"digitcli: error: {folder} is not a folder; {step}"


def test_a_damaged_file_in_a_folder_of_archives_is_named(run: Run, tmp_path: Path) -> None:
    for file in manifest.PUBLISHED["mnist"].files:
        (tmp_path / file.archive).write_bytes(b"damaged")
    result = run("download", "--mirror", tmp_path)
    problem = f"no mirror served train-images-idx3-ubyte.gz ({tmp_path}/train-images-idx3-ubyte.gz"
    assert f"{problem}: wrong checksum); give --mirror a folder" in result.stderr


def test_each_of_several_mirrors_that_fail_is_named(run: Run, tmp_path: Path) -> None:
    web = f"http://127.0.0.1:{closed_port()}"
    result = run("download", "--mirror", web, "--mirror", tmp_path / "usb", "--dataset", "kmnist")
    last = result.stderr.splitlines()[-1]
    problem = f"no mirror served train-images-idx3-ubyte.gz ({web}/train-images-idx3-ubyte.gz: "
    assert problem in last
    assert f"; there is no folder {tmp_path}/usb); check the network, or copy " in last
    assert last.endswith("run 'digitcli download --dataset kmnist --mirror FOLDER'")


def test_an_error_names_the_folder_that_lacks_the_data_set(
    run: Run, small_mnist: SmallMnist, tmp_path: Path
) -> None:
    folder = tmp_path / "mistyped" / "data"
    flags = ["--data-dir", folder, "--mirror", f"http://127.0.0.1:{closed_port()}"]

    def error(command: str, *more: str) -> str:
        result = run(command, *more, *flags)
        assert (result.exit_code, result.stdout) == (2, "")
        (line,) = result.stderr.splitlines()
        return line

    missing = f"digitcli: error: mnist is missing in {folder} (--data-dir), and no mirror served "
    for command in (["eval"], ["train"], ["inspect-softmax", "--index", "0"]):
        assert error(*command).startswith(missing)
        assert not folder.parent.exists()  # no folder was left empty
    assert error("download").startswith("digitcli: error: no mirror served ")
    assert not folder.parent.exists()
    place = raw(tmp_path / "mistyped")
    place.mkdir(parents=True)
    shutil.copy(small_mnist.folder / small_mnist.files[0].archive, place)
    assert f"mnist is incomplete in {folder} (--data-dir), and no mirror served " in error("eval")
    assert len(list(place.iterdir())) == 2  # the archive and its content


def test_a_refused_connection_is_reported(run: Run) -> None:
    result = run("download", "--mirror", f"http://127.0.0.1:{closed_port()}")
    assert result.exit_code == 2
    assert "Connection refused" in result.stderr
    assert len(result.stderr.splitlines()) == 1


@pytest.mark.parametrize("address", ["http://[bad", "http://127.0.0.1:notaport", "https://"])
def test_an_invalid_address(run: Run, address: str) -> None:
    result = run("download", "--mirror", address)
    assert result.exit_code == 2
    assert "checksum" not in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_a_server_that_sends_no_size(
    run: Run, server: FaultyServer, small_mnist: SmallMnist, tmp_path: Path
) -> None:
    assert run("download", "--mirror", server.address("sizeless")).exit_code == 0
    assert is_whole(tmp_path, small_mnist)


@pytest.mark.parametrize("damage", ["cut", "flip", "empty", "gone"])
def test_a_damaged_file_is_extracted_again_without_a_network(
    run: Run, small_mnist: SmallMnist, tmp_path: Path, damage: str
) -> None:
    run("download", "--mirror", small_mnist.folder)
    path = raw(tmp_path) / small_mnist.files[2].name
    data = path.read_bytes()
    if damage == "gone":
        path.unlink()
    else:
        path.write_bytes(
            {"cut": data[:-1], "flip": bytes([data[0] ^ 1]) + data[1:], "empty": b""}[damage]
        )
    result = run("download", "--mirror", "/nowhere")
    assert result.exit_code == 0
    assert f"{path.name}  {len(data):,} bytes  extracted again" in result.stdout
    assert is_whole(tmp_path, small_mnist)


def test_a_damaged_file_with_a_damaged_archive_is_fetched_again(
    run: Run, small_mnist: SmallMnist, tmp_path: Path
) -> None:
    run("download", "--mirror", small_mnist.folder)
    file = small_mnist.files[0]
    for name in (file.name, file.archive):
        path = raw(tmp_path) / name
        path.write_bytes(path.read_bytes()[:100])
    assert run("download", "--mirror", small_mnist.folder).exit_code == 0
    assert is_whole(tmp_path, small_mnist)


def test_a_damaged_archive_beside_a_valid_file_is_removed(
    run: Run, small_mnist: SmallMnist, tmp_path: Path
) -> None:
    run("download", "--mirror", small_mnist.folder)
    archive = raw(tmp_path) / small_mnist.files[3].archive
    archive.write_bytes(b"half")
    assert run("download", "--mirror", "/nowhere").exit_code == 0  # the file that is read is valid
    assert not archive.exists()


def test_force_fetches_again_and_loses_nothing_on_failure(
    run: Run, server: FaultyServer, small_mnist: SmallMnist, tmp_path: Path
) -> None:
    run("download", "--mirror", small_mnist.folder)
    assert run("download", "--force", "--mirror", server.address("wrong")).exit_code == 2
    assert is_whole(tmp_path, small_mnist)
    assert run("download", "--force", "--mirror", server.address("good")).exit_code == 0
    assert len([path for path in server.requests if path.startswith("/good/")]) == 4
    assert is_whole(tmp_path, small_mnist)


def test_mirrors_from_the_environment(
    run: Run, small_mnist: SmallMnist, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DIGITCLI_MIRROR", f"/nowhere {small_mnist.folder}")
    assert run("download").exit_code == 0
    assert is_whole(tmp_path, small_mnist)


def test_a_folder_that_cannot_be_written(run: Run, small_mnist: SmallMnist, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    folder = tmp_path / "file" / "data"
    result = run("download", "--mirror", small_mnist.folder, "--data-dir", folder)
    assert result.exit_code == 2
    assert "--data-dir" in result.stderr
    assert "Traceback" not in result.stderr


def test_as_a_process_with_a_faulty_server(
    start: Start, server: FaultyServer, small_mnist: SmallMnist, tmp_path: Path
) -> None:
    done = start(
        "download", "--mirror", server.address("reset"), "--mirror", server.address("good")
    )
    assert done.returncode == 0
    assert is_whole(tmp_path, small_mnist)
    shutil.rmtree(raw(tmp_path))
    done = start("download", "--mirror", server.address("stall"))
    assert done.returncode == 2
    assert "timed out" in done.stderr
