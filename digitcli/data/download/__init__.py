"""Downloading data sets: published files and checksums, mirrors, atomic installation."""
