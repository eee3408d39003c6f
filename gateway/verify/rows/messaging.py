"""Chats, mail, telephony, meetings, social networks."""

from __future__ import annotations

from datetime import timedelta

from gateway.verify.scheme import KIB, Handshake, Scheme

FORM = "application/x-www-form-urlencoded"
TWILIO = "https://www.twilio.com/docs/usage/webhooks/webhooks-security"
TWILIO_CAVEAT = "where a parameter's name ends and its value begins is not signed, nor are order and repetition"

ROWS = (
    Scheme(
        name="slack",
        docs="https://docs.slack.dev/authentication/verifying-requests-from-slack/",
        header="X-Slack-Signature",
        prefix="v0=",
        signed="v0:{timestamp}:{body}",
        timestamp_header="X-Slack-Request-Timestamp",
        dedupe="json:/event_id",
        # https://docs.slack.dev/reference/events/url_verification/
        handshake=Handshake(when=(("json:/type", "url_verification"),), challenge="json:/challenge"),
        max_body=KIB * KIB,
        media=("application/json", FORM),  # slash commands and buttons come as forms
    ),
    Scheme(
        name="meta",  # Facebook, Instagram, Messenger, WhatsApp
        docs="https://developers.facebook.com/docs/graph-api/webhooks/getting-started#validate-payloads",
        header="X-Hub-Signature-256",
        prefix="sha256=",
        max_body=3 * KIB * KIB,
        handshake=Handshake(
            when=(("query:hub.mode", "subscribe"),),
            challenge="query:hub.challenge",
            verify_token="query:hub.verify_token",  # noqa: S106 - where it stands, not what it is
            method="GET",
        ),
    ),
    Scheme(
        name="x",
        docs="https://docs.x.com/x-api/webhooks/quickstart",
        header="x-twitter-webhooks-signature",
        prefix="sha256=",
        encoding="base64",
        # The answer is a MAC under the key that signs events, of what anyone asks: only of what can be no event.
        handshake=Handshake(
            challenge="query:crc_token",
            word=True,
            answer='{"response_token":"sha256={mac}"}',
            mac="base64",
            method="GET",
        ),
        caveat="a crc_token is signed for anyone, under the key of the events: only a word that is not JSON is",
    ),
    Scheme(
        name="discord",
        docs="https://discord.com/developers/docs/interactions/overview#setting-up-an-endpoint-validating-security-request-headers",
        header="X-Signature-Ed25519",
        proof="ed25519",
        signed="{timestamp}{body}",
        key="hex",
        timestamp_header="X-Signature-Timestamp",
        dedupe="json:/id",
        handshake=Handshake(when=(("json:/type", "1"),), answer='{"type":1}'),  # PING, PONG
    ),
    Scheme(
        name="line",
        docs="https://developers.line.biz/en/docs/messaging-api/verify-webhook-signature/",
        header="X-Line-Signature",
        encoding="base64",
    ),
    Scheme(
        name="twilio",
        docs=TWILIO,
        header="X-Twilio-Signature",
        signed="{url_without_port}{twilio_params}",
        signed_else=("{url_with_port}{twilio_params}",),
        digest="sha1",
        encoding="base64",
        dedupe="header:I-Twilio-Idempotency-Token",
        media=("application/json", FORM),
        caveat=TWILIO_CAVEAT,
    ),
    Scheme(
        name="twilio-shared-key",  # X-Twilio-Webhooks-Signature-Settings: ...,algorithm=HMAC_SHA256
        docs=TWILIO,
        header="X-Twilio-Signature",
        signed="{url_without_port}{twilio_params}",
        signed_else=("{url_with_port}{twilio_params}",),
        encoding="base64",
        dedupe="header:I-Twilio-Idempotency-Token",
        media=("application/json", FORM),
        caveat=TWILIO_CAVEAT,
    ),
    Scheme(
        name="sendgrid",
        docs="https://www.twilio.com/docs/sendgrid/for-developers/tracking-events/getting-started-event-webhook-security-features",
        header="X-Twilio-Email-Event-Webhook-Signature",
        proof="ecdsa",
        signed="{timestamp}{body}",
        encoding="base64",
        key="spki",
        timestamp_header="X-Twilio-Email-Event-Webhook-Timestamp",
        tolerance=timedelta(hours=24),  # SendGrid names none; it sends again for 24 hours, and may not sign anew
        max_body=KIB * KIB,
    ),
    Scheme(
        name="mailgun",
        docs="https://documentation.mailgun.com/docs/mailgun/user-manual/webhooks/securing-webhooks",
        pointer="/signature/signature",
        signed="{timestamp}{id}",
        timestamp_pointer="/signature/timestamp",
        id_pointer="/signature/token",
        dedupe="json:/signature/token",
        unsigned_body=True,
    ),
    Scheme(
        name="zoom",
        docs="https://developers.zoom.us/docs/api/webhooks/#verify-webhook-events",
        header="x-zm-signature",
        prefix="v0=",
        signed="v0:{timestamp}:{body}",
        timestamp_header="x-zm-request-timestamp",
        handshake=Handshake(
            when=(("json:/event", "endpoint.url_validation"),),
            challenge="json:/payload/plainToken",
            answer='{"plainToken":"{challenge}","encryptedToken":"{mac}"}',
        ),
    ),
    Scheme(
        name="twitch",
        docs="https://dev.twitch.tv/docs/eventsub/handling-webhook-events/#verifying-the-event-message",
        header="Twitch-Eventsub-Message-Signature",
        prefix="sha256=",
        signed="{id}{timestamp}{body}",
        timestamp_header="Twitch-Eventsub-Message-Timestamp",
        timestamp_unit="iso",
        tolerance=timedelta(minutes=10),
        id_header="Twitch-Eventsub-Message-Id",
        dedupe="header:Twitch-Eventsub-Message-Id",
        # By its signed status: the header Twitch-Eventsub-Message-Type is not signed.
        handshake=Handshake(
            when=(("json:/subscription/status", "webhook_callback_verification_pending"),), challenge="json:/challenge"
        ),
    ),
)
