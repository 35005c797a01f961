"""`python -m demo`: make whatever the embedded default lacks, below the repository root."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command; without a name, make every file that is missing."""
    parser = argparse.ArgumentParser(prog="python -m demo", description=__doc__)
    parser.add_argument("--root", type=Path, default=ROOT, help="project dir to write to")
    parser.add_argument(
        "what",
        nargs="?",
        choices=("missing", "images"),
        default="missing",
        help="missing: images, weights and head where absent; images: draw the images again",
    )
    options = parser.parse_args(arguments)
    make(options.root, images_again=options.what == "images")


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
    head = root / "weights" / "head" / "infer_head.pt"
    if not head.exists():
        from demo.backbone import write_head

        write_head(head)
        written.append(head)
    for path in written:
        print(f"made {path}")
    return written


if __name__ == "__main__":
    main()
