"""Ask pip-audit for known vulnerabilities of the pinned packages, where it can be asked.

Ends with 1 only where a vulnerability is known. Where pip-audit is not installed, or its data
cannot be reached, it says so and ends with 0: a check must not depend on somebody else's server.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SECONDS = 60


def main(command: Sequence[str] | None = None) -> int:
    """Run pip-audit (or `command` in its place) and say in a sentence what came of it."""
    beside = Path(sys.executable).with_name("pip-audit")
    program = str(beside) if beside.exists() else shutil.which("pip-audit")
    if command is None and program is None:
        return _skip("pip-audit is not installed (pip install pip-audit)")
    asked = [*(command or [str(program)]), "-r", str(ROOT / "constraints.txt"), "--no-deps"]
    asked += ["--disable-pip", "--format", "json", "--progress-spinner", "off", "--timeout", "10"]
    try:
        done = subprocess.run(asked, capture_output=True, text=True, timeout=SECONDS, check=False)
        packages = json.loads(done.stdout)["dependencies"]
    except subprocess.TimeoutExpired:
        return _skip(f"pip-audit did not answer within {SECONDS} seconds")
    except (OSError, ValueError, KeyError, TypeError):
        return _skip("pip-audit could not reach its data")
    known = [package for package in packages if "vulns" in package]
    if not known:
        return _skip(f"pip-audit's data knows none of the {len(packages)} packages")
    faults = [
        f"{package['name']} {package['version']}: {fault['id']}"
        for package in known
        for fault in package["vulns"]
    ]
    print("\n".join([*faults, f"audit: {len(known)} of {len(packages)} packages looked up"]))
    return 1 if faults else 0


def _skip(reason: str) -> int:
    print(f"audit: skipped, {reason}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
