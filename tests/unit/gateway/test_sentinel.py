from __future__ import annotations

import pytest

from gateway.ledger.connection import PackedWatchedConnection, PackedWatchedSSLConnection, connect
from gateway.ledger.sentinel import read_watched


def test_a_url_names_the_sentinels_the_primary_and_the_database():
    watched = read_watched("redis+sentinel://user:p%40ss@one:1,two,[::1]:3/main/2?socket_keepalive=yes")
    assert watched.sentinels == (("one", 1), ("two", 26379), ("::1", 3))
    assert (watched.name, watched.of_sentinels) == ("main", {})
    assert watched.options == {"username": "user", "password": "p@ss", "db": 2, "socket_keepalive": True}


def test_the_options_of_tls_are_for_sentinels_too_and_they_may_have_users_of_their_own():
    watched = read_watched("rediss+sentinel://one/main?ssl_ca_certs=/ca.pem&sentinel_username=u&sentinel_password=p")
    assert watched.options == {"ssl": True, "ssl_ca_certs": "/ca.pem"}
    assert watched.of_sentinels == {"ssl": True, "ssl_ca_certs": "/ca.pem", "username": "u", "password": "p"}


@pytest.mark.parametrize("url", ["redis://host/0", "rediss://host", "unix:///run/redis.sock"])
def test_other_urls_are_none_of_its_own(url):
    assert read_watched(url) is None


@pytest.mark.parametrize(
    "path", ["one:1", "one:1/", "/main", "one:1,/main", "one:1/main/first", "one:x/main", "one:1/main/0/0"]
)
def test_a_url_that_lacks_something_is_refused(path):
    with pytest.raises(ValueError, match=r"expected|Port"):
        read_watched(f"redis+sentinel://{path}")


@pytest.mark.parametrize(
    ("scheme", "kind"),
    [("redis+sentinel", PackedWatchedConnection), ("rediss+sentinel", PackedWatchedSSLConnection)],
)
def test_all_sentinels_are_asked_within_the_time_of_one_command(scheme, kind):
    pool = connect(f"{scheme}://one,two,three/main", seconds=0.9).connection_pool
    assert pool.connection_class is kind
    assert pool.connection_kwargs["socket_timeout"] == 0.9
    for sentinel in pool.sentinel_manager.sentinels:
        waits = sentinel.connection_pool.connection_kwargs
        assert (waits["socket_timeout"], waits["socket_connect_timeout"]) == pytest.approx((0.3, 0.3))
        assert waits["retry"].get_retries() == 0


@pytest.mark.parametrize("url", ["redis+sentinel://one/main?maximum=5", "redis://one/0?maximum=5"])
def test_an_option_that_no_connection_has_is_refused_at_once(url):
    with pytest.raises(ValueError, match="an option in its query is not known"):
        connect(url, seconds=1)


def test_what_a_url_says_is_shown_without_its_passwords():
    watched = read_watched("redis+sentinel://:CANARY@one/main?sentinel_password=CANARY")
    assert "CANARY" not in repr(watched)
