"""Processes that do not know of each other are refused before they write one payload."""

from __future__ import annotations

import pytest

from analysis.cli.extract import main
from analysis.cli.launch import check_launch
from analysis.errors import ConfigError


@pytest.mark.parametrize(
    "environment",
    [
        {"RANK": "0", "WORLD_SIZE": "2"},
        {"RANK": "1"},
        {"RANK": "2", "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29555"},
        {"WORLD_SIZE": "4", "MASTER_ADDR": "127.0.0.1"},
        {"OMPI_COMM_WORLD_RANK": "0", "OMPI_COMM_WORLD_SIZE": "2"},
    ],
)
def test_several_processes_without_torchrun_are_refused(environment: dict[str, str]) -> None:
    with pytest.raises(ConfigError, match="torchrun") as error:
        check_launch(environment)
    assert all(name in str(error.value) for name in environment if environment[name] in "124")


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"RANK": "0", "WORLD_SIZE": "1"},
        {"RANK": "", "WORLD_SIZE": "many"},
        {"RANK": "1", "WORLD_SIZE": "2", "TORCHELASTIC_RUN_ID": "none"},
        {"RANK": "1", "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29555"},
    ],
)
def test_one_process_torchrun_and_a_rendezvous_are_not(environment: dict[str, str]) -> None:
    check_launch(environment)


def test_the_command_line_says_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert main(["--quiet"]) == 2
    assert "WORLD_SIZE=2" in capsys.readouterr().err
