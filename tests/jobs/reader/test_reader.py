"""Files are read by a process that the system limits; the real process throughout."""

from __future__ import annotations

import io
import os
import signal
import struct
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from analysis.errors import ImageError, PayloadError
from analysis.jobs.reader import calls, load_photograph, open_payload
from analysis.jobs.reader.process import Reader
from analysis.payload import reading
from analysis.read.places import photographs
from tests import ROOT
from tests.factories.payloads import make_payload, write_payload

MISCHIEF = textwrap.dedent(
    """
    import os, sys, time
    from pathlib import Path
    sys.path.insert(0, os.getcwd())
    from analysis.jobs.reader import worker

    def misbehave(arguments, content, scratch):
        how = arguments["path"]
        if how == "spins":
            while True:
                pass
        if how == "sleeps":
            time.sleep(600)
        if how == "dies":
            os.kill(os.getpid(), 11)
        if how == "eats":
            return {"length": len(bytes(2**32))}, b""
        if how == "fails":
            raise KeyError("no such thing")
        if how == "babbles":
            os.write(3, b"x" * 100)
            os.fdopen(3, "wb").close()
        if how == "prints":
            print("what a library says", flush=True)
        return {"ok": how}, content

    worker.CALLS["payload"] = misbehave
    worker.serve(
        lambda asked, content: worker.read(asked, content, Path(sys.argv[3])),
        int(sys.argv[1]), int(sys.argv[2]),
    )
    """
)


@pytest.fixture
def reader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Reader]:
    monkeypatch.setenv("DASHBOARD_CACHE", str(tmp_path / "cache"))
    reader = Reader()
    monkeypatch.setattr(calls, "_reader", reader)
    yield reader
    reader.stop()


@pytest.fixture
def mischief(tmp_path: Path) -> Iterator[Reader]:
    script = tmp_path / "mischief.py"
    script.write_text(MISCHIEF)
    reader = Reader(wall_s=60, cpu_s=2, worker=[str(script)])
    yield reader
    reader.stop()


def _ask(reader: Reader, how: str) -> object:
    return reader.call("payload", how, {"path": how})[0].get("ok")


def test_a_payload_is_what_it_is_in_this_process(reader: Reader, tmp_path: Path) -> None:
    path = write_payload(tmp_path / "a.pt", make_payload(extras=True))
    read = open_payload(str(path))
    whole = reading.build_reading(make_payload(extras=True))
    np.testing.assert_array_equal(read.table.values, whole.table.values)
    top, expected = read.extras.top(), whole.extras.top()
    assert top is not None
    assert expected is not None
    np.testing.assert_array_equal(top, expected)
    assert open_payload(str(path)).fingerprint == read.fingerprint


def test_a_server_reads_payloads_without_torch_of_its_own(tmp_path: Path) -> None:
    path = write_payload(tmp_path / "a.pt", make_payload())
    script = (
        "import sys\n"
        "from analysis.jobs.reader import open_payload, start_reader\n"
        "start_reader()\n"
        f"print(open_payload({str(path)!r}).table.channels, 'torch' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=ROOT,
        env={**os.environ, "DASHBOARD_CACHE": str(tmp_path / "cache")},
        capture_output=True,
        text=True,
    )
    assert done.stdout.split()[1:] == ["False"], done.stderr


def test_a_cache_that_cannot_be_written_keeps_no_payload_from_being_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("DASHBOARD_CACHE", str(tmp_path / "file" / "cache"))
    reader = Reader()
    monkeypatch.setattr(calls, "_reader", reader)
    path = write_payload(tmp_path / "a.pt", make_payload(extras=True))
    assert open_payload(str(path)).extras.top() is not None
    reader.stop()


def test_what_is_no_payload_is_refused_as_in_this_process(reader: Reader, tmp_path: Path) -> None:
    path = tmp_path / "a.pt"
    path.write_bytes(b"nothing of torch")
    with pytest.raises(PayloadError) as here:
        reading.open_payload(path)
    with pytest.raises(PayloadError) as there:
        open_payload(str(path))
    assert str(there.value) == str(here.value)
    with pytest.raises(PayloadError, match="cannot be read"):
        open_payload(str(tmp_path / "missing.pt"))


def test_a_picture_is_what_it_is_in_this_process(reader: Reader, tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    pixels = np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    expected = photographs.load_photograph(path, (32, 48), (32, 32))
    np.testing.assert_array_equal(load_photograph(path, (32, 48), (32, 32)), expected)
    np.testing.assert_array_equal(load_photograph(path.read_bytes(), (32, 48), (32, 32)), expected)
    with pytest.raises(ImageError, match="The uploaded file: cannot be shown"):
        load_photograph(b"no picture", (32, 48))
    with pytest.raises(ImageError, match=r"missing\.png"):
        load_photograph(tmp_path / "missing.png", (32, 48))


def _endless_scans() -> bytes:
    """Return a progressive JPEG whose last scan, of a few bytes, is there 20,000 times."""
    file = io.BytesIO()
    Image.new("L", (4000, 4000), 128).save(file, "JPEG", progressive=True)
    content = file.getvalue()
    last = content.rindex(b"\xff\xda")
    return content[:-2] + content[last:-2] * 20_000 + content[-2:]


def _huge_webp(side: int) -> bytes:
    """Return 34 bytes that declare a square picture without loss."""
    size = struct.pack("<I", side - 1 | side - 1 << 14)
    return b"RIFF\x1a\0\0\0WEBPVP8L\x0d\0\0\0\x2f" + size + bytes(9)


def test_pictures_that_are_bombs_cost_one_sentence_each_and_the_next_is_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader = Reader(cpu_s=2)
    monkeypatch.setattr(calls, "_reader", reader)
    for bomb, message in (
        (_huge_webp(16384), "cannot be shown as a picture"),
        (_huge_webp(8000), "cannot be shown as a picture"),
        (_endless_scans(), "too much processor time"),
    ):
        with pytest.raises(ImageError, match=message):
            load_photograph(bomb, (32, 48))
    (tmp_path / "a.png").write_bytes(photographs.to_png(np.zeros((40, 60, 3), np.uint8)))
    assert load_photograph(tmp_path / "a.png", (32, 48)).shape == (48, 32, 3)
    reader.stop()


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("spins", "spins: reading it took too much processor time"),
        ("dies", "dies: the process that read it ended by SIGSEGV"),
        ("eats", "eats: reading it takes more memory"),
        ("fails", r"fails: cannot be read \(KeyError"),
        ("babbles", "babbles: "),
    ],
)
def test_a_file_that_brings_the_reader_down_costs_one_sentence(
    mischief: Reader, how: str, message: str
) -> None:
    with pytest.raises(PayloadError, match=message):
        _ask(mischief, how)
    assert _ask(mischief, "ok") == "ok"


def test_a_reading_that_hangs_ends_by_the_clock(tmp_path: Path) -> None:
    script = tmp_path / "mischief.py"
    script.write_text(MISCHIEF)
    reader = Reader(wall_s=60, worker=[str(script)])
    assert _ask(reader, "prints") == "prints"  # it has started
    reader._wall_s = 0.3
    with pytest.raises(PayloadError, match=r"more than 0\.3 s"):
        _ask(reader, "sleeps")
    reader._wall_s = 60
    assert _ask(reader, "ok") == "ok"
    reader.stop()


def test_a_reader_that_was_killed_while_nobody_asked_is_started_again(mischief: Reader) -> None:
    assert _ask(mischief, "ok") == "ok"
    process = mischief._process
    assert process is not None
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert _ask(mischief, "again") == "again"


def test_sessions_at_once_get_each_their_own_answer(mischief: Reader) -> None:
    answers: dict[str, object] = {}
    threads = [
        threading.Thread(target=lambda n=str(n): answers.update({n: _ask(mischief, n)}))
        for n in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == {str(n): str(n) for n in range(8)}


def test_the_reader_ends_with_its_server() -> None:
    script = (
        "from analysis.jobs.reader.process import Reader\n"
        "import os\n"
        "reader = Reader()\n"
        "reader.start()\n"
        "print(reader._process.pid, flush=True)\n"
        "os._exit(0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, stdout=subprocess.PIPE, text=True, timeout=120
    )
    # `run` returns when the pipe is closed, which the reader inherited for its errors only
    pid = int(done.stdout)
    for _ in range(600):
        try:
            os.kill(pid, 0)
            with open(f"/proc/{pid}/stat") as file:  # noqa: PTH123
                if file.read().rpartition(")")[2].split()[0] == "Z":
                    return
        except OSError:
            return
        threading.Event().wait(0.1)
    raise AssertionError("the reader outlives its server")
