"""Evaluation of a checkpoint on labelled images: loss, accuracy, scores per class, calibration."""

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import torch
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

from digitcli.core.checkpointing.checkpoint import Checkpoint
from digitcli.core.evaluation.calibration import Calibration, Coverage, calibration, coverage
from digitcli.core.model import compute_logits, load_mlp, normalize
from digitcli.core.softmax import log_softmax


@dataclass(frozen=True)
class ClassScore:
    """Precision, recall and F1 of a class, in 0..1, and its number of images."""

    name: str
    precision: float
    recall: float
    f1: float
    support: int


@dataclass(frozen=True)
class Evaluation:
    """Scores of a checkpoint on a data set; shares are in 0..1."""

    count: int  # number of images
    temperature: float  # of the checkpoint; loss and probabilities are computed at it
    loss: float  # mean cross-entropy in nats
    accuracy: float
    top5_accuracy: float  # share of images whose class is among the five most probable
    per_class: tuple[ClassScore, ...]
    confusion_matrix: npt.NDArray[np.int64]  # (true classes, predicted classes)
    calibration: Calibration
    coverage: tuple[Coverage, ...]
    answers: npt.NDArray[np.int64] = field(repr=False)  # (count,), predicted classes
    probabilities: npt.NDArray[np.float64] = field(repr=False)  # (count, classes)


def evaluate(
    checkpoint: Checkpoint,
    images: npt.NDArray[np.uint8],
    labels: npt.NDArray[np.int64],
    device: torch.device,
) -> Evaluation:
    """Evaluates a checkpoint on images, uint8 (count, 28, 28), at least one.

    ``labels`` are indices of the checkpoint's classes, int64 (count,).
    """
    metadata = checkpoint.metadata
    network = load_mlp(checkpoint.weights, device)
    x = normalize(images, metadata.mean, metadata.std, device)
    logits = compute_logits(network, x).cpu()
    top = logits.topk(min(5, len(metadata.classes)), dim=1).indices
    hits = top == torch.from_numpy(labels)[:, None]
    predicted, correct = top[:, 0].numpy(), hits[:, 0].numpy()
    log_probabilities = log_softmax(logits.double().numpy() / metadata.temperature)
    probabilities = np.exp(log_probabilities)
    confidences = probabilities.max(axis=1)

    indices = np.arange(len(metadata.classes))
    scores = precision_recall_fscore_support(
        labels, predicted, labels=indices, average=None, zero_division=0
    )
    return Evaluation(
        count=len(labels),
        temperature=metadata.temperature,
        loss=float(-log_probabilities[np.arange(len(labels)), labels].mean()),
        accuracy=float(correct.mean()),
        top5_accuracy=hits.any(dim=1).double().mean().item(),
        per_class=tuple(
            ClassScore(name, float(precision), float(recall), float(f1), int(support))
            for name, precision, recall, f1, support in zip(metadata.classes, *scores, strict=True)
        ),
        confusion_matrix=confusion_matrix(labels, predicted, labels=indices),
        calibration=calibration(confidences, correct),
        coverage=coverage(confidences, correct),
        answers=predicted,
        probabilities=probabilities,
    )
