"""What `.streamlit/config.toml` keeps shut."""

from __future__ import annotations

import tomllib
from typing import Any

import pytest
from streamlit import config

from tests import ROOT

SETTINGS: dict[str, dict[str, Any]] = tomllib.loads((ROOT / ".streamlit/config.toml").read_text())


@pytest.mark.parametrize(
    ("section", "key", "value"),
    [
        pytest.param("server", "address", "localhost", id="listens on this machine only"),
        pytest.param("server", "allowedHosts", ["localhost", "127.0.0.1"], id="by its own names"),
        pytest.param("server", "enableXsrfProtection", True, id="no post from other sites"),
        pytest.param("server", "enableCORS", True, id="no reading by other sites"),
        pytest.param("server", "maxUploadSize", 1024, id="bounded uploads, in MB"),
        pytest.param("browser", "gatherUsageStats", False, id="tells nobody of its use"),
        pytest.param("client", "toolbarMode", "minimal", id="offers no developer's menu"),
    ],
)
def test_the_server_is_shut_unless_it_is_opened_on_purpose(
    section: str, key: str, value: object
) -> None:
    assert SETTINGS[section][key] == value
    assert f"{section}.{key}" in config._config_options_template  # a misspelt one does nothing


def test_nothing_serves_the_files_of_the_project_dir() -> None:
    assert not SETTINGS["server"].get("enableStaticServing", False)
