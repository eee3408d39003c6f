"""A gateway per parser, over the session's Redis, for all examples of a test."""

from __future__ import annotations

import pytest
from fuzz.sockets import open_front
from served import PARSERS


@pytest.fixture(params=PARSERS)
def front(request, tmp_path, redis_url):
    opened = open_front(tmp_path, redis_url, http=request.param, fit=set())
    yield opened
    opened.close()
