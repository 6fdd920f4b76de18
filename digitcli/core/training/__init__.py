"""The training loop and what it is made of: batches, optimizers, resuming, scoring."""
