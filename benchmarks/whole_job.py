"""Whole jobs from JPEG files to the payload: ``python -m benchmarks.whole_job``.

Runs the command line on a project with random weights and 2000x1000 photographs, several rows of
the CSV to a file, and compares its rate with what the network does on pixels that are on the device
already (compiled, extras included) and with what decoding alone reaches.

The steady rate is taken over the last three quarters of a run's progress reports; the whole rate
counts all from the first batch asked for, start of workers and compiling included.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import subprocess
import sys
import tempfile
import time
from multiprocessing import Pool
from pathlib import Path

import numpy as np
import torch
import yaml
from PIL import Image

from analysis.collect.images.batches import PastureDataModule
from analysis.collect.plan.image_list import list_images
from analysis.collect.plan.settings import load_settings
from analysis.collect.run.devices import enter_precision
from benchmarks.tax import build_backbone, make_steps, take_turns

CASES = {
    "H+ 960x480": ("dinov3_vith16plus", (960, 480), 8, 2400),
    "S 256x256": ("dinov3_vits16", (256, 256), 64, 12800),
}
"""Backbone, width and height, images per batch, images."""
PHOTOGRAPH = (2000, 1000)


def draw_photograph(path: Path, seed: int) -> None:
    """Write a picture with detail at every scale, about 750 kB as JPEG of quality 90."""
    rng = np.random.default_rng(seed)
    width, height = PHOTOGRAPH
    pixels = np.full((height, width, 3), 110, np.float32)
    for rows, amplitude in ((4, 60), (16, 35), (63, 25), (250, 18), (1000, 9)):
        noise = rng.standard_normal((rows, 2 * rows, 3), dtype=np.float32) * amplitude
        for channel in range(3):
            layer = Image.fromarray(noise[..., channel])
            pixels[..., channel] += np.asarray(layer.resize(PHOTOGRAPH, Image.Resampling.BILINEAR))
    Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(path, quality=90)


def make_project(
    project: Path, name: str, size: tuple[int, int], photographs: Path, images: int
) -> None:
    """Write config, CSV and random weights in half precision."""
    for folder in ("configs", "weights"):
        (project / folder).mkdir(parents=True)
    files = sorted(photographs.glob("*.jpg"))
    with (project / "train.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["image_id", "image_path"])
        for number in range(images):
            writer.writerow([f"{number:06d}", str(files[number % len(files)].name)])
    config = {
        "version": "benchmark",
        "data": {
            "root": str(photographs),
            "train_csv": str(project / "train.csv"),
            "image_size": list(size),
        },
        "model": {"backbone": name},
        "train_all": {"enabled": True},
        "logging": {"log_dir": "outputs"},
    }
    (project / "configs" / "train.yaml").write_text(yaml.safe_dump(config))
    device = "cuda" if torch.cuda.is_available() else "cpu"
    state = build_backbone(name, device).state_dict()
    halves = {key: value.half().cpu() for key, value in state.items()}
    torch.save(halves, project / "weights" / f"{name}_random.pth")


def run_job(
    project: Path, images: int, batch: int, compiling: str, ranks: int = 1
) -> dict[str, float]:
    """Run the command line, on several ranks if asked to, and watch its progress file.

    The payload is left as ``<compiling>-<images>-<ranks>.pt`` in the project.
    """
    name = f"{compiling}-{images}-{ranks}"
    progress, output = project / f"{name}-progress.json", project / f"{name}.pt"
    command = [sys.executable, "-m"]
    if ranks > 1:
        command += ["torch.distributed.run", "--standalone", f"--nproc-per-node={ranks}", "-m"]
    command += ["analysis", "--project-dir", str(project), "--quiet"]
    command += ["--batch-size", str(batch), "--compile", compiling, "--max-images", str(images)]
    command += ["--progress", str(progress), "--output", str(output), "--head-weights", "none"]
    start = time.time()
    process = subprocess.Popen(command, env=os.environ | {"PYTHONWARNINGS": "ignore"})
    seen: list[tuple[float, int]] = []
    first = began = 0.0
    while process.poll() is None:
        time.sleep(0.05)
        try:
            now = json.loads(progress.read_text())
        except (OSError, ValueError):
            continue
        if now["state"] == "running" and not began:
            began = time.time() - start
        if now["state"] == "running" and now["done"] and (not seen or seen[-1][1] != now["done"]):
            first = first or time.time() - start
            seen.append((now["updated"], now["done"]))
    if process.returncode:
        raise RuntimeError(f"the job ended with exit code {process.returncode}")
    wall = time.time() - start
    run = torch.load(output, weights_only=True)["meta"]["run"]
    result = {
        "images": float(images),
        "wall seconds": wall,
        "seconds to first image asked for": began,
        "seconds to first batch": first,
        "images/s whole": run["images_per_second"],
        "seconds in the run": run["seconds"],
        "compiled": float(run["compiled"]),
    }
    if len(seen) > 3:
        (then, before), (now, after) = seen[len(seen) // 4], seen[-1]
        result["images/s steady"] = (after - before) / (now - then)
    return result


def decode_rate(project: Path, batch: int, images: int) -> float:
    """Return the images per second that the loader reaches when nothing consumes them."""
    settings = load_settings(project)
    listed = list_images(settings, max_images=images)
    data = PastureDataModule(settings, listed, batch_size=batch, pin_memory=True)
    seen, start = 0, 0.0
    for number, read in enumerate(data.train_batches()):
        if number == 2 * data.num_workers:  # the workers are at full speed
            start = time.perf_counter()
        elif start:
            seen += len(read.indices)
    return seen / (time.perf_counter() - start)


def network_rate(name: str, size: tuple[int, int], batch: int) -> float:
    """Return images per second with the pixels on the device: compiled bf16, extras included."""
    backbone = build_backbone(name, "cuda")
    pixels = torch.randn(batch, 3, size[1], size[0], device="cuda")
    with torch.inference_mode(), enter_precision("bf16", pixels.device):
        steps = make_steps(backbone, pixels, compiled=True)

        def clock() -> float:
            torch.cuda.synchronize()
            return time.perf_counter()

        return batch / take_turns({"e": steps["extras"]}, 20, clock=clock, warmup=3, repeats=4)["e"]


def measure(label: str, photographs: Path, folder: Path, scale: float) -> dict[str, float]:
    """Return everything about one case."""
    name, size, batch, images = CASES[label]
    images = max(int(images * scale), 4 * batch)
    project = folder / name
    make_project(project, name, size, photographs, images)
    result = {}
    for compiling, part in (("auto", images), ("on", 357), ("auto", 357)):
        job = run_job(project, min(part, images), batch, compiling)
        result |= {f"--compile {compiling}, {part}: {key}": value for key, value in job.items()}
        print(label, compiling, {key: round(value, 2) for key, value in job.items()}, flush=True)
    decoding = result["images/s decoding"] = decode_rate(project, batch, min(images, 6000))
    network = result["images/s network"] = network_rate(name, size, batch)
    limit = min(decoding, network)
    result["steady rate / limit"] = result[f"--compile auto, {images}: images/s steady"] / limit
    result["whole rate / limit"] = result[f"--compile auto, {images}: images/s whole"] / limit
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--case", choices=CASES, action="append", help="default: all of them")
    parser.add_argument("--files", type=int, default=320, help="different photographs")
    parser.add_argument("--scale", type=float, default=1.0, help="of the number of images")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    report: dict[str, object] = {"card": torch.cuda.get_device_name(), "torch": torch.__version__}
    report["cores"] = len(os.sched_getaffinity(0))
    with tempfile.TemporaryDirectory() as temporary:
        photographs = Path(temporary) / "photographs"
        photographs.mkdir()
        jobs = [(photographs / f"{number:05d}.jpg", number) for number in range(arguments.files)]
        with Pool() as pool:
            pool.starmap(draw_photograph, jobs)
        sizes = [path.stat().st_size for path, _ in jobs]
        report["kB per file"] = sum(sizes) / len(sizes) / 1e3
        for label in arguments.case or CASES:
            values = measure(label, photographs, Path(temporary), arguments.scale)
            report[label] = values
            for key, value in values.items():
                print(f"{label:12} {key:60} {value:10.2f}", flush=True)
            if arguments.out:
                arguments.out.write_text(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
