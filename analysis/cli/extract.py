"""The command line: flags in, payload out, one-line errors.

Exit codes: 0 done, 2 input that the user can correct (one line on stderr), 130 cancelled, 1 a bug
(with its traceback). SIGTERM cancels; SIGUSR1 ends the run early with what has been counted.
"""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from analysis.collect.plan.request import ExtractionRequest, plan_extraction
from analysis.collect.plan.settings import PRECISIONS, SPLITS
from analysis.collect.run.progress import ProgressReporter
from analysis.errors import InputError

EXIT_INPUT_ERROR = 2
EXIT_CANCELLED = 130

log = logging.getLogger("analysis")


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
    add("--project-dir", type=Path, default=Path(), help="project root, holds configs/")
    add("--config", type=Path, help="training config (default: PROJECT_DIR/configs/train.yaml)")
    add(
        "--output",
        type=Path,
        help="payload to write (default: from version, logging.log_dir and train_all)",
    )
    add("--dino-weights-pt", type=Path, help="frozen backbone weights (default: searched for)")
    add(
        "--head-weights",
        help="head file or folder to take the LoRA adapter from, or none "
        "(default: PROJECT_DIR/weights/head if it exists)",
    )
    add("--max-images", type=int, help="measure the first N images only, 0 for all (default: 0)")
    add("--device", help="auto, cpu, cuda or cuda:N (default: auto)")
    add("--batch-size", type=int, help="images per forward pass (default: by image size)")
    add("--num-workers", type=int, help="processes that decode images (default: by cores)")
    add("--precision", choices=PRECISIONS, help="auto: bf16 on a GPU that has it, else fp32")
    add("--split", choices=SPLITS, help="images to measure (default: as train_all says)")
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
    add("--sample-tokens", type=int, metavar="K", help="keep K tokens whole, at every layer")
    add("--resume", action="store_true", help="continue an interrupted run after its last image")
    add("--backup", action="store_true", help="keep a payload that is replaced as .bak")
    add("--progress", type=Path, metavar="FILE", help="keep a small JSON file on the progress")
    add("--preview", type=Path, metavar="FILE", help="write a partial payload at checkpoints")
    add("--quiet", action="store_true", help="no progress bar, only warnings and errors")
    return parser


def run() -> NoReturn:
    """Run `main` as a program of its own, and end the process with its exit code."""
    code = main()
    if "TORCHELASTIC_RUN_ID" in os.environ:
        # A thread of gloo may still let go of its last tensor (pytorch/pytorch#179291): when the
        # interpreter is taken down meanwhile, it aborts a process that has done all its work.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one extraction, or the comparison that `compare` asks for, and return the exit code."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if arguments and arguments[0] == "compare":
        from analysis.cli.compare import main as compare

        return compare(arguments[1:])
    flags = vars(build_parser().parse_args(arguments))
    quiet, progress_file = flags.pop("quiet"), flags.pop("progress")
    backup = flags.pop("backup")
    first_rank = os.environ.get("RANK", "0") == "0"
    console = logging.StreamHandler()
    console.setFormatter(logging.Formatter("%(levelname)s: %(message)s"))
    console.setLevel(logging.WARNING if quiet else logging.INFO)
    log.setLevel(logging.INFO)
    log.addHandler(console)
    try:
        reporter = ProgressReporter(
            progress_file if first_rank else None, quiet=quiet or not first_rank
        )
        signal.signal(signal.SIGTERM, _interrupt)
        signal.signal(signal.SIGUSR1, lambda *_: setattr(reporter, "finish_early", True))
        try:
            return _extract(flags, reporter, backup=backup)
        except InputError as error:
            reporter.end("failed", error=str(error))
            log.error("%s", error)
            return EXIT_INPUT_ERROR
        except MemoryError as error:
            sentence = f"Out of memory {error}".strip() + ". Free some, then go on with --resume."
            reporter.end("failed", error=sentence)
            log.error("%s", sentence)
            return EXIT_INPUT_ERROR
        except KeyboardInterrupt:
            reporter.end("cancelled")
            log.warning("cancelled; no payload was written")
            return EXIT_CANCELLED
        except BaseException as error:
            reporter.end("failed", error=f"{type(error).__name__}: {error}")
            log.exception("stopped by a bug")
            raise
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        for handler in log.handlers[:]:
            log.removeHandler(handler)
            handler.close()


def _extract(flags: dict[str, Any], reporter: ProgressReporter, *, backup: bool) -> int:
    reporter.say("preparing", "reading the config")
    plan = plan_extraction(ExtractionRequest(**flags))
    reporter.progress.output = str(plan.output)
    # torch is imported only now, so that a wrong config is reported at once
    from analysis.collect.run.loop import collect_payload
    from analysis.collect.run.ranks import join_ranks, leave_ranks
    from analysis.collect.run.resume import remove_checkpoints
    from analysis.payload.file import prepare_output, save_payload

    prepare_output(plan.output)
    ranks = join_ranks()
    try:
        if ranks.is_first:
            log.addHandler(_log_file(plan.output, append=bool(plan.request.resume)))
        log.info("%d images, payload %s", len(plan.images.entries), plan.output)
        payload = collect_payload(plan, reporter, ranks)
        if payload is None:
            return 0
        # From here on there is a payload: "cancelled" would no longer be true.
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_IGN)
        save_payload(payload, plan.output, backup=backup)
        remove_checkpoints(plan.output)
    finally:
        leave_ranks()
    reporter.end("done")
    run = payload["meta"]["run"]
    log.info(
        "done: %d images in %.1f s (%.1f images/s), %s",
        payload["meta"]["counts"]["num_images"],
        run["seconds"],
        run["images_per_second"],
        plan.output,
    )
    return 0


def _log_file(output: Path, *, append: bool) -> logging.Handler:
    mode = "a" if append else "w"
    handler = logging.FileHandler(output.with_suffix(".log"), mode, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    return handler


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt
