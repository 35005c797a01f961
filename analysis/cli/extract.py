"""The command line: flags in, payload out, one-line errors.

Exit codes: 0 done, 2 input that the user can correct (one line on stderr), 130 cancelled, 1 a bug
(with its traceback). SIGTERM cancels; SIGUSR1 ends the run early with what has been counted.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from io import TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from analysis.cli.launch import check_launch
from analysis.cli.written_files import (
    check_progress_file,
    check_written_files,
    is_progress,
    may_replace,
)
from analysis.collect.plan.flags import build_parser
from analysis.collect.plan.request import ExtractionPlan, ExtractionRequest, plan_extraction
from analysis.collect.run.early import EarlyStart, importing
from analysis.collect.run.progress import ProgressReporter
from analysis.errors import ConfigError, InputError, to_printable
from analysis.files.plain_output import print_plainly
from analysis.files.writing import open_log
from analysis.language import N_

if TYPE_CHECKING:
    from analysis.payload.reading import Reading

EXIT_INPUT_ERROR = 2
EXIT_CANCELLED = 130

log = logging.getLogger("analysis")


def run() -> NoReturn:
    """Run `main` as a program of its own, and end the process with its exit code."""
    print_plainly()
    code = main()
    # Taking down the interpreter, with torch and a GPU in it, takes half a second. A thread of gloo
    # may still let go of its last tensor meanwhile, which aborts a process that has done all its
    # work (pytorch/pytorch#179291).
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def main(
    arguments: Sequence[str] | None = None,
    *,
    began: float | None = None,
    early: EarlyStart | None = None,
) -> int:
    """Run one extraction, or the command named first, and return the exit code.

    Args:
        arguments: Default: those of the process.
        began: Unix seconds from which its phases count. Default: the start of this process.
        early: What was begun for an extraction that was announced; closed here.
    """
    arguments = sys.argv[1:] if arguments is None else arguments
    if arguments and arguments[0] == "compare":
        from analysis.cli.compare import main as compare

        return compare(arguments[1:])
    if arguments and arguments[0] == "intervene":
        from analysis.cli.intervene import main as intervene

        return intervene(arguments[1:])
    if arguments and arguments[0] == "standby":
        from analysis.cli.standby import stand_by

        stand_by(int(arguments[1]), main)
    flags = vars(build_parser().parse_args(arguments))
    quiet, progress_file = flags.pop("quiet"), flags.pop("progress")
    backup = flags.pop("backup")
    first_rank = os.environ.get("RANK", "0") == "0"
    console = logging.StreamHandler()
    console.setFormatter(_PlainFormatter("%(levelname)s: %(message)s"))
    console.setLevel(logging.WARNING if quiet else logging.INFO)
    log.setLevel(logging.INFO)
    log.addHandler(console)
    try:
        reporter = ProgressReporter(quiet=quiet or not first_rank, began=began)
        signal.signal(signal.SIGTERM, _interrupt)
        signal.signal(signal.SIGUSR1, lambda *_: setattr(reporter, "finish_early", True))
        try:
            check_launch(os.environ)
            progress = progress_file if first_rank else None
            return _extract(flags, reporter, progress, early, backup=backup)
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
        if early is not None:
            early.close()
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        for handler in log.handlers[:]:
            log.removeHandler(handler)
            handler.close()


def _extract(
    flags: dict[str, Any],
    reporter: ProgressReporter,
    progress: Path | None,
    announced: EarlyStart | None,
    *,
    backup: bool,
) -> int:
    try:
        plan = plan_extraction(ExtractionRequest(**flags))
    except InputError:
        if progress is not None and may_replace(progress, is_progress):
            reporter.write_to(progress)
        raise
    check_progress_file(progress, plan, backup=backup)
    reporter.progress.output = str(plan.output)
    reporter.write_to(progress)
    check_written_files(plan, backup=backup)
    if announced is not None and not announced.serves(plan):
        announced.close()
        announced = None
    early = announced or EarlyStart(plan)
    early.begin()
    try:
        return _run(plan, early, reporter, backup=backup)
    finally:
        early.close()


def _run(
    plan: ExtractionPlan, early: EarlyStart, reporter: ProgressReporter, *, backup: bool
) -> int:
    # torch is imported only now, so that a wrong config is reported at once
    reporter.say("preparing", N_("importing torch"))
    with importing():
        from analysis.collect.run.loop import collect
        from analysis.collect.run.ranks import join_ranks, leave_ranks
        from analysis.collect.run.resume import remove_checkpoints
        from analysis.payload.file import prepare_output, save_payload
        from analysis.payload.image_vectors import save_features

    prepare_output(plan.output)
    ranks = join_ranks()
    try:
        if ranks.is_first:
            log.addHandler(_log_file(plan.output, append=bool(plan.request.resume)))
        log.info("%d images, payload %s", len(plan.images.entries), plan.output)
        found = collect(plan, reporter, ranks, pool=early.pool)
        if found is None:
            return 0
        payload, vectors = found
        # From here on there is a payload: "cancelled" would no longer be true.
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_IGN)
        reporter.say("saving", N_("writing the payload"))
        with ThreadPoolExecutor(2) as beside:
            # whoever sees the payload finds its features
            features = beside.submit(save_features, vectors, payload, plan.output, backup=backup)
            summary = beside.submit(_summarize, payload)
            save_payload(payload, plan.output, backup=backup, wait=features.result)
            _save_index(plan.output, summary)
        remove_checkpoints(plan.output)
    finally:
        leave_ranks()
    reporter.end("done")
    log.info("seconds: %s", reporter.describe_phases())
    run = payload["meta"]["run"]
    log.info(
        "done: %d images in %.1f s (%.1f images/s), %s",
        payload["meta"]["counts"]["num_images"],
        run["seconds"],
        run["images_per_second"],
        plan.output,
    )
    return 0


def _summarize(payload: Mapping[str, Any]) -> tuple[Reading, str]:
    """Return the payload as it is read, and what lists of versions show of it."""
    from analysis.payload.reading import build_reading
    from analysis.read.summary import summarize, to_json

    reading = build_reading(payload)
    return reading, to_json(summarize(reading))


def _save_index(output: Path, summary: Future[tuple[Reading, str]]) -> None:
    """Write what lists of versions ask of the payload beside it; without it they open the file."""
    from analysis.payload.index import save_index

    try:
        save_index(output, *summary.result())
    except (InputError, OSError, ValueError, KeyError) as error:
        log.warning("The index of the payload is not written: %s", error)


class _PlainFormatter(logging.Formatter):
    """Writes each message on one line: paths and configs may hold control characters."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802
        record.message = to_printable(record.message)
        return super().formatMessage(record)


class _LogFile(logging.FileHandler):
    """A log that is never written through a link, also one made after the check."""

    def _open(self) -> TextIOWrapper:
        return TextIOWrapper(
            open_log(Path(self.baseFilename), append=self.mode == "a"), encoding="utf-8"
        )


def _log_file(output: Path, *, append: bool) -> logging.Handler:
    path = output.with_suffix(".log")
    try:
        handler = _LogFile(path, "a" if append else "w")
    except OSError as error:
        raise ConfigError(
            f"{path}: cannot be written ({error.strerror}); remove it, or choose another --output."
        ) from error
    handler.setFormatter(_PlainFormatter("%(asctime)s %(levelname)s %(message)s"))
    return handler


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt
