"""What follows a training run: checkpoints, metric logs, TensorBoard."""
