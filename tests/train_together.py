"""Trains with all that needs the whole of a batch, in as many processes as torchrun starts.

``python tests/train_together.py OUTPUT``: the checkpoint after two epochs goes to OUTPUT. With SGD,
because Adam makes whole steps of gradients that are nothing but rounding.
"""

import sys
from dataclasses import replace
from pathlib import Path

import torch
from drawn_digits import drawn_pictures

from digitcli.core.batches import TrainingData
from digitcli.core.checkpoint import save_checkpoint
from digitcli.core.recipes import BEST
from digitcli.core.training import train
from digitcli.core.world import join
from digitcli.data.outliers import make_outliers

train_images, train_labels = drawn_pictures(101, 1)  # so that the last batch is uneven
test_images, test_labels = drawn_pictures(50, 2)
data = TrainingData(
    name="small",
    classes=tuple("0123456789"),
    mean=0.1307,
    std=0.3081,
    train_images=train_images,
    train_labels=train_labels,
    scored_images=test_images,
    scored_labels=test_labels,
    outliers=make_outliers(train_images, train_labels, seed=0)[:50],
)
recipe = replace(BEST, epochs=2, batch_size=32, optimizer="sgd", lr=0.05)
cpu = torch.device("cpu")
with join(cpu) as world:
    result = train(data, recipe, seed=1, log_every=2, device=cpu, world=world)
if world.is_first:
    save_checkpoint(Path(sys.argv[1]), result.checkpoint)
