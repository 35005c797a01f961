from __future__ import annotations

import subprocess
import sys

from tests import ROOT

PRINTS = """
import sys, warnings
from analysis.files.plain_output import print_plainly
print_plainly()
warnings.warn("tensor \\x1b]0;owned\\x07 \\u202e \\ud800")
print("10%\\r20%\\tdone \u5c42", file=sys.stderr, flush=True)
raise KeyError("\\x1b[2J", "\\x9b")
"""


def test_warnings_and_tracebacks_in_a_file_hold_no_control_characters() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PRINTS], cwd=ROOT, capture_output=True, check=False
    )
    text = done.stderr.decode()
    assert all(letter.isprintable() or letter in "\n\r\t" for letter in text)
    assert "tensor \\x1b]0;owned\\x07 \\u202e \\ud800" in text
    assert "10%\r20%\tdone \u5c42" in text
    assert "KeyError" in text
