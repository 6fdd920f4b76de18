"""Runs digitcli as a program of its own, with small data in place of MNIST and short time-outs.

``python tests/small_cli.py FILES.json ARGUMENT...``: the JSON lists the fields of the four files.
Nothing else differs from ``python -m digitcli``; with PATIENT in the environment, the time-outs do
not either.
"""

import json
import os
import sys
from dataclasses import replace
from pathlib import Path

from digitcli.__main__ import main
from digitcli.data import archives, fetch

small = tuple(archives.DataFile(*row) for row in json.loads(Path(sys.argv.pop(1)).read_text()))
archives.FILE_SETS["mnist"] = replace(archives.FILE_SETS["mnist"], files=small)
if "PATIENT" not in os.environ:
    fetch.CONNECT_TIMEOUT = 1.0
    fetch.ANSWER_TIME = 2.0
    fetch.READ_TIMEOUT = 1.0
    fetch.TOTAL_TIME = 6.0
main()
