/**
 * Standard Webhooks, scheme v1: HMAC-SHA256 over `id.timestamp.body`, over the bytes that were sent.
 *
 * https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
 */
import { createHmac, timingSafeEqual } from 'node:crypto';

const MOST_SECRETS = 8; // a rotation needs two
const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/;
const MOMENT = /^[0-9]{1,12}$/;
const ID = /^[!-~]{1,256}$/;

/** What is signed: the message's id, its moment in seconds since 1970 as text, and its bytes. */
export interface Message {
	id: string;
	timestamp: string;
	body: Buffer;
}

export type Refused =
	| 'signature_missing'
	| 'signature_invalid'
	| 'timestamp_malformed'
	| 'timestamp_out_of_tolerance';

/**
 * Read one secret, or several with spaces between: `whsec_` (optional) and the base64 of any bytes.
 *
 * Throws an Error that says which of them is wrong, and how, without showing it.
 */
export function readKeys(secrets: string): Buffer[] {
	const written = secrets.split(/\s+/).filter((one) => one !== '');
	if (written.length === 0) throw new Error('there is no secret');
	if (written.length > MOST_SECRETS) throw new Error(`there are more than ${MOST_SECRETS} secrets`);
	return written.map((secret, place) => {
		const wrong = wrongSecret(secret);
		if (wrong) throw new Error(`secret ${place + 1} ${wrong}`);
		return Buffer.from(bare(secret), 'base64');
	});
}

/** Say what is wrong with secrets, without showing one; '' where nothing is. */
export function wrongSecrets(secrets: unknown): string {
	try {
		readKeys(typeof secrets === 'string' ? secrets : '');
		return '';
	} catch (error) {
		return (error as Error).message;
	}
}

function wrongSecret(secret: string): string {
	if (/^wh[ps]k_/.test(secret)) {
		return 'is an ed25519 key (whpk_, whsk_); a shared secret (whsec_) is needed';
	}
	if (!BASE64.test(bare(secret))) return 'is not whsec_ and base64';
	return bare(secret) === '' ? 'is empty' : ''; // anyone could sign under it
}

function bare(secret: string): string {
	return secret.startsWith('whsec_') ? secret.slice('whsec_'.length) : secret;
}

/** Give the header webhook-signature: one signature for each key, with spaces between. */
export function sign(keys: readonly Buffer[], message: Message): string {
	return keys.map((key) => `v1,${mac(key, message)}`).join(' ');
}

/** Give the headers of a message that is sent `now` (ms since 1970); throws as readKeys does. */
export function signedHeaders(
	secrets: string,
	{ id, body, now }: { id: string; body: Buffer; now: number },
): Record<string, string> {
	const timestamp = String(Math.floor(now / 1000));
	return {
		'content-type': 'application/json',
		'webhook-id': id,
		'webhook-timestamp': timestamp,
		'webhook-signature': sign(readKeys(secrets), { id, timestamp, body }),
	};
}

function mac(key: Buffer, { id, timestamp, body }: Message): string {
	return createHmac('sha256', key).update(`${id}.${timestamp}.`).update(body).digest('base64');
}

/**
 * Tell why a message is refused, or undefined where one of its signatures is of one of the keys, and fresh.
 *
 * `tolerance` (seconds) holds to both sides of `now` (seconds since 1970). Without a key every signature is invalid.
 */
export function verify(
	message: Message,
	{ signature, keys, tolerance, now }: VerifyTerms,
): Refused | undefined {
	if (!ID.test(message.id) || message.timestamp === '' || signature === '') {
		return 'signature_missing';
	}
	if (!MOMENT.test(message.timestamp)) return 'timestamp_malformed';
	if (!signedByOne(message, signature, keys)) return 'signature_invalid';
	// Written so that a tolerance that is no number refuses.
	const fresh = Math.abs(now - Number(message.timestamp)) <= tolerance;
	return fresh ? undefined : 'timestamp_out_of_tolerance';
}

export interface VerifyTerms {
	signature: string;
	keys: readonly Buffer[];
	tolerance: number;
	now: number;
}

/** Every signature is compared with every key, as text: base64 that says the same in other letters is not the same. */
function signedByOne(message: Message, signature: string, keys: readonly Buffer[]): boolean {
	const given = signature
		.split(' ')
		.filter((one) => one.startsWith('v1,'))
		.map((one) => Buffer.from(one.slice('v1,'.length)));
	const expected = keys.map((key) => Buffer.from(mac(key, message)));
	return expected.some((one) => given.some((other) => same(one, other)));
}

function same(one: Buffer, other: Buffer): boolean {
	return one.length === other.length && timingSafeEqual(one, other);
}
