"""Trains with all that needs the whole of a batch, in as many processes as torchrun starts.

``python tests/helpers/train_distributed.py OUTPUT``: the checkpoint after two epochs goes to
OUTPUT. With SGD, because Adam makes whole steps of gradients that are nothing but rounding.
"""

import sys
from dataclasses import replace
from pathlib import Path

from drawn_digits import drawn_data
from training_runs import CPU, run_training

from digitcli.core.checkpointing.checkpoint import save_checkpoint
from digitcli.core.distributed.process_group import join
from digitcli.core.recipes import BEST


def main(output: Path) -> None:
    data = drawn_data(101, outliers=50, synthetic=40)  # so that the last batch is uneven
    recipe = replace(BEST, epochs=2, batch_size=32, optimizer="sgd", lr=0.05)
    with join(CPU) as group:
        result = run_training(data, recipe, seed=1, log_every=2, group=group)
    if group.is_first:
        save_checkpoint(output, result.checkpoint)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
