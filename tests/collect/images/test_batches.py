"""Decoding against Pillow, batches against the list, and workers that neither hang nor linger."""

from __future__ import annotations

import multiprocessing
import os
import signal
import struct
import subprocess
import sys
import time
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from analysis.collect.images import pool
from analysis.collect.images.batches import ImageBatch, PastureDataModule, normalize_pixels
from analysis.collect.images.decode import load_image
from analysis.collect.images.pool import DecodePool, choose_num_workers
from analysis.collect.plan.image_list import list_images
from analysis.collect.plan.settings import load_settings
from analysis.errors import ImageError
from tests import ROOT
from tests.factories.projects import make_photograph, make_project, write_config

SIZE = (64, 32)


def open_module(project: Path, **changes: Any) -> PastureDataModule:
    settings = load_settings(project)
    arguments: dict[str, Any] = {"batch_size": 4, "num_workers": 0, **changes}
    return PastureDataModule(settings, list_images(settings), **arguments)


def make_images(project: Path, count: int, **changes: Any) -> Path:
    return make_project(project, images=count, size=SIZE, weights=False, lora=False, **changes)


def image_path(project: Path, number: int) -> Path:
    return project / "data" / "train" / f"ID{number:04d}.jpg"


def resize_with_pillow(path: Path, size: tuple[int, int]) -> np.ndarray[Any, Any]:
    with Image.open(path) as image:
        resized = image.convert("RGB").resize(size, Image.Resampling.BICUBIC)
    return np.asarray(resized).transpose(2, 0, 1).astype(int)


@pytest.mark.parametrize(
    ("source", "size"),
    [
        pytest.param((640, 320), (320, 160), id="half"),
        pytest.param((500, 333), (96, 64), id="odd ratio"),
        pytest.param((333, 500), (70, 50), id="portrait"),
        pytest.param((50, 40), (160, 90), id="upscaled"),
        pytest.param((40, 400), (90, 80), id="upscaled in one direction only"),
        pytest.param((96, 64), (96, 32), id="one direction kept"),
        pytest.param((96, 64), (96, 64), id="same size"),
        pytest.param((1200, 900), (17, 16), id="much smaller"),
        pytest.param((1, 1), (16, 16), id="one pixel"),
        pytest.param((400, 200), (320, 160), id="shrunk by little"),
        pytest.param((64, 320), (128, 64), id="enlarged and shrunk"),
    ],
)
def test_resized_pixels_are_those_of_pillow(
    source: tuple[int, int], size: tuple[int, int], tmp_path: Path
) -> None:
    path = tmp_path / "photograph.png"
    make_photograph(*source).save(path)
    pixels = load_image(path, size)
    assert pixels.shape == (3, size[1], size[0])
    assert pixels.dtype == torch.uint8
    np.testing.assert_array_equal(pixels, resize_with_pillow(path, size))


def test_jpeg_is_decoded_in_full_before_it_is_resized(tmp_path: Path) -> None:
    path = tmp_path / "photograph.jpg"
    make_photograph(800, 600).save(path, quality=95)
    found = load_image(path, (100, 75))
    np.testing.assert_array_equal(found, resize_with_pillow(path, (100, 75)))


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "LA", "CMYK", "1", "I;16", "F", "YCbCr"])
def test_other_colour_modes_are_what_pillow_makes_of_them(mode: str, tmp_path: Path) -> None:
    path = tmp_path / "image.tif"
    if mode == "I;16":
        Image.fromarray(np.arange(40 * 30, dtype=np.uint16).reshape(30, 40) * 50).save(path)
    else:
        make_photograph(40, 30).convert("RGBA" if mode == "LA" else "RGB").convert(mode).save(path)
    difference = np.abs(load_image(path, (40, 30)).numpy() - resize_with_pillow(path, (40, 30)))
    assert difference.max() == 0


@pytest.mark.parametrize(
    "suffix",
    [
        *["jpg", "jfif", "png", "webp", "bmp", "dib", "tif", "gif", "ppm", "avif", "jp2", "j2k"],
        *["tga", "qoi", "sgi", "pcx", "dds"],
    ],
)
def test_formats_of_photographs_are_read(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"image.{suffix}"
    make_photograph(40, 30).save(path)
    difference = np.abs(load_image(path, (20, 16)).numpy() - resize_with_pillow(path, (20, 16)))
    assert difference.max() <= 1


def test_first_picture_of_several_is_taken(tmp_path: Path) -> None:
    first, second = make_photograph(40, 30, seed=1), make_photograph(40, 30, seed=2)
    first.save(tmp_path / "a.jpg", format="MPO", save_all=True, append_images=[second])
    first.save(tmp_path / "b.jpg")
    several, single = (load_image(tmp_path / name, SIZE) for name in ("a.jpg", "b.jpg"))
    assert torch.equal(several, single)


def test_exif_orientation_is_ignored(tmp_path: Path) -> None:
    photograph, exif = make_photograph(64, 32), Image.Exif()
    exif[0x0112] = 6  # turned by a quarter
    photograph.save(tmp_path / "turned.jpg", exif=exif)
    photograph.save(tmp_path / "plain.jpg")
    turned, plain = (load_image(tmp_path / f"{name}.jpg", SIZE) for name in ("turned", "plain"))
    assert torch.equal(turned, plain)


def png_of(width: int, height: int) -> bytes:
    """Return a PNG whose header promises more pixels than it holds."""
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunk = struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header))
    return b"\x89PNG\r\n\x1a\n" + chunk + struct.pack(">I", 0) + b"IDAT"


def break_file(path: Path, kind: str) -> None:
    whole = path.read_bytes()
    contents = {
        "truncated": whole[: len(whole) // 2],
        "empty": b"",
        "text": b"not an image",
        "bomb": png_of(30_000, 30_000),
        "header only": png_of(30, 30),
        "postscript": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n",
    }
    if kind == "missing":
        path.unlink()
    elif kind == "folder":
        path.unlink()
        path.mkdir()
    else:
        path.write_bytes(contents[kind])


BROKEN = {
    "truncated": "truncated",
    "empty": "not an image",
    "text": "not an image",
    "bomb": "decompression bomb",
    "header only": "",
    "postscript": "not an image",
    "missing": "no such file",
    "folder": "Is a directory",
}


@pytest.mark.parametrize(("kind", "reason"), BROKEN.items(), ids=BROKEN)
def test_unreadable_image_leaves_an_empty_row_and_a_reason(
    kind: str, reason: str, tmp_path: Path
) -> None:
    project = make_images(tmp_path, 3)
    break_file(image_path(project, 1), kind)
    (batch,) = open_module(project).train_batches()
    assert batch.valid.tolist() == [True, False, True]
    assert batch.indices.tolist() == [0, 1, 2]
    assert not batch.pixels[1].any()
    assert batch.pixels[2].any()
    ((index, told),) = batch.failures
    assert index == 1
    assert told
    assert reason in told
    assert "\n" not in told


def test_strict_stops_at_an_unreadable_image_and_names_it(tmp_path: Path) -> None:
    project = make_images(tmp_path, 9)
    break_file(image_path(project, 5), "truncated")
    for num_workers in (0, 2):
        batches = open_module(project, strict=True, num_workers=num_workers).train_batches()
        assert next(batches).valid.all()
        with pytest.raises(ImageError, match=r"ID0005\.jpg: .*truncated.*--strict"):
            next(batches)


def test_load_image_names_the_file(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r"gone\.jpg: no such file"):
        load_image(tmp_path / "gone.jpg", SIZE)


def equal(a: ImageBatch, b: ImageBatch) -> bool:
    tensors = ("pixels", "indices", "valid")
    same = all(torch.equal(getattr(a, name), getattr(b, name)) for name in tensors)
    return same and a.failures == b.failures


def test_batches_cut_the_list_in_order(tmp_path: Path) -> None:
    project = make_images(tmp_path, 10)
    batches = list(open_module(project).train_batches())
    assert [b.indices.tolist() for b in batches] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    assert all(b.indices.dtype == torch.int64 and b.valid.dtype == torch.bool for b in batches)
    assert batches[0].pixels.shape == (4, 3, 32, 64)
    assert batches[2].pixels.shape == (2, 3, 32, 64)
    for batch in batches:
        for index, pixels in zip(batch.indices.tolist(), batch.pixels, strict=True):
            assert torch.equal(pixels, load_image(image_path(project, index), SIZE))


@pytest.mark.parametrize("num_workers", [1, 2])
def test_number_of_workers_changes_nothing(num_workers: int, tmp_path: Path) -> None:
    project = make_images(tmp_path, 10)
    break_file(image_path(project, 6), "text")
    alone = list(open_module(project).train_batches())
    with torch.inference_mode():
        spread = list(open_module(project, num_workers=num_workers).train_batches())
    assert len(alone) == len(spread) == 3
    assert all(equal(a, b) for a, b in zip(alone, spread, strict=True))


def begin_pool(paths: list[str]) -> DecodePool:
    running = DecodePool(paths, SIZE, 2)
    running.begin()
    return running


def test_a_pool_that_runs_already_gives_the_same_batches(tmp_path: Path) -> None:
    project = make_images(tmp_path, 10)
    break_file(image_path(project, 1), "text")
    expected = list(open_module(project).train_batches())
    paths = [str(image_path(project, number)) for number in range(10)]
    module = open_module(project, num_workers=2, pool=begin_pool(paths))
    first = module.first_images(2)
    assert first is not None
    assert torch.equal(first, expected[0].pixels[[0, 2]])
    assert all(equal(a, b) for a, b in zip(module.train_batches(), expected, strict=True))
    assert multiprocessing.active_children() == []


def test_a_pool_of_other_images_is_ended_and_not_used(tmp_path: Path) -> None:
    project = make_images(tmp_path, 10)
    paths = [str(image_path(project, number)) for number in range(10)]
    expected = list(open_module(project).train_batches(1))
    module = open_module(project, num_workers=1, pool=begin_pool(paths))
    assert all(equal(a, b) for a, b in zip(module.train_batches(1), expected, strict=True))
    assert multiprocessing.active_children() == []


def test_a_pool_with_little_memory_decodes_all_images_in_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool, "AHEAD_BYTES", 1)
    project = make_images(tmp_path, 9)
    paths = [str(image_path(project, number)) for number in range(9)]
    decoding = begin_pool(paths)
    assert decoding.slots == 4
    for number in range(9):
        pixels, (reason, _) = decoding.look(number)
        assert reason is None
        assert torch.equal(torch.from_numpy(pixels.copy()), load_image(Path(paths[number]), SIZE))
        decoding.give_back()
    decoding.close()
    assert multiprocessing.active_children() == []


def test_a_pool_opens_no_file_before_it_is_to_begin(tmp_path: Path) -> None:
    project = make_images(tmp_path, 2)
    paths = [str(image_path(project, number)) for number in range(2)]
    decoding = DecodePool(paths, SIZE, 2)
    image_path(project, 0).replace(image_path(project, 1))  # a moment later it would be too late
    decoding.begin()
    missing, other = (decoding.look(number)[1].reason for number in range(2))
    decoding.close()
    assert missing is not None
    assert other is None


def test_start_batch_resumes_on_the_same_batches(tmp_path: Path) -> None:
    module = open_module(make_images(tmp_path, 10))
    whole = list(module.train_batches())
    for start in range(5):
        rest = list(module.train_batches(start))
        assert len(rest) == len(whole[start:])
        assert all(equal(a, b) for a, b in zip(rest, whole[start:], strict=True))


@pytest.mark.parametrize("world_size", [1, 2, 3, 7])
@pytest.mark.parametrize("start", [0, 1, 3])
def test_ranks_share_the_batches_without_overlap(
    world_size: int, start: int, tmp_path: Path
) -> None:
    module = open_module(make_images(tmp_path, 10), batch_size=2)
    shares = [
        [b.indices.tolist() for b in module.train_batches(start, rank, world_size)]
        for rank in range(world_size)
    ]
    whole = [b.indices.tolist() for b in module.train_batches()]
    for rank, share in enumerate(shares):
        assert share == [b for k, b in enumerate(whole) if k % world_size == rank and k >= start]


def test_impossible_ranks_are_refused_at_once(tmp_path: Path) -> None:
    module = open_module(make_images(tmp_path, 2))
    with pytest.raises(ValueError, match="rank 2 of 2"):
        module.train_batches(0, 2, 2)


def test_first_images_skips_unreadable_ones(tmp_path: Path) -> None:
    project = make_images(tmp_path, 5)
    break_file(image_path(project, 0), "text")
    pixels = open_module(project).first_images(2)
    assert pixels is not None
    expected = [load_image(image_path(project, number), SIZE) for number in (1, 2)]
    assert torch.equal(pixels, torch.stack(expected))
    everything = open_module(project).first_images(99)
    assert everything is not None
    assert len(everything) == 4


def test_first_images_of_nothing_readable_is_none(tmp_path: Path) -> None:
    project = make_images(tmp_path, 2)
    for number in (0, 1):
        break_file(image_path(project, number), "text")
    assert open_module(project).first_images(8) is None


def test_normalized_pixels_follow_the_formula() -> None:
    pixels = torch.arange(256, dtype=torch.uint8).repeat(2, 3, 1, 1)
    mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    expected = pixels.numpy().astype(np.float64) / 255
    for channel in range(3):
        expected[:, channel] = (expected[:, channel] - mean[channel]) / std[channel]
    found = normalize_pixels(pixels, mean, std)
    assert found.dtype == torch.float32
    assert found.is_contiguous()
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-6)
    assert pixels[0, 0, 0, 255] == 255


def test_size_that_patches_do_not_divide_is_measured_truncated_and_warned(tmp_path: Path) -> None:
    module = open_module(make_images(tmp_path, 1, changes={"data.image_size": [70, 37]}))
    assert module.network_size == (64, 32)
    assert "70x37" in module.warnings[0]
    assert "64x32" in module.warnings[0]
    (batch,) = module.train_batches()
    assert batch.pixels.shape == (1, 3, 37, 70)


def test_size_that_patches_divide_is_not_warned(tmp_path: Path) -> None:
    module = open_module(make_images(tmp_path, 1))
    assert module.network_size == SIZE
    assert module.warnings == []


def test_default_workers_leave_a_core_and_share_between_local_ranks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(12)), raising=False)
    assert choose_num_workers() == 11
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "4")
    assert choose_num_workers() == 2
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "64")
    assert choose_num_workers() == 1


def test_worker_that_is_killed_is_an_error_with_a_remedy(tmp_path: Path) -> None:
    project = make_images(tmp_path, 40)
    batches = open_module(project, batch_size=1, num_workers=1).train_batches()
    next(batches)
    (worker,) = multiprocessing.active_children()
    assert worker.pid is not None
    os.kill(worker.pid, signal.SIGKILL)
    while is_running(worker.pid):  # the news of its death must not interrupt what is done meanwhile
        time.sleep(0.01)
    with pytest.raises(ImageError, match=r"died.*--num-workers"):
        list(batches)


def test_closing_the_iterator_ends_the_workers(tmp_path: Path) -> None:
    batches = open_module(make_images(tmp_path, 20), batch_size=1, num_workers=2).train_batches()
    next(batches)
    assert len(multiprocessing.active_children()) == 2
    batches.close()  # type: ignore[attr-defined]
    assert multiprocessing.active_children() == []


READER = """
import signal, sys, time
from pathlib import Path
from analysis.collect.plan.image_list import list_images
from analysis.collect.images.batches import PastureDataModule
from analysis.collect.plan.settings import load_settings

told = []
signal.signal(signal.SIGTERM, lambda *_: told.append(1))
settings = load_settings(Path(sys.argv[1]))
module = PastureDataModule(settings, list_images(settings), batch_size=1, num_workers=2)
for number, batch in enumerate(module.train_batches()):
    if number == 3:
        print("ready", flush=True)
        sys.stdin.readline()
print(number + 1, len(told), flush=True)
"""


def start_reader(project: Path) -> subprocess.Popen[str]:
    reader = subprocess.Popen(
        [sys.executable, "-c", READER, str(project)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert reader.stdout is not None
    assert reader.stdout.readline() == "ready\n"
    return reader


def children_of(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_workers_die_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    project = make_images(tmp_path, 20)
    image_path(project, 5).unlink()
    os.mkfifo(image_path(project, 5))  # holds its worker, which cannot look for its parent then
    with start_reader(project) as reader:
        workers = children_of(reader.pid)
        reader.kill()
    assert len(workers) == 2
    deadline = time.monotonic() + 30
    while any(map(is_running, workers)) and time.monotonic() < deadline:
        time.sleep(0.05)
    left = [worker for worker in workers if is_running(worker)]
    for worker in left:
        os.kill(worker, signal.SIGKILL)
    assert left == []


@pytest.mark.skipif(sys.platform != "linux", reason="signals a process group")
def test_signal_to_the_process_group_reaches_the_parent_only(tmp_path: Path) -> None:
    with start_reader(make_images(tmp_path, 60)) as reader:
        os.killpg(reader.pid, signal.SIGTERM)
        told, _ = reader.communicate("go on\n", timeout=60)
    assert told == "60 1\n"
    assert reader.returncode == 0


DEEP = {
    "sixteen.png": (np.linspace(0, 65535, 64 * 32).reshape(32, 64).astype(np.uint16)),
    "sixteen.tif": (np.linspace(0, 65535, 64 * 32).reshape(32, 64).astype(np.uint16)),
    "sixteen.jp2": (np.linspace(0, 65535, 64 * 32).reshape(32, 64).astype(np.uint16)),
    "float.tif": np.linspace(0, 1, 64 * 32).reshape(32, 64).astype(np.float32),
    "integer.tif": (np.linspace(0, 1000, 64 * 32).reshape(32, 64).astype(np.int32)),
}


@pytest.mark.parametrize("num_workers", [0, 2])
def test_deep_pictures_are_what_training_sees_and_are_counted(
    num_workers: int, tmp_path: Path
) -> None:
    root = tmp_path / "data"
    root.mkdir()
    for name, values in DEEP.items():
        Image.fromarray(values).save(root / name)
    Image.new("RGB", (64, 32), (9, 99, 199)).save(root / "usual.png")
    config = {
        "data": {"root": "data", "image_size": [64, 32]},
        "model": {"backbone": "dinov3_vits16"},
    }
    write_config(tmp_path, config)
    settings = load_settings(tmp_path)
    images = list_images(settings)
    data = PastureDataModule(settings, images, batch_size=3, num_workers=num_workers)
    batches = list(data.train_batches())
    assert sum(batch.cut for batch in batches) == len(DEEP)
    pixels = torch.cat([batch.pixels for batch in batches])
    for entry, found in zip(images.entries, pixels, strict=True):
        seen = Image.open(entry.path).convert("RGB").resize((64, 32), Image.Resampling.BICUBIC)
        assert np.array_equal(found.permute(1, 2, 0).numpy(), np.asarray(seen))
