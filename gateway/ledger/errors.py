"""What can go wrong between us and Redis, in one clear line each."""

from __future__ import annotations

from ssl import SSLCertVerificationError

from redis.exceptions import AuthenticationError, NoPermissionError, ReadOnlyError

REFUSALS = ("MISCONF", "NOREPLICAS", "UNBLOCKED")


class LedgerError(Exception):
    """The ledger could not do what was asked; the text names no password."""


class LedgerDown(LedgerError):  # noqa: N818 - reads better where it is caught
    """Redis did not answer in time; whether the script ran is unknown."""


class ReplicasLate(LedgerDown):
    """Fewer replicas than are waited for have what was written, or are there at all."""


class LedgerFull(LedgerError):  # noqa: N818 - as above
    """Redis is out of memory; the script did not run."""


def refuses_writes(error: Exception) -> bool:
    """Tell whether that is how a Redis answers that takes no writes for now.

    Its disk is full, its replicas are away, or it is one, perhaps since just now.
    """
    return isinstance(error, ReadOnlyError) or str(error).startswith(REFUSALS)


def no_ledger(where: str, error: Exception) -> LedgerError:
    """Say why none could be opened there; LedgerDown where that may pass."""
    if certificate := _certificate(error):
        return LedgerError(
            f"the certificate of Redis at {where} is not trusted: {certificate.verify_message}; "
            "name a file with its authority in HOOKMILL_REDIS_URL: ?ssl_ca_certs=PATH"
        )
    if isinstance(error, AuthenticationError):
        return LedgerError(f"Redis at {where} does not take this user or password")
    if isinstance(error, NoPermissionError):
        return LedgerError(f"Redis at {where} does not allow this user what is needed; compare its ACL with ours")
    return LedgerDown(f"no Redis answers at {where} ({type(error).__name__})")


def _certificate(error: BaseException | None) -> SSLCertVerificationError | None:
    """Find what TLS said below redis-py's own error."""
    while error is not None:
        if isinstance(error, SSLCertVerificationError):
            return error
        error = error.__cause__ or error.__context__
    return None
