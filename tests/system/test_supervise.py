"""The supervisor over real, small processes: it starts them again, ends them in order, and leaves nothing behind."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path

import pytest

from gateway.cli.claim import claim, make_signing_key, write_private
from gateway.cli.faults import Fault
from gateway.cli.supervise import Backoff, Note, Part, Supervised, describe

SHORT = Backoff(first=timedelta(milliseconds=20), cap=timedelta(milliseconds=80))


def shell(text: str, *, name: str = "part", drain: float = 5, fds: tuple[int, ...] = ()) -> Part:
    return Part(name=name, command=["sh", "-c", text], env=os.environ, drain=timedelta(seconds=drain), fds=fds)


class Crowd:
    """Parts under supervision, and what they told."""

    def __init__(self, *parts: Part):
        self.notes: list[Note] = []
        self.parts = [Supervised(part, self.notes.append, backoff=SHORT) for part in parts]

    async def __aenter__(self) -> list[Supervised]:
        for part in self.parts:
            part.start()
        return self.parts

    async def __aexit__(self, *_):
        for part in self.parts:
            part.kill()
            await part.drain()

    def output(self) -> list[str]:
        return [note.text for note in self.notes if note.output]

    def states(self) -> list[str]:
        return [note.text for note in self.notes if not note.output]


async def until(true, within: float = 10) -> None:
    async with asyncio.timeout(within):
        while not true():  # noqa: ASYNC110 - what it waits for happens in other processes
            await asyncio.sleep(0.01)


def gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


def test_a_killed_part_is_started_again():
    async def scenario():
        crowd = Crowd(shell("echo up; exec sleep 60"))
        async with crowd as [part]:
            await until(lambda: crowd.output() == ["up"])
            first = part.pid
            os.kill(first, signal.SIGKILL)
            await until(lambda: crowd.output() == ["up", "up"])
            assert part.pid not in {0, first}
        assert crowd.states() == ["ended (killed by SIGKILL); starting again in 0.02 s"]

    asyncio.run(scenario())


def test_the_wait_before_a_new_start_grows_to_its_cap():
    async def scenario():
        crowd = Crowd(shell("exit 3"))
        async with crowd as [part]:
            await until(lambda: part.failures >= 5)
        assert [line.rpartition("in ")[2] for line in crowd.states()[:5]] == [
            "0.02 s",
            "0.04 s",
            "0.08 s",
            "0.08 s",
            "0.08 s",
        ]
        assert crowd.states()[0].startswith("ended (exit code 3)")

    asyncio.run(scenario())


def test_a_part_that_lived_long_enough_starts_again_at_once():
    async def scenario():
        notes: list[Note] = []
        calm = Backoff(first=timedelta(milliseconds=20), calm=timedelta(milliseconds=1))
        part = Supervised(shell("sleep 0.05; exit 1"), notes.append, backoff=calm)
        part.start()
        await until(lambda: len(notes) >= 3)
        await part.drain()
        assert {note.text.rpartition("in ")[2] for note in notes} == {"0.02 s"}

    asyncio.run(scenario())


def test_a_drained_part_finishes_what_it_does_and_is_not_started_again():
    async def scenario():
        crowd = Crowd(
            shell("trap 'echo finishing; sleep 0.2; echo finished; exit 0' TERM; echo up; while :; do sleep 0.05; done")
        )
        async with crowd as [part]:
            await until(lambda: crowd.output() == ["up"])
            await part.drain()
        assert crowd.output() == ["up", "finishing", "finished"]
        assert crowd.states() == []

    asyncio.run(scenario())


def test_parts_are_drained_one_after_the_other():
    polite = "trap 'sleep 0.2; echo $0 ended; exit 0' TERM; echo up; while :; do sleep 0.02; done"

    async def scenario():
        crowd = Crowd(*(shell(polite.replace("$0", name), name=name) for name in ("gateway", "worker", "redis")))
        async with crowd as parts:
            await until(lambda: crowd.output().count("up") == 3)
            for part in parts:
                await part.drain()
        assert crowd.output()[3:] == ["gateway ended", "worker ended", "redis ended"]

    asyncio.run(scenario())


def test_a_part_that_does_not_end_in_time_is_killed():
    async def scenario():
        crowd = Crowd(shell("trap '' TERM; echo up; while :; do sleep 0.05; done", drain=0.2))
        async with crowd as [part]:
            await until(lambda: crowd.output() == ["up"])
            pid = part.pid
            await part.drain()
            assert gone(pid)
        assert crowd.states() == ["did not end within 0.2 s; killed"]

    asyncio.run(scenario())


def test_children_left_behind_by_a_killed_part_are_ended():
    async def scenario():
        crowd = Crowd(shell("sleep 60 & echo $!; wait"))
        async with crowd as [part]:
            await until(lambda: len(crowd.output()) == 1)
            left = int(crowd.output()[0])
            os.kill(part.pid, signal.SIGKILL)
            await until(lambda: gone(left))

    asyncio.run(scenario())


def test_lines_are_passed_on_whole_whatever_bytes_they_hold():
    async def scenario():
        crowd = Crowd(shell(r"printf 'a\377b\n\nlast'; head -c 2000000 /dev/zero; echo; echo over; sleep 60"))
        async with crowd:
            await until(lambda: crowd.output()[-1:] == ["over"])
        assert crowd.output()[:2] == ["a�b", ""]
        assert "(a line too long to show)" in crowd.output()

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("code", "said"), [(0, "exit code 0"), (-9, "killed by SIGKILL"), (-250, "killed by signal 250")]
)
def test_exit_codes_are_said_in_words(code, said):
    assert describe(code) == said


SUPERVISOR = """
import asyncio, os
from gateway.cli.supervise import Part, Supervised

async def main():
    part = Supervised(Part(name="part", command=["sleep", "60"], env=os.environ), print)
    part.start()
    while not part.pid:
        await asyncio.sleep(0.01)
    print(part.pid, flush=True)
    await asyncio.sleep(60)

asyncio.run(main())
"""


def test_a_part_ends_when_its_supervisor_is_killed():
    with subprocess.Popen([sys.executable, "-c", SUPERVISOR], stdout=subprocess.PIPE, text=True) as supervisor:
        part = int(supervisor.stdout.readline())
        time.sleep(0.3)  # until the part has tied itself
        supervisor.kill()
    asyncio.run(until(lambda: gone(part)))


STUBBORN = "trap 'echo told >> told' TERM; while :; do sleep 0.05; done"
WITH_THREADS = """
import threading, time
for _ in range(8):  # Linux may tell of the parent's death once per thread
    threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
"""


def test_an_orphan_hears_one_signal_and_is_killed_when_it_does_not_end(tmp_path):
    script = WITH_THREADS + SUPERVISOR.replace('["sleep", "60"]', f'["sh", "-c", {STUBBORN!r}], drain=timedelta()')
    command = [sys.executable, "-c", f"from datetime import timedelta\n{script}"]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, text=True) as supervisor:
        part = int(supervisor.stdout.readline())
        time.sleep(0.3)
        supervisor.kill()
    asyncio.run(until(lambda: gone(part)))
    assert (tmp_path / "told").read_text() == "told\n"


def test_a_second_claim_says_who_holds_the_folder(tmp_path):
    said = f"already running in {tmp_path}: process {os.getpid()}$"
    with claim(tmp_path), pytest.raises(Fault, match=said), claim(tmp_path):
        pass
    with claim(tmp_path):
        pass


def test_the_folder_stays_claimed_until_the_heir_of_the_lock_has_ended(tmp_path):
    """A Redis that outlives its supervisor may still be saving its file."""
    with claim(tmp_path) as lock:
        heir = subprocess.Popen(["sleep", "0.5"], pass_fds=(lock,))
    (tmp_path / "up.lock").write_text("4194304")  # the pid of nobody, as after a crash
    began = time.monotonic()
    with claim(tmp_path):
        assert time.monotonic() - began > 0.2
    heir.wait()


def test_a_signing_key_is_made_once_and_for_its_owner_only(tmp_path):
    path = tmp_path / "signing.key"
    assert make_signing_key(path)
    key = path.read_text()
    assert len(bytes.fromhex(key)) == 32
    assert path.stat().st_mode & 0o777 == 0o600
    assert not make_signing_key(path)
    assert path.read_text() == key


def test_a_private_file_replaces_an_open_one(tmp_path):
    path = tmp_path / "up.json"
    path.write_text("old")
    path.chmod(0o644)
    write_private(path, "new")
    assert (path.read_text(), path.stat().st_mode & 0o777) == ("new", 0o600)
    assert list(tmp_path.iterdir()) == [path]
