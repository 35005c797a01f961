"""Keep secrets, paths of one's own machine and large files out of the repository.

``python .ci/keep_out.py FILE ...`` looks at these files, without arguments at all that git tracks.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

MAX_BYTES = 500_000
LARGE = {"weights/": 12_000_000}
"""Folders whose files may be larger, and how large."""

SECRET_NAMES = re.compile(
    r"(^|/)(\.env(\..*)?|secrets\.toml|id_(rsa|dsa|ecdsa|ed25519)|.*\.(pem|key|p12|pfx))$"
)
CONTENT = {
    "a private key": rb"-----BEGIN [A-Z ]*PRIVATE KEY",
    "an access key": rb"\b(AKIA|ASIA)[0-9A-Z]{16}\b",
    "a token": rb"\b(gh[pousr]_\w{36}|github_pat_\w{22}|hf_[A-Za-z]{34}|glpat-[\w-]{20}|"
    rb"xox[abprs]-[\w-]{20}|sk-[A-Za-z0-9-]{32}|pypi-Ag[\w-]{50})",
    "a password": rb"(?i)\b(password|passwd|secret|api_?key|client_secret)\s*[=:]\s*"
    rb"[\"'][^\"'\s<>{}$]{8,}[\"']",
    "credentials in an address": rb"\bhttps?://[^\s/:@\"'<>{}$]+:[^\s/:@\"'<>{}$]+@",
    "a path of one machine": rb"(?<![\w./~$}-])(/(home|Users)/(?!me\b)[\w.-]+|"
    rb"/(root|work|workspace)/[\w.-]+)|\b[A-Z]:\\+Users\\+\w",
}


def find_faults(root: Path, names: Sequence[str]) -> Iterator[str]:
    """Yield a sentence for each thing that does not belong into the repository.

    Args:
        root: The repository.
        names: Files relative to it; links and files that are gone are left out.
    """
    for name in names:
        path = root / name
        if path.is_symlink() or not path.is_file():
            continue
        if SECRET_NAMES.search(name):
            yield f"{name}: files of this name hold secrets"
        most = next((most for folder, most in LARGE.items() if name.startswith(folder)), MAX_BYTES)
        data = path.read_bytes()
        if len(data) > most:
            yield f"{name}: {len(data)} bytes, more than {most}"
        for what, pattern in CONTENT.items():
            if found := re.search(pattern, data):
                line = data.count(b"\n", 0, found.start()) + 1
                yield f"{name}, line {line}: {what}"


def main(names: Sequence[str]) -> int:
    """Print what is wrong; return 1 if anything is."""
    root = Path(__file__).resolve().parents[1]
    if not names:
        command = ["git", "ls-files", "-z"]
        listed = subprocess.run(command, cwd=root, capture_output=True, check=True)
        names = listed.stdout.decode().split("\0")[:-1]
    faults = list(find_faults(root, names))
    print("\n".join(faults), end="\n" if faults else "")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
