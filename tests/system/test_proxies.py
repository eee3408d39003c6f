"""The proxies of gateway/DEPLOY.md, run as it shows them: the real nginx and the real Caddy before a real gateway.

Of an example only names, ports and certificate paths are replaced. Around it stands what keeps the program in a folder
of its own and on this machine: no daemon, no other address, and of Caddy no certificates of its own making, no asking
for their state, no admin port.
"""

from __future__ import annotations

import contextlib
import os
import socket
import ssl
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import count

import httpx
import pytest
from certificates import make_certificate
from programs import example, find_program
from served import BODY, CONFIG, SECRETS, serve, signed_headers

from gateway.cli.embedded import free_port

DOOR = '[gateway]\nper_address = "4/minute"\ntrusted_proxies = ["127.0.0.1/32"]\n'
LARGEST = 25 * 1024 * 1024
NGINX = """
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log stderr error;
{user}
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
{example}
}}
"""
ALONE = "admin off\n\tauto_https off\n\tocsp_stapling off"
strangers = (f"127.0.1.{number}" for number in count(1))


def nginx(folder, port, upstream):
    """Write the configuration of nginx, and give the command that starts it."""
    text = example(
        "nginx",
        {
            "127.0.0.1:8420": upstream,
            "listen 443": f"listen 127.0.0.1:{port}",
            "/etc/ssl/hooks.example.com.pem": str(folder / "cert.pem"),
            "/etc/ssl/hooks.example.com.key": str(folder / "key.pem"),
            "hooks.example.com": "localhost",
        },
    )
    user = "user root;" if os.geteuid() == 0 else ""  # the folder is its owner's alone
    (folder / "nginx.conf").write_text(NGINX.format(folder=folder, user=user, example=text))
    program = find_program("nginx", package="nginx")
    return [program, "-e", "stderr", "-p", str(folder), "-c", str(folder / "nginx.conf")]


def caddy(folder, port, upstream):
    """Write the configuration of Caddy, and give the command that starts it."""
    here = f"https://localhost:{port} {{\n\tbind 127.0.0.1\n\ttls {folder}/cert.pem {folder}/key.pem"
    text = example("caddyfile", {"127.0.0.1:8420": upstream, "hooks.example.com {": here})
    (folder / "Caddyfile").write_text(text.replace("{\n", f"{{\n\t{ALONE}\n", 1))  # the first block is of all sites
    program = find_program("caddy", package="caddy")
    return [program, "run", "--config", str(folder / "Caddyfile"), "--adapter", "caddyfile"]


class Proxy:
    """A running proxy before a gateway; `drip` tells how it ended a connection whose header never does."""

    def __init__(self, kind, folder, gateway):
        self.kind, self.port = kind.__name__, free_port()
        make_certificate(folder)
        command = kind(folder, self.port, f"127.0.0.1:{gateway.port}")
        env = {"PATH": os.environ["PATH"], "HOME": str(folder)}
        with (folder / "said").open("wb") as said:
            self.process = subprocess.Popen(command, env=env, cwd=folder, stdout=said, stderr=said)
        self.folder, self.threads = folder, ThreadPoolExecutor(1)
        self.drip = self.threads.submit(self.send_header_for_ever)

    @property
    def trust(self):
        return ssl.create_default_context(cafile=str(self.folder / "cert.pem"))

    def connect(self):
        end = time.monotonic() + 20
        while time.monotonic() < end and self.process.poll() is None:
            with contextlib.suppress(OSError):
                plain = socket.create_connection(("127.0.0.1", self.port), timeout=5)
                return self.trust.wrap_socket(plain, server_hostname="localhost")
            time.sleep(0.05)
        raise AssertionError((self.folder / "said").read_text())

    def client(self, address="127.0.0.1", **options):
        """A client at that address of this machine; who is at 127.0.0.1 counts as the proxy itself."""
        transport = httpx.HTTPTransport(verify=self.trust, local_address=address, **options)
        return httpx.Client(base_url=f"https://localhost:{self.port}", transport=transport, timeout=30)

    def send_header_for_ever(self):
        """Send a header byte by byte; give the last that was received, or None where nobody ended it in 30 s."""
        end = time.monotonic() + 30
        with self.connect() as slow:
            slow.settimeout(0.2)
            slow.sendall(b"POST /hooks/demo HTTP/1.1\r\nHost: localhost\r\nX-Slow: ")
            while time.monotonic() < end:
                try:
                    slow.sendall(b"a")
                    return slow.recv(4096)
                except TimeoutError:
                    continue
                except OSError:
                    return b""
        return None

    def end(self):
        self.process.terminate()
        self.process.wait(20)
        self.threads.shutdown()


@pytest.fixture(scope="module")
def gateway(module_redis, tmp_path_factory):
    served = serve(tmp_path_factory.mktemp("gateway"), module_redis.url, config=DOOR + CONFIG)
    yield served
    served.stop()


@pytest.fixture(scope="module", params=[nginx, caddy], ids=lambda kind: kind.__name__)
def proxy(request, gateway, tmp_path_factory):
    proxy = Proxy(request.param, tmp_path_factory.mktemp(request.param.__name__), gateway)
    try:
        proxy.connect().close()
        yield proxy
    finally:
        proxy.end()


@pytest.mark.parametrize("http2", [False, True])
@pytest.mark.parametrize("chunked", [False, True])
def test_a_webhook_over_tls_arrives_byte_for_byte(proxy, gateway, http2, chunked):
    body = b'{ "a" :\r\n"\\u00e9 \xc3\xa9 \\/",\t"b": 1.50 , "c":"%d %d"}\n' % (http2, chunked)
    sent = iter([body[:7], body[7:]]) if chunked else body
    with proxy.client(http2=http2) as client:
        answer = client.post("/hooks/other", content=sent, headers=signed_headers(body, secret=SECRETS["other"]))
    assert (answer.status_code, answer.http_version) == (202, "HTTP/2" if http2 else "HTTP/1.1")
    begun = gateway.ledger(lambda ledger: ledger.begin(answer.json()["event_id"], fence="f"))
    assert begun.work.event.body == body


def test_a_body_above_the_limit_of_its_source_is_refused_by_the_gateway(proxy):
    with proxy.client() as client:
        assert answered(client, "demo", b"x" * 300_000) == (413, "application/problem+json")


def test_the_largest_body_of_any_scheme_passes_and_one_byte_more_does_not(proxy):
    body = b'{"a":"' + os.urandom(8).hex().encode() + b"x" * (LARGEST - 24) + b'"}'
    headers = signed_headers(body, scheme="github", secret=SECRETS["plain"])
    with proxy.client() as client:
        assert client.post("/hooks/demo-github", content=body, headers=headers).status_code == 202
        by = "text/html" if proxy.kind == "nginx" else "application/problem+json"
        assert answered(client, "demo-github", body + b" ") == (413, by)


def answered(client, source, body, more=None):
    """Post, and give the status and the media type: Caddy may lose the words of an answer that is so early."""
    headers = signed_headers(body) | (more or {})
    with client.stream("POST", f"/hooks/{source}", content=body, headers=headers) as answer:
        return answer.status_code, answer.headers["content-type"]


def test_each_sender_has_an_allowance_of_its_own(proxy):
    for _ in range(2):
        with proxy.client(next(strangers)) as client:
            assert statuses(client) == [202] * 4 + [429] * 2


@pytest.mark.parametrize(
    "lie", ["X-Forwarded-For: 9.9.9.{}", "X-Forwarded-For: 127.0.0.1", "Forwarded: for=9.9.9.{}", "X-Real-IP: 9.9.9.{}"]
)
def test_who_claims_another_address_gets_no_other_allowance(proxy, lie):
    name, _, value = lie.partition(": ")
    with proxy.client(next(strangers)) as client:
        assert statuses(client, lambda nth: {name: value.format(nth)}) == [202] * 4 + [429] * 2


def statuses(client, more=lambda _: {}):
    return [answered(client, "demo", BODY, more(nth))[0] for nth in range(6)]


def test_links_to_an_event_lead_back_through_the_proxy_by_https(proxy):
    headers = signed_headers() | {"X-Forwarded-Proto": "http", "X-Forwarded-Host": "evil.example"}
    with proxy.client() as client:
        answer = client.post("/hooks/asker", content=BODY, headers=headers)
        event_id, link = answer.json()["event_id"], answer.json()["status_url"]
        assert link == f"https://localhost:{proxy.port}{answer.headers['location']}"
        assert client.get(link).json()["id"] == event_id


@pytest.mark.parametrize("http2", [False, True])
def test_an_event_stream_is_not_held_back(proxy, gateway, http2):
    with proxy.client(http2=http2) as client:
        answer = client.post("/hooks/asker", content=BODY, headers=signed_headers()).json()
        with client.stream("GET", answer["status_url"].replace("?", "/stream?")) as stream:
            news = stream.iter_text()
            assert '"state":"queued"' in next(news)
            work = gateway.ledger(lambda ledger: ledger.begin(answer["event_id"], fence="f")).work
            assert '"state":"running"' in next(news)
            gateway.ledger(lambda ledger: ledger.finish(work, "done"))
            assert '"state":"done"' in next(news)
            assert list(news) == []


def test_a_header_that_never_ends_is_cut_off(proxy):
    assert proxy.drip.result(40) is not None
