"""Read files of strangers in a process that the system limits, for the server that asked for it.

`calls` is what pages use; `process` starts, asks and ends a process; `worker` is the one that reads
payloads and pictures, and the only module here that imports torch. Small files are read by
`analysis.files.isolated_worker`.
"""

from analysis.jobs.reader.calls import load_photograph, open_payload, start_reader

__all__ = ["load_photograph", "open_payload", "start_reader"]
