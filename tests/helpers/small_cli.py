"""Runs digitcli as a program of its own, with small data in place of MNIST and short time-outs.

``python tests/helpers/small_cli.py FILES.json ARGUMENT...``: the JSON lists the fields of the four
files. Outliers and synthetic digits are few too, and nothing else differs from ``python -m
digitcli``. With ``LIMITS=real`` in the environment the time-outs do not either, and with
``LIMITS=none`` no machine is too slow for them.
"""

import json
import os
import sys
from dataclasses import replace
from pathlib import Path

from drawn_digits import FEW_OUTLIERS, FEW_SYNTHETIC

from digitcli.__main__ import main
from digitcli.data.datasets import outliers, synthetic
from digitcli.data.download import fetch, manifest

LIMITS = {"short": (1.0, 2.0, 1.0, 6.0), "none": (600.0, 600.0, 600.0, 600.0)}


def use_small_data(listing: Path) -> None:
    """Replaces MNIST by the files of a JSON, and generated images by fewer ones."""
    small = tuple(manifest.DataFile(*row) for row in json.loads(listing.read_text()))
    manifest.PUBLISHED["mnist"] = replace(manifest.PUBLISHED["mnist"], files=small)
    outliers._COUNT, synthetic._PER_DIGIT = FEW_OUTLIERS, FEW_SYNTHETIC
    kind = os.environ.get("LIMITS", "short")
    if kind != "real":
        connect, response, read, total = LIMITS[kind]
        fetch.CONNECT_TIMEOUT, fetch.RESPONSE_TIMEOUT = connect, response
        fetch.READ_TIMEOUT, fetch.TOTAL_TIMEOUT = read, total


if __name__ == "__main__":  # and not in the processes that predict starts
    use_small_data(Path(sys.argv.pop(1)))
    main()
