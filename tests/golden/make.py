"""Writes the golden checkpoint of a format version, once, with the code that introduces it.

    python tests/golden/make.py TRAINED GOLDEN.safetensors.gz

TRAINED comes from ``digitcli train --dataset optdigits --epochs 2 --log-every 30 --seed 7
--validation 300``. Its metadata is kept; its weights are replaced by sparse ones with few values,
so that the compressed file is small. Prints the probabilities that the test expects.
"""

import gzip
import sys
from pathlib import Path

import numpy as np

from digitcli.core.checkpointing.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from digitcli.core.inference import forward
from digitcli.core.softmax import softmax


def main(trained: Path, golden: Path) -> None:
    metadata = load_checkpoint(trained).metadata
    rng = np.random.default_rng(0)
    weights = {}
    for name, old in load_checkpoint(trained).weights.items():
        weights[name] = new = np.zeros_like(old)
        if new.ndim == 1:
            new[:] = rng.choice([0, 0.25], len(new))
        for row in new if new.ndim == 2 else ():
            row[rng.integers(0, len(row), 3)] = rng.choice([-0.5, 0.25, 0.5, 1], 3)
    plain = golden.with_suffix("")
    save_checkpoint(plain, Checkpoint(weights, metadata))
    golden.write_bytes(gzip.compress(plain.read_bytes(), mtime=0))
    image = (np.arange(784) * 37 % 256).astype(np.uint8).reshape(1, 28, 28)
    scores = forward(load_checkpoint(plain), image)[0] / metadata.temperature
    plain.unlink()
    print([round(float(p), 6) for p in softmax(scores)])


main(Path(sys.argv[1]), Path(sys.argv[2]))
