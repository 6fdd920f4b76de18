"""Scores, calibration, and out-of-distribution warnings."""
