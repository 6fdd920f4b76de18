"""The JSON of every command has the keys and types of the tables in the command-line reference."""

import json
import re
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import image_folders
import numpy as np
import pytest
from commands import Run
from drawn_digits import draw_digit, save_digit
from paths import BUNDLED, ROOT
from PIL import Image

from digitcli.core.checkpointing.checkpoint import load_checkpoint

PAGE = ROOT / "digitcli" / "cli" / "README.md"
ROW = re.compile(r"^\| `([^`]+)` \| ([^|]+) \| (.+) \|$", re.MULTILINE)
TYPES: dict[type, str] = {
    str: "string", bool: "boolean", int: "integer", float: "number", list: "array",
    dict: "object", type(None): "null",
}  # fmt: skip


def tables() -> dict[str, dict[str, tuple[set[str], str]]]:
    """Returns the types and the meaning of each key, by the heading of the table."""
    section = PAGE.read_text(encoding="utf-8").split("\n## JSON\n")[1].split("\n## ")[0]
    _, *parts = re.split(r"^###+ ", section, flags=re.MULTILINE)
    return {
        part.partition("\n")[0]: {
            key: (set(types.split(" or ")), meaning) for key, types, meaning in ROW.findall(part)
        }
        for part in parts
        if ROW.search(part)
    }


TABLES = tables()
TABLES["JSON of info"] |= {
    key: value for key, value in TABLES["done"].items() if key.startswith("recipe.")
}  # its table refers to that of train


def entries(value: dict[str, Any], maps: set[str], before: str = "") -> Iterator[tuple[str, str]]:
    """Yields the path and the type of each key in a record; the keys of maps are free."""
    for key, inner in value.items():
        path = f"{before}{key}"
        yield path, "map" if path in maps else TYPES[type(inner)]
        if isinstance(inner, dict) and path not in maps:
            yield from entries(inner, maps, f"{path}.")
        for item in inner if isinstance(inner, list) else []:
            if isinstance(item, dict):
                yield from entries(item, maps, f"{path}[].")


def check(heading: str, records: list[dict[str, Any]]) -> None:
    """Compares records of one kind with their table, both ways."""
    table = TABLES[heading]
    found: dict[str, set[str]] = defaultdict(set)
    maps = {key for key, (types, _) in table.items() if "map" in types}
    for record in records:
        for path, kind in entries(record, maps):
            found[path].add(kind)
        missing = {key for key in table if "." not in key} - record.keys()
        assert all("with `--" in table[key][1] for key in missing), (heading, missing)
    assert found.keys() == table.keys(), f"{heading}: {sorted(found.keys() ^ table.keys())}"
    for path, kinds in found.items():
        types, _ = table[path]
        whole = {"integer"} if "number" in types else set()  # such as a temperature of 1
        assert kinds <= types | whole, f"{heading}: {path} is {kinds}"
        assert "null" not in types or "null" in kinds, f"{heading}: {path} is never null"


Records = Callable[..., list[dict[str, Any]]]


@pytest.fixture
def records(run: Run) -> Records:
    def call(*arguments: str | Path, code: int = 0) -> list[dict[str, Any]]:
        result = run(*arguments, "--json")
        assert result.exit_code == code, result.output
        return [json.loads(line) for line in result.stdout.splitlines()]

    return call


@pytest.fixture
def data(run: Run, small_mnist: Any) -> None:
    assert run("download", "--mirror", small_mnist.folder).exit_code == 0


@pytest.mark.usefixtures("data")
def test_train(records: Records) -> None:
    short = ("train", "--epochs", "1", "--log-every", "5", "--output")
    events = records(*short, "a.safetensors") + records(
        *short, "b.safetensors", "--from", "pretrained"
    )
    for kind in ("begin", "loss", "epoch", "done"):
        check(kind, [event for event in events if event["event"] == kind])
    assert {event["event"] for event in events} == {"begin", "loss", "epoch", "done"}


@pytest.mark.usefixtures("data", "checkpoint")
def test_eval(records: Records) -> None:
    folder = image_folders.fill(Path("mine"), {"0": 0, "1": 1}, count=3)
    noise = np.random.default_rng(0).integers(0, 256, (4, 28, 28), np.uint8)
    for number, pixels in enumerate(noise):
        Path(f"noise/{number % 2}").mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(f"noise/{number % 2}/{number}.png")
    unsure = records("eval", "--dataset", "folder:noise", "--checkpoint", "pretrained")
    check(
        "JSON of eval",
        [*records("eval"), *records("eval", "--dataset", f"folder:{folder}"), *unsure],
    )


def test_predict(records: Records) -> None:
    save_digit(Path("7.png"), 7)
    draw_digit(4, ink=120, paper=120).save("blank.png")
    two = draw_digit(4, size=120, shift=(-0.25, 0), scale=0.4)
    two.paste(draw_digit(5, size=60, scale=0.8), (60, 30))
    two.save("two.png")
    images = ("7.png", "blank.png", "two.png", "--checkpoint", "pretrained")
    plain = records("predict", *images, code=1)
    check("JSON of predict", plain + records("predict", *images, "--top", "2", code=1))
    check("JSON of predict --multi", records("predict", "--multi", *images, code=1))


def test_inspect_softmax(records: Records) -> None:
    save_digit(Path("7.png"), 7)
    image = ("inspect-softmax", "7.png", "--checkpoint", "pretrained")
    check(
        "JSON of inspect-softmax",
        [
            *records(*image),
            *records(*image, "--target", "7", "--explain"),
            *records("inspect-softmax", "--logits", "2,1", "--target", "0", "--step", "0.5"),
            *records("inspect-softmax", "--probabilities", "0.7,0.3", "--target", "1"),
        ],
    )


def test_export(records: Records) -> None:
    check("JSON of export", records("export", "digits.npz", "--checkpoint", "pretrained"))


def test_import_and_info(records: Records, checkpoint: Path) -> None:
    weights = dict[str, Any](load_checkpoint(BUNDLED).weights)
    np.savez("net.npz", **weights)
    check("JSON of import", records("import", "net.npz", "--output", "net.safetensors"))
    check("JSON of info", records("info", "net.safetensors") + records("info", checkpoint))


def test_download(records: Records, small_mnist: Any) -> None:
    mirror = ("download", "--mirror", small_mnist.folder)
    comes_along = records("download", "--dataset", "optdigits")
    check("JSON of download", [*comes_along, *records(*mirror), *records(*mirror)])
