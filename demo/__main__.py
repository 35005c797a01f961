"""`python -m demo`: make whatever the embedded default lacks, below the repository root."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; without a name, make every file that is missing."""
    parser = argparse.ArgumentParser(prog="python -m demo", description=__doc__)
    parser.add_argument("--root", type=Path, default=ROOT, help="project dir to write to")
    commands = parser.add_subparsers(dest="command")
    commands.add_parser("missing", help="images, weights and heads where absent (the default)")
    commands.add_parser("images", help="paint the images and write train.csv again")
    training = commands.add_parser("train", help="train the backbone and its adapters")
    if arguments is None or "train" in arguments:
        from demo.train import add_arguments

        add_arguments(training)
    options = parser.parse_args(arguments)
    if options.command == "train":
        from demo.train import train

        return train(options)
    for path in make(options.root, images_again=options.command == "images"):
        print(f"made {path}")
    return 0


def make(root: Path, *, images_again: bool = False) -> list[Path]:
    """Make what is missing below ``root``; returns what was written.

    Torch and peft are imported only where weights have to be made.
    """
    written: list[Path] = []
    table = root / "data" / "train.csv"
    if images_again or not table.exists():
        from demo.images import write_images

        write_images(table.parent)
        written.append(table)
    if images_again:
        return written
    weights = root / "weights" / "dinov3_vitt16_demo_pretrain_quadrats.pth"
    if not weights.exists():
        from demo.backbone import write_backbone

        write_backbone(weights)
        written.append(weights)
    for number, folder in enumerate(("head", "head_winter")):
        head = root / "weights" / folder / "infer_head.pt"
        if not head.exists():
            from demo.backbone import SEED, write_head

            write_head(head, seed=SEED + number)
            written.append(head)
    return written


if __name__ == "__main__":
    raise SystemExit(main())
