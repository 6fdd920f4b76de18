"""The page to draw on, an export format: one HTML file with the network and its own scripts."""

import base64
import hashlib
import itertools
import json
import math
import re
from collections.abc import Mapping
from importlib.resources import files

import numpy as np
import numpy.typing as npt
from markupsafe import Markup

from digitcli.core.checkpointing.checkpoint import Weights
from digitcli.core.errors import DigitcliError
from digitcli.core.evaluation.ood import DIGITS
from digitcli.core.export.verify import Predict
from digitcli.core.softmax import softmax
from digitcli.data.preprocessing.full_frame import FULL_FRAME_DATASETS
from digitcli.report.page import fill, open_template
from digitcli.text import visible
from digitcli.translation import chinese

SCRIPTS = (
    *("messages.js", "numbers.js", "network.js"),
    *("pixels.js", "ink.js", "preparation.js", "drawing.js"),
)
"""Files in ``templates/draw`` that together are the page's script, in this order."""

_MESSAGE = re.compile(r'\b(?:gettext|message)\(\s*("(?:[^"\\]|\\.)*")')
"""Pattern of a message in the scripts, a string in double quotes."""

MAX_BYTES = 32_000_000
"""Maximum size of a page's weights. Measured in Chromium on two cores: a page of 25 MB is open
after a second and answers in 8 ms, one of 44 MB after 1.6 s in 26 ms, which is more than a frame
has."""

MOST_BARS = 10
"""Maximum number of classes whose bars are shown: the most probable ones."""


def pack(network: Weights, notes: Mapping[str, str]) -> bytes:
    """Returns a page with a network from ``fold``, and with notes as ``make_notes`` returns them.

    The weights are float32. Measured on MNIST's 10,000 test images: no probability is off by more
    than 2e-6; with float16, half the size, by up to 1.5e-3.

    Raises:
        DigitcliError: The page would be larger than ``MAX_BYTES``.
    """
    _check_size(network)
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
        "chinese": {text: chinese()(text) for text in script_messages()},
    }
    page = open_template("draw.html", _in_both_languages).render(
        settings=settings,
        notes=notes,
        temperature=float(notes["temperature"]),
        weights=base64.b64encode(weights).decode(),
        script=Markup(script),  # noqa: S704  our own
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
    )
    return page.encode()


def _check_size(network: Weights) -> None:
    size = 4 * math.ceil(sum(weight.size * 4 for weight in network.values()) / 3)  # in base64
    if size > MAX_BYTES:
        raise DigitcliError(
            f"a page of {size / 1e6:,.0f} MB is too large for a browser, {MAX_BYTES / 1e6:,.0f} MB "
            "at most",
            "export this network as onnx, pt2 or npz",
        )


def _in_both_languages(text: str, /, **values: object) -> Markup:
    """Returns a message in English and in Chinese, of which the page shows one."""
    spans = (("en", text), ("zh", chinese()(text)))
    tag = Markup('<span class="{}">{}</span>')
    return Markup("").join(tag.format(name, fill(each, **values)) for name, each in spans)


def script_messages() -> list[str]:
    """Returns the messages of the page's script."""
    return [json.loads(literal) for literal in _MESSAGE.findall(_script())]


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
