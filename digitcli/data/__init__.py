"""Data sets and pictures: where the digits come from and how they are prepared."""
