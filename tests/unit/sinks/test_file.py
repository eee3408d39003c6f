from __future__ import annotations

import asyncio
import errno
import json
import os
import resource
import signal
import stat
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from actors.errors import Failure
from actors.sinks import FileSink, Receipt
from actors.sinks.file import append
from gateway.config import Rotation


def sink_at(path, **rotation):
    rotate = Rotation(**rotation) if rotation else None
    return FileSink(name="log", path=path, timeout=timedelta(seconds=5), rotation=rotate)


def send(sink, outgoing, now):
    async def run() -> Receipt:
        try:
            return await sink.send(outgoing, now=now)
        finally:
            await sink.aclose()

    return asyncio.run(run())


def failed(path, outgoing, now):
    with pytest.raises(Failure, match=r"^sink log: ") as caught:
        send(sink_at(path), outgoing, now)
    assert str(path) not in str(caught.value)
    return caught.value


def ids(path):
    return [json.loads(line)["id"] for line in path.read_bytes().splitlines()]


def test_delivery_is_one_json_line_in_a_private_file(tmp_path, outgoing, now):
    path = tmp_path / "new" / "folder" / "results.jsonl"
    receipt = send(sink_at(path), outgoing(result="two\nlines"), now)
    assert path.read_bytes() == outgoing(result="two\nlines").body() + b"\n"
    assert path.read_bytes().count(b"\n") == 1
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert receipt == Receipt(status=None, detail=f"{path.stat().st_size} bytes appended")


def test_a_repetition_near_the_end_is_not_written_again(tmp_path, outgoing, now):
    path = tmp_path / "results.jsonl"
    receipts = [send(sink_at(path), outgoing(attempt=attempt), now) for attempt in (1, 2)]
    send(sink_at(path), outgoing(delivery_id="dlv_02"), now)
    assert ids(path) == ["dlv_01", "dlv_02"]
    assert receipts[1].detail == "its line was there already"


def test_a_repetition_after_4_mib_of_others_is_written_with_the_same_id(tmp_path, outgoing, now):
    path = tmp_path / "results.jsonl"
    for delivery in ("dlv_01", *(f"dlv_1{n}" for n in range(5)), "dlv_01"):
        send(sink_at(path), outgoing(delivery_id=delivery, result="x" * 1_000_000), now)
    assert ids(path).count("dlv_01") == 2


def test_half_a_line_is_not_taken_for_the_delivery(tmp_path, outgoing, now):
    path = tmp_path / "results.jsonl"
    path.write_bytes(outgoing().body()[:-5])
    send(sink_at(path), outgoing(), now)
    assert path.read_bytes().splitlines() == [outgoing().body()[:-5], outgoing().body()]


def test_a_full_file_is_put_aside_and_so_many_are_kept(tmp_path, outgoing, now):
    path, one = tmp_path / "results.jsonl", len(outgoing(delivery_id="dlv_000").body()) + 1
    for number in range(9):
        send(sink_at(path, size=2 * one, keep=3), outgoing(delivery_id=f"dlv_{number:03}"), now)
    found = {name.name: ids(name) for name in tmp_path.iterdir()}
    assert found == {
        "results.jsonl": ["dlv_008"],
        "results.jsonl.1": ["dlv_006", "dlv_007"],
        "results.jsonl.2": ["dlv_004", "dlv_005"],
        "results.jsonl.3": ["dlv_002", "dlv_003"],
    }


def test_a_file_of_an_earlier_period_is_put_aside(tmp_path, outgoing, now):
    path = tmp_path / "results.jsonl"
    send(sink_at(path), outgoing(), now)
    before = time.time() - 3 * 86_400
    os.utime(path, (before, before))
    send(sink_at(path, every=timedelta(days=1)), outgoing(delivery_id="dlv_02"), now)
    send(sink_at(path, every=timedelta(days=1)), outgoing(delivery_id="dlv_03"), now)
    assert (ids(path), ids(tmp_path / "results.jsonl.1")) == (["dlv_02", "dlv_03"], ["dlv_01"])


def test_a_repetition_is_known_when_its_line_was_put_aside_last(tmp_path, outgoing, now):
    path = tmp_path / "results.jsonl"
    for delivery in ("dlv_01", "dlv_02", "dlv_01"):
        send(sink_at(path, size=1), outgoing(delivery_id=delivery), now)
    assert (ids(path), ids(tmp_path / "results.jsonl.1")) == (["dlv_02"], ["dlv_01"])


def test_a_line_that_is_larger_than_a_file_may_be_is_written_all_the_same(tmp_path, outgoing, now):
    path = tmp_path / "results.jsonl"
    send(sink_at(path, size=10), outgoing(), now)
    assert ids(path) == ["dlv_01"]


WRITER = """
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from actors.sinks.file import append
from gateway.config import Rotation
path, process = Path(sys.argv[1]), sys.argv[2]

def write(thread):
    for number in range(100):
        line = f'{{"id":"{process}{thread}-{number}"}}\\n'
        append(path, line.encode(), rotation=Rotation(size=500, keep=200))

with ThreadPoolExecutor(3) as threads:
    list(threads.map(write, range(3)))
"""


def test_processes_that_append_and_put_aside_at_once_lose_nothing(tmp_path):
    path = tmp_path / "results.jsonl"
    writers = [subprocess.Popen([sys.executable, "-c", WRITER, path, name]) for name in "ab"]
    assert [writer.wait(timeout=60) for writer in writers] == [0] * 2
    found = [one for name in tmp_path.iterdir() for one in ids(name)]
    assert sorted(found) == sorted(
        f"{name}{thread}-{number}" for name in "ab" for thread in range(3) for number in range(100)
    )
    assert len(list(tmp_path.iterdir())) > 10
    assert all(name.stat().st_size <= 500 for name in tmp_path.iterdir())


def test_concurrent_writers_never_mix_their_lines(tmp_path):
    path = tmp_path / "results.jsonl"
    lines = [bytes([65 + number]) * 20_000 + b"\n" for number in range(20)]
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda line: append(path, line), lines))
    assert sorted(path.read_bytes().splitlines(keepends=True)) == lines


def test_half_a_line_left_by_a_crash_does_not_swallow_the_next(tmp_path, outgoing, now):
    path = tmp_path / "results.jsonl"
    path.write_bytes(b'{"id":"dlv_00"}\n{"id":"dlv_')
    send(sink_at(path), outgoing(), now)
    assert path.read_bytes().splitlines()[1:] == [b'{"id":"dlv_', outgoing().body()]


def test_line_that_does_not_fit_is_taken_back_and_retried(tmp_path, outgoing, now):
    path = tmp_path / "results.jsonl"
    send(sink_at(path), outgoing(), now)
    before = path.read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + 10, limits[1]))
    try:
        failure = failed(path, outgoing(delivery_id="dlv_02"), now)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, ignored)
    assert failure.klass == "transient"
    assert os.strerror(errno.ENOSPC) in str(failure)
    assert path.read_bytes() == before


def test_symlink_is_not_followed(tmp_path, outgoing, now):
    target = tmp_path / "target"
    target.write_bytes(b"")
    (tmp_path / "link").symlink_to(target)
    assert failed(tmp_path / "link", outgoing(), now).klass == "permanent"
    assert target.read_bytes() == b""


def test_fifo_without_a_reader_is_refused_at_once(tmp_path, outgoing, now):
    os.mkfifo(tmp_path / "fifo")
    assert failed(tmp_path / "fifo", outgoing(), now).klass == "permanent"


def test_folder_in_its_place_is_permanent(tmp_path, outgoing, now):
    (tmp_path / "folder").mkdir()
    assert failed(tmp_path / "folder", outgoing(), now).klass == "permanent"
    (tmp_path / "plain").write_bytes(b"")
    assert failed(tmp_path / "plain" / "below", outgoing(), now).klass == "permanent"
