"""Finding a multilayer perceptron among named tensors: which are layers, and in which order.

A tensor that belongs to no linear layer is an error: without it, the network would compute
something else.
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from digitcli.core.checkpointing.checkpoint import Weights
from digitcli.core.checkpointing.metadata import INPUTS, MAX_LAYERS
from digitcli.core.errors import DigitcliError

Arrays = Mapping[str, npt.NDArray[np.generic]]

_MAX_STEPS = 10_000
"""Maximum number of steps of the search for an order."""

_MAX_LISTED = 6
"""Maximum number of tensors that an error lists."""

_WEIGHT = re.compile(r"weight(?!.*weight)|\bW(?=\d*$)")
"""The part of a weight's name that its bias has not: the last "weight", or "W" as in "W1"."""


@dataclass(frozen=True)
class Layer:
    """A linear layer: names and widths."""

    name: str  # of both tensors, without "weight", such as "fc1"
    weight: str  # name of a tensor of shape (outputs, inputs)
    bias: str  # name of a tensor of shape (outputs,)
    inputs: int
    outputs: int

    @property
    def parameters(self) -> int:
        """Number of weights and biases."""
        return self.outputs * (self.inputs + 1)


def find_layers(tensors: Arrays) -> list[Layer]:
    """Returns the linear layers of a network, from ``INPUTS`` pixels to the scores of its classes.

    Names decide which bias belongs to which weight, and shapes decide the order of the layers. If
    shapes allow several orders, numbers in names decide: fc2 comes after fc1.

    Raises:
        DigitcliError: A tensor is not of a linear layer, or there is no order, or more than one.
    """
    for problem in _tensor_problems(tensors):
        raise DigitcliError(problem, "only networks of Linear layers with biases can be imported")
    layers = [_layer(name, tensors) for name in tensors if tensors[name].ndim == 2]
    found = _listed([f"{layer.name} {layer.inputs}-{layer.outputs}" for layer in layers])
    if len(layers) > MAX_LAYERS:
        raise DigitcliError(
            f"{len(layers):,} layers are more than {MAX_LAYERS}", "import a smaller network"
        )
    orders = _orders(layers)
    if not orders:
        problem = f"the layers do not chain from {INPUTS} inputs to one output per class ({found})"
        if any(layer.outputs == INPUTS for layer in layers):
            raise DigitcliError(problem, "transpose weights of shape (inputs, outputs)")
        raise DigitcliError(problem, f"import a network of one chain from {INPUTS} pixels")
    if len(orders) > 1:
        raise DigitcliError(
            f"the order of the layers is ambiguous ({found})", "number their names in order"
        )
    return orders[0]


def extract(tensors: Arrays, layers: Sequence[Layer]) -> Weights:
    """Returns the layers' tensors as float32, named as in a checkpoint."""
    weights = {}
    for number, layer in enumerate(layers, start=1):
        for part, name in (("weight", layer.weight), ("bias", layer.bias)):
            with np.errstate(over="ignore"):  # infinity is refused as such
                weights[f"l{number}.{part}"] = np.ascontiguousarray(tensors[name], np.float32)
    return weights


def _tensor_problems(tensors: Arrays) -> Iterator[str]:
    """Yields what is wrong with tensors, those first that tell most about the network."""
    for name, tensor in tensors.items():
        if tensor.ndim > 2:
            shape = "x".join(map(str, tensor.shape[:6]))
            kind = ", as of a convolution" if tensor.ndim == 4 else ""
            yield f"{name:.80} is {shape}{kind}"
    weights = {name for name, tensor in tensors.items() if tensor.ndim == 2}
    biases = {_bias_name(name) for name in weights}
    if others := [name for name in tensors if name not in weights | biases]:
        yield f"{_listed(others)} {'is' if len(others) == 1 else 'are'} of no Linear layer"
    for name in weights:
        bias, outputs = _bias_name(name), tensors[name].shape[0]
        if bias is None:
            yield f"{name:.80} is named like no weight, such as fc1.weight"
        elif bias not in tensors:
            yield f"the layer {_layer_name(name):.80} has no bias"
        elif tensors[bias].shape != (outputs,):
            yield f"{bias:.80} has {tensors[bias].size:,} values, and {name:.80} {outputs:,} rows"
    for name, tensor in tensors.items():
        if tensor.dtype.kind != "f":
            yield f"{name:.80} holds {tensor.dtype.name}, not floating-point numbers"
    if not tensors:
        yield "the file holds no tensors"


def _bias_name(weight: str) -> str | None:
    name, count = _WEIGHT.subn(lambda found: "b" if found[0] == "W" else "bias", weight)
    return name if count else None


def _layer_name(weight: str) -> str:
    return _WEIGHT.sub("", weight).strip("._/") or weight


def _layer(weight: str, tensors: Arrays) -> Layer:
    outputs, inputs = tensors[weight].shape
    return Layer(_layer_name(weight), weight, str(_bias_name(weight)), inputs, outputs)


def _orders(layers: Sequence[Layer]) -> list[list[Layer]]:
    """Returns up to two orders in which each layer's outputs are the next one's inputs.

    If there is exactly one in which numbered names follow their numbers, only that is returned.
    """
    if not _may_chain(layers):
        return []
    numbered = _search(layers, by_number=True)
    return numbered if len(numbered) == 1 else _search(layers, by_number=False)


def _may_chain(layers: Sequence[Layer]) -> bool:
    """Returns True if no width speaks against a chain of all layers that begins with ``INPUTS``.

    A width inside the chain is the output of as many layers as it is the input of.
    """
    balance = Counter(layer.inputs for layer in layers)
    balance.subtract(layer.outputs for layer in layers)
    ends = {width: count for width, count in balance.items() if count}
    return ends.get(INPUTS) == 1 and sorted(ends.values()) == [-1, 1]


def _search(layers: Sequence[Layer], *, by_number: bool) -> list[list[Layer]]:
    """Returns up to two orders; of a search that takes too long two, as if it were ambiguous."""
    orders: list[list[Layer]] = []
    paths: list[list[Layer]] = [[]]
    for _ in range(_MAX_STEPS):
        if not paths or len(orders) == 2:
            return orders
        path = paths.pop()
        width = path[-1].outputs if path else INPUTS
        rest = [layer for layer in layers if layer not in path]
        if not rest:
            orders.append(path)
        for layer in rest:
            if layer.inputs == width and not (by_number and _comes_later(layer, rest)):
                paths.append([*path, layer])
    return [list(layers)] * 2


def _comes_later(layer: Layer, rest: Sequence[Layer]) -> bool:
    """Returns True if a layer of the same name but for lower numbers is not placed yet."""
    pattern, numbers = _numbers(layer.name)
    others = (_numbers(other.name) for other in rest)
    return any(other == pattern and lower < numbers for other, lower in others)


def _numbers(name: str) -> tuple[str, tuple[int, ...]]:
    """Returns a name with its numbers left out, and the numbers."""
    numbers = re.findall(r"[0-9]{1,9}", name)
    return re.sub(r"[0-9]{1,9}", "#", name), tuple(map(int, numbers))


def _listed(names: Sequence[str]) -> str:
    listed = ", ".join(f"{name:.60}" for name in names[:_MAX_LISTED])
    more = len(names) - _MAX_LISTED
    return f"{listed} and {more:,} more" if more > 0 else listed
