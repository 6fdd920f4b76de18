"""Sentences about the steps from a picture to scores to loss, each with its formula in numbers."""

import math
from collections.abc import Sequence

import numpy as np

from digitcli.core.inference import NetworkSteps
from digitcli.core.softmax import DescentStep, LossSteps, SoftmaxSteps, margin
from digitcli.text import below_one, visible

IN_NUMBERS = " In numbers: "
"""Begins the formula at the end of a sentence."""

_MAX_TERMS = 4
"""Maximum number of terms of a sum that are written out."""


def explain_softmax(
    steps: SoftmaxSteps, network: NetworkSteps | None, temperature_from: str
) -> list[str]:
    """Returns a sentence about each step; ``temperature_from`` is as in ``show_softmax``."""
    names = [visible(name) for name in steps.classes]
    ranking = np.argsort(-steps.logits, kind="stable").tolist()
    sentences = [] if network is None else _network_sentences(network)
    sentences.append(_one_hot_sentence(steps, names))
    if steps.from_scores:
        sentences += _softmax_sentences(steps, names, ranking, temperature_from)
    if steps.loss is None:
        p, name = share(steps.probabilities[steps.top]), names[steps.top]
        loss = fixed(float(-np.log(steps.probabilities[steps.top])))
        sentences.append(
            "Loss: it measures how far the probabilities are from the right answer; name that "
            f"with --target to see the loss and its gradient.{IN_NUMBERS}-log {p} = {loss} if "
            f"{name} is right."
        )
        return sentences
    sentences += _loss_sentences(steps, steps.loss, names, ranking)
    if steps.step is not None:
        sentences.append(_step_sentence(steps, steps.loss, steps.step, names))
    return sentences


def power(exponent: str) -> str:
    """Returns e to a power, in parentheses unless the exponent is one word without a sign."""
    return f"e^{exponent}" if exponent.replace(".", "").isalnum() else f"e^({exponent})"


def _network_sentences(network: NetworkSteps) -> list[str]:
    pixel, mean, std = network.pixels[1], f"{network.mean:g}", f"{network.std:g}"
    first, *_, last = network.layers
    sizes = "-".join(str(n) for n in (first.inputs, *(layer.outputs for layer in network.layers)))
    hidden = [layer for layer in network.layers if layer.active is not None]
    active = ", ".join(f"{layer.active} of {layer.outputs} in {layer.name}" for layer in hidden)
    return [
        f"Normalization: each pixel, 0 to 255, is scaled to 0..1, less the mean {mean} of all "
        f"pixels that the network learned from, and divided by their standard deviation {std}, so "
        f"that inputs are around 0.{IN_NUMBERS}({pixel.value}/255 - {mean}) / {std} = "
        f"({pixel.scaled:.4f} - {mean}) / {std} = {pixel.normalized:.4f} for the pixel in row "
        f"{pixel.row}, column {pixel.column}.",
        f"Layers: the rows of the picture are laid end to end, 28x28 to {first.inputs} numbers, "
        f"and each layer multiplies them by its weights, adds its biases, and sets negative "
        f"results to 0 (ReLU) but for the last one, whose {last.outputs} results are the scores; "
        f"units above 0 are active.{IN_NUMBERS}28 × 28 = {first.inputs}, then {sizes}"
        + (f"; active {active}." if hidden else "."),
    ]


def _one_hot_sentence(steps: SoftmaxSteps, names: list[str]) -> str:
    vector = ""
    if (loss := steps.loss) is not None:
        values = _listed([f"{value:.0f}" for value in loss.one_hot], ", ", maximum=12)
        vector = f"y = ({values}) for {names[loss.target]}; "
    return (
        f"One-hot: numbered 0, 1, 2, the third class would be 2 away from the first but only 1 "
        f"from the second, an order that classes do not have; as one-hot vectors any two of the "
        f"{len(names)} classes here are equally far apart and at right angles.{IN_NUMBERS}{vector}"
        f"√((1 - 0)² + (0 - 1)²) = √2 = {math.sqrt(2):.3f}."
    )


def _softmax_sentences(
    steps: SoftmaxSteps, names: list[str], ranking: list[int], temperature_from: str
) -> list[str]:
    first, second = ranking[:2]
    high, low = (f"{float(steps.scaled[i]):.4g}" for i in (first, second))
    gap = float(steps.scaled[first] - steps.scaled[second])
    ratio = f"{power(f'{gap:.4g}')} = {math.exp(gap):.4g}" if gap < 700 else power(f"{gap:.4g}")
    sentences = []
    if steps.temperature != 1:
        effect = "flattens" if steps.temperature > 1 else "sharpens"
        reason = ""
        if temperature_from == "checkpoint":
            reason = "; the checkpoint has it so that answers are right as often as they claim"
        sentences.append(
            f"Temperature: the scores z are divided by T = {steps.temperature:g} first, which "
            f"{effect} the probabilities and leaves their order alone; {names[first]} led "
            f"{names[second]} by {margin(steps.logits):.4g}, and leads by {gap:.4g} now{reason}."
            f"{IN_NUMBERS}z/T = {float(steps.logits[first]):.4g} / {steps.temperature:g} = {high} "
            f"for {names[first]}."
        )
    total = float(steps.powers.sum())
    plain = math.isfinite(total) and total > 0  # without the largest score subtracted
    values = steps.powers if plain else steps.exponentials
    terms = [
        power(f"{z:.4g}") for z in (steps.scaled if plain else steps.scaled - steps.scaled.max())
    ]
    p = f"{terms[first]} / ({_listed(terms, ' + ')})"
    return [
        *sentences,
        f"Exponentials: they turn a difference of scores into a ratio, so 2.1 against 1.9 becomes "
        f"e^0.2 = {math.exp(0.2):.3f} to 1; here {names[first]} leads {names[second]} by "
        f"{gap:.4g}, which becomes {ratio} to 1. Programs subtract the largest score first: no "
        f"ratio changes, and nothing overflows.{IN_NUMBERS}{power(high)} / {power(low)} = "
        f"{power(f'{high} - {low}' if not low.startswith('-') else f'{high} + {low[1:]}')} = "
        f"{ratio}.",
        f"Softmax: divided by their sum {steps.exponentials.sum():.6g}, the exponentials become "
        f"probabilities; {names[first]} gets {share(steps.probabilities[first])} where a hard "
        f"max would give it 1 and hide that {names[second]} still has "
        f"{share(steps.probabilities[second])}.{IN_NUMBERS}p = {p} = {values[first]:.4g} / "
        f"{values.sum():.6g} = {share(steps.probabilities[first])} for {names[first]}.",
    ]


def _loss_sentences(
    steps: SoftmaxSteps, loss: LossSteps, names: list[str], ranking: list[int]
) -> list[str]:
    target, gradient = loss.target, [share(value, sign="+") for value in loss.gradient]
    others = [i for i in ranking if i != target]
    lowered = ", ".join(f"{names[i]} ({gradient[i]})" for i in others[:3])
    if len(others) > 3:
        lowered += f" and {len(others) - 3} more by less"
    # a certain and right answer of a network whose probabilities go through softmax again
    least_double = math.log(math.e + len(names) - 1) - 1
    p = [share(value) for value in steps.probabilities]
    logarithm = f"-log {p[target]}"
    if steps.from_scores and steps.probabilities[target] == 0:  # too small for a float
        below = float(steps.scaled[target] - steps.scaled.max())
        logarithm = f"log {steps.exponentials.sum():.6g} - ({below:.4g})"
    terms = [power(value) for value in p]
    return [
        f"Logarithm: only the target counts, and the loss is -log p = {fixed(loss.cross_entropy)} "
        f"for p = {p[target]}; a sure and right answer (p = 1) costs 0, p = 0.5 costs "
        f"{math.log(2):.3f}, p = 0.01 costs {-math.log(0.01):.3f}: being sure and wrong is "
        f"punished without bound.{IN_NUMBERS}{logarithm} = {fixed(loss.cross_entropy, 4)}.",
        f"Gradient: training steps against p - y, so it raises the score of {names[target]} "
        f"({gradient[target]}) and lowers the others, each in proportion to its own probability: "
        f"{lowered}. The steps add up to 0, and fade as p nears y.{IN_NUMBERS}p - y = {p[target]} "
        f"- 1 = {gradient[target]} for {names[target]}, {p[others[0]]} - 0 = "
        f"{gradient[others[0]]} for {names[others[0]]}.",
        f"Twice: CrossEntropyLoss applies softmax itself; given probabilities in place of scores "
        f"it would report {loss.double_softmax:.4f}, and could never fall below "
        f"{least_double:.4f} with {len(names)} classes.{IN_NUMBERS}-log({terms[target]} / "
        f"({_listed(terms, ' + ')})) = {loss.double_softmax:.4f}.",
    ]


def _step_sentence(
    steps: SoftmaxSteps, loss: LossSteps, step: DescentStep, names: list[str]
) -> str:
    target = loss.target
    gradient, divided = share(loss.gradient[target], sign="+"), ""
    if steps.temperature != 1:
        divided = f" / {steps.temperature:g}"
    return (
        f"Step: gradient descent with learning rate {step.lr:g} subtracts {step.lr:g} times the "
        f"gradient from each score, so the score of {names[target]} rises and the loss goes from "
        f"{fixed(loss.cross_entropy, 4)} to {fixed(step.loss, 4)}; training does the same to "
        f"weights, which the scores follow.{IN_NUMBERS}{float(steps.logits[target]):.4g} - "
        f"{step.lr:g} × ({gradient}){divided} = {float(step.logits[target]):.4g} for "
        f"{names[target]}."
    )


def _listed(terms: Sequence[str], separator: str, maximum: int = _MAX_TERMS) -> str:
    """Returns the terms in order, of many the first ones and the last."""
    if len(terms) > maximum:
        terms = [*terms[: maximum - 1], "...", terms[-1]]
    return separator.join(terms)


def share(value: float, sign: str = "") -> str:
    """Formats a probability, or a difference of two: only exactly 1 is shown as 1.

    What would be rounded to 1 gets up to nine decimals, so that it agrees with the loss beside it.
    """
    decimals = 3
    while decimals < 9 and abs(value) < 1 and round(abs(value), decimals) == 1:
        decimals += 1
    return fixed(below_one(value, decimals), decimals, sign)


def fixed(value: float, decimals: int = 3, sign: str = "") -> str:
    """Formats a number with fixed decimals, and one too small for them with an exponent."""
    large = abs(value) >= 10**-decimals or value == 0
    return f"{value:{sign}.{decimals}f}" if large else f"{value:{sign}.1e}"
