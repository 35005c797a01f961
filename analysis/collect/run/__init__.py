"""One extraction: network, loop, resume, ranks, progress, the record of the run."""
