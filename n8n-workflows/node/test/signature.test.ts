/* eslint-disable @n8n/community-nodes/no-restricted-imports -- what n8n Cloud forbids is not shipped from here */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';

import { readKeys, sign, signedHeaders, verify, wrongSecrets } from '../dist/wire/signature.js';

interface Vector {
	id: string;
	secret: string;
	headers: Record<string, string>;
	body_b64: string;
	now: number;
	tolerance_s: number;
	valid: boolean;
}

const vectors = JSON.parse(
	readFileSync(new URL('vectors.json', import.meta.url), 'utf8'),
) as Vector[];
const shared = vectors.filter(({ secret }) => !secret.startsWith('whpk_'));
const asymmetric = vectors.filter(({ secret }) => secret.startsWith('whpk_'));

const KEY = Buffer.from('a key of these tests, and of none');
const NOW = 1_764_000_000;
const MESSAGE = {
	id: 'dlv_1',
	timestamp: String(NOW),
	body: Buffer.from('{"text":"Grüße, 日本"}'),
};
const TERMS = { signature: sign([KEY], MESSAGE), keys: [KEY], tolerance: 300, now: NOW };

function messageOf(vector: Vector) {
	return {
		id: vector.headers['webhook-id'] ?? '',
		timestamp: vector.headers['webhook-timestamp'] ?? '',
		body: Buffer.from(vector.body_b64, 'base64'),
	};
}

test('the published vectors are there', () => {
	assert.deepEqual([shared.length, asymmetric.length], [8, 2]);
});

for (const vector of shared) {
	test(`published vector ${vector.id} is ${vector.valid ? 'taken' : 'refused'}`, () => {
		const refused = verify(messageOf(vector), {
			signature: vector.headers['webhook-signature'] ?? '',
			keys: readKeys(vector.secret),
			tolerance: vector.tolerance_s,
			now: vector.now,
		});
		assert.equal(refused === undefined, vector.valid, refused);
	});
}

for (const vector of asymmetric) {
	test(`${vector.id}: what is signed asymmetrically is not understood, and so refused`, () => {
		assert.match(wrongSecrets(vector.secret), /^secret 1 is an ed25519 key/);
		const signature = vector.headers['webhook-signature'] ?? '';
		const terms = { signature, keys: [KEY], tolerance: 300, now: vector.now };
		assert.equal(verify(messageOf(vector), terms), 'signature_invalid');
	});
}

test('what is signed is verified, with keys of any bytes, and with no other key', () => {
	for (let round = 0; round < 200; round += 1) {
		const [key, other] = [randomBytes(1 + (round % 64)), randomBytes(32)];
		const message = { ...MESSAGE, body: randomBytes(round) };
		const signature = sign([key], message);
		assert.equal(verify(message, { ...TERMS, signature, keys: [key] }), undefined);
		assert.equal(verify(message, { ...TERMS, signature, keys: [other] }), 'signature_invalid');
	}
});

test('the published signatures are those that we make', () => {
	for (const vector of shared.filter((one) => one.valid && one.id !== 'openai-multi-one-valid')) {
		const made = sign(readKeys(vector.secret), messageOf(vector));
		assert.equal(made, vector.headers['webhook-signature']);
	}
});

test('headers are made of the bytes, the id and the moment', () => {
	const secrets = `whsec_${KEY.toString('base64')}`;
	const { body, id } = MESSAGE;
	assert.deepEqual(signedHeaders(secrets, { id, body, now: NOW * 1000 + 999 }), {
		'content-type': 'application/json',
		'webhook-id': id,
		'webhook-timestamp': String(NOW),
		'webhook-signature': TERMS.signature,
	});
});

const TAMPERED = {
	'another byte': { body: Buffer.concat([MESSAGE.body, Buffer.from(' ')]) },
	'no byte': { body: Buffer.alloc(0) },
	'another id': { id: 'dlv_2' },
	'another moment': { timestamp: String(NOW + 1) },
	'the border between id and moment': { id: 'dlv_1.1', timestamp: String(NOW).slice(1) },
	'a moment with a zero before it': { timestamp: `0${NOW}` },
};
for (const [what, changed] of Object.entries(TAMPERED)) {
	test(`${what} is not what was signed`, () => {
		assert.equal(verify({ ...MESSAGE, ...changed }, TERMS), 'signature_invalid');
	});
}

const base64 = TERMS.signature.slice('v1,'.length);
const MALFORMED = {
	'another version': `v2,${base64}`,
	asymmetric: `v1a,${base64}`,
	'no version': base64,
	'only the version': 'v1,',
	undefined: 'v1,undefined',
	'no padding': `v1,${base64.replace(/=+$/, '')}`,
	'base64 for URLs': `v1,${base64.replaceAll('+', '-').replaceAll('/', '_')}-`,
	hexadecimal: `v1,${Buffer.from(base64, 'base64').toString('hex')}`,
	'a comma between': `v1,AAAA,v1,${base64}`,
	'two headers, as Node joins them': `${TERMS.signature}, ${TERMS.signature.slice(0, -1)}A`,
	'not ASCII': `v1,${base64.slice(0, -1)}ſ`,
};
for (const [what, signature] of Object.entries(MALFORMED)) {
	test(`a signature that is ${what} is none`, () => {
		assert.equal(verify(MESSAGE, { ...TERMS, signature }), 'signature_invalid');
	});
}

test('base64 that says the same in other letters is not the same', () => {
	const letters = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/';
	const last = letters.indexOf(base64.at(-2) ?? '');
	const other = `${base64.slice(0, -2)}${letters[last + 1]}=`;
	assert.deepEqual(Buffer.from(other, 'base64'), Buffer.from(base64, 'base64'));
	assert.equal(verify(MESSAGE, { ...TERMS, signature: `v1,${other}` }), 'signature_invalid');
});

test('something is missing', () => {
	assert.equal(verify(MESSAGE, { ...TERMS, signature: '' }), 'signature_missing');
	assert.equal(verify({ ...MESSAGE, id: '' }, TERMS), 'signature_missing');
	assert.equal(verify({ ...MESSAGE, timestamp: '' }, TERMS), 'signature_missing');
});

test('a moment that is no number of seconds is refused, though it is signed', () => {
	for (const timestamp of [
		'NaN',
		'Infinity',
		'1e9',
		'-1',
		'1_764_000_000',
		'0x10',
		' 1',
		'1.5',
		'1'.repeat(13),
	]) {
		const message = { ...MESSAGE, timestamp };
		const signature = sign([KEY], message);
		assert.equal(verify(message, { ...TERMS, signature }), 'timestamp_malformed', timestamp);
	}
});

test('the tolerance holds to both sides, its end included', () => {
	const ages: Array<[number, boolean]> = [
		[300, true],
		[301, false],
		[-300, true],
		[-301, false],
	];
	for (const [age, taken] of ages) {
		const refused = verify(MESSAGE, { ...TERMS, now: NOW + age });
		assert.equal(refused, taken ? undefined : 'timestamp_out_of_tolerance');
	}
	assert.equal(verify(MESSAGE, { ...TERMS, tolerance: Number.NaN }), 'timestamp_out_of_tolerance');
});

test('while secrets rotate, one of several signatures and one of several keys is enough', () => {
	const [old, fresh] = [Buffer.from('old'), Buffer.from('new')];
	const both = sign([old, fresh], MESSAGE);
	for (const keys of [[old], [fresh], [fresh, old], [KEY, fresh]]) {
		assert.equal(verify(MESSAGE, { ...TERMS, signature: both, keys }), undefined);
	}
	for (const signature of [sign([old], MESSAGE), `v1a,abc v1,abc ${sign([fresh], MESSAGE)}`]) {
		assert.equal(verify(MESSAGE, { ...TERMS, signature, keys: [old, fresh] }), undefined);
	}
	assert.equal(verify(MESSAGE, { ...TERMS, signature: both }), 'signature_invalid');
});

test('without a key nothing is valid', () => {
	assert.equal(verify(MESSAGE, { ...TERMS, keys: [] }), 'signature_invalid');
	assert.equal(verify(MESSAGE, { ...TERMS, keys: [], signature: 'v1,' }), 'signature_invalid');
});

test('secrets are read with and without their prefix, whatever their bytes', () => {
	const key = randomBytes(32);
	const text = key.toString('base64');
	assert.deepEqual(readKeys(`whsec_${text}`), [key]);
	assert.deepEqual(readKeys(text), [key]);
	assert.deepEqual(readKeys(` whsec_${text}\n\twhsec_AAAA `), [key, Buffer.alloc(3)]);
});

const UNREADABLE = {
	'': 'there is no secret',
	' \n ': 'there is no secret',
	whsec_: 'secret 1 is empty',
	'AAAA whsec_': 'secret 2 is empty',
	'AAAA whsec_secret-with-signs': 'secret 2 is not whsec_ and base64',
	whsec_AAA: 'secret 1 is not whsec_ and base64',
	'whsec_AA=A': 'secret 1 is not whsec_ and base64',
	whsek_AAAA: 'secret 1 is not whsec_ and base64',
	schlüssel: 'secret 1 is not whsec_ and base64',
	[Array(9).fill('AAAA').join(' ')]: 'there are more than 8 secrets',
};
for (const [secrets, wrong] of Object.entries(UNREADABLE)) {
	test(`secrets ${JSON.stringify(secrets)}: ${wrong}`, () => {
		assert.equal(wrongSecrets(secrets), wrong);
		assert.throws(() => readKeys(secrets), new Error(wrong));
	});
}

test('what is no text is no secret', () => {
	for (const one of [undefined, null, 7, {}]) assert.equal(wrongSecrets(one), 'there is no secret');
});
