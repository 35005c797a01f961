"""`python -m demo`: make whatever the embedded default lacks, below the repository root."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; without a name, make every file that is missing."""
    arguments = sys.argv[1:] if arguments is None else arguments
    parser = argparse.ArgumentParser(prog="python -m demo", description=__doc__)
    parser.add_argument("--root", type=Path, default=ROOT, help="project dir to write to")
    commands = parser.add_subparsers(dest="command")
    commands.add_parser("missing", help="the images where absent (the default)")
    commands.add_parser("images", help="paint the images and write train.csv again")
    training = commands.add_parser(
        "train", help="all of it again: images, train.csv, backbone, adapters, model card"
    )
    if "train" in arguments:  # only then: torch takes seconds to import
        from demo.train import add_arguments

        add_arguments(training)
    options = parser.parse_args(arguments)
    status = 0
    if options.command == "train":
        from demo.train import train_repeatably

        status = train_repeatably(options, options.root / "weights")
    for path in make(options.root, images_again=options.command in ("images", "train")):
        print(f"made {path}")
    return status


def make(root: Path, *, images_again: bool = False) -> list[Path]:
    """Paint the images and write the table below ``root``, where missing; returns what was written.

    Weights are committed: `python -m demo train` makes them anew, on a GPU.
    """
    table = root / "data" / "train.csv"
    if table.exists() and not images_again:
        return []
    from demo.images import write_images

    write_images(table.parent)
    return [table]


if __name__ == "__main__":
    raise SystemExit(main())
