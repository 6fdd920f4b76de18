"""The page of ``eval --report``: scores of a checkpoint, and its worst mistakes."""

import shlex
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from digitcli.core.checkpointing.locate import checkpoint_option, is_bundled, weights_name
from digitcli.core.checkpointing.metadata import Metadata
from digitcli.core.evaluation.calibration import coverage, wilson_interval
from digitcli.core.evaluation.evaluate import Evaluation
from digitcli.report.charts import Chart
from digitcli.report.page import bars, picture_uri, write_page

MAX_MISTAKES = 200
"""Maximum number of mistakes shown; the page then has half a megabyte."""

_MAX_CONFUSIONS = 10
"""Maximum rows of the list of confusions."""

_THRESHOLDS = (0.0, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 0.999)
"""Minimum probabilities in the table; the curve marks those of ``Evaluation.coverage``."""

_MIN_COVERAGE = 0.05
"""Coverage at which the curve begins: the accuracy of fewer answers is noise."""

_MAX_POINTS = 300
"""Maximum points of the curve."""

_AXIS_STARTS = (0.9, 0.8, 0.5, 0.0)
"""Possible starts of the axis of coverage; the first that leaves room for all marks is taken."""


def write_evaluation(
    path: Path,
    evaluation: Evaluation,
    metadata: Metadata,
    *,
    images: npt.NDArray[np.uint8],
    labels: npt.NDArray[np.int64],
    dataset: str,
    split: str,
    checkpoint: Path,
    files: int | None = None,
) -> None:
    """Writes the page of a checkpoint evaluated on a split of a data set.

    ``images`` are uint8 (count, 28, 28), ``labels`` their classes, int64 (count,). ``files`` is
    the number of files if the data set is a folder.

    Raises:
        DigitcliError: The page cannot be written.
    """
    p, answers, classes = evaluation.probabilities, evaluation.answers, metadata.classes
    correct = answers == labels
    mistakes = np.flatnonzero(~correct)
    worst = mistakes[np.argsort(p[mistakes, labels[mistakes]], kind="stable")]
    write_page(
        path,
        "evaluation.html",
        evaluation=evaluation,
        metadata=metadata,
        dataset=dataset,
        split=split,
        files=files,
        checkpoint=weights_name(checkpoint),
        name=weights_name(checkpoint) if is_bundled(checkpoint) else checkpoint.name,
        inspect=_inspect_command(dataset, split, checkpoint),
        wrong=len(mistakes),
        accuracy_range=wilson_interval(int(correct.sum()), evaluation.count),
        **_confusions(evaluation),
        reliability=_reliability(evaluation),
        coverage=_coverage(evaluation, correct),
        mistakes=[
            {
                "number": i,
                "image": picture_uri(images[i]),
                "answer": (answer := classes[answers[i]]),
                "target": (target := classes[labels[i]]),
                "bars": bars(dict(zip(classes, p[i].tolist(), strict=True)), answer, target),
            }
            for i in worst[:MAX_MISTAKES].tolist()
        ],
    )


def _inspect_command(dataset: str, split: str, checkpoint: Path) -> str:
    """Returns the command that shows the steps of image N of the page, with the same weights."""
    source = ["--checkpoint", checkpoint_option(checkpoint), "--dataset", dataset]
    return shlex.join(["digitcli", "inspect-softmax", "--index", "N", *source, "--split", split])


def _confusions(evaluation: Evaluation) -> dict[str, Any]:
    """Returns the confusion matrix, its sums over mistakes, and the most frequent mistakes."""
    names = [score.name for score in evaluation.per_class]
    matrix = evaluation.confusion_matrix
    mistakes = matrix - np.diag(np.diag(matrix))
    pairs = sorted(zip(*mistakes.nonzero(), strict=True), key=lambda pair: -mistakes[pair])
    return {
        "names": names,
        "matrix": matrix.tolist(),
        "heat": (mistakes / max(1, mistakes.max())).tolist(),
        "missed": mistakes.sum(axis=1).tolist(),
        "wrongly_predicted": mistakes.sum(axis=0).tolist(),
        "confusions": [
            {
                "target": names[i],
                "answer": names[j],
                "count": matrix[i, j],
                "share": matrix[i, j] / matrix[i].sum(),
            }
            for i, j in pairs[:_MAX_CONFUSIONS]
        ],
    }


def _reliability(evaluation: Evaluation) -> dict[str, Any]:
    """Returns the reliability diagram: accuracy of each bin over its mean probability."""
    chart = Chart((0, 1), (0, 1))
    rows = []
    for each in evaluation.calibration.bins:
        if each.probability is None or each.accuracy is None:
            continue
        low, high = wilson_interval(round(each.accuracy * each.count), each.count)
        rows.append({"bin": each, "low": low, "high": high})
    return {"chart": chart, "rows": rows, "ideal": chart.path([(0, 0), (1, 1)])}


def _coverage(evaluation: Evaluation, correct: npt.NDArray[np.bool_]) -> dict[str, Any]:
    """Returns the curve of accuracy over coverage, and the table beside it."""
    count, confidences = evaluation.count, evaluation.probabilities.max(axis=1)
    order = np.argsort(-confidences, kind="stable")
    accuracies = np.cumsum(correct[order]) / np.arange(1, count + 1)
    marks = [row for row in evaluation.coverage if row.coverage >= _MIN_COVERAGE]
    least = min((row.coverage for row in marks), default=0.0)
    start = next(share for share in _AXIS_STARTS if share <= 0.99 * least or share == 0)
    first = max(1, round(max(start, _MIN_COVERAGE) * count))
    kept = np.unique(np.linspace(first, count, _MAX_POINTS).round().astype(int))
    curve = [(k / count, float(accuracies[k - 1])) for k in kept.tolist()]
    lowest = min(accuracy for _, accuracy in curve)
    chart = Chart((start, 1), (max(0.0, 1 - 1.15 * max(1 - lowest, 0.001)), 1))
    rows = [
        {"row": row, "wrong": round(row.count * (1 - (row.accuracy or 0)))}
        for row in coverage(confidences, correct, _THRESHOLDS)
    ]
    return {"chart": chart, "path": chart.path(curve), "marks": marks, "rows": rows}
