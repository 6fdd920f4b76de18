"""Explanations of the steps from an image to scores to loss, each with its formula in numbers.

A formula holds as printed: a reader who calculates with its numbers finds its result.
"""

import math
import sys
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from digitcli.console.softmax_numbers import exact_enough, share, significant, total
from digitcli.core.inference import NetworkSteps
from digitcli.core.softmax import DescentStep, FloatArray, LossSteps, SoftmaxSteps, margin
from digitcli.text import fixed, visible
from digitcli.translation import Gettext

_MAX_TERMS = 4
"""Maximum number of terms of a sum that are written out."""

_MAX_EXPONENT = 700
"""Maximum exponent whose power is printed as a number; floats end at e^709."""

_four = "{:.4g}".format
_six = "{:.6g}".format
_plain = "{:g}".format


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
    pixel, normalized = network.pixels[1], f"{network.pixels[1].normalized:.4f}"
    scaled, mean, std = exact_enough(
        lambda *read: all(
            f"{(x - read[1]) / read[2]:.4f}" == normalized for x in (read[0], pixel.value / 255)
        ),
        (pixel.scaled, f"{pixel.scaled:.4f}"),
        (network.mean, _plain(network.mean)),
        (network.std, _plain(network.std)),
    )
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
                "each pixel, 0 to 255, is scaled to 0..1; then the mean {mean} of all pixels of "
                "the training images is subtracted, and the difference is divided by their "
                "standard deviation {std}, so that inputs are around 0."
            ).format(mean=mean, std=std),
            gettext("{normalization} for the pixel in row {row}, column {column}.").format(
                normalization=f"({pixel.value}/255 - {mean}) / {std} = "
                f"({scaled} - {mean}) / {std} = {normalized}",
                row=pixel.row,
                column=pixel.column,
            ),
        ),
        Explanation(
            gettext("Layers"),
            gettext(
                "the rows of the image are laid end to end, so that 28x28 pixels become a vector "
                "of {inputs} numbers; each layer multiplies its input by its weights, adds its "
                "biases, and sets negative results to 0 (ReLU), except the last layer, whose "
                "{outputs} results are the scores. Units above 0 are active."
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
        "if classes were numbered 0, 1, 2, the third would be 2 away from the first but only 1 "
        "from the second, an order that classes do not have; as one-hot vectors, any two of the "
        "{count} classes here are equally far apart and at right angles."
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
    scaled = _four(steps.scaled[first])
    score, temperature = exact_enough(
        lambda z, t: _four(z / t) == scaled,
        (steps.logits[first], _four(steps.logits[first])),
        (steps.temperature, _plain(steps.temperature)),
    )
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
                before=_four(margin(steps.logits)),
                after=_four(_gap(steps, ranking)),
            ),
        ),
        gettext("z/T = {score} / {temperature} = {scaled} for {name}.").format(
            score=score, temperature=temperature, scaled=scaled, name=names[first]
        ),
    )


def _gap(steps: SoftmaxSteps, ranking: list[int]) -> float:
    """Returns by how much the highest score, at the temperature, exceeds the second highest."""
    return float(steps.scaled[ranking[0]] - steps.scaled[ranking[1]])


def _explain_scores(
    steps: SoftmaxSteps, names: list[str], ranking: list[int], gettext: Gettext
) -> list[Explanation]:
    first, second = ranking[:2]
    high, low, gap = _difference(steps, ranking)
    ratio = power(gap)
    if float(gap) < _MAX_EXPONENT:
        ratio = f"{ratio} = {_four(math.exp(_gap(steps, ranking)))}"
    difference = f"{high} - {low}" if not low.startswith("-") else f"{high} + {low[1:]}"
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
                gap=gap,
                ratio=ratio,
            ),
            gettext("{equation}.").format(
                equation=f"{power(high)} / {power(low)} = {power(difference)} = {ratio}"
            ),
        ),
        Explanation(
            gettext("Softmax"),
            gettext(
                "divided by their sum, the exponentials become probabilities; {first} gets {p} "
                "where a hard max would give it 1 and hide that {second} still has {rest}."
            ).format(
                first=names[first],
                p=p,
                second=names[second],
                rest=share(steps.probabilities[second]),
            ),
            gettext("{equation} for {name}.").format(
                equation=_softmax_equation(steps, first, p), name=names[first]
            ),
        ),
    ]


def _difference(steps: SoftmaxSteps, ranking: list[int]) -> tuple[str, str, str]:
    """Returns the two highest scores and their difference, whose power is the ratio printed."""
    gap = _gap(steps, ranking)

    def read(high: float, low: float) -> float:
        return float(f"{high - low:.10g}")

    def holds(high: float, low: float) -> bool:
        found = read(high, low)
        if _four(found) != _four(gap):
            return False
        return gap >= _MAX_EXPONENT or _four(math.exp(found)) == _four(math.exp(gap))

    scores = [float(steps.scaled[i]) for i in ranking[:2]]
    high, low = exact_enough(holds, *((z, _four(z)) for z in scores))
    return high, low, f"{read(float(high), float(low)):.10g}"


def _softmax_equation(steps: SoftmaxSteps, top: int, p: str) -> str:
    """Returns the highest probability as a quotient of powers.

    The powers are those of the scores if the quotient holds with the numbers of the table. Where
    one power is nearly the sum of all, or overflows, the largest score is subtracted first.
    """
    exponents, value, whole = steps.scaled, _four(steps.powers[top]), _six(steps.powers.sum())
    terms = list(map(_four, exponents))
    if not _is_quotient(terms, top, value, whole, p):
        exponents, value = steps.scaled - steps.scaled.max(), "1"
        (whole,) = exact_enough(
            lambda read: share(1 / read) == p,
            (steps.exponentials.sum(), total(steps.exponentials.sum())),
        )
        terms = list(map(_four, exponents))
        if len(terms) <= _MAX_TERMS:
            terms = exact_enough(
                lambda *read: f"{sum(map(math.exp, read)):.{significant(whole)}g}" == whole,
                *zip(exponents, terms, strict=True),
            )
    powers = list(map(power, terms))
    return f"p = {powers[top]} / ({_listed(powers, ' + ')}) = {value} / {whole} = {p}"


def _is_quotient(terms: list[str], top: int, value: str, whole: str, p: str) -> bool:
    """Returns True if a power is as printed, the sum of the powers, if all are shown, and p."""
    exponents = list(map(float, terms))
    if max(exponents) >= _MAX_EXPONENT or float(value) == 0:
        return False
    powers = list(map(math.exp, exponents))
    is_sum = len(terms) > _MAX_TERMS or _six(sum(powers)) == whole
    return is_sum and _four(powers[top]) == value and share(float(value) / float(whole)) == p


def _explain_missing_loss(steps: SoftmaxSteps, names: list[str], gettext: Gettext) -> Explanation:
    p = steps.probabilities[steps.top]
    return Explanation(
        gettext("Loss"),
        gettext(
            "it measures how far the probabilities are from the right answer; name the right "
            "class with --target to see the loss and its gradient."
        ),
        gettext("-log {p} = {loss} if {name} is right.").format(
            p=_with_loss(float(p), float(-np.log(p)), 3),
            loss=fixed(float(-np.log(p))),
            name=names[steps.top],
        ),
    )


def _explain_loss(
    steps: SoftmaxSteps, loss: LossSteps, names: list[str], ranking: list[int], gettext: Gettext
) -> list[Explanation]:
    target = loss.target
    p = float(steps.probabilities[target])
    if steps.from_scores and p < sys.float_info.min:  # too small for a float
        shown, logarithm = power(f"-{fixed(loss.cross_entropy)}"), _underflowed(steps, loss)
    else:
        shown = _with_loss(p, loss.cross_entropy, 3)
        logarithm = f"-log {_with_loss(p, loss.cross_entropy, 4)}"
    # a certain and right answer of a network whose probabilities go through softmax again
    least_double = math.log(math.e + len(names) - 1) - 1
    return [
        Explanation(
            gettext("Logarithm"),
            gettext(
                "only the target counts, and the loss is -log p = {loss} for p = {p}; a sure and "
                "right answer (p = 1) costs 0, p = 0.5 costs {half}, p = 0.01 costs {hundredth}: "
                "being sure and wrong is punished without bound."
            ).format(
                loss=fixed(loss.cross_entropy),
                p=shown,
                half=f"{math.log(2):.3f}",
                hundredth=f"{-math.log(0.01):.3f}",
            ),
            gettext("{equation}.").format(equation=f"{logarithm} = {fixed(loss.cross_entropy, 4)}"),
        ),
        _explain_gradient(steps.probabilities, loss, names, ranking, gettext),
        Explanation(
            gettext("Twice"),
            gettext(
                "CrossEntropyLoss applies softmax itself; given probabilities in place of scores "
                "it would report {loss}, and could never fall below {least} with {count} classes."
            ).format(
                loss=f"{loss.double_softmax:.4f}", least=f"{least_double:.4f}", count=len(names)
            ),
            gettext("{equation}.").format(equation=_double_softmax(steps.probabilities, loss)),
        ),
    ]


def _with_loss(p: float, loss: float, decimals: int) -> str:
    """Returns a probability with the digits that its logarithm, the loss, needs."""
    if p == 0:
        return share(p)
    (text,) = exact_enough(
        lambda read: fixed(0 - math.log(read), decimals) == fixed(loss, decimals), (p, share(p))
    )
    return text


def _underflowed(steps: SoftmaxSteps, loss: LossSteps) -> str:
    """Returns the loss in terms of the sum of the exponentials, for a probability that is 0."""
    below = float(steps.scaled[loss.target] - steps.scaled.max())
    whole = float(steps.exponentials.sum())
    shown = exact_enough(
        lambda s, z: fixed(math.log(s) - z, 4) == fixed(loss.cross_entropy, 4),
        (whole, total(whole)),
        (below, _four(below)),
    )
    return "log {} - ({})".format(*shown)


def _double_softmax(probabilities: FloatArray, loss: LossSteps) -> str:
    """Returns the equation of softmax and loss of probabilities."""
    shown, result = list(map(share, probabilities)), f"{loss.double_softmax:.4f}"

    def holds(*read: float) -> bool:
        return f"{math.log(sum(map(math.exp, read))) - read[loss.target]:.4f}" == result

    if len(shown) <= _MAX_TERMS:
        shown = exact_enough(holds, *zip(probabilities, shown, strict=True))
    terms = list(map(power, shown))
    return f"-log({terms[loss.target]} / ({_listed(terms, ' + ')})) = {result}"


def _explain_gradient(
    probabilities: FloatArray,
    loss: LossSteps,
    names: list[str],
    ranking: list[int],
    gettext: Gettext,
) -> Explanation:
    target, gradient = loss.target, [share(value, sign="+") for value in loss.gradient]
    (p,) = exact_enough(
        lambda read: share(read - 1, sign="+") == gradient[target],
        (probabilities[target], share(probabilities[target])),
    )
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
            right=f"{p} - 1 = {gradient[target]}",
            name=names[target],
            wrong=f"{share(probabilities[others[0]])} - 0 = {gradient[others[0]]}",
            other=names[others[0]],
        ),
    )


def _explain_step(
    steps: SoftmaxSteps, loss: LossSteps, step: DescentStep, names: list[str], gettext: Gettext
) -> Explanation:
    target = loss.target
    after = _four(step.logits[target])
    score, lr, gradient, temperature = exact_enough(
        lambda z, lr, g, t: _four(z - lr * g / t) == after,
        (steps.logits[target], _four(steps.logits[target])),
        (step.lr, _plain(step.lr)),
        (loss.gradient[target], share(loss.gradient[target], sign="+")),
        (steps.temperature, _plain(steps.temperature)),
    )
    losses = loss.cross_entropy, step.loss
    before, lower = exact_enough(
        lambda *read: (read[0] > read[1]) == (losses[0] > losses[1]),
        *((each, fixed(each, 4)) for each in losses),
    )
    divided = "" if steps.temperature == 1 else f" / {temperature}"
    return Explanation(
        gettext("Step"),
        gettext(
            "gradient descent with learning rate {lr} subtracts {lr} times the gradient from each "
            "score, so the score of {name} rises and the loss goes from {before} to {after}; "
            "training does the same to the weights, and the scores change with them."
        ).format(
            lr=lr,
            name=names[target],
            before=before,
            after=lower,
        ),
        gettext("{equation} for {name}.").format(
            equation=f"{score} - {lr} × ({gradient}){divided} = {after}", name=names[target]
        ),
    )


def _listed(terms: Sequence[str], separator: str, maximum: int = _MAX_TERMS) -> str:
    """Returns the terms in order, of many the first ones and the last."""
    if len(terms) > maximum:
        terms = [*terms[: maximum - 1], "...", terms[-1]]
    return separator.join(terms)
