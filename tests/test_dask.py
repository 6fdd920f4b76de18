"""The sample of several machines, on a cluster of two processes."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from drawn_digits import draw_digit
from page_blocks import blocks, pages

from digitcli.classifier import Classifier, Prediction

pytest.importorskip("distributed")


def test_the_answers_of_a_cluster_are_those_of_one_process(tmp_path: Path) -> None:
    (tmp_path / "scans").mkdir()
    digits = [draw_digit(digit) for digit in range(10)]
    for number in range(2000):
        digits[number % 10].save(tmp_path / "scans" / f"{number:04}.png")
    (tmp_path / "scans" / "1234.png").write_bytes(b"no image")

    (sample,) = (
        block.text for page in pages() for block in blocks(page) if "import dask" in block.text
    )
    cluster = "Client(n_workers=2, threads_per_worker=1, dashboard_address=None)"
    program, count = re.subn(r'Client\("tcp.*?"\)', cluster, sample)
    assert count == 1
    (tmp_path / "sample.py").write_text(program)
    command = [sys.executable, "sample.py"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr

    names = sorted((tmp_path / "scans").iterdir())
    expected = [
        answer.label if isinstance(answer, Prediction) else str(answer).replace(f"{tmp_path}/", "")
        for answer in Classifier.load("pretrained").predict_many(names)
    ]
    assert done.stdout.splitlines() == expected
