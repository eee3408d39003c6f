"""Every way the gateway refuses a request: a Rejection is its stable code."""

from __future__ import annotations

from typing import ClassVar


class Rejection(Exception):  # noqa: N818 - the word of DESIGN: a refusal, not a fault of ours
    """A refusal with a stable snake_case code, an HTTP status, and a text that names no secret and no body."""

    code: ClassVar[str] = "rejected"
    status: int = 400

    def __init__(self, detail: str = "", *, retry_after: float | None = None, status: int | None = None) -> None:
        """Take the text for the sender (the class docstring by default), in seconds when to try again, and the status.

        A status of its own is for senders that must not see the usual one.
        """
        super().__init__(detail or (type(self).__doc__ or "").strip())
        self.retry_after = retry_after
        self.status = status or self.status

    @property
    def detail(self) -> str:
        """The text for the sender."""
        return str(self)


class AmbiguousLength(Rejection):
    """The request carries both Content-Length and Transfer-Encoding, or several lengths."""

    code, status = "ambiguous_length", 400


class TransferEncodingUnsupported(Rejection):
    """Only the transfer encoding 'chunked', alone, is understood."""

    code, status = "transfer_encoding_unsupported", 400


class HeaderRepeated(Rejection):
    """A header that decides about the signature was sent more than once."""

    code, status = "header_repeated", 400


class HeadersTooLarge(Rejection):
    """The header block is larger than 16 KiB or has more than 100 lines."""

    code, status = "headers_too_large", 431


class MethodNotAllowed(Rejection):
    """This path does not take that method."""

    code, status = "method_not_allowed", 405

    def __init__(self, *, allow: str = "POST") -> None:
        """Take what it does take."""
        super().__init__()
        self.allow = allow


class NotFound(Rejection):
    """There is nothing at this path."""

    code, status = "not_found", 404


class ContentTooLarge(Rejection):
    """The body is larger than this source allows."""

    code, status = "payload_too_large", 413


class BodyTimeout(Rejection):
    """The body did not arrive in time."""

    code, status = "body_timeout", 408


class ContentEncodingUnsupported(Rejection):
    """Compressed bodies are not accepted."""

    code, status = "content_encoding_unsupported", 415


class MediaTypeUnsupported(Rejection):
    """This source takes JSON only."""

    code, status = "media_type_unsupported", 415


class SignatureMissing(Rejection):
    """The request carries no signature."""

    code, status = "signature_missing", 401


class SignatureMalformed(Rejection):
    """The signature is not of the form that the scheme defines."""

    code, status = "signature_malformed", 400


class SignatureInvalid(Rejection):
    """No signature matches this body under the secrets of this source."""

    code, status = "signature_invalid", 401


class TimestampMalformed(Rejection):
    """The timestamp is not of the form that the scheme defines."""

    code, status = "timestamp_malformed", 400


class TimestampOutOfTolerance(Rejection):
    """The timestamp is too far from the gateway's clock, in the past or in the future."""

    code, status = "timestamp_out_of_tolerance", 401


class EventIdInvalid(Rejection):
    """The event id is empty, longer than 128 characters, or not printable ASCII."""

    code, status = "event_id_invalid", 400


class EventIdReused(Rejection):
    """This event id was accepted before with another body."""

    code, status = "event_id_reused", 422


class JsonInvalid(Rejection):
    """The body is not JSON in UTF-8."""

    code, status = "json_invalid", 400


class JsonTooDeep(Rejection):
    """The JSON is nested deeper than 64 levels."""

    code, status = "json_too_deep", 400


class JsonDuplicateKey(Rejection):
    """A JSON object names the same key twice."""

    code, status = "json_duplicate_key", 400


class JsonNumberRange(Rejection):
    """A JSON number is not finite or does not fit a double."""

    code, status = "json_number_range", 400


class RateLimited(Rejection):
    """This source sent more than its limit allows."""

    code, status = "rate_limited", 429


class AddressLimited(Rejection):
    """This address sent more than the gateway takes from one address."""

    code, status = "address_limited", 429


class Overloaded(Rejection):
    """The queue is full or the store is short of memory; nothing was stored."""

    code, status = "overloaded", 503


class LedgerUnavailable(Rejection):
    """The store did not answer in time; send the same event again."""

    code, status = "ledger_unavailable", 503


class ParameterInvalid(Rejection):
    """A parameter of the query or the body is not of the form that it must have."""

    code, status = "parameter_invalid", 400


class Unauthorized(Rejection):
    """A signed link that has not expired, or a token with the right scope, is needed."""

    code, status = "unauthorized", 401


class Forbidden(Rejection):
    """The token is valid, but has not the scope that this needs."""

    code, status = "forbidden", 403
