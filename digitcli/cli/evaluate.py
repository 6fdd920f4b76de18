"""``digitcli eval``: evaluate a checkpoint on labelled images."""

from pathlib import Path
from typing import Annotated

import typer

from digitcli.cli.options import (
    DATASET_OPTION,
    SPLIT_OPTION,
    CheckpointFile,
    DataDir,
    Device,
    Json,
    Mirrors,
    examples,
    file,
)

EXAMPLES = examples(
    "digitcli eval",
    "digitcli eval --split train --checkpoint fast.safetensors",
    "digitcli eval --min-accuracy 0.97 || echo 'not good enough'",
    "digitcli eval --report report.html",
    "digitcli eval --json | jq .accuracy",
)


def evaluate(
    *,
    dataset: Annotated[str | None, DATASET_OPTION] = None,
    split: Annotated[str | None, SPLIT_OPTION] = None,
    min_accuracy: Annotated[
        float | None,
        typer.Option(
            min=0, max=1, metavar="SHARE", help="Exit with 1 below this accuracy, in 0..1."
        ),
    ] = None,
    report: Annotated[
        Path | None,
        typer.Option(
            parser=file,
            metavar="FILE",
            help="Write an HTML page with charts and the worst mistakes.",
        ),
    ] = None,
    checkpoint: CheckpointFile = None,
    device: Device = "auto",
    mirror: Mirrors = None,
    data_dir: DataDir,
    json: Json = False,
) -> int:
    """Measure a checkpoint: loss, accuracy, scores of each class, confusions, calibration.

    Calibration shows how well probabilities match accuracy: the expected calibration error
    (15 bins), the accuracy of each bin, and the coverage of predict --min-probability.
    The default data set is the one that the checkpoint was trained on. For a folder
    that it was not trained on, the default split is all images; for any other data set, the test
    images.
    """
    from digitcli.classifier import Classifier
    from digitcli.core.checkpointing.checkpoint import find_and_load
    from digitcli.core.checkpointing.metadata import recorded_dataset
    from digitcli.core.imports import import_torch
    from digitcli.data.datasets.registry import DatasetLocation, default_split, find_dataset_for

    if report is not None:
        from digitcli.report.page import check_page

        check_page(report)
    path, loaded = find_and_load(checkpoint)
    prepare = Classifier(loaded, path).prepare  # as predict prepares the images of a folder
    chosen = find_dataset_for(dataset, path, loaded.metadata, prepare)

    # after what can be wrong with the options
    import_torch("evaluation")
    from digitcli.console.download import DownloadDisplay
    from digitcli.console.evaluation import show_evaluation
    from digitcli.console.streams import print_note, print_weights, written
    from digitcli.core.device import choose_device
    from digitcli.core.evaluation import evaluate as evaluation
    from digitcli.text import decimal_share

    torch_device = choose_device(device)
    split = default_split(chosen, loaded.metadata) if split is None else split
    with DownloadDisplay() as progress:
        location = DatasetLocation(data_dir, mirror or [], progress)
        data = chosen.load(split, location, loaded.metadata.classes)
    result = evaluation.evaluate(loaded, data.images, data.labels, torch_device)
    print_weights(path, loaded.metadata)
    if data.training and (trained_on := data.training.count_trained_on(loaded.metadata)):
        # how many a run held out of them is not recorded
        most = "up to " if loaded.metadata.scored_on == "validation" else ""
        print_note(
            f"{most}{trained_on:,} of these {len(data):,} images are training images of these "
            f"weights; --split {chosen.held_out} leaves them out"
        )
    try:
        show_evaluation(
            result,
            dataset=chosen.name,
            split=split,
            files=data.files,
            checkpoint=path,
            as_json=json,
        )
    finally:  # the reader of standard output may have gone away, as in "| head"
        if report is not None:
            from digitcli.report.evaluation import write_evaluation

            with written("report", report):
                write_evaluation(
                    report,
                    result,
                    loaded.metadata,
                    images=data.images,
                    labels=data.labels,
                    dataset=recorded_dataset(chosen.name),
                    split=split,
                    files=data.files,
                    checkpoint=path,
                )
    if min_accuracy is not None and result.accuracy < min_accuracy:
        print_note(f"the accuracy {decimal_share(result.accuracy)} is below {min_accuracy:.15g}")
        return 1
    return 0
