"""Importing: weights that other programs saved become a checkpoint."""
