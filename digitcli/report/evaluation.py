"""The page that shows what a checkpoint scores, and what it gets wrong."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from digitcli._version import __version__
from digitcli.core.checkpointing.metadata import Metadata
from digitcli.core.evaluation.calibration import coverage, wilson_interval
from digitcli.core.evaluation.evaluate import Evaluation
from digitcli.report.charts import Chart
from digitcli.report.page import bars, picture_uri, write_page

GALLERY = 200
"""Mistakes that are shown at most, the worst first: a page of half a megabyte."""

_CONFUSIONS = 10
"""Rows of the list of what is most often taken for what."""

_MINIMUMS = (0.0, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 0.999)
"""The minimum probabilities that have a row."""

_MARKED = (0.5, 0.9, 0.99)
"""Those that have a mark on the curve."""

_FIRST, _POINTS = 0.05, 300
"""The share of answers that the curve begins with, below which it is noise, and how fine it is."""

_BEGINNINGS = (0.9, 0.8, 0.5, 0.0)
"""Where the axis may begin: at the first that leaves room for all marks."""


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
) -> None:
    """Writes the page.

    Args:
        path: The page.
        evaluation: What was measured.
        metadata: What the checkpoint says of itself.
        images: What was measured on, uint8 (count, 28, 28).
        labels: The right classes, int64 (count,).
        dataset: What it is called.
        split: Which part of it this is.
        checkpoint: Where the weights came from.

    Raises:
        DigitcliError: It cannot be written.
    """
    p = evaluation.probabilities
    right = evaluation.answers == labels
    mistakes = np.flatnonzero(~right)
    # the worst had the least left for the right class
    worst = mistakes[np.argsort(p[mistakes, labels[mistakes]], kind="stable")]
    hits = int(right.sum())
    write_page(
        path,
        "evaluation.html",
        version=__version__,
        evaluation=evaluation,
        metadata=metadata,
        dataset=dataset,
        split=split,
        checkpoint=str(checkpoint),
        name=checkpoint.name,
        wrong=len(mistakes),
        accuracy_range=wilson_interval(hits, evaluation.count),
        classes=_classes(evaluation),
        matrix=_matrix(evaluation),
        confusions=_confusions(evaluation),
        reliability=_reliability(evaluation),
        coverage=_coverage(p.max(axis=1), right),
        mistakes=[
            {
                "number": i,
                "picture": picture_uri(images[i]),
                **_answer(p[i], int(evaluation.answers[i]), int(labels[i]), metadata.classes),
            }
            for i in worst[:GALLERY].tolist()
        ],
    )


def _answer(
    row: npt.NDArray[np.float64], answer: int, label: int, classes: tuple[str, ...]
) -> dict[str, Any]:
    answer_name, target = classes[answer], classes[label]
    probabilities = dict(zip(classes, row.tolist(), strict=True))
    return {
        "answer": answer_name,
        "target": target,
        "bars": bars(probabilities, answer_name, target),
    }


def _classes(evaluation: Evaluation) -> list[dict[str, Any]]:
    matrix = evaluation.confusion_matrix
    return [
        {
            "score": score,
            "missed": int(matrix[i].sum() - matrix[i, i]),
            "taken": int(matrix[:, i].sum() - matrix[i, i]),
        }
        for i, score in enumerate(evaluation.per_class)
    ]


def _matrix(evaluation: Evaluation) -> list[dict[str, Any]]:
    """Lists the rows of the confusion matrix, each mistake with its share of the commonest."""
    names = [score.name for score in evaluation.per_class]
    matrix = evaluation.confusion_matrix
    most = max(1, int((matrix - np.diag(np.diag(matrix))).max()))
    return [
        {
            "name": names[i],
            "cells": [
                {"count": count, "right": i == j, "heat": 0.0 if i == j else count / most}
                for j, count in enumerate(row)
            ],
        }
        for i, row in enumerate(matrix.tolist())
    ]


def _confusions(evaluation: Evaluation) -> list[dict[str, Any]]:
    names = [score.name for score in evaluation.per_class]
    found = [
        {"target": names[i], "answer": names[j], "count": count, "share": count / sum(row)}
        for i, row in enumerate(evaluation.confusion_matrix.tolist())
        for j, count in enumerate(row)
        if i != j and count
    ]
    return sorted(found, key=lambda each: -each["count"])[:_CONFUSIONS]


def _reliability(evaluation: Evaluation) -> dict[str, Any]:
    """Places the bins by their mean probability and the share that is right."""
    chart = Chart((0, 1), (0, 1))
    points, rows = [], []
    for each in evaluation.calibration.bins:
        if each.probability is None or each.accuracy is None:
            continue
        low, high = wilson_interval(round(each.accuracy * each.count), each.count)
        rows.append({"bin": each, "low": low, "high": high})
        points.append(
            {
                "x": chart.x(each.probability),
                "y": chart.y(each.accuracy),
                "low": chart.y(low),
                "high": chart.y(high),
            }
        )
    return {"chart": chart, "points": points, "rows": rows, "ideal": chart.path([(0, 0), (1, 1)])}


def _coverage(chosen: npt.NDArray[np.float64], right: npt.NDArray[np.bool_]) -> dict[str, Any]:
    """Draws the accuracy of the surest answers, from few of them to all."""
    count = len(chosen)
    order = np.argsort(-chosen, kind="stable")
    accuracies = np.cumsum(right[order]) / np.arange(1, count + 1)
    marked = [row for row in coverage(chosen, right, _MARKED) if row.coverage >= _FIRST]
    least = min((row.coverage for row in marked), default=0.0)
    beginning = next(share for share in _BEGINNINGS if share <= 0.99 * least or share == 0)
    first = max(1, round(max(beginning, _FIRST) * count))
    at = np.unique(np.linspace(first, count, _POINTS).round().astype(int))
    curve = [(k / count, float(accuracies[k - 1])) for k in at.tolist()]
    lowest = min(accuracy for _, accuracy in curve)
    chart = Chart((beginning, 1), (max(0.0, 1 - 1.15 * max(1 - lowest, 0.001)), 1))
    marks = [
        {
            "x": chart.x(row.coverage),
            "y": chart.y(row.accuracy),
            "label": f"{row.min_probability:g}",
        }
        for row in marked
        if row.accuracy is not None
    ]
    rows = [
        {"row": row, "wrong": 0 if row.accuracy is None else round(row.count * (1 - row.accuracy))}
        for row in coverage(chosen, right, _MINIMUMS)
    ]
    return {"chart": chart, "path": chart.path(curve), "marks": marks, "rows": rows}
