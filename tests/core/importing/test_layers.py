"""Finding a network among named tensors: which are layers, and in which order."""

from collections.abc import Sequence

import numpy as np
import pytest

from digitcli.core.errors import DigitcliError
from digitcli.core.importing.layers import Arrays, extract, find_layers


def tensors(*layers: tuple[str, int, int]) -> dict[str, np.ndarray]:
    """Returns the tensors of layers: name, inputs, outputs."""
    found: dict[str, np.ndarray] = {}
    for number, (name, inputs, outputs) in enumerate(layers):
        found[f"{name}.weight"] = np.full((outputs, inputs), number, np.float32)
        found[f"{name}.bias"] = np.full(outputs, number, np.float32)
    return found


def order(found: Arrays) -> list[str]:
    return [layer.name for layer in find_layers(found)]


@pytest.mark.parametrize(
    "names",
    [
        ["l1", "l2", "l3"],
        ["module.l1", "module.l2", "module.l3"],
        ["model.l1", "model.l2", "model.l3"],
        ["fc1", "fc2", "out"],
        ["net.0", "net.2", "net.4"],
        ["layers.3", "layers.20", "layers.100"],
        ["weight_of.a", "b", "weight"],
    ],
)
def test_names_of_many_programs(names: Sequence[str]) -> None:
    found = tensors(*zip(names, (784, 32, 16), (32, 16, 10), strict=True))
    assert order(found) == names
    assert order(dict(sorted(found.items(), reverse=True))) == names


@pytest.mark.parametrize("weight", ["W{}", "fc{}_weight", "weights/{}", "weight{}"])
def test_names_of_numpy_users(weight: str) -> None:
    shapes = ((16, 784), (10, 16))
    bias = weight.replace("W", "b").replace("weight", "bias")
    found: dict[str, np.ndarray] = {
        weight.format(n): np.zeros(shape) for n, shape in enumerate(shapes, 1)
    }
    found |= {bias.format(n): np.zeros(shape[0]) for n, shape in enumerate(shapes, 1)}
    assert [layer.weight for layer in find_layers(found)] == [weight.format(1), weight.format(2)]


def test_shapes_alone_decide_where_they_can() -> None:
    found = tensors(("last", 64, 10), ("z", 784, 128), ("a", 128, 64))
    assert order(found) == ["z", "a", "last"]
    assert order(tensors(("fc3", 784, 32), ("fc2", 32, 16), ("fc1", 16, 10))) == [
        *("fc3", "fc2", "fc1")
    ]


def test_numbers_decide_between_layers_of_equal_shape() -> None:
    hidden = [(f"hidden.{n}", 64, 64) for n in (10, 2, 9, 1)]
    found = tensors(("out", 64, 10), *hidden, ("first", 784, 64))
    assert order(found) == ["first", "hidden.1", "hidden.2", "hidden.9", "hidden.10", "out"]


def test_a_single_layer_and_twenty() -> None:
    assert order(tensors(("linear", 784, 10))) == ["linear"]
    deep = [(f"l{n}", 784 if n == 1 else 32, 10 if n == 20 else 32) for n in range(1, 21)]
    assert order(tensors(*deep)) == [f"l{n}" for n in range(1, 21)]


def test_values_become_float32_in_order() -> None:
    found = tensors(("b", 16, 10), ("a", 784, 16))
    weights = extract({n: t.astype(np.float64) for n, t in found.items()}, find_layers(found))
    assert {name: (w.shape, str(w.dtype), w.max()) for name, w in weights.items()} == {
        "l1.weight": ((16, 784), "float32", 1),
        "l1.bias": ((16,), "float32", 1),
        "l2.weight": ((10, 16), "float32", 0),
        "l2.bias": ((10,), "float32", 0),
    }


GOOD = tensors(("fc1", 784, 32), ("fc2", 32, 10))
ZEROS = np.zeros(32, np.float32)


@pytest.mark.parametrize(
    ("found", "problem"),
    [
        ({**GOOD, "conv1.weight": np.zeros((8, 1, 3, 3))}, "conv1.weight is 8x1x3x3, as of a conv"),
        ({**GOOD, "lstm": np.zeros((2, 2, 2))}, "lstm is 2x2x2;"),
        ({**GOOD, "bn.weight": ZEROS, "bn.bias": ZEROS}, "bn.weight, bn.bias are of no Linear"),
        ({**GOOD, "scale": np.float32(1)}, "scale is of no Linear layer"),
        ({n: t for n, t in GOOD.items() if n != "fc2.bias"}, "the layer fc2 has no bias"),
        ({**GOOD, "fc2.bias": ZEROS}, "fc2.bias has 32 values, and fc2.weight 10 rows"),
        ({**GOOD, "table": np.zeros((3, 3))}, "table is named like no weight"),
        ({**GOOD, "fc2.bias": np.zeros(10, int)}, "fc2.bias holds int64, not floating-point"),
        (tensors(("a", 784, 32), ("b", 16, 10)), "do not chain .*a 784-32, b 16-10"),
        (tensors(("a", 3072, 32), ("b", 32, 10)), "do not chain from 784 inputs"),
        (tensors(("a", 32, 784), ("b", 10, 32)), "transpose weights of shape"),
        (tensors(("a", 784, 10), ("b", 784, 10)), "do not chain"),
        (tensors(("a", 784, 10), ("b", 32, 32)), "do not chain"),
        (
            tensors(("in", 784, 32), ("x", 32, 32), ("y", 32, 32), ("out", 32, 10)),
            "the order of the layers is ambiguous .in 784-32, x 32-32, y 32-32, out 32-10",
        ),
        (
            tensors(
                ("a", 784, 8), ("b1", 8, 9), ("c", 9, 8), ("d", 8, 9), ("e", 9, 8), ("f", 8, 2)
            ),
            "ambiguous",
        ),
        (tensors(*((f"l{n}", 784, 784) for n in range(21))), "21 layers are more than 20"),
        (
            tensors(*((f"x{chr(97 + n)}", 784, 784) for n in range(19)), ("out", 784, 10)),
            "ambiguous .*and 14 more",
        ),
        ({}, "the file holds no tensors"),
    ],
)
def test_other_networks_are_refused_by_what_was_found(found: Arrays, problem: str) -> None:
    with pytest.raises(DigitcliError, match=problem) as refusal:
        find_layers(found)
    assert len(str(refusal.value)) < 600
