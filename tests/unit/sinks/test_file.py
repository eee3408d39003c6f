from __future__ import annotations

import asyncio
import errno
import json
import os
import resource
import signal
import stat
from concurrent.futures import ThreadPoolExecutor

import pytest

from actors.errors import Failure
from actors.sinks import FileSink, Receipt
from actors.sinks.file import append


def send(sink, outgoing, now):
    async def run() -> Receipt:
        try:
            return await sink.send(outgoing, now=now)
        finally:
            await sink.aclose()

    return asyncio.run(run())


def failed(path, outgoing, now):
    with pytest.raises(Failure, match=r"^sink log: ") as caught:
        send(FileSink(name="log", path=path), outgoing, now)
    assert str(path) not in str(caught.value)
    return caught.value


def test_delivery_is_one_json_line_in_a_private_file(tmp_path, outgoing, now):
    path = tmp_path / "new" / "folder" / "results.jsonl"
    receipt = send(FileSink(name="log", path=path), outgoing(result="two\nlines"), now)
    assert path.read_bytes() == outgoing(result="two\nlines").body() + b"\n"
    assert path.read_bytes().count(b"\n") == 1
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert receipt == Receipt(status=None, detail=f"{path.stat().st_size} bytes appended")


def test_retry_appends_the_same_id_again(tmp_path, outgoing, now):
    path = tmp_path / "results.jsonl"
    for attempt in (1, 2):
        send(FileSink(name="log", path=path), outgoing(attempt=attempt), now)
    assert [json.loads(line)["id"] for line in path.read_text("utf-8").splitlines()] == ["dlv_01", "dlv_01"]


def test_concurrent_writers_never_mix_their_lines(tmp_path):
    path = tmp_path / "results.jsonl"
    lines = [bytes([65 + number]) * 20_000 + b"\n" for number in range(20)]
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda line: append(path, line), lines))
    assert sorted(path.read_bytes().splitlines(keepends=True)) == lines


def test_half_a_line_left_by_a_crash_does_not_swallow_the_next(tmp_path, outgoing, now):
    path = tmp_path / "results.jsonl"
    path.write_bytes(b'{"id":"dlv_00"}\n{"id":"dlv_')
    send(FileSink(name="log", path=path), outgoing(), now)
    assert path.read_bytes().splitlines()[1:] == [b'{"id":"dlv_', outgoing().body()]


def test_line_that_does_not_fit_is_taken_back_and_retried(tmp_path, outgoing, now):
    path = tmp_path / "results.jsonl"
    send(FileSink(name="log", path=path), outgoing(), now)
    before = path.read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + 10, limits[1]))
    try:
        failure = failed(path, outgoing(), now)
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
