/* eslint-disable @n8n/community-nodes/no-restricted-imports -- what n8n Cloud forbids is not shipped from here */
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { judge } from '../dist/wire/delivery.js';
import { signedHeaders } from '../dist/wire/signature.js';

const SECRET = `whsec_${Buffer.from([0, 255, 128, 7, 200, 13, 10, 32]).toString('base64')}`;
const NOW = 1_764_000_000;
const TRACEPARENT = `00-${'ab'.repeat(16)}-${'cd'.repeat(8)}-01`;
const TERMS = {
	secrets: SECRET,
	tolerance: 300,
	mostBytes: 10_000,
	types: ['result'],
	pipelines: [],
	now: NOW,
};
const TOLD = {
	type: 'hookmill.result',
	id: 'dlv_1',
	event_id: 'evt_1',
	source: 'blog',
	pipeline: 'triage',
	timestamp: '2026-11-22T05:00:00.000Z',
	result: { text: 'Grüße, 日本', n: 1 },
	degraded: true,
	generation: 2,
};

function post(told: unknown, headers: Record<string, string | string[] | undefined> = {}) {
	const body = Buffer.isBuffer(told)
		? told
		: Buffer.from(typeof told === 'string' ? told : JSON.stringify(told));
	const signed = signedHeaders(SECRET, { id: 'dlv_1', body, now: NOW * 1000 });
	return { headers: { ...signed, traceparent: TRACEPARENT, ...headers }, body };
}

test('a result becomes one item', () => {
	assert.deepEqual(judge(post(TOLD), TERMS), {
		delivery: {
			deliveryId: 'dlv_1',
			timestamp: TOLD.timestamp,
			type: 'hookmill.result',
			eventId: 'evt_1',
			source: 'blog',
			pipeline: 'triage',
			result: TOLD.result,
			degraded: true,
			generation: 2,
			traceparent: TRACEPARENT,
		},
	});
});

test('what a result lacks, or has of another kind, is empty', () => {
	const odd = { type: 'hookmill.result', event_id: 7, degraded: 'yes', generation: '2' };
	assert.deepEqual(judge(post(odd, { traceparent: 'x"y' }), TERMS), {
		delivery: {
			deliveryId: 'dlv_1',
			timestamp: '',
			type: 'hookmill.result',
			eventId: '',
			source: '',
			pipeline: '',
			result: null,
			degraded: false,
			generation: 0,
			traceparent: '',
		},
	});
});

test('both secrets are good while they rotate', () => {
	assert.ok('delivery' in judge(post(TOLD), { ...TERMS, secrets: `whsec_AAAA ${SECRET}` }));
	assert.ok('delivery' in judge(post(TOLD), { ...TERMS, secrets: `${SECRET} whsec_AAAA` }));
});

const { body } = post(TOLD);
const refused: Array<[string, ReturnType<typeof judge>, number, string]> = [
	[
		'another byte',
		judge({ ...post(TOLD), body: Buffer.concat([body, body]) }, TERMS),
		401,
		'signature_invalid',
	],
	[
		'no signature',
		judge(post(TOLD, { 'webhook-signature': undefined }), TERMS),
		401,
		'signature_missing',
	],
	['an empty one', judge(post(TOLD, { 'webhook-signature': '' }), TERMS), 401, 'signature_missing'],
	[
		'two headers',
		judge(post(TOLD, { 'webhook-signature': ['v1,a', 'v1,b'] }), TERMS),
		401,
		'signature_missing',
	],
	['no id', judge(post(TOLD, { 'webhook-id': undefined }), TERMS), 401, 'signature_missing'],
	['stale', judge(post(TOLD), { ...TERMS, now: NOW + 301 }), 401, 'timestamp_out_of_tolerance'],
	[
		'of the future',
		judge(post(TOLD), { ...TERMS, now: NOW - 301 }),
		401,
		'timestamp_out_of_tolerance',
	],
	[
		'another secret',
		judge(post(TOLD), { ...TERMS, secrets: 'whsec_AAAA' }),
		401,
		'signature_invalid',
	],
	['no secret', judge(post(TOLD), { ...TERMS, secrets: '' }), 500, 'secret_unusable'],
	['an empty secret', judge(post(TOLD), { ...TERMS, secrets: 'whsec_' }), 500, 'secret_unusable'],
	[
		'one bad secret of two',
		judge(post(TOLD), { ...TERMS, secrets: `${SECRET} oops!` }),
		500,
		'secret_unusable',
	],
	['no tolerance', judge(post(TOLD), { ...TERMS, tolerance: Number.NaN }), 500, 'secret_unusable'],
	['too large', judge(post(TOLD), { ...TERMS, mostBytes: 10 }), 413, 'payload_too_large'],
	['no bytes', judge({ ...post(TOLD), body: undefined }, TERMS), 400, 'body_missing'],
	[
		'a form',
		judge(post(TOLD, { 'content-type': 'multipart/form-data' }), TERMS),
		415,
		'media_type_unsupported',
	],
	[
		'no type',
		judge(post(TOLD, { 'content-type': undefined }), TERMS),
		415,
		'media_type_unsupported',
	],
	['not JSON', judge(post('{"type":'), TERMS), 400, 'json_invalid'],
	['nothing', judge(post(''), TERMS), 400, 'json_invalid'],
	['a list', judge(post([TOLD]), TERMS), 400, 'json_invalid'],
	['null', judge(post('null'), TERMS), 400, 'json_invalid'],
	['not UTF-8', judge(post(Buffer.from('{"type":"\xff"}', 'latin1')), TERMS), 400, 'json_invalid'],
];
for (const [what, verdict, status, code] of refused) {
	test(`${what}: ${status} ${code}`, () => assert.deepEqual(verdict, { status, code }));
}

test('no answer holds a secret or anything of the post', () => {
	for (const [, verdict] of refused) assert.deepEqual(Object.keys(verdict), ['status', 'code']);
});

const ignored: Array<[string, object, object]> = [
	['a notice', { ...TOLD, type: 'hookmill.alert' }, {}],
	['a type that is not ours', { ...TOLD, type: 'invoice.paid' }, {}],
	['no type', { ...TOLD, type: undefined }, {}],
	['nothing wanted', TOLD, { types: [] }],
	['another pipeline', TOLD, { pipelines: ['triage-2', 'tri'] }],
	['no pipeline', { ...TOLD, pipeline: undefined }, { pipelines: ['triage'] }],
];
for (const [what, told, terms] of ignored) {
	test(`${what} is answered 200 and starts nothing`, () => {
		assert.deepEqual(judge(post(told), { ...TERMS, ...terms }), { status: 200, code: 'ignored' });
	});
}

test('what is wanted passes', () => {
	const notice = { ...TOLD, type: 'hookmill.alert', pipeline: '_alerts' };
	const terms = { ...TERMS, types: ['alert', 'result'], pipelines: ['other', 'triage'] };
	assert.ok('delivery' in judge(post(TOLD), terms));
	assert.ok('delivery' in judge(post(notice), terms)); // it has no pipeline that could be named
	assert.ok(
		'delivery' in judge(post(TOLD, { 'content-type': 'Application/JSON; charset=utf-8' }), TERMS),
	);
});

test('what is not wanted has to be signed, too', () => {
	const forged = post({ ...TOLD, type: 'invoice.paid' }, { 'webhook-signature': 'v1,abc' });
	assert.deepEqual(judge(forged, TERMS), { status: 401, code: 'signature_invalid' });
});
