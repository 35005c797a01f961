"""What processes of the background print is shown as text."""

from __future__ import annotations

import os
from pathlib import Path

from analysis.jobs.background import LOG_END, read_last_lines


def test_control_characters_of_a_log_are_shown_as_text(tmp_path: Path) -> None:
    log = tmp_path / "log.txt"
    log.write_bytes(b"one\n\x1b]0;title\x07\x1b[2J\x00\xe2\x80\xae.\xff\n10%\r20%\n\n\ta\x85b\n")
    text = read_last_lines(log, 9)
    assert text.replace("\n", "").isprintable()
    assert "\\x1b[2J\\x00\\u202e" in text
    assert "10%" not in text


def test_only_the_end_of_a_regular_log_is_read(tmp_path: Path) -> None:
    log, link, pipe = tmp_path / "log.txt", tmp_path / "link", tmp_path / "pipe"
    log.write_bytes(b"x" * LOG_END + b"\nlast\n")
    link.symlink_to(log)
    os.mkfifo(pipe)
    assert read_last_lines(log, 1) == "last"
    assert len(read_last_lines(log, 9)) <= LOG_END
    assert [read_last_lines(path, 9) for path in (link, pipe, tmp_path / "none")] == ["", "", ""]
