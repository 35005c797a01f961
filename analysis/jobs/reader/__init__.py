"""Read files of strangers in a process that the system limits, for the server that asked for it.

`calls` is what pages use; `process` starts, asks and ends the process; `worker` is the process, and
the only module here that imports torch; `frames` is what passes between the two.
"""

from analysis.jobs.reader.calls import load_photograph, open_payload, start_reader

__all__ = ["load_photograph", "open_payload", "start_reader"]
