"""From a job's command line back to its request."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from analysis.collect.plan.request import ExtractionRequest
from analysis.collect.plan.settings import PRECISIONS, SPLITS
from analysis.errors import ConfigError
from analysis.files.paths import path_flag, text_flag


def parse_arguments(arguments: Sequence[str]) -> ExtractionRequest:
    """Return the request whose `to_arguments` these are.

    Raises:
        ConfigError: If the command line has no such flags, as with a job of another version of
            this tool.
    """
    try:
        flags = vars(build_parser().parse_args(list(arguments)))
    except SystemExit as error:
        raise ConfigError(
            "The job's command line cannot be read any more. Fill in the form instead."
        ) from error
    del flags["quiet"], flags["progress"], flags["backup"]
    return ExtractionRequest(**flags)


def build_parser() -> argparse.ArgumentParser:
    """Return the parser; the README documents every flag in it (held by a test)."""
    parser = argparse.ArgumentParser(
        prog="analyze_dinov3_features.py",
        description="Collect layerwise channel statistics of a DINOv3 backbone over the training "
        "images that a train.yaml names, and write them to one .pt payload.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
        argument_default=None,
    )
    add = parser.add_argument
    add("--project-dir", type=path_flag, default=Path(), help="project root, holds configs/")
    add(
        "--config", type=path_flag, help="training config (default: PROJECT_DIR/configs/train.yaml)"
    )
    add(
        "--output",
        type=path_flag,
        help="payload to write (default: from version, logging.log_dir and train_all)",
    )
    add("--dino-weights-pt", type=path_flag, help="frozen backbone weights (default: searched for)")
    add(
        "--weights-key",
        metavar="KEY",
        help="which backbone of a weights file with several, by its key, as student "
        "(default: teacher, EMA, plain, student, gram teacher)",
    )
    add(
        "--head-weights",
        type=text_flag,
        help="head file or folder to take the LoRA adapter from, or none "
        "(default: PROJECT_DIR/weights/head if it exists)",
    )
    add("--max-images", type=int, help="measure the first N images only, 0 for all (default: 0)")
    add("--device", help="auto, cpu, cuda or cuda:N (default: auto)")
    add("--batch-size", type=int, help="images per forward pass (default: by image size)")
    add("--num-workers", type=int, help="processes that decode images (default: by cores)")
    add("--precision", choices=PRECISIONS, help="auto: bf16 on a GPU that has it, else fp32")
    add("--split", choices=SPLITS, help="images to measure (default: as train_all says)")
    add(
        "--fold",
        type=int,
        metavar="K",
        help="the split of this fold of kfold, from 0 (default: the single split)",
    )
    add("--head-index", type=int, help="which of several heads (default: 0)")
    add("--strict", action="store_true", help="stop at the first image that cannot be read")
    add(
        "--no-extras",
        dest="extras",
        action="store_false",
        help="the specification's keys only",
    )
    add("--compile", choices=("auto", "on", "off"), help="compile the blocks (auto: if it pays)")
    add("--checkpoint-every", type=float, metavar="SECONDS", help="0: every batch (default: 30)")
    add("--image-features", metavar="N", help="vectors of N images: auto, all or 0 (default: auto)")
    add(
        "--no-targets",
        dest="targets",
        action="store_false",
        help="keep the columns of the CSV out of the vectors' file",
    )
    add("--resume", action="store_true", help="continue an interrupted run after its last image")
    add("--backup", action="store_true", help="keep a payload that is replaced as .bak")
    add("--progress", type=path_flag, metavar="FILE", help="keep a small JSON file on the progress")
    add("--preview", type=path_flag, metavar="FILE", help="write a partial payload at checkpoints")
    add("--quiet", action="store_true", help="no progress bar, only warnings and errors")
    return parser
