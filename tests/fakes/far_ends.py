"""The far ends of every kind of sink, and how each of them fails: what the conformance suite is played against.

Those that are reached over a network stand behind the proxy of the faults.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import socket
import sqlite3
import subprocess
import tempfile
import threading
import time
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

from faults.proxy import Proxy

from gateway.config import load_config

if TYPE_CHECKING:
    from collections.abc import Iterator

SECRET = "whsec_" + "Q0FOQVJZ" * 4
ENV = {"SECRET": SECRET}
HEAD = '[sources.blog]\nscheme = "standard"\nsecrets = ["env:SECRET"]\npipeline = "triage"\n'
PATIENT = 30.0  # seconds; a busy machine is no fault of a sink


def open_sink(end: FarEnd, text: str, **env: str) -> Any:
    """Open the sink that this table of hookmill.toml describes."""
    from actors.sinks import open_sinks

    path = end.folder / "hookmill.toml"
    path.write_text(f'{HEAD}[sinks.it]\n{text}\ntimeout = "{end.timeout}s"\n', encoding="utf-8")
    return open_sinks(load_config(path, ENV | env))["it"]


class FarEnd:
    """Where a sink leads. `effects` is what stands there, by id; `repeats` says that it cannot tell a repetition."""

    repeats = False
    timeout = PATIENT

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def sink(self) -> Any:
        raise NotImplementedError

    def effects(self) -> list[dict[str, Any]]:
        raise NotImplementedError

    def lose_the_reply(self) -> None:
        """Let the next delivery take effect, and its answer be lost."""

    def fail(self) -> None:
        """Fail in a way that may pass."""
        raise NotImplementedError

    def refuse(self) -> None:
        """Fail in a way that no other attempt changes."""
        raise NotImplementedError

    def hang(self) -> None:
        """Answer nobody."""
        raise NotImplementedError

    def heal(self) -> None:
        """Be well again."""

    def close(self) -> None:
        """End what was started."""


class Behind(FarEnd):
    """A far end that is reached through the proxy."""

    needle = ""

    def __init__(self, folder: Path, *, port: int) -> None:
        super().__init__(folder)
        self.proxy = Proxy(port)

    def lose_the_reply(self) -> None:
        self.proxy.strike(self.needle, do=lambda _: None, when="answered")

    def fail(self) -> None:
        self.proxy.down()

    def hang(self) -> None:
        self.proxy.hole()

    def heal(self) -> None:
        self.proxy.heal()

    def close(self) -> None:
        self.proxy.close()


class Web:
    """An HTTP server that notes what it was posted; `status` is what it answers."""

    def __init__(self) -> None:
        self.got: list[tuple[dict[str, str], bytes]] = []
        self.status, web = 200, self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                if web.status == 200:
                    web.got.append(({name.lower(): value for name, value in self.headers.items()}, body))
                self.send_response(web.status)
                self.send_header("content-length", "2")
                self.send_header("content-type", "text/plain")
                self.end_headers()
                self.wfile.write(b"ok")

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_port
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(timeout=5)


class WebhookEnd(Behind):
    """A receiver that honours webhook-id: what it has seen, it drops."""

    needle = "webhook-signature"

    def __init__(self, folder: Path) -> None:
        self.web = Web()
        super().__init__(folder, port=self.web.port)

    def sink(self) -> Any:
        url = f'url = "{self.proxy.http_url}/hook"\nsecret = "env:SECRET"\nallow_private = true'
        return open_sink(self, f'kind = "webhook"\n{url}')

    def effects(self) -> list[dict[str, Any]]:
        return list({headers["webhook-id"]: json.loads(body) for headers, body in self.web.got}.values())

    def refuse(self) -> None:
        self.web.status = 400

    def heal(self) -> None:
        self.web.status = 200
        super().heal()

    def close(self) -> None:
        super().close()
        self.web.close()


class ChatEnd(Behind):
    """A Slack-compatible webhook: Mattermost's, whose host can be told. It knows no ids."""

    needle = "/hooks/"
    repeats = True

    def __init__(self, folder: Path) -> None:
        self.web = Web()
        super().__init__(folder, port=self.web.port)

    def sink(self) -> Any:
        text = 'kind = "chat"\nurl = "env:CHAT"\ntext = "{id} {result}"\nmax_length = 2000'
        return open_sink(self, text, CHAT=f"mmost://127.0.0.1:{self.proxy.port}/{'a1b2c3d4e5' * 3}")

    def effects(self) -> list[dict[str, Any]]:
        texts = [json.loads(body)["text"] for _, body in self.web.got]
        return [dict(zip(("id", "result"), text.split(" ", 1), strict=True)) for text in texts]

    def close(self) -> None:
        super().close()
        self.web.close()


class FileEnd(FarEnd):
    """A file of JSON Lines."""

    @property
    def path(self) -> Path:
        return self.folder / "results.jsonl"

    def sink(self) -> Any:
        return open_sink(self, f'kind = "file"\npath = "{self.path}"')

    def effects(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.path.read_bytes().splitlines()] if self.path.is_file() else []

    def refuse(self) -> None:
        self.path.mkdir()

    def hang(self) -> None:
        self.held = self.path.open("a")
        fcntl.flock(self.held, fcntl.LOCK_EX)

    def heal(self) -> None:
        self.held.close()


class FolderEnd(FarEnd):
    """A folder of objects."""

    def sink(self) -> Any:
        return open_sink(self, 'kind = "object"\nurl = "objects"')

    def effects(self) -> list[dict[str, Any]]:
        return [json.loads(path.read_bytes()) for path in (self.folder / "objects").rglob("*.json")]

    def refuse(self) -> None:
        (self.folder / "objects").write_text("a file in its place")


class S3End(Behind):
    """A bucket of moto's server."""

    needle = "PUT /"

    def __init__(self, folder: Path, *, port: int, bucket: str) -> None:
        super().__init__(folder, port=port)
        self.bucket = bucket
        self._direct = _s3(port)
        self._direct.mkdir(bucket)

    def sink(self) -> Any:
        options = f'key = "env:S3_KEY", secret = "env:S3_SECRET", endpoint_url = "{self.proxy.http_url}"'
        text = f'kind = "object"\nurl = "s3://{self.bucket}/results"\noptions = {{ {options} }}'
        return open_sink(self, text, S3_KEY="testing", S3_SECRET="testing-CANARY")

    def effects(self) -> list[dict[str, Any]]:
        self._direct.invalidate_cache()
        return [json.loads(self._direct.cat_file(path)) for path in self._direct.find(self.bucket)]

    def refuse(self) -> None:
        self._direct.rm(self.bucket, recursive=True)


def _s3(port: int) -> Any:
    import fsspec

    return fsspec.filesystem("s3", key="testing", secret="testing", endpoint_url=f"http://127.0.0.1:{port}")


SAID = ("id", "kind", "event_id", "source", "pipeline", "generation", "degraded", "result")


class SqliteEnd(FarEnd):
    """A table of SQLite."""

    @property
    def path(self) -> Path:
        return self.folder / "results.db"

    def sink(self) -> Any:
        return open_sink(self, 'kind = "sql"\nurl = "sqlite:///results.db"')

    def effects(self) -> list[dict[str, Any]]:
        with sqlite3.connect(self.path) as base:
            rows = base.execute(f"SELECT {', '.join(SAID)} FROM hookmill_results").fetchall()
        base.close()
        return [dict(zip(SAID, row, strict=True)) | {"result": json.loads(row[-1])} for row in rows]

    def refuse(self) -> None:
        self._direct("CREATE TRIGGER no BEFORE INSERT ON hookmill_results BEGIN SELECT RAISE(ABORT, 'no'); END")

    def hang(self) -> None:
        self.held = sqlite3.connect(self.path, check_same_thread=False)
        self.held.execute("BEGIN EXCLUSIVE")

    def heal(self) -> None:
        self.held.close()

    def _direct(self, statement: str) -> None:
        base = sqlite3.connect(self.path)
        base.execute(statement)
        base.commit()
        base.close()


class PostgresEnd(Behind):
    """A table of PostgreSQL, in a database of its own."""

    needle = "COMMIT"

    def __init__(self, folder: Path, *, server: Postgres, database: str) -> None:
        super().__init__(folder, port=server.port)
        self._server, self._database = server, database
        server.execute(f'CREATE DATABASE "{database}"')

    def sink(self) -> Any:
        where = f"127.0.0.1:{self.proxy.port}/{self._database}?sslmode=disable&gssencmode=disable"
        url = f"postgresql+psycopg://hookmill@{where}"
        return open_sink(self, 'kind = "sql"\nurl = "env:DATABASE"', DATABASE=url)

    def effects(self) -> list[dict[str, Any]]:
        rows = self._server.execute(f"SELECT {', '.join(SAID)} FROM hookmill_results", database=self._database)
        return [dict(zip(SAID, row, strict=True)) for row in rows]

    def refuse(self) -> None:
        self._server.execute("ALTER TABLE hookmill_results DROP COLUMN result", database=self._database)


class Postgres:
    """A PostgreSQL of Debian's packages, on a free port of loopback, as a user that is not root; ended by its id."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="hookmill-postgres-"))
        self._as: dict[str, Any] = {}
        if os.geteuid() == 0:  # initdb refuses root
            self._as = {"user": "nobody", "group": "nogroup", "extra_groups": []}
            shutil.chown(self.folder, "nobody", "nogroup")
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        data = self.folder / "data"
        made = [
            "initdb",
            "--pgdata",
            data,
            "--username",
            "hookmill",
            "--auth",
            "trust",
            "--no-sync",
            "--no-instructions",
        ]
        self._run([*made, "--encoding", "UTF8", "--locale", "C.UTF-8"])
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": self.port,
            "unix_socket_directories": "",
            "fsync": "off",
            "max_connections": 40,
            "shared_buffers": "16MB",
        }
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        self._log = (self.folder / "log").open("wb")
        self._process = subprocess.Popen(
            [program("postgres"), "-D", data, *options],
            cwd=self.folder, stdout=self._log, stderr=self._log, **self._as,
        )  # fmt: skip
        self._wait()

    def _run(self, words: list[Any]) -> None:
        done = subprocess.run(
            [program(words[0]), *words[1:]], cwd=self.folder, capture_output=True, check=False, **self._as
        )
        assert done.returncode == 0, done.stderr.decode()

    def _wait(self) -> None:
        import psycopg

        until = time.monotonic() + 30
        while True:
            with suppress(psycopg.OperationalError):
                self.execute("SELECT 1")
                return
            assert time.monotonic() < until, (self.folder / "log").read_text()
            assert self._process.poll() is None, (self.folder / "log").read_text()
            time.sleep(0.05)

    def execute(self, statement: str, *, database: str = "postgres") -> list[tuple[Any, ...]]:
        import psycopg

        where = {"host": "127.0.0.1", "port": self.port, "user": "hookmill", "dbname": database}
        with psycopg.connect(**where, autocommit=True, connect_timeout=5) as connection:
            found = connection.execute(statement)
            return found.fetchall() if found.description else []

    def close(self) -> None:
        self._process.send_signal(2)  # "fast": it ends its connections
        self._process.wait(timeout=20)
        self._log.close()
        shutil.rmtree(self.folder)


def program(name: str) -> str:
    """Find a program of PostgreSQL: on PATH, or where Debian puts it."""
    places = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    found = shutil.which(name, path=os.pathsep.join([*map(str, places), os.environ.get("PATH", "")]))
    assert found, f"no {name}: install PostgreSQL (apt-get install postgresql)"
    return found


@contextmanager
def moto() -> Iterator[int]:
    """An S3 server on a free port of loopback."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        yield server.get_host_and_port()[1]
    finally:
        server.stop()
