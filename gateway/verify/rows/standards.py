"""Schemes that many senders share, and those of webhook gateways."""

from __future__ import annotations

from gateway.verify.message_signatures import read_message
from gateway.verify.scheme import Scheme

STANDARD = Scheme(
    name="standard",
    docs="https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md",
    header="webhook-signature",
    prefix="v1,",
    public_prefix="v1a,",
    separator=" ",
    signed="{id}.{timestamp}.{body}",
    encoding="base64",
    key="whsec",
    timestamp_header="webhook-timestamp",
    id_header="webhook-id",
    dedupe="header:webhook-id",
)

ROWS = (
    STANDARD,
    Scheme(
        name="svix",
        docs="https://docs.svix.com/receiving/verifying-payloads/how-manual",
        header="svix-signature",
        prefix="v1,",
        public_prefix="v1a,",
        separator=" ",
        signed="{id}.{timestamp}.{body}",
        encoding="base64",
        key="whsec",
        timestamp_header="svix-timestamp",
        id_header="svix-id",
        dedupe="header:svix-id",
    ),
    Scheme(
        name="rfc9421",
        docs="https://www.rfc-editor.org/rfc/rfc9421",
        header="Signature",
        signed="{components}",
        encoding="base64",
        key="pem",  # a PEM public key is ed25519, everything else base64 of a shared secret
        timestamp_header="Signature-Input",
        read=read_message,
        caveat="what is covered beside content-digest is the signer's choice",
    ),
    Scheme(
        name="bearer",
        docs="https://www.rfc-editor.org/rfc/rfc6750#section-2.1",
        header="Authorization",
        prefix="Bearer ",
        proof="token",
    ),
    Scheme(
        name="convoy",
        docs="https://docs.getconvoy.io/product-manual/signatures#simple-signatures",
        header="X-Convoy-Signature",
    ),
    Scheme(
        name="convoy-advanced",
        docs="https://docs.getconvoy.io/product-manual/signatures#advanced-signatures",
        header="X-Convoy-Signature",
        prefix="v1=",
        separator=",",
        signed="{timestamp},{body}",
        timestamp_item="t=",
    ),
    Scheme(
        name="hookdeck",
        docs="https://hookdeck.com/docs/authentication#hookdeck-webhook-signature-verification",
        header="x-hookdeck-signature",
        spare_header="x-hookdeck-signature-2",  # under the other secret, while one is being exchanged
        encoding="base64",
        dedupe="header:x-hookdeck-eventid",
    ),
)
