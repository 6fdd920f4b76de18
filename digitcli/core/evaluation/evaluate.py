"""Evaluation of a checkpoint on labelled images: loss, accuracy, scores per class, calibration."""

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import torch
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

from digitcli.core.checkpointing.checkpoint import Checkpoint
from digitcli.core.evaluation.calibration import Calibration, Coverage, calibration, coverage
from digitcli.core.model import normalised, plain_mlp, predict_logits
from digitcli.core.softmax import log_softmax


@dataclass(frozen=True)
class ClassScore:
    """Scores of one class; all but the support in 0..1.

    Attributes:
        name: Name of the class.
        precision: Share of the images predicted as this class that belong to it.
        recall: Share of the images of this class that are predicted as it.
        f1: Harmonic mean of the two.
        support: Number of images of this class.
    """

    name: str
    precision: float
    recall: float
    f1: float
    support: int


@dataclass(frozen=True)
class Evaluation:
    """Scores of a checkpoint on a data set.

    Attributes:
        count: Number of images.
        temperature: Temperature of the checkpoint, at which all probabilities are computed.
        loss: Mean cross-entropy in nats.
        accuracy: Share of images whose most probable class is right, in 0..1.
        top5_accuracy: Share of images whose class is among the five most probable, in 0..1.
        per_class: Scores of each class.
        confusion_matrix: int64 (classes, classes); rows are true classes, columns predicted ones.
        calibration: Reliability of the probabilities.
        coverage: Coverage at several minimum probabilities.
        answers: Predicted class of each image, int64 (count,), indices of classes.
        probabilities: Probability of each class for each image, float64 (count, classes).
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
    """Evaluates a checkpoint on labelled images.

    Args:
        checkpoint: Weights and metadata.
        images: uint8 (count, 28, 28), at least one.
        labels: int64 (count,), indices of the checkpoint's classes.
        device: Device that runs the network.
    """
    metadata = checkpoint.metadata
    network = plain_mlp(checkpoint.weights, device)
    x = normalised(images, metadata.mean, metadata.std, device)
    logits = predict_logits(network, x).cpu()
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
