"""Checkpoints and training states: their format, how they are found, read and written."""
