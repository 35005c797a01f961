from __future__ import annotations

import numpy as np

from analysis.read.script import is_by_script
from tests.factories.payloads import make_flat_table, make_table


def test_a_payload_without_a_run_is_of_the_script_where_its_backbone_is() -> None:
    assert is_by_script(make_table(recorded=False))
    assert not is_by_script(make_table())
    assert not is_by_script(make_flat_table(np.ones((1, 3, 2, 3, 4)), backbone={"used_lora": True}))
