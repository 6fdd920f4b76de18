"""The other published data sets, with small data in the same formats."""

import bz2
import gzip
import json
import struct
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from commands import Run
from drawn_digits import drawn_pictures, likeness, md5
from faulty_server import serve
from image_folders import fill
from PIL import Image

from digitcli.core.checkpointing.checkpoint import load_checkpoint
from digitcli.core.checkpointing.locate import LATEST
from digitcli.data.datasets.registry import DATASETS
from digitcli.data.datasets.training_data import pixel_statistics
from digitcli.data.download.downloader import torchvision_mirrors
from digitcli.data.download.manifest import PUBLISHED, DataFile

COUNTS = {"train": 200, "test": 80}
IDX_SETS = ("fashion-mnist", "kmnist", "qmnist")


def idx(array: npt.NDArray[np.integer], kind: int) -> bytes:
    header = struct.pack(f">HBB{array.ndim}I", 0, kind, array.ndim, *array.shape)
    return gzip.compress(header + array.astype({8: ">u1", 12: ">i4"}[kind]).tobytes(), mtime=0)


def patches(seed: int, count: int) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    """Ten classes of images that fill the frame: noise in ten places."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % 10
    images = np.zeros((count, 28, 28), np.uint8)
    for image, label in zip(images, labels, strict=True):
        top, left = 14 * (label % 2), 5 * (label // 2)
        image[top : top + 14, left : left + 8] = rng.integers(100, 256, (14, 8))
    return images, labels


def usps_text(images: npt.NDArray[np.uint8], labels: npt.NDArray[np.int64]) -> bytes:
    """Writes images in libsvm's format: their central 20x20 pixels at 16x16."""
    lines = []
    for image, label in zip(images, labels, strict=True):
        small = Image.fromarray(image[4:24, 4:24]).resize((16, 16), Image.Resampling.BOX)
        values = np.asarray(small).ravel() / 127.5 - 1
        cells = " ".join(f"{i}:{value:.6f}" for i, value in enumerate(values, start=1))
        lines.append(f"{label + 1} {cells} \n")
    return bz2.compress("".join(lines).encode())


def content_of(name: str) -> list[bytes]:
    """Returns the archives of a data set, in the order of its files."""
    archives = []
    for seed, (split, count) in enumerate(COUNTS.items()):
        digits = name in ("qmnist", "usps")
        images, labels = drawn_pictures(count, seed) if digits else patches(seed, count)
        if name == "usps":
            archives.append(usps_text(images, labels))
        elif name == "qmnist":
            table = np.stack([labels, *([np.full(count, 1000 * seed)] * 7)], axis=1)
            archives += [idx(images, 8), idx(table, 12)]
        else:
            archives += [idx(images, 8), idx(labels, 8)]
        assert split in COUNTS
    return archives


@pytest.fixture(params=[*IDX_SETS, "usps"])
def name(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    """A published data set, with small data in the folder ``mirror``."""
    given: str = request.param
    make_small(given, monkeypatch, tmp_path / "mirror")
    return given


def make_small(name: str, monkeypatch: pytest.MonkeyPatch, mirror: Path) -> None:
    files = []
    mirror.mkdir()
    for file, archive in zip(PUBLISHED[name].files, content_of(name), strict=True):
        (mirror / file.archive).write_bytes(archive)
        files.append(DataFile(file.name, md5(archive), compression=file.compression))
    monkeypatch.setitem(PUBLISHED, name, replace(PUBLISHED[name], files=tuple(files)))


def test_file_names_checksums_and_classes_are_torchvisions() -> None:
    from torchvision.datasets import KMNIST, MNIST, QMNIST, USPS, FashionMNIST

    def ours(name: str) -> list[tuple[str, str]]:
        return [(file.archive, file.archive_md5) for file in PUBLISHED[name].files]

    for name, kind in (("mnist", MNIST), ("fashion-mnist", FashionMNIST), ("kmnist", KMNIST)):
        assert ours(name) == kind.resources
        assert str(PUBLISHED[name].path) == f"{kind.__name__}/raw"
    assert ours("qmnist") == [
        (url.rpartition("/")[2], sum_)
        for part in ("train", "test")
        for url, sum_ in QMNIST.resources[part]
    ]
    assert ours("usps") == [tuple(USPS.split_list[part][1:]) for part in ("train", "test")]
    assert list(DATASETS["fashion-mnist"].classes) == FashionMNIST.classes
    assert list(DATASETS["kmnist"].classes) == KMNIST.classes
    for name in PUBLISHED:
        for mirror in torchvision_mirrors(PUBLISHED[name]):
            assert mirror.startswith("http")
            assert not mirror.endswith(".gz")


def test_a_download_is_verified_and_reported(run: Run, name: str, tmp_path: Path) -> None:
    files = PUBLISHED[name]
    folder = tmp_path / "data" / files.path
    with serve(tmp_path / "mirror") as server:
        mirrors = ("--mirror", server.address("wrong"), "--mirror", server.address("good"))
        result = run("download", "--dataset", name, *mirrors)
        assert result.exit_code == 0, result.stderr
        assert (
            result.stderr.count("wrong checksum") == 1
        )  # the next file starts with the good mirror
    assert result.stdout.splitlines() == [
        *(
            f"{file.archive}  {(folder / file.archive).stat().st_size:,} bytes  "
            f"from {server.address('good')}/{file.archive}"
            for file in files.files
        ),
        f"{name} is in {folder}",
    ]
    assert sorted(path.name for path in folder.iterdir()) == sorted(f.archive for f in files.files)
    again = run("download", "--dataset", name, "--mirror", "/nowhere")
    assert again.stdout == f"{name} is in {folder}, complete and valid\n"


def test_a_damaged_archive_is_fetched_again(run: Run, name: str, tmp_path: Path) -> None:
    mirror = ("--mirror", tmp_path / "mirror")
    run("download", "--dataset", name, *mirror)
    file = PUBLISHED[name].files[0]
    path = tmp_path / "data" / PUBLISHED[name].path / file.archive
    path.write_bytes(path.read_bytes()[:-1])
    result = run("download", "--dataset", name, "--mirror", "/nowhere")
    assert result.exit_code == 2
    assert "there is no folder /nowhere; give --mirror a folder that has" in result.stderr
    assert file.archive in result.stderr
    reports = json.loads(run("download", "--dataset", name, *mirror, "--json").stdout)["files"]
    assert [report["source"] is not None for report in reports][:2] == [True, False]
    assert md5(path.read_bytes()) == file.archive_md5


def test_train_eval_and_inspect_softmax(run: Run, name: str, tmp_path: Path) -> None:
    flags = ("--epochs", 4, "--lr", 0.1, "--batch-size", 20)
    result = run("train", "--dataset", name, *flags, "--mirror", tmp_path / "mirror")
    assert result.exit_code == 0, result.stderr
    metadata = load_checkpoint(LATEST).metadata
    assert metadata.classes == DATASETS[name].classes
    assert metadata.dataset == name
    assert len(metadata.data_checksums) == len(PUBLISHED[name].files)
    value = json.loads(run("eval", "--json").stdout)
    assert (value["dataset"], value["count"]) == (name, COUNTS["test"])
    assert value["accuracy"] > 0.3
    assert [score["name"] for score in value["per_class"]] == list(metadata.classes)
    lines = run("inspect-softmax", "--index", "3").stdout.splitlines()
    assert [line.split("\t")[0] for line in lines[1:11]] == list(metadata.classes)


def test_a_network_for_digits_is_evaluated_on_other_sets_of_digits(
    run: Run, checkpoint: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert checkpoint.exists()
    for name in ("usps", "qmnist"):
        make_small(name, monkeypatch, tmp_path / name)
        result = run("eval", "--dataset", name, "--mirror", tmp_path / name, "--json")
        assert json.loads(result.stdout)["accuracy"] > 0.8
    result = run("eval", "--dataset", "kmnist")
    assert result.exit_code == 2
    assert "kmnist has classes that the network lacks (o, ki, su" in result.stderr
    assert "; choose the data set that the network was trained on" in result.stderr


def test_a_folder_with_another_class_and_one_without_its_prefix(run: Run, checkpoint: Path) -> None:
    assert checkpoint.exists()
    fill(Path("mine"), {"3": 3, "A": 4}, 2)
    result = run("eval", "--dataset", "folder:mine")
    assert result.exit_code == 2
    assert "folder:mine has classes that the network lacks (A); move the folders" in result.stderr
    result = run("eval", "--dataset", "mine")
    assert result.exit_code == 2
    assert "no data set 'mine'; for that folder of images, give folder:mine\n" in result.stderr


def test_torchvision_reads_what_was_downloaded(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from torchvision.datasets import USPS, FashionMNIST

    for name in ("fashion-mnist", "usps"):
        make_small(name, monkeypatch, tmp_path / name)
        run("download", "--dataset", name, "--mirror", tmp_path / name)
    resources = [(file.archive, file.archive_md5) for file in PUBLISHED["fashion-mnist"].files]
    monkeypatch.setattr(FashionMNIST, "resources", resources)
    monkeypatch.setattr(FashionMNIST, "mirrors", [""])  # it extracts the archives present
    fashion = FashionMNIST(str(tmp_path / "data"), train=False, download=True)
    assert np.array_equal(fashion.data.numpy(), patches(1, 80)[0])
    assert USPS(str(tmp_path / "data" / "USPS")).targets == drawn_pictures(200, 0)[1].tolist()


def test_usps_is_brought_to_mnist_form(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from digitcli.data.datasets.readers import read_split
    from digitcli.data.preprocessing.mnist_form import is_mnist_form

    make_small("usps", monkeypatch, tmp_path / "mirror")
    run("download", "--dataset", "usps", "--mirror", tmp_path / "mirror")
    split = read_split(tmp_path / "data", "test", "usps")
    assert split is not None
    assert split.labels.tolist() == drawn_pictures(80, 1)[1].tolist()
    assert all(is_mnist_form(image) for image in split.images)
    right = [likeness(image)[0] == label for image, label in zip(*drawn_pictures(80, 1))]  # noqa: B905
    ours = [
        likeness(image)[0] == label for image, label in zip(split.images, split.labels, strict=True)
    ]
    assert np.mean(ours) > np.mean(right) - 0.1


def test_pixel_statistics_are_exact() -> None:
    images = np.random.default_rng(0).integers(0, 256, (3000, 28, 28), dtype=np.uint8)
    mean, std = pixel_statistics(images)
    assert mean == pytest.approx((images / 255).mean(), abs=1e-12)
    assert std == pytest.approx((images / 255).std(), abs=1e-12)
    assert pixel_statistics(np.array([[0, 255]], np.uint8)) == (0.5, 0.5)
