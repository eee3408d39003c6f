"""Payments, shops, sales, support, files, forms."""

from __future__ import annotations

from datetime import timedelta

from gateway.verify.scheme import KIB, Handshake, Scheme

HUBSPOT = "https://developers.hubspot.com/docs/apps/developer-platform/build-apps/authentication/request-validation"

ROWS = (
    Scheme(
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
    ),
    Scheme(
        name="shopify",
        docs="https://shopify.dev/docs/apps/build/webhooks/subscribe/https#step-2-validate-the-origin-of-your-webhook",
        header="X-Shopify-Hmac-Sha256",
        encoding="base64",
        dedupe="header:X-Shopify-Webhook-Id",
        max_body=5 * KIB * KIB,
    ),
    Scheme(
        name="paddle",
        docs="https://developer.paddle.com/webhooks/signature-verification",
        header="Paddle-Signature",
        prefix="h1=",
        separator=";",
        signed="{timestamp}:{body}",
        timestamp_item="ts=",
        tolerance=timedelta(seconds=5),
        dedupe="json:/event_id",
    ),
    Scheme(
        name="square",
        docs="https://developer.squareup.com/docs/webhooks/step3validate",
        header="x-square-hmacsha256-signature",
        signed="{url}{body}",
        encoding="base64",
        dedupe="json:/event_id",
    ),
    Scheme(
        name="razorpay",
        docs="https://razorpay.com/docs/webhooks/validate-test/",
        header="X-Razorpay-Signature",
        dedupe="header:x-razorpay-event-id",
    ),
    Scheme(
        name="coinbase-commerce",
        docs="https://docs.cdp.coinbase.com/commerce/docs/webhooks-security",
        header="X-CC-Webhook-Signature",
        dedupe="json:/event/id",
    ),
    Scheme(
        name="adyen",  # platforms, banking, management; the classic notifications are signed in another way
        docs="https://docs.adyen.com/development-resources/webhooks/secure-webhooks/verify-hmac-signatures/",
        header="HmacSignature",
        encoding="base64",
        key="hex",
    ),
    Scheme(
        name="hubspot",
        docs=HUBSPOT,
        header="X-HubSpot-Signature-v3",
        signed="{method}{hubspot_uri}{body}{timestamp}",
        encoding="base64",
        timestamp_header="X-HubSpot-Request-Timestamp",
        timestamp_unit="ms",
    ),
    Scheme(
        name="hubspot-v2",
        docs=HUBSPOT,
        header="X-HubSpot-Signature",
        proof="hash",
        signed="{method}{url}{body}",
    ),
    Scheme(
        name="hubspot-v1",
        docs=HUBSPOT,
        header="X-HubSpot-Signature",
        proof="hash",
    ),
    Scheme(
        name="zendesk",
        docs="https://developer.zendesk.com/documentation/webhooks/verifying/",
        header="X-Zendesk-Webhook-Signature",
        signed="{timestamp}{body}",
        encoding="base64",
        timestamp_header="X-Zendesk-Webhook-Signature-Timestamp",
        timestamp_unit="iso",
        dedupe="header:X-Zendesk-Webhook-Invocation-Id",
    ),
    Scheme(
        name="intercom",
        docs="https://developers.intercom.com/docs/webhooks/webhook-notifications#signed-notifications",
        header="X-Hub-Signature",
        prefix="sha1=",
        digest="sha1",
        dedupe="json:/id",
    ),
    Scheme(
        name="typeform",
        docs="https://www.typeform.com/developers/webhooks/secure-your-webhooks/",
        header="Typeform-Signature",
        prefix="sha256=",
        encoding="base64",
        dedupe="json:/event_id",
    ),
    Scheme(
        name="dropbox",
        docs="https://www.dropbox.com/developers/reference/webhooks",
        header="X-Dropbox-Signature",
        handshake=Handshake(challenge="query:challenge", method="GET"),
    ),
    Scheme(
        name="box",
        docs="https://developer.box.com/guides/webhooks/v2/signatures-v2/",
        header="box-signature-primary",
        spare_header="box-signature-secondary",
        signed="{body}{timestamp}",
        encoding="base64",
        timestamp_header="box-delivery-timestamp",
        timestamp_unit="iso",
        tolerance=timedelta(minutes=10),
        dedupe="header:box-delivery-id",
    ),
)
