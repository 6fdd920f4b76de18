"""Runs digitcli as a program of its own, with small data in place of MNIST and short time-outs.

``python tests/small_cli.py FILES.json ARGUMENT...``: the JSON lists name, md5 and archive_md5 of
the four files. Nothing else differs from ``python -m digitcli``.
"""

import json
import sys
from pathlib import Path

from digitcli.__main__ import main
from digitcli.data import download, mnist

mnist.FILES = tuple(mnist.IdxFile(*row) for row in json.loads(Path(sys.argv.pop(1)).read_text()))
download.CONNECT_TIMEOUT = 1.0
download.READ_TIMEOUT = 1.0
main()
