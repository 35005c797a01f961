"""Secrets, paths of one machine and large files are kept out of the repository."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests import ROOT

SCRIPT = ROOT / ".ci" / "keep_out.py"

_spec = importlib.util.spec_from_file_location("keep_out", SCRIPT)
assert _spec
assert _spec.loader
keep_out = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(keep_out)


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="not a clone: nothing is tracked")
def test_nothing_that_git_tracks_should_be_kept_out() -> None:
    done = subprocess.run([sys.executable, SCRIPT], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr, done.returncode) == ("", "", 0)


def test_a_commit_is_looked_at_before_it_is_made() -> None:
    repos = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
    (hook,) = next(repo["hooks"] for repo in repos if repo["repo"] == "local")
    assert hook["entry"] == "python3 .ci/keep_out.py"


# In two halves, so that this file is no find itself.
@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.py", "k = '" + "AKIA" + "ABCDEFGHIJKLMNOP'", "an access key"),
        ("a.txt", "x\n-----BEGIN RSA " + "PRIVATE KEY-----", "line 2: a private key"),
        ("a.md", "gh" + "p_" + "a1" * 18, "a token"),
        ("a.yaml", "pass" + "word: 'correct-horse'", "a password"),
        ("a.cfg", "https:" + "//me:secret@example.org", "credentials"),
        ("a.json", '{"path": "/ho' + 'me/anna/data/x"}', "a path of one machine"),
        ("a.bin", "\0\1/wo" + "rk/main\0", "a path of one machine"),
        ("a.ini", "C:\\Us" + "ers\\anna", "a path of one machine"),
        (".env", "A=1", "files of this name"),
        (".streamlit/secrets.toml", "", "files of this name"),
        ("big.bin", "x" * 500_001, "500001 bytes"),
    ],
)
def test_what_should_be_kept_out_is_found(
    tmp_path: Path, name: str, content: str, said: str
) -> None:
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(content)
    (fault,) = keep_out.find_faults(tmp_path, [name])
    assert fault.startswith(name)
    assert said in fault


def test_ordinary_lines_are_let_through(tmp_path: Path) -> None:
    text = (
        "/usr/bin/env\nhttps://a.example:8501/x\npassword: str\n~/work/x\nroot / 'home'\n/tmp/x\n"
    )
    (tmp_path / "a.py").write_text(text)
    assert list(keep_out.find_faults(tmp_path, ["a.py", "gone.py"])) == []
