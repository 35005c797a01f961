"""Paths as people write them, on the command line and in configs."""

from __future__ import annotations

from pathlib import Path

import pytest

from analysis.cli.compare import build_parser as build_compare_parser
from analysis.cli.intervene import build_parser as build_intervene_parser
from analysis.collect.plan.flags import build_parser
from analysis.files.paths import expand_path, expand_text


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/people/ada")
    monkeypatch.setenv("SCRATCH", "/scratch")
    monkeypatch.delenv("MISSING", raising=False)


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("~/x", "/people/ada/x"),
        ("$SCRATCH/x", "/scratch/x"),
        ("${SCRATCH}/x", "/scratch/x"),
        ("${oc.env:SCRATCH}/x", "/scratch/x"),
        ("${oc.env:MISSING,'~/y'}/x", "/people/ada/y/x"),
        ("a/~/b", "a/~/b"),
        ("data/price$tag.csv", "data/price$tag.csv"),
    ],
)
def test_home_and_variables_are_filled_in(written: str, meant: str) -> None:
    assert expand_path(written) == Path(meant)


@pytest.mark.parametrize(
    "written",
    ["$MISSING/x", "a/${MISSING}/x", "${data.root}/x", "x/$MISSING", "${oc.env:MISSING}/x"],
)
def test_what_nothing_fills_in_is_refused_by_name(written: str) -> None:
    with pytest.raises(ValueError, match=r"MISSING|data\.root"):
        expand_text(written)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("AWS_SECRET_ACCESS_KEY", "x"), ("HF_TOKEN", "x"), ("PGPASSWORD", "x"), ("API_KEY", "x"),
        ("WANDB_API_KEY", "x"), ("DB_PASS", "x"), ("SENTRY_DSN", "x"), ("DATABASE_URL", "x"),
        ("DATABASE", "postgres://ada:pw@host/x"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("form", ["${name}/x", "${{{name}}}/x", "${{oc.env:{name},y}}/x"])
def test_a_secret_of_the_environment_is_not_filled_in(
    name: str, value: str, form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ValueError, match=name):
        expand_text(form.format(name=name))


@pytest.mark.parametrize("name", ["KEYBOARD_DATA", "MONKEYS", "DATA_ROOT", "SLURM_TMPDIR"])
def test_names_of_folders_are_no_secrets(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "/there")
    assert expand_text(f"${name}/x") == "/there/x"


PARSERS = {
    "extract": (build_parser(), []),
    "compare": (build_compare_parser(), ["a.pt", "b.pt"]),
    "intervene": (build_intervene_parser(), ["a.pt"]),
}
PATH_FLAGS = [
    (name, action.option_strings[0], action.dest)
    for name, (parser, _) in PARSERS.items()
    for action in parser._actions
    if action.option_strings and "path" in getattr(action.type, "__name__", "")
]


def test_path_flags_are_found() -> None:
    assert len(PATH_FLAGS) >= 9


@pytest.mark.parametrize(
    ("name", "flag", "dest"), [*PATH_FLAGS, ("extract", "--head-weights", "head_weights")]
)
def test_every_path_flag_takes_home_and_variables(name: str, flag: str, dest: str) -> None:
    parser, positional = PARSERS[name]
    for written, meant in (("~/x", "/people/ada/x"), ("$SCRATCH/x", "/scratch/x")):
        flags = parser.parse_args([*positional, f"{flag}={written}"])
        assert str(getattr(flags, dest)) == meant


@pytest.mark.parametrize(("name", "flag", "dest"), PATH_FLAGS)
def test_every_path_flag_refuses_an_unset_variable(
    name: str, flag: str, dest: str, capsys: pytest.CaptureFixture[str]
) -> None:
    parser, positional = PARSERS[name]
    with pytest.raises(SystemExit) as error:
        parser.parse_args([*positional, f"{flag}=${{MISSING}}/x"])
    assert error.value.code == 2
    assert flag in capsys.readouterr().err
    assert dest


def test_the_word_none_for_a_head_is_kept() -> None:
    assert build_parser().parse_args(["--head-weights=none"]).head_weights == "none"
