"""Says what is left of a source's budget, as draft-ietf-httpapi-ratelimit-headers-11 words it.

https://datatracker.ietf.org/doc/draft-ietf-httpapi-ratelimit-headers/
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gateway.config import Source


def budget_headers(source: Source, *, remaining: int, retry_after: float = 0.0) -> dict[str, str]:
    """Give RateLimit-Policy and RateLimit; nothing for a source without a limit.

    `r` is how many more may come at once, `t` the seconds until one may come again (when none is left), else until the
    whole burst is there again.
    """
    limit = source.limit
    if limit is None:
        return {}
    refill = (limit.burst - remaining) * limit.period.total_seconds() / limit.count
    return {
        "RateLimit-Policy": f'"{source.name}";q={limit.count};w={math.ceil(limit.period.total_seconds())}',
        "RateLimit": f'"{source.name}";r={remaining};t={math.ceil(retry_after or refill)}',
    }
