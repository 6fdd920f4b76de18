"""Data sets and images: where the digits come from and how they are prepared."""
