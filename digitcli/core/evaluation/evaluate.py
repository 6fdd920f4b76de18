"""Measuring a classifier: loss, accuracy, what it takes for what, and what its word is worth."""

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
    """How well one class is found; all but the support in 0..1.

    Attributes:
        name: The class.
        precision: Of the pictures taken for this class, the share that is of it.
        recall: Of the pictures of this class, the share taken for it.
        f1: Harmonic mean of the two.
        support: Pictures of this class.
    """

    name: str
    precision: float
    recall: float
    f1: float
    support: int


@dataclass(frozen=True)
class Evaluation:
    """What a checkpoint scores on a data set.

    Attributes:
        count: Pictures measured.
        temperature: The checkpoint's, which all probabilities here are taken at.
        loss: Mean cross-entropy in nats.
        accuracy: Share whose most probable class is right, in 0..1.
        top5_accuracy: Share whose class is among the five most probable, in 0..1.
        per_class: A score per class.
        confusion_matrix: int64 (classes, classes); rows are what a picture is, columns what it
            was taken for.
        calibration: How far probabilities are from accuracy.
        coverage: What minimum probabilities leave.
        answers: What each picture was taken for, int64 (count,), indices of classes.
        probabilities: Of every class for each picture, float64 (count, classes).
    """

    count: int
    temperature: float
    loss: float
    accuracy: float
    top5_accuracy: float
    per_class: tuple[ClassScore, ...]
    confusion_matrix: npt.NDArray[np.int64]
    calibration: Calibration
    coverage: tuple[Coverage, ...]
    answers: npt.NDArray[np.int64] = field(repr=False)
    probabilities: npt.NDArray[np.float64] = field(repr=False)


def evaluate(
    checkpoint: Checkpoint,
    images: npt.NDArray[np.uint8],
    labels: npt.NDArray[np.int64],
    device: torch.device,
) -> Evaluation:
    """Measures a checkpoint on labelled pictures.

    Args:
        checkpoint: Weights and metadata.
        images: uint8 (count, 28, 28), at least one.
        labels: int64 (count,), indices into the checkpoint's classes.
        device: Where the network runs.
    """
    metadata = checkpoint.metadata
    network = load_mlp(checkpoint.weights, device)
    x = normalize(images, metadata.mean, metadata.std, device)
    logits = compute_logits(network, x).cpu()
    target = torch.from_numpy(labels)
    top = logits.topk(min(5, len(metadata.classes)), dim=1).indices
    hits = top == target[:, None]
    right = hits[:, 0].numpy()
    log_probabilities = log_softmax(logits.double().numpy() / metadata.temperature)
    probabilities = np.exp(log_probabilities)
    chosen = probabilities.max(axis=1)

    indices = np.arange(len(metadata.classes))
    predicted = top[:, 0].numpy()
    scores = precision_recall_fscore_support(
        labels, predicted, labels=indices, average=None, zero_division=0
    )
    return Evaluation(
        count=len(labels),
        temperature=metadata.temperature,
        loss=float(-log_probabilities[np.arange(len(labels)), labels].mean()),
        accuracy=float(right.mean()),
        top5_accuracy=hits.any(dim=1).double().mean().item(),
        per_class=tuple(
            ClassScore(name, float(precision), float(recall), float(f1), int(support))
            for name, precision, recall, f1, support in zip(metadata.classes, *scores, strict=True)
        ),
        confusion_matrix=confusion_matrix(labels, predicted, labels=indices),
        calibration=calibration(chosen, right),
        coverage=coverage(chosen, right),
        answers=predicted,
        probabilities=probabilities,
    )
