"""Explanations of the steps from an image to scores to loss, each with its formula in numbers."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from digitcli.core.inference import NetworkSteps
from digitcli.core.softmax import DescentStep, LossSteps, SoftmaxSteps, margin
from digitcli.text import below_one, visible
from digitcli.translation import Gettext

_MAX_TERMS = 4
"""Maximum number of terms of a sum that are written out."""


class Explanation(NamedTuple):
    """A step in words and in numbers, in the language of the output."""

    topic: str
    text: str
    formula: str

    def line(self, gettext: Gettext) -> str:
        """Returns all of it as one line."""
        return gettext("{topic}: {text} In numbers: {formula}").format(**self._asdict())


def explain_softmax(
    steps: SoftmaxSteps, network: NetworkSteps | None, temperature_from: str, gettext: Gettext
) -> list[Explanation]:
    """Returns an explanation of each step; ``temperature_from`` is as in ``show_softmax``."""
    names = [visible(name) for name in steps.classes]
    ranking = np.argsort(-steps.logits, kind="stable").tolist()
    explained = [] if network is None else _explain_network(network, gettext)
    explained.append(_explain_one_hot(steps, names, gettext))
    if steps.from_scores:
        if steps.temperature != 1:
            explained.append(_explain_temperature(steps, names, ranking, temperature_from, gettext))
        explained += _explain_scores(steps, names, ranking, gettext)
    if steps.loss is None:
        explained.append(_explain_missing_loss(steps, names, gettext))
        return explained
    explained += _explain_loss(steps, steps.loss, names, ranking, gettext)
    if steps.step is not None:
        explained.append(_explain_step(steps, steps.loss, steps.step, names, gettext))
    return explained


def power(exponent: str) -> str:
    """Returns e to a power, in parentheses unless the exponent is one word without a sign."""
    return f"e^{exponent}" if exponent.replace(".", "").isalnum() else f"e^({exponent})"


def _explain_network(network: NetworkSteps, gettext: Gettext) -> list[Explanation]:
    pixel, mean, std = network.pixels[1], f"{network.mean:g}", f"{network.std:g}"
    first, *_, last = network.layers
    sizes = [first.inputs, *(layer.outputs for layer in network.layers)]
    active = [
        gettext("{active} of {outputs} in {layer}").format(
            active=layer.active, outputs=layer.outputs, layer=layer.name
        )
        for layer in network.layers
        if layer.active is not None
    ]
    widths = gettext("28 × 28 = {inputs}, then {sizes}.")
    if active:
        widths = gettext("28 × 28 = {inputs}, then {sizes}; active {active}.")
    return [
        Explanation(
            gettext("Normalization"),
            gettext(
                "each pixel, 0 to 255, is scaled to 0..1, less the mean {mean} of all pixels that "
                "the network learned from, and divided by their standard deviation {std}, so that "
                "inputs are around 0."
            ).format(mean=mean, std=std),
            gettext("{normalization} for the pixel in row {row}, column {column}.").format(
                normalization=f"({pixel.value}/255 - {mean}) / {std} = "
                f"({pixel.scaled:.4f} - {mean}) / {std} = {pixel.normalized:.4f}",
                row=pixel.row,
                column=pixel.column,
            ),
        ),
        Explanation(
            gettext("Layers"),
            gettext(
                "the rows of the image are laid end to end, 28x28 to {inputs} numbers, and each "
                "layer multiplies them by its weights, adds its biases, and sets negative results "
                "to 0 (ReLU) but for the last one, whose {outputs} results are the scores; units "
                "above 0 are active."
            ).format(inputs=first.inputs, outputs=last.outputs),
            widths.format(
                inputs=first.inputs,
                sizes="-".join(map(str, sizes)),
                active=gettext(", ").join(active),
            ),
        ),
    ]


def _explain_one_hot(steps: SoftmaxSteps, names: list[str], gettext: Gettext) -> Explanation:
    text = gettext(
        "numbered 0, 1, 2, the third class would be 2 away from the first but only 1 from the "
        "second, an order that classes do not have; as one-hot vectors any two of the {count} "
        "classes here are equally far apart and at right angles."
    ).format(count=len(names))
    distance = gettext("√((1 - 0)² + (0 - 1)²) = √2 = {root}.").format(root=f"{math.sqrt(2):.3f}")
    if (loss := steps.loss) is None:
        return Explanation(gettext("One-hot"), text, distance)
    formula = gettext("y = ({values}) for {name}; {distance}").format(
        values=_listed([f"{value:.0f}" for value in loss.one_hot], ", ", maximum=12),
        name=names[loss.target],
        distance=distance,
    )
    return Explanation(gettext("One-hot"), text, formula)


def _explain_temperature(
    steps: SoftmaxSteps,
    names: list[str],
    ranking: list[int],
    temperature_from: str,
    gettext: Gettext,
) -> Explanation:
    first, second = ranking[:2]
    temperature = f"{steps.temperature:g}"
    if steps.temperature > 1:
        effect = gettext(
            "the scores z are divided by T = {temperature} first, which flattens the "
            "probabilities and leaves their order alone"
        )
    else:
        effect = gettext(
            "the scores z are divided by T = {temperature} first, which sharpens the "
            "probabilities and leaves their order alone"
        )
    lead = gettext("{first} led {second} by {before}, and leads by {after} now")
    text = gettext("{effect}; {lead}.")
    if temperature_from == "checkpoint":
        text = gettext(
            "{effect}; {lead}; T is the checkpoint's, chosen so that probabilities agree with "
            "accuracy."
        )
    return Explanation(
        gettext("Temperature"),
        text.format(
            effect=effect.format(temperature=temperature),
            lead=lead.format(
                first=names[first],
                second=names[second],
                before=f"{margin(steps.logits):.4g}",
                after=f"{_gap(steps, ranking):.4g}",
            ),
        ),
        gettext("z/T = {score} / {temperature} = {scaled} for {name}.").format(
            score=f"{float(steps.logits[first]):.4g}",
            temperature=temperature,
            scaled=f"{float(steps.scaled[first]):.4g}",
            name=names[first],
        ),
    )


def _gap(steps: SoftmaxSteps, ranking: list[int]) -> float:
    """Returns by how much the highest score, at the temperature, exceeds the second highest."""
    return float(steps.scaled[ranking[0]] - steps.scaled[ranking[1]])


def _explain_scores(
    steps: SoftmaxSteps, names: list[str], ranking: list[int], gettext: Gettext
) -> list[Explanation]:
    first, second = ranking[:2]
    high, low = (f"{float(steps.scaled[i]):.4g}" for i in (first, second))
    gap = _gap(steps, ranking)
    ratio = f"{power(f'{gap:.4g}')} = {math.exp(gap):.4g}" if gap < 700 else power(f"{gap:.4g}")
    difference = f"{high} - {low}" if not low.startswith("-") else f"{high} + {low[1:]}"
    total = float(steps.powers.sum())
    plain = math.isfinite(total) and total > 0  # without the largest score subtracted
    values = steps.powers if plain else steps.exponentials
    terms = [
        power(f"{z:.4g}") for z in (steps.scaled if plain else steps.scaled - steps.scaled.max())
    ]
    p = share(steps.probabilities[first])
    return [
        Explanation(
            gettext("Exponentials"),
            gettext(
                "they turn a difference of scores into a ratio, so 2.1 against 1.9 becomes e^0.2 = "
                "{example} to 1; here {first} leads {second} by {gap}, which becomes {ratio} to 1. "
                "Programs subtract the largest score first: no ratio changes, and nothing "
                "overflows."
            ).format(
                example=f"{math.exp(0.2):.3f}",
                first=names[first],
                second=names[second],
                gap=f"{gap:.4g}",
                ratio=ratio,
            ),
            gettext("{equation}.").format(
                equation=f"{power(high)} / {power(low)} = {power(difference)} = {ratio}"
            ),
        ),
        Explanation(
            gettext("Softmax"),
            gettext(
                "divided by their sum {sum}, the exponentials become probabilities; {first} gets "
                "{p} where a hard max would give it 1 and hide that {second} still has {rest}."
            ).format(
                sum=f"{steps.exponentials.sum():.6g}",
                first=names[first],
                p=p,
                second=names[second],
                rest=share(steps.probabilities[second]),
            ),
            gettext("{equation} for {name}.").format(
                equation=f"p = {terms[first]} / ({_listed(terms, ' + ')}) = {values[first]:.4g} / "
                f"{values.sum():.6g} = {p}",
                name=names[first],
            ),
        ),
    ]


def _explain_missing_loss(steps: SoftmaxSteps, names: list[str], gettext: Gettext) -> Explanation:
    p = steps.probabilities[steps.top]
    return Explanation(
        gettext("Loss"),
        gettext(
            "it measures how far the probabilities are from the right answer; name that with "
            "--target to see the loss and its gradient."
        ),
        gettext("-log {p} = {loss} if {name} is right.").format(
            p=share(p), loss=fixed(float(-np.log(p))), name=names[steps.top]
        ),
    )


def _explain_loss(
    steps: SoftmaxSteps, loss: LossSteps, names: list[str], ranking: list[int], gettext: Gettext
) -> list[Explanation]:
    target = loss.target
    p = [share(value) for value in steps.probabilities]
    logarithm = f"-log {p[target]}"
    if steps.from_scores and steps.probabilities[target] == 0:  # too small for a float
        below = float(steps.scaled[target] - steps.scaled.max())
        logarithm = f"log {steps.exponentials.sum():.6g} - ({below:.4g})"
    # a certain and right answer of a network whose probabilities go through softmax again
    least_double = math.log(math.e + len(names) - 1) - 1
    terms = [power(value) for value in p]
    twice = f"{loss.double_softmax:.4f}"
    return [
        Explanation(
            gettext("Logarithm"),
            gettext(
                "only the target counts, and the loss is -log p = {loss} for p = {p}; a sure and "
                "right answer (p = 1) costs 0, p = 0.5 costs {half}, p = 0.01 costs {hundredth}: "
                "being sure and wrong is punished without bound."
            ).format(
                loss=fixed(loss.cross_entropy),
                p=p[target],
                half=f"{math.log(2):.3f}",
                hundredth=f"{-math.log(0.01):.3f}",
            ),
            gettext("{equation}.").format(equation=f"{logarithm} = {fixed(loss.cross_entropy, 4)}"),
        ),
        _explain_gradient(loss, p, names, ranking, gettext),
        Explanation(
            gettext("Twice"),
            gettext(
                "CrossEntropyLoss applies softmax itself; given probabilities in place of scores "
                "it would report {loss}, and could never fall below {least} with {count} classes."
            ).format(loss=twice, least=f"{least_double:.4f}", count=len(names)),
            gettext("{equation}.").format(
                equation=f"-log({terms[target]} / ({_listed(terms, ' + ')})) = {twice}"
            ),
        ),
    ]


def _explain_gradient(
    loss: LossSteps, p: list[str], names: list[str], ranking: list[int], gettext: Gettext
) -> Explanation:
    target, gradient = loss.target, [share(value, sign="+") for value in loss.gradient]
    others = [i for i in ranking if i != target]
    lowered = [
        gettext("{name} ({gradient})").format(name=names[i], gradient=gradient[i])
        for i in others[:3]
    ]
    text = gettext(
        "training steps against p - y, so it raises the score of {name} ({gradient}) and lowers "
        "the others, each in proportion to its own probability: {lowered}. The steps add up to 0, "
        "and fade as p nears y."
    )
    if len(others) > len(lowered):
        text = gettext(
            "training steps against p - y, so it raises the score of {name} ({gradient}) and "
            "lowers the others, each in proportion to its own probability: {lowered} and {more} "
            "more by less. The steps add up to 0, and fade as p nears y."
        )
    return Explanation(
        gettext("Gradient"),
        text.format(
            name=names[target],
            gradient=gradient[target],
            lowered=gettext(", ").join(lowered),
            more=len(others) - len(lowered),
        ),
        gettext("p - y = {right} for {name}, {wrong} for {other}.").format(
            right=f"{p[target]} - 1 = {gradient[target]}",
            name=names[target],
            wrong=f"{p[others[0]]} - 0 = {gradient[others[0]]}",
            other=names[others[0]],
        ),
    )


def _explain_step(
    steps: SoftmaxSteps, loss: LossSteps, step: DescentStep, names: list[str], gettext: Gettext
) -> Explanation:
    target = loss.target
    gradient, divided = share(loss.gradient[target], sign="+"), ""
    if steps.temperature != 1:
        divided = f" / {steps.temperature:g}"
    return Explanation(
        gettext("Step"),
        gettext(
            "gradient descent with learning rate {lr} subtracts {lr} times the gradient from each "
            "score, so the score of {name} rises and the loss goes from {before} to {after}; "
            "training does the same to weights, which the scores follow."
        ).format(
            lr=f"{step.lr:g}",
            name=names[target],
            before=fixed(loss.cross_entropy, 4),
            after=fixed(step.loss, 4),
        ),
        gettext("{equation} for {name}.").format(
            equation=f"{float(steps.logits[target]):.4g} - {step.lr:g} × ({gradient}){divided} = "
            f"{float(step.logits[target]):.4g}",
            name=names[target],
        ),
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
