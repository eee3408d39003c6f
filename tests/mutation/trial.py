"""Tries mutants in a copy of the repository: the tests are collected once, and run in a fork for each."""

from __future__ import annotations

import os
import shutil
import signal
import sys
import time
from collections import Counter, defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mutation.course import Case

ROOT = Path(__file__).parents[2]
COPIED = ("gateway", "actors", "otel", "tests", "hookmill.py", "hookmill.toml", "models.yaml", "pyproject.toml")
GRACE_SECONDS = 30  # to end the servers that the tests started
TRIES = 3


def work(folder: Path, arguments: list[str], changes: Mapping[str, str | None], inbox: Any, outbox: Any) -> None:
    """Copy the repository into the folder, then answer cases with the test that fails, or None, until one is None.

    Runs in a process of its own. `changes` are texts of other files in the copy; None takes the file out. What a case
    writes has to be read anew by each test that uses it; or else it is told by its name, in the environment.
    """
    for name in COPIED:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, folder / name)
    for name, text in changes.items():
        (folder / name).unlink() if text is None else (folder / name).write_text(text)
    os.chdir(folder)
    sys.path[:0] = [str(folder), str(folder / "tests")]
    log = os.open(folder / "log", os.O_WRONLY | os.O_CREAT)
    os.dup2(log, 1)
    os.dup2(log, 2)
    options = ["-x", "-q", "--tb=no", "-p", "no:cacheprovider", f"--basetemp={folder / 'temp'}"]
    code = pytest.main([*options, *arguments], plugins=[Trials(folder, inbox, outbox)])
    if code != pytest.ExitCode.OK:
        outbox.put((None, (folder / "log").read_text(errors="replace")[-3000:]))


class Trials:
    """A pytest plugin that tries mutants instead of running the tests once."""

    def __init__(self, folder: Path, inbox: Any, outbox: Any) -> None:
        """Take the copy of the repository, and the queues of cases and of answers."""
        self.folder, self.inbox, self.outbox = folder, inbox, outbox
        self.killers: dict[str, Counter[str]] = defaultdict(Counter)  # what killed one is likely to kill its neighbour

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Try what comes, up to a None."""
        for case, seconds in iter(self.inbox.get, None):
            self.outbox.put((case, self._killer(session, case, seconds)))
        return True

    def _killer(self, session: pytest.Session, case: Case, seconds: float) -> str | None:
        """Tell the test that fails, and fails once more alone: on a busy machine one may fail for want of time."""
        target = self.folder / case.path
        sound = target.read_text()
        target.write_text(case.text or sound)
        try:
            for _ in range(TRIES):
                killer = self._failed(session, case, self._ordered(session.items, case), seconds)
                alone = [item for item in session.items if item.nodeid == killer]
                if not alone or self._failed(session, case, alone, seconds):
                    for place in (case.path, case.path + case.near):
                        self.killers[place].update(filter(None, [killer]))
                    return killer
            return None
        finally:
            target.write_text(sound)

    def _failed(self, session: pytest.Session, case: Case, items: list[pytest.Item], seconds: float) -> str | None:
        report = self.folder / "failed"
        report.write_text("")
        child = os.fork()
        if child == 0:
            _run(session, case, items, report, seconds)
        return None if _wait(child, seconds) == 0 else report.read_text() or "out of time"

    def _ordered(self, items: list[pytest.Item], case: Case) -> list[pytest.Item]:
        """Put first what killed neighbours in the function, then in the file, then the files that the case names."""
        near, far, last = self.killers[case.path + case.near], self.killers[case.path], len(case.order)
        files = {file: number for number, file in enumerate(case.order)}

        def place(item: pytest.Item) -> tuple[int, int, int]:
            file, name = item.nodeid.partition("::")[0], item.nodeid
            return -near[name], -far[name], files.get(file, last)

        return sorted(items, key=place)


def _run(session: pytest.Session, case: Case, items: list[pytest.Item], report: Path, seconds: float) -> None:
    code = 1
    try:
        os.environ["MUTANT_UNDER_TEST"] = case.name
        signal.signal(signal.SIGALRM, lambda *_: pytest.exit("out of time"))
        signal.setitimer(signal.ITIMER_REAL, seconds)
        code = _first_failure(session, items, report)
    finally:
        os._exit(code)


def _first_failure(session: pytest.Session, items: list[pytest.Item], report: Path) -> int:
    try:
        for item, following in zip(items, [*items[1:], None], strict=True):
            session.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
            if session.shouldfail:
                report.write_text(item.nodeid)
                return 1
        return 0
    finally:
        session._setupstate.teardown_exact(None)  # ends the servers that fixtures started


def _wait(child: int, seconds: float) -> int:
    """Wait for it to end; one that does not is ended, which counts as a failed test."""
    end = time.monotonic() + seconds + GRACE_SECONDS
    while time.monotonic() < end:
        pid, status = os.waitpid(child, os.WNOHANG)
        if pid:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.02)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return 1
