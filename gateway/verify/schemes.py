"""The schemes known by name, one row each; beside it the provider's page that it was written from."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

from gateway.verify.scheme import KIB, Handshake, Scheme

if TYPE_CHECKING:
    from collections.abc import Mapping

STANDARD = Scheme(
    name="standard",
    docs="https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md",
    header="webhook-signature",
    prefix="v1,",
    separator=" ",
    signed="{id}.{timestamp}.{body}",
    encoding="base64",
    key="whsec",
    timestamp_header="webhook-timestamp",
    id_header="webhook-id",
    dedupe="header:webhook-id",
)

GITHUB = Scheme(
    name="github",
    docs="https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries",
    header="X-Hub-Signature-256",
    prefix="sha256=",
    dedupe="header:X-GitHub-Delivery",  # not signed, the same for each redelivery
    max_body=25 * KIB * KIB,
)

STRIPE = Scheme(
    name="stripe",
    docs="https://docs.stripe.com/webhooks#verify-manually",
    header="Stripe-Signature",
    prefix="v1=",  # v0 is for test events only, and proves nothing
    separator=",",
    signed="{timestamp}.{body}",
    key="raw",  # the whole text, "whsec_" included
    timestamp_item="t=",
    dedupe="json:/id",
    max_body=KIB * KIB,
)

SLACK = Scheme(
    name="slack",
    docs="https://docs.slack.dev/authentication/verifying-requests-from-slack/",
    header="X-Slack-Signature",
    prefix="v0=",
    signed="v0:{timestamp}:{body}",
    timestamp_header="X-Slack-Request-Timestamp",
    dedupe="json:/event_id",
    # https://docs.slack.dev/reference/events/url_verification/
    handshake=Handshake(pointer="/type", equals="url_verification", answer="/challenge"),
    max_body=KIB * KIB,
    media=("application/json", "application/x-www-form-urlencoded"),  # slash commands and buttons come as forms
)

BEARER = Scheme(
    name="bearer",
    docs="https://www.rfc-editor.org/rfc/rfc6750#section-2.1",
    header="Authorization",
    prefix="Bearer ",
    proof="token",
)

SCHEMES: Mapping[str, Scheme] = MappingProxyType({row.name: row for row in (STANDARD, GITHUB, STRIPE, SLACK, BEARER)})
