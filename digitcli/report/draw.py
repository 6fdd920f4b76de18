"""The page to draw on, an export format: one HTML file with the network and its own scripts."""

import base64
import hashlib
import itertools
import json
import re
from collections.abc import Mapping
from importlib.resources import files

import numpy as np
import numpy.typing as npt
from markupsafe import Markup

from digitcli.core.checkpointing.checkpoint import Weights
from digitcli.core.evaluation.ood import DIGITS
from digitcli.core.export.verify import Predict
from digitcli.core.softmax import softmax
from digitcli.data.preprocessing.full_frame import FULL_FRAME_DATASETS
from digitcli.report.page import open_template
from digitcli.text import visible

SCRIPTS = ("network.js", "pixels.js", "ink.js", "preparation.js", "drawing.js")
"""Files in ``templates/draw`` that together are the page's script, in this order."""

MOST_BARS = 10
"""Maximum number of classes whose bars are shown: the most probable ones."""


def pack(network: Weights, notes: Mapping[str, str]) -> bytes:
    """Returns a page with a network from ``fold``, and with notes as ``make_notes`` returns them.

    The weights are float32. Measured on MNIST's 10,000 test images: no probability is off by more
    than 2e-6; with float16, half the size, by up to 1e-3.
    """
    layers = len(network) // 2
    sizes = [network["l1.weight"].shape[1]]
    sizes += [len(network[f"l{n}.bias"]) for n in range(1, layers + 1)]
    order = [f"l{n}.{part}" for n in range(1, layers + 1) for part in ("weight", "bias")]
    weights = b"".join(network[name].astype("<f4").tobytes() for name in order)
    classes = json.loads(notes["classes"])
    script = _script()
    settings = {
        "sizes": sizes,
        "classes": [visible(name) for name in classes],
        "digits": DIGITS.issuperset(classes),
        "fullFrame": notes["dataset"] in FULL_FRAME_DATASETS,
        "mostBars": MOST_BARS,
        "notes": notes,
    }
    page = open_template("draw.html").render(
        settings=settings,
        notes=notes,
        temperature=float(notes["temperature"]),
        weights=base64.b64encode(weights).decode(),
        script=Markup(script),  # noqa: S704  our own
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
    )
    return page.encode()


def _script() -> str:
    folder = files("digitcli.report") / "templates" / "draw"
    parts = [(folder / name).read_text(encoding="utf-8") for name in SCRIPTS]
    return '\n"use strict";\n{\n' + "\n".join(parts) + "}\n"


def unpack(content: bytes) -> Predict:
    """Reads a page; the function returned computes what ``digitcli.probabilities`` does in it."""
    sizes = json.loads(element(content, "settings"))["sizes"]
    numbers = np.frombuffer(base64.b64decode(element(content, "weights")), "<f4")
    layers = []
    for inputs, outputs in itertools.pairwise(sizes):
        weight, bias, numbers = np.split(numbers, (inputs * outputs, (inputs + 1) * outputs))
        layers.append((weight.reshape(outputs, inputs), bias))

    def predict(images: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        x = images.reshape(len(images), -1).astype(np.float64)
        for weight, bias in layers:  # maximum is ReLU, and leaves pixels unchanged
            x = np.maximum(x, 0) @ weight.T + bias
        return softmax(x).astype(np.float32)

    return predict


def element(content: bytes, name: str) -> bytes:
    """Returns the content of a page's data block: "settings", JSON, or "weights", base64."""
    pattern = rb'<script type="[a-z/]+" id="%s">(.*?)</script>' % name.encode()
    (text,) = re.findall(pattern, content)
    return text
