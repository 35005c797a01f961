"""The examples of the documentation run, as they stand there, in an empty folder."""

from __future__ import annotations

import doctest
import importlib
import re
import shutil
import subprocess
import sys
import types
from pathlib import Path
from typing import Any

import pytest
import torch
from streamlit.testing.v1 import AppTest
from torch import Tensor, nn

from analysis.collect.backbone import variants
from tests import ROOT
from tests.factories.measured_project import make_measured_project
from tests.factories.payloads import make_payload, write_payload
from tests.factories.vectors import write_with_vectors


def blocks_of(name: str) -> list[str]:
    text = (ROOT / "docs" / name).read_text()
    return re.findall(r"^```python\n(.*?)^```$", text, re.M | re.S)


def split_blocks(name: str) -> tuple[dict[str, str], list[str]]:
    """Blocks that begin with a path are files, all others are run."""
    files: dict[str, str] = {}
    scripts: list[str] = []
    for block in blocks_of(name):
        match = re.match(r"# (\S+\.py)\n", block)
        if match:
            files[match[1]] = block
        else:
            scripts.append(block)
    return files, scripts


def run(scripts: list[str], names: dict[str, Any]) -> None:
    for number, script in enumerate(scripts):
        exec(compile(script, f"block {number}", "exec"), names)


class MyViT(nn.Module):
    """What a user brings."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.cls = nn.Parameter(torch.randn(1, 1, 24))
        self.embed = nn.Conv2d(3, 24, 16, 16)
        self.blocks = nn.ModuleList(MyBlock() for _ in range(3))
        self.norm = nn.LayerNorm(24)

    def forward(self, images: Tensor) -> Tensor:
        patches = self.embed(images).flatten(2).transpose(1, 2)
        tokens = torch.cat((self.cls.expand(len(images), -1, -1), patches), 1)
        for block in self.blocks:
            tokens = block(tokens)
        return self.norm(tokens)


class MyBlock(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.mlp = nn.Sequential(nn.Linear(24, 48), nn.GELU(), nn.Linear(48, 24))

    def forward(self, tokens: Tensor) -> Tensor:
        return tokens + self.mlp(tokens)


class MyModule(nn.Module):
    """What a LightningModule is to the callback."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone = MyViT()


class Callback:
    """Stands in for Lightning's."""

    def on_train_end(self, trainer: Any, pl_module: Any) -> None: ...


class Trainer:
    """Stands in for Lightning's: calls the callbacks as it does when a training has ended."""

    is_global_zero = True

    def __init__(self, max_epochs: int, default_root_dir: str, callbacks: list[Callback]) -> None:
        self.default_root_dir, self.callbacks = default_root_dir, callbacks

    def fit(self, module: nn.Module, loader: Any) -> None:
        module.train()
        for callback in self.callbacks:
            callback.on_train_end(self, module)
        assert module.training


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(variants, "VARIANTS", dict(variants.VARIANTS))
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


def install(monkeypatch: pytest.MonkeyPatch, name: str, **content: Any) -> None:
    module = types.ModuleType(name)
    vars(module).update(content)
    monkeypatch.setitem(sys.modules, name, module)


def test_a_users_own_model_is_measured_and_compared(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(monkeypatch, "my_project", MyViT=MyViT, MyModule=MyModule)
    install(monkeypatch, "lightning")
    install(monkeypatch, "lightning.pytorch", Callback=Callback, Trainer=Trainer)
    write_with_vectors(folder / "outputs" / "demo" / "feature_stats" / "dinov3_feature_stats.pt")
    make_measured_project(folder, images=24)
    scripts = blocks_of("python.md")
    names: dict[str, Any] = {"MyModule": MyModule}
    run(scripts, names)
    first = [line for line in scripts[0].splitlines() if line]
    assert len(first) <= 10
    assert sorted(path.parts[-3] for path in folder.glob("outputs/*/*/*.pt")) == [
        "before",
        "demo",
        "trained",
        "v1",
    ]


def test_only_the_first_rank_writes(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, "lightning")
    install(monkeypatch, "lightning.pytorch", Callback=Callback, Trainer=Trainer)
    names: dict[str, Any] = {}
    callback = next(block for block in blocks_of("python.md") if "class WritePayload" in block)
    run([callback], names)
    trainer = Trainer(1, str(folder), [])
    trainer.is_global_zero = False
    names["WritePayload"]([torch.zeros(1, 3, 32, 32)], "v").on_train_end(trainer, MyModule())
    assert list(folder.iterdir()) == []


def test_the_worked_extensions_run(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files, scripts = split_blocks("extending.md")
    names: dict[str, Any] = {}
    source = files["analysis/participation.py"]
    install(monkeypatch, "analysis.participation")
    exec(source, vars(sys.modules["analysis.participation"]))
    run([script for script in scripts if "AppTest" not in script], names)


def test_the_worked_page_opens(folder: Path) -> None:
    files, scripts = split_blocks("extending.md")
    for name in ("analysis", "pages"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "app.py", folder)
    for path, text in files.items():
        (folder / path).write_text(text)
    entry = re.search(r"^```text\n(\"participation\",)\n```", extending(), re.M)
    assert entry
    shell = folder / "pages" / "components" / "frame" / "shell.py"
    before = shell.read_text()
    changed = before.replace('    "runs",\n', f'    {entry[1]}\n    "runs",\n')
    assert changed != before
    shell.write_text(changed)
    write_payload(folder / "outputs" / "v" / "feature_stats" / "stats.pt", make_payload())
    script = next(script for script in scripts if "AppTest" in script)
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr[-2000:]


def test_the_worked_login_shows_nothing_to_strangers(folder: Path) -> None:
    (gate,) = blocks_of("serving.md")
    declared = "page = shell.navigate()\n"
    before = (ROOT / "app.py").read_text()
    assert declared in before
    (folder / "app.py").write_text(before.replace(declared, declared + gate))
    shutil.copytree(ROOT / "pages", folder / "pages", ignore=shutil.ignore_patterns("__pycache__"))
    write_payload(folder / "outputs" / "v" / "feature_stats" / "stats.pt", make_payload())
    app = AppTest.from_file(str(folder / "app.py"), default_timeout=60).run()
    assert not app.exception
    assert [button.label for button in app.button] == ["Log in"]
    assert len(app.main) == 1
    assert len(app.sidebar) == 0


def extending() -> str:
    return (ROOT / "docs" / "extending.md").read_text()


EXAMPLES = [p for p in sorted((ROOT / "analysis").rglob("*.py")) if ">>> " in p.read_text()]


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_of_a_docstring_gives_what_it_shows(path: Path) -> None:
    module = importlib.import_module(".".join(path.relative_to(ROOT).with_suffix("").parts))
    result = doctest.testmod(module)
    assert result.attempted > 0
    assert result.failed == 0
