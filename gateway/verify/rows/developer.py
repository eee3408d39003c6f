"""Code hosts, trackers, monitoring."""

from __future__ import annotations

from datetime import timedelta

from gateway.verify.scheme import KIB, Handshake, Scheme

ROWS = (
    Scheme(
        name="github",
        docs="https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries",
        header="X-Hub-Signature-256",
        prefix="sha256=",
        dedupe="header:X-GitHub-Delivery",  # the same for each redelivery
        max_body=25 * KIB * KIB,
    ),
    Scheme(
        name="gitlab",
        docs="https://docs.gitlab.com/user/project/integrations/webhooks/#validate-payloads-by-using-a-secret-token",
        header="X-Gitlab-Token",
        proof="token",
        dedupe="header:Idempotency-Key",
        max_body=25 * KIB * KIB,
    ),
    Scheme(
        name="gitlab-signing",
        docs="https://gitlab.com/gitlab-org/gitlab/-/merge_requests/230944",
        header="webhook-signature",
        prefix="v1,",
        separator=" ",
        signed="{id}.{timestamp}.{body}",
        encoding="base64",
        key="whsec",
        timestamp_header="webhook-timestamp",
        id_header="webhook-id",
        dedupe="header:webhook-id",
        max_body=25 * KIB * KIB,
    ),
    Scheme(
        name="linear",
        docs="https://linear.app/developers/webhooks#securing-webhooks",
        header="Linear-Signature",
        timestamp_pointer="/webhookTimestamp",
        timestamp_unit="ms",
        tolerance=timedelta(minutes=1),
        dedupe="header:Linear-Delivery",
    ),
    Scheme(
        name="sentry",
        docs="https://docs.sentry.io/organization/integrations/integration-platform/webhooks/#sentry-hook-signature",
        header="Sentry-Hook-Signature",
        dedupe="header:Request-ID",
        max_body=KIB * KIB,
        caveat="Sentry-Hook-Timestamp is not signed, and not looked at",
    ),
    Scheme(
        name="pagerduty",
        docs="https://developer.pagerduty.com/docs/verifying-webhook-signatures",
        header="X-PagerDuty-Signature",
        prefix="v1=",
        separator=",",
        dedupe="json:/event/id",
    ),
    Scheme(
        name="asana",
        docs="https://developers.asana.com/docs/webhooks-guide#security",
        header="X-Hook-Signature",
        # Anyone may ask, and learns only what was sent; the secret is in Asana's answer to whoever made the webhook.
        handshake=Handshake(challenge="header:X-Hook-Secret", answer="", header="X-Hook-Secret"),
    ),
    Scheme(
        name="okta",
        docs="https://developer.okta.com/docs/concepts/event-hooks/",
        header="Authorization",
        proof="token",  # the header and its value are the user's choice in Okta: this one, with the secret alone
        dedupe="json:/eventId",
        handshake=Handshake(
            challenge="header:X-Okta-Verification-Challenge", answer='{"verification":"{challenge}"}', method="GET"
        ),
    ),
    Scheme(
        name="microsoft-graph",
        docs="https://learn.microsoft.com/en-us/graph/change-notifications-delivery-webhooks",
        pointer="/value/0/clientState",
        proof="token",
        handshake=Handshake(challenge="query:validationToken"),
        caveat="clientState is looked at in the first of a request's notifications only",
    ),
)
