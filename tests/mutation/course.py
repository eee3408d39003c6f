"""Tries many mutants in two processes, shows how far it is, and goes on where it was interrupted."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import sys
import tempfile
import time
from collections import Counter
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from mutation.equivalents import Survivor
from mutation.trial import ROOT, work

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

STATE = ROOT / ".mutants"
PROCESSES = 2
SILENCE_SECONDS = 1200  # far more than a trial takes: the processes are gone
SOUND_SECONDS = 600  # what all tests may take where nothing is changed
MOST_TIMES = 3  # as long as that may they take over a mutant


class Case(NamedTuple):
    """A mutant of a file: its path, its text or else its name, the code before and after, the test files to run first.

    Cases that are `near` each other are likely to be killed by the same test.
    """

    path: str
    text: str
    before: str
    after: str
    order: tuple[str, ...]
    near: str
    name: str = ""

    @property
    def survivor(self) -> Survivor:
        """What is listed of it if no test kills it."""
        return Survivor(self.path.removeprefix("gateway/"), self.before, self.after)


class Course:
    """All trials of one kind. What was found is kept in .mutants/ until the code or the tests change."""

    def __init__(
        self, name: str, *, arguments: Sequence[str], changes: Mapping[str, str | None], over: Sequence[str]
    ) -> None:
        """Take what pytest runs, what differs in each copy, and the folders whose Python decides besides a mutant."""
        self.arguments, self.changes = list(arguments), changes
        self._file = STATE / f"{name}.json"
        self._ground = " ".join([*arguments, _digest(over)])
        self._known: dict[str, str | None] = json.loads(self._file.read_text()) if self._file.exists() else {}

    def run(self, cases: Sequence[Case], *, fresh: bool = False) -> list[Case]:
        """Try them all, print a table by file, and give the survivors."""
        if fresh:
            self._known = {}
        todo = [case for case in cases if self._key(case) not in self._known]
        for case, killer in self._tried(todo) if todo else ():
            self._known[self._key(case)] = killer
            self._save()
            _show(case, killer, left=sum(self._key(one) not in self._known for one in todo))
        survivors = [case for case in cases if self._known[self._key(case)] is None]
        _table(cases, survivors)
        return survivors

    def _tried(self, cases: Sequence[Case]) -> Iterator[tuple[Case, str | None]]:
        with self._workers() as (inbox, outbox):
            began = time.monotonic()
            inbox.put((cases[0]._replace(text="", name="", near="nothing"), SOUND_SECONDS))
            _, killer = _answer(outbox)
            if killer:
                sys.exit(f"without any change, {killer} fails")
            most = MOST_TIMES * (time.monotonic() - began)
            print(f"{len(cases)} mutants; one whose tests take longer than {most:.0f} s is killed", flush=True)
            for case in cases:
                inbox.put((case, most))
            for _ in cases:
                yield _answer(outbox)

    @contextmanager
    def _workers(self) -> Iterator[tuple]:
        context = multiprocessing.get_context("fork")
        inbox, outbox = context.Queue(), context.Queue()
        with tempfile.TemporaryDirectory(prefix="mutants-") as name:
            folders = [Path(tempfile.mkdtemp(dir=name)) for _ in range(PROCESSES)]
            workers = [
                context.Process(target=work, args=(one, self.arguments, self.changes, inbox, outbox)) for one in folders
            ]
            for worker in workers:
                worker.start()
            try:
                yield inbox, outbox
                for _ in workers:
                    inbox.put(None)
                for worker in workers:
                    worker.join()
            finally:
                inbox.cancel_join_thread()
                for worker in workers:
                    worker.terminate()

    def _key(self, case: Case) -> str:
        return hashlib.sha256(f"{self._ground} {case.path} {case.text} {case.name}".encode()).hexdigest()[:24]

    def _save(self) -> None:
        STATE.mkdir(exist_ok=True)
        draft = self._file.with_suffix(".new")
        draft.write_text(json.dumps(self._known, indent=0))
        draft.replace(self._file)


def _answer(outbox: Any) -> tuple[Case, str | None]:
    case, killer = outbox.get(timeout=SILENCE_SECONDS)
    if case is None:
        sys.exit(f"the tests cannot be run:\n{killer}")
    return case, killer


def _digest(over: Sequence[str]) -> str:
    """Digest all Python under those folders: with the mutant's own text, what a verdict depends on."""
    files = sorted(file for folder in over for file in (ROOT / folder).rglob("*.py"))
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()


def _show(case: Case, killer: str | None, *, left: int) -> None:
    if not killer:
        print(f"\033[K{case.survivor.place}: {case.before}  =>  {case.after or '(removed)'}", flush=True)
    if sys.stdout.isatty() or left % 25 == 0:
        print(f"\033[K{left} left", end="\r" if sys.stdout.isatty() else "\n", flush=True)


def _table(cases: Sequence[Case], survivors: Sequence[Case]) -> None:
    tried, left = Counter(case.path for case in cases), Counter(case.path for case in survivors)
    print(f"\n{'file':44} mutants  killed  survived")
    for path, number in sorted(tried.items()):
        print(f"{path:44} {number:7} {number - left[path]:7} {left[path]:9}")
    print(f"{'all':44} {tried.total():7} {tried.total() - left.total():7} {left.total():9}")
