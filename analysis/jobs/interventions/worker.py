"""The process of one intervention run.

Started as ``python -m analysis.jobs.interventions.worker FOLDER LOCK``. LOCK is the descriptor of
the lock that says that the process lives; it ends with the process.
"""

from __future__ import annotations

import json
import signal
import sys
import traceback
from pathlib import Path

from analysis.collect.interventions.payload import intervene
from analysis.collect.interventions.request import InterventionRequest
from analysis.collect.run.progress import ProgressReporter
from analysis.errors import InputError
from analysis.files.plain_output import print_plainly
from analysis.jobs.interventions.folder import PROGRESS_FILE, REQUEST_FILE
from analysis.jobs.limits import end_when_quiet, watch_memory


class WatchedReporter(ProgressReporter):
    """Reports, and has the process ended that reports nothing for too long."""

    def say(self, state: str, message: str = "") -> None:
        """Enter a state."""
        end_when_quiet()
        super().say(state, message)

    def advance(self, images: int) -> None:
        """Count `images` more."""
        end_when_quiet()
        super().advance(images)


def run(folder: Path) -> None:
    """Run the request of a folder and note how it ended."""
    end_when_quiet()
    reporter = WatchedReporter(folder / PROGRESS_FILE, quiet=True)
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        asked = json.loads((folder / REQUEST_FILE).read_text())
        path, _ = intervene(
            Path(asked["payload"]),
            InterventionRequest.from_json(asked["request"]),
            images_dir=asked["images_dir"],
            reporter=reporter,
            roots=[Path(root) for root in asked["roots"]],
        )
        reporter.progress.output = str(path)
    except KeyboardInterrupt:
        reporter.end("cancelled")
    except InputError as error:
        reporter.end("failed", error=str(error))
    except Exception as error:
        traceback.print_exc()
        reporter.end("failed", error=f"{type(error).__name__}: {error}")
    else:
        reporter.end("done")


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    print_plainly()
    watch_memory()
    run(Path(sys.argv[1]))
