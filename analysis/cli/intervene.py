"""`python -m analysis intervene PAYLOAD.pt`: fix channels of the network and measure the change.

Exit codes: 0 done, 2 input that the user can correct (one line on stderr), 130 cancelled.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from analysis.cli.written_files import check_intervention_files
from analysis.collect.run.progress import ProgressReporter
from analysis.errors import ConfigError, InputError
from analysis.files.paths import path_flag
from analysis.files.roots import allowed_roots

if TYPE_CHECKING:
    from analysis.payload.intervention_file import InterventionResult
    from analysis.read.worth.intervened import ProbedIntervention

EXIT_INPUT_ERROR = 2
EXIT_CANCELLED = 130
TOKENS = ("cls", "registers", "patches")


def build_parser() -> argparse.ArgumentParser:
    """Return the parser; the README documents every flag in it (held by a test)."""
    parser = argparse.ArgumentParser(
        prog="python -m analysis intervene",
        description="Fix channels of a payload's network and measure what later outputs change, "
        "beside random channels.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
        argument_default=None,
    )
    add = parser.add_argument
    add("payload", type=path_flag, metavar="PAYLOAD.pt", help="names network and images")
    add("--layer", type=int, help="first block whose output is changed")
    add("--channels", metavar="A,B,...", help="channels to fix (default: the --top ones)")
    add("--top", type=int, default=4, help="fix the K channels of the largest max |x|")
    add("--tokens", default="all", metavar="A,B", help=f"all, or some of {', '.join(TOKENS)}")
    add("--set", choices=("mean", "zero", "image-mean"), default="mean", help="what they become")
    add("--once", action="store_true", help="at --layer only, not at every later block too")
    add("--sweep", action="store_true", help="each channel on its own, from each layer on")
    add("--max-images", type=int, default=64, help="images, evenly spaced over the list")
    add("--draws", type=int, default=10, help="sets of random channels as control")
    add("--images-dir", metavar="DIR", help="where the images are, in place of data.root")
    add(
        "--project-dir",
        type=path_flag,
        default=Path(),
        help="project root; files below it are read",
    )
    add("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    add("--precision", choices=("auto", "fp32", "tf32", "bf16"), default="auto", help="as extract")
    add("--output", type=path_flag, metavar="FILE", help="result (default: beside the payload)")
    add("--progress", type=path_flag, metavar="FILE", help="keep a small JSON file on the progress")
    add("--json", action="store_true", help="print the effects as JSON")
    add("--quiet", action="store_true", help="no progress bar")
    return parser


def main(arguments: Sequence[str]) -> int:
    """Run the interventions that the flags ask for and return the exit code."""
    flags = build_parser().parse_args(arguments)
    reporter = ProgressReporter(quiet=flags.quiet)
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        check_intervention_files(flags.output, flags.progress)
        reporter.write_to(flags.progress)
        return _run(flags, reporter)
    except InputError as error:
        reporter.end("failed", error=str(error))
        print(f"ERROR: {error}", file=sys.stderr)
        return EXIT_INPUT_ERROR
    except KeyboardInterrupt:
        reporter.end("cancelled")
        print("cancelled; no result was written", file=sys.stderr)
        return EXIT_CANCELLED
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _run(flags: argparse.Namespace, reporter: ProgressReporter) -> int:
    from analysis.collect.interventions.payload import intervene
    from analysis.collect.interventions.request import Action, InterventionRequest, TokenKind
    from analysis.read.interventions import describe, tabulate_final
    from analysis.read.worth.intervened import describe_probes, tabulate_probes

    names = TOKENS if flags.tokens == "all" else flags.tokens.split(",")
    wrong = [name for name in names if name not in TOKENS]
    if wrong:
        raise ConfigError(f"--tokens {wrong[0]}: choose all, or some of {', '.join(TOKENS)}.")
    request = InterventionRequest(
        layer=flags.layer,
        channels=_parse_channels(flags.channels),
        top=flags.top,
        tokens=tuple(TokenKind(name) for name in names),
        action=Action(flags.set),
        hold=not flags.once,
        max_images=flags.max_images,
        draws=flags.draws,
        sweep=flags.sweep,
    )
    path, result = intervene(
        flags.payload,
        request,
        output=flags.output,
        images_dir=flags.images_dir,
        device=flags.device,
        precision=flags.precision,
        reporter=reporter,
        roots=allowed_roots(flags.project_dir.expanduser()),
    )
    reporter.progress.output = str(path)
    reporter.end("done")
    probes = _probe(flags.payload, result)
    if flags.json:
        frame = tabulate_final(result)
        found: dict[str, Any] = {
            "file": str(path),
            "effects": json.loads(frame.to_json(orient="records")),
            "probes": json.loads(tabulate_probes(probes).to_json(orient="records")),
            "sentences": describe(result),
        }
        print(json.dumps(found, indent=1, allow_nan=False))
    else:
        sentences = describe(result) + ([describe_probes(probes)] if probes else [])
        print("\n".join([*sentences, f"Written to {path}."]))
    return 0


def _probe(payload: Path, result: InterventionResult) -> list[ProbedIntervention]:
    """Return the probes with the intervention in place; none where images have no targets."""
    from analysis.payload.features import read_features
    from analysis.read.worth.intervened import probe_targets

    try:
        return probe_targets(result, read_features(payload))
    except InputError:
        return []


def _parse_channels(text: str | None) -> tuple[int, ...] | None:
    if text is None:
        return None
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise ConfigError(f"--channels {text}: give whole numbers with commas between.") from None


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt
