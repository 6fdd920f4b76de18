"""Records what the commands compute, and compares it byte for byte after a change of the code.

    python tests/benchmarks/same_results.py record before/
    python tests/benchmarks/same_results.py compare before/

Needs ``../shared`` (MNIST and the pictures). Training uses the CPU; equal bytes can be expected on
the same machine only. Takes about three minutes on two cores.

``predict`` reads each image in a process of its own: where many are read at once, the last bits of
a probability depend on how many the network gets in one batch, which depends on timing.
"""

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from safetensors.numpy import load_file

ROOT = Path(__file__).parents[2]
SHARED = ROOT.parent / "shared"

RECIPES = ("lesson", "quick", "best")

COMMANDS = {
    "multi.jsonl": [
        *("predict", "--multi", "wild", "wild2"),
        *("--checkpoint", "weights.safetensors", "--json"),
    ],
    "eval.json": ["eval", "--checkpoint", "weights.safetensors", "--device", "cpu", "--json"],
    "softmax-scores.json": [
        *("inspect-softmax", "--logits", "2,1,0.1", "--classes", "cat,dog,person"),
        *("--target", "cat", "--json"),
    ],
    "softmax-image.json": [
        *("inspect-softmax", "--index", "8", "--checkpoint", "weights.safetensors", "--json"),
    ],
}


def run(folder: Path, *arguments: str) -> bytes:
    """Runs a command in a folder and returns its standard output.

    Exit codes 1 and 2 are allowed with output: images that cannot be read are part of the results.
    """
    environment = {
        **os.environ,
        "DIGITCLI_DATA_DIR": str(folder / "data"),
        "DIGITCLI_MIRROR": str(SHARED / "mnist"),
    }
    done = subprocess.run(
        [sys.executable, "-m", "digitcli", *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        check=False,
    )
    if done.returncode and not done.stdout:
        sys.exit(f"{' '.join(arguments)}: {done.stderr.decode()}")
    return done.stdout


def predict_each(folder: Path) -> bytes:
    """Predicts every image, one process for each."""
    images = sorted(
        str(path.relative_to(folder))
        for name in ("wild", "wild2")
        for path in (folder / name).iterdir()
        if path.suffix not in (".csv", ".md")
    )

    def predict(image: str) -> bytes:
        return run(folder, "predict", image, "--checkpoint", "weights.safetensors", "--json")

    with ThreadPoolExecutor(2) as pool:
        return b"".join(pool.map(predict, images))


def tensor_checksum(path: Path) -> str:
    """Returns the SHA-256 of a checkpoint's tensors: names, shapes and bytes in order of name."""
    digest = hashlib.sha256()
    for name, tensor in sorted(load_file(path).items()):
        digest.update(f"{name} {tensor.dtype} {tensor.shape} ".encode() + tensor.tobytes())
    return digest.hexdigest()


def results() -> Iterator[tuple[str, bytes]]:
    """Yields each result by name."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        shutil.copy(ROOT / "checkpoints" / "pretrained.safetensors", folder / "weights.safetensors")
        for pictures in ("wild", "wild2"):
            (folder / pictures).symlink_to(SHARED / pictures)
        yield "bundled.sha256", tensor_checksum(folder / "weights.safetensors").encode()
        yield "predict.jsonl", predict_each(folder)
        for result, arguments in COMMANDS.items():
            yield result, run(folder, *arguments)
        for recipe in RECIPES:
            output = folder / f"{recipe}.safetensors"
            run(
                folder,
                *("train", "--recipe", recipe, "--epochs", "1", "--seed", "0"),
                *("--device", "cpu", "--output", str(output)),
            )
            yield f"train-{recipe}.sha256", tensor_checksum(output).encode()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("action", choices=("record", "compare"))
    parser.add_argument("folder", type=Path)
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    differing = 0
    for name, content in results():
        path = arguments.folder / name
        if arguments.action == "record":
            path.write_bytes(content)
            verdict = "recorded"
        else:
            same = path.read_bytes() == content
            verdict = "same" if same else "DIFFERENT"
            if not same:
                path.with_name(f"now-{name}").write_bytes(content)
            differing += not same
        print(f"{name}\t{hashlib.sha256(content).hexdigest()[:16]}\t{verdict}", flush=True)
    sys.exit(differing > 0)


if __name__ == "__main__":
    main()
