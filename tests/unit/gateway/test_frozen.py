from __future__ import annotations

import pytest
from mypy import api

from gateway.frozen import frozen
from gateway.ledger import Verdict

BENT = """
from gateway.ledger import Verdict
verdict = Verdict(outcome="accepted")
verdict.state = "done"
Verdict("accepted")
"""


@frozen
class Point:
    x: int
    y: int = 0


def test_a_record_is_a_value():
    assert Point(x=1) == Point(x=1, y=0)
    assert len({Point(x=1), Point(x=1), Point(x=2)}) == 2
    assert repr(Point(x=1)).endswith("Point(x=1, y=0)")


def test_a_record_takes_keywords_and_no_other_fields():
    with pytest.raises(TypeError):
        Point(1)
    with pytest.raises(AttributeError):
        Point(x=1).z = 1
    assert not hasattr(Verdict(outcome="full"), "__dict__")


def test_the_type_checker_holds_it_to_be_frozen(tmp_path):
    (tmp_path / "bent.py").write_text(BENT)
    told, _, _ = api.run(["--strict", "--follow-imports=silent", f"--cache-dir={tmp_path}", str(tmp_path / "bent.py")])
    assert 'Property "state" defined in "Verdict" is read-only' in told
    assert "Too many positional arguments" in told
