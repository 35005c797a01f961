"""The repository installs as a package: another project imports `analysis` without a checkout."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

from analysis.vocabulary import TOOL_VERSION
from tests import ROOT


def test_a_wheel_built_offline_gives_the_public_names(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    shutil.copytree(ROOT / "analysis", source / "analysis")
    for name in ("pyproject.toml", "requirements.txt"):
        shutil.copy(ROOT / name, source)
    command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation"]
    command += ["--no-index", "--quiet", "--wheel-dir", str(tmp_path), str(source)]
    subprocess.run(command, check=True, timeout=300)
    (wheel,) = tmp_path.glob("*.whl")
    assert wheel.name.startswith(f"dinov3_feature_stats-{TOOL_VERSION}-")
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        metadata = archive.read(next(n for n in names if n.endswith("METADATA"))).decode()
        archive.extractall(tmp_path / "site")
    ours = {str(path.relative_to(ROOT)) for path in (ROOT / "analysis").rglob("*.py")}
    assert ours <= set(names)
    assert {name.split("/")[0] for name in names if name.endswith(".py")} == {"analysis"}
    for line in (ROOT / "requirements.txt").read_text().splitlines():
        name = line.partition(">")[0].strip()
        assert not name or name.startswith("#") or f"Requires-Dist: {name}" in metadata
    script = "import analysis; from analysis import compare, extract; print(analysis.__file__)"
    found = subprocess.run(
        [sys.executable, "-c", script],
        cwd=tmp_path,
        env={"PYTHONPATH": str(tmp_path / "site")},
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    assert Path(found.stdout.strip()) == tmp_path / "site" / "analysis" / "__init__.py"
