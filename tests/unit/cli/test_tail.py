from __future__ import annotations

from gateway.cli.events import changed


def test_only_what_is_new_or_changed_is_told_oldest_first(run):
    seen = {}
    old, new = run("queued", id="evt_1"), run("queued", id="evt_2")
    assert changed(seen, [new, old]) == [old, new]
    assert changed(seen, [new, old]) == []
    again = run("waiting", id="evt_1", attempts=1)
    assert changed(seen, [new, again]) == [again]


def test_what_left_the_window_is_forgotten(run):
    seen = {}
    changed(seen, [run("queued", id="evt_1")])
    changed(seen, [run("queued", id="evt_2")])
    assert set(seen) == {"evt_2"}
