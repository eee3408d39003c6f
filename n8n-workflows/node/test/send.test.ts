/* eslint-disable @n8n/community-nodes/no-restricted-imports -- what n8n Cloud forbids is not shipped from here */
import assert from 'node:assert/strict';
import type { IncomingHttpHeaders, Server } from 'node:http';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';

import { HookmillSourceApi } from '../dist/credentials/HookmillSourceApi.credentials.js';
import { testSource } from '../dist/nodes/Hookmill/testSource.js';
import type { Attempt } from '../dist/wire/persist.js';
import { passing, persist, turnedAway, waitOf } from '../dist/wire/persist.js';
import { isId, jsonBytes, send, stableId } from '../dist/wire/send.js';
import { readKeys, verify } from '../dist/wire/signature.js';

interface Reply {
	status: number;
	headers?: Record<string, string>;
	body?: unknown;
}

const SECRET = `whsec_${Buffer.from([1, 254, 0, 199]).toString('base64')}`;
const BODY = Buffer.from(' {"text": "Grüße",\n "n": 1.0} ');
const ACCEPTED = { event_id: 'evt_1', state: 'queued', duplicate: false };

let server: Server;
let url: string;
/** What the next posts are answered with, the last for ever after; null: nothing at all. */
let replies: Array<Reply | null>;
let came: Array<{ headers: IncomingHttpHeaders; body: Buffer; at: number }>;

beforeEach(async () => {
	[replies, came] = [[], []];
	server = createServer((request, response) => {
		const parts: Buffer[] = [];
		request.on('data', (part: Buffer) => parts.push(part));
		request.on('end', () => {
			came.push({ headers: request.headers, body: Buffer.concat(parts), at: Date.now() });
			const reply = replies.length > 1 ? replies.shift() : replies[0];
			if (!reply) return;
			response.writeHead(reply.status, { 'content-type': 'application/json', ...reply.headers });
			response.end(typeof reply.body === 'string' ? reply.body : JSON.stringify(reply.body ?? {}));
		});
	});
	await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
	url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});

afterEach(() => {
	server.closeAllConnections();
	server.close();
});

/** Post as the node does, but by fetch: n8n's request is asked for in the tests with a real n8n. */
function posting(id = 'order-1'): Attempt {
	return async () => {
		const credential = new HookmillSourceApi();
		const sign = credential.authenticate as Exclude<
			typeof credential.authenticate,
			{ type: 'generic' }
		>;
		const signed = await sign(
			{ secret: SECRET },
			{ url, headers: { 'webhook-id': id }, body: BODY },
		);
		try {
			const headers = signed.headers as Record<string, string>;
			const init = { method: 'POST', headers, body: signed.body as Uint8Array<ArrayBuffer> };
			const answer = await fetch(`${url}/hooks/n8n`, init);
			const told = Object.fromEntries(answer.headers);
			return { status: answer.status, headers: told, body: await answer.text() };
		} catch (error) {
			return { failed: String((error as Error & { cause?: { code?: string } }).cause?.code) };
		}
	};
}

const wait = async (ms: number): Promise<void> => await sleep(ms, undefined, { ref: false });
const PATIENCE = { patience: 5_000, timeout: 2_000, sleep: wait };

test('an event is posted as it is, signed under its id', async () => {
	replies = [{ status: 202, body: { ...ACCEPTED, status_url: 'http://g/events/evt_1' } }];
	assert.deepEqual(await send(posting(), PATIENCE), {
		sent: {
			eventId: 'evt_1',
			state: 'queued',
			duplicate: false,
			statusUrl: 'http://g/events/evt_1',
		},
	});
	const [post] = came;
	assert.ok(post);
	assert.deepEqual(post.body, BODY);
	const { headers } = post;
	const message = {
		id: String(headers['webhook-id']),
		timestamp: String(headers['webhook-timestamp']),
		body: post.body,
	};
	const signature = String(headers['webhook-signature']);
	const terms = { signature, keys: readKeys(SECRET), tolerance: 5, now: Date.now() / 1000 };
	assert.equal(verify(message, terms), undefined);
	assert.equal(message.id, 'order-1');
});

test('a duplicate is a success', async () => {
	replies = [{ status: 200, body: { event_id: 'evt_0', state: 'done', duplicate: true } }];
	assert.deepEqual(await send(posting(), PATIENCE), {
		sent: { eventId: 'evt_0', state: 'done', duplicate: true, statusUrl: '' },
	});
});

test('429 and 503 are asked again when the answer says, under the same id', async () => {
	const later = { 'retry-after': '1' };
	replies = [
		{ status: 429, headers: later },
		{ status: 503, headers: later },
		{ status: 202, body: ACCEPTED },
	];
	const done = await send(posting(), PATIENCE);
	assert.ok('sent' in done);
	assert.deepEqual(
		came.map(({ headers }) => headers['webhook-id']),
		['order-1', 'order-1', 'order-1'],
	);
	const [first, second, third] = came.map(({ at }) => at) as [number, number, number];
	assert.ok(
		second - first >= 950 && third - second >= 950,
		String([second - first, third - second]),
	);
});

test('a wait that is longer than the patience is not begun', async () => {
	replies = [
		{
			status: 429,
			headers: { 'retry-after': '60' },
			body: { code: 'rate_limited', detail: 'Too much.' },
		},
	];
	const began = Date.now();
	assert.deepEqual(await send(posting(), PATIENCE), {
		problem: {
			message: 'Hookmill answered 429 (rate_limited: Too much.)',
			description: 'Try again in 60 s',
			httpCode: '429',
		},
	});
	assert.equal(came.length, 1);
	assert.ok(Date.now() - began < 1_000);
});

test('who is down for longer than the patience is told of', async () => {
	replies = [{ status: 503, headers: { 'retry-after': '0' } }];
	const done = await send(posting(), { ...PATIENCE, patience: 1_000 });
	assert.ok('problem' in done);
	assert.equal(done.problem.httpCode, '503');
	assert.ok(came.length >= 2 && came.length <= 5, String(came.length)); // not as fast as it can
});

test('who does not answer is given up on in time', async () => {
	replies = [null];
	const began = Date.now();
	const done = await send(posting(), { patience: 0, timeout: 300, sleep: wait });
	assert.ok('problem' in done);
	assert.equal(done.problem.message, 'Hookmill did not answer (timeout)');
	assert.ok(Date.now() - began < 1_000);
});

test('who did not answer once is asked again', async () => {
	replies = [null, { status: 200, body: { ...ACCEPTED, duplicate: true } }];
	const done = await send(posting(), { ...PATIENCE, timeout: 300 });
	assert.ok('sent' in done && done.sent.duplicate);
});

test('nobody there', async () => {
	server.close();
	const done = await send(posting(), { ...PATIENCE, patience: 0 });
	assert.ok('problem' in done);
	assert.equal(done.problem.message, 'Hookmill did not answer (ECONNREFUSED)');
});

for (const status of [400, 401, 404, 409, 413, 422]) {
	test(`${status} is not asked again`, async () => {
		replies = [{ status, body: { code: 'some_code', detail: 'Why.' } }];
		const done = await send(posting(), PATIENCE);
		assert.ok('problem' in done);
		assert.equal(done.problem.message, `Hookmill answered ${status} (some_code: Why.)`);
		assert.equal(came.length, 1);
	});
}

test("an answer that is not the gateway's is no success, and is not repeated to anybody", async () => {
	for (const body of ['<html>secret</html>', '[]', '{"event_id":7}', '"evt_1"', '']) {
		replies = [{ status: 200, body }];
		const done = await send(posting(), PATIENCE);
		assert.ok('problem' in done);
		assert.equal(done.problem.message, 'Hookmill answered 200 (not as Hookmill answers)');
	}
});

test('what was cancelled is not asked again, nor what may not be done twice', async () => {
	let tries = 0;
	const cancelled: Attempt = async () => {
		tries += 1;
		return { failed: 'ERR_CANCELED' };
	};
	await persist(cancelled, passing, PATIENCE);
	const unsure: Attempt = async () => {
		tries += 1;
		return { status: 503, headers: {}, body: '' };
	};
	await persist(unsure, turnedAway, PATIENCE);
	assert.equal(tries, 2);
});

test('Retry-After is seconds or a date', () => {
	const now = Date.parse('2026-11-22T05:00:00Z');
	const waits: Array<[unknown, number | undefined]> = [
		['2', 2_000],
		['0', 250],
		['Sun, 22 Nov 2026 05:00:10 GMT', 10_000],
		['Sun, 22 Nov 2026 04:00:00 GMT', 250],
		['soon', undefined],
		['-1', undefined],
		['', undefined],
		[undefined, undefined],
	];
	for (const [told, expected] of waits) {
		assert.equal(
			waitOf({ status: 429, headers: { 'retry-after': told }, body: '' }, now),
			expected,
			String(told),
		);
	}
	assert.equal(waitOf({ failed: 'timeout' }, now), undefined);
});

test('without Retry-After the waits grow, up to 8 s', async () => {
	let clock = 0;
	const waits: number[] = [];
	const failing: Attempt = async () => ({ status: 500, headers: {}, body: '' });
	const slept = async (ms: number): Promise<void> => {
		if (ms !== 999) {
			waits.push(ms);
			clock += ms;
			return;
		}
		await new Promise(() => {});
	};
	const terms = { patience: 60_000, timeout: 999, sleep: slept, now: () => clock, random: () => 1 };
	await persist(failing, passing, terms);
	assert.deepEqual(waits.slice(0, 6), [500, 1_000, 2_000, 4_000, 8_000, 8_000]);
});

test('an id is the same for the same place and body, and for no other', () => {
	const place = ['instance', 'workflow', '7', 'node', '0', '0'];
	const id = stableId(place, BODY);
	assert.match(id, /^n8n_[0-9a-f]{32}$/);
	assert.equal(stableId([...place], Buffer.from(BODY)), id);
	const others = [
		stableId(place, Buffer.from('{}')),
		...place.map((_, at) => stableId(place.with(at, 'x'), BODY)),
	];
	assert.equal(new Set([id, ...others]).size, 8);
	assert.notEqual(stableId(['a', 'bc'], BODY), stableId(['ab', 'c'], BODY));
});

test('an id is visible ASCII', () => {
	assert.ok(isId('order/1:é'.replace('é', 'e')) && isId('x'.repeat(128)));
	for (const one of ['', 'a b', 'é', 'x'.repeat(129), 'a\n']) assert.ok(!isId(one), one);
});

test('JSON that is a text goes as it is; what is none goes nowhere', () => {
	assert.deepEqual(jsonBytes(BODY.toString()), BODY);
	assert.deepEqual(jsonBytes({ a: 'ü' }), Buffer.from('{"a":"ü"}'));
	assert.equal(jsonBytes('{"a":'), undefined);
	assert.equal(jsonBytes(''), undefined);
	assert.equal(jsonBytes(undefined), undefined);
});

test('the credential of a source is tried without an event', async () => {
	const credential = { gatewayUrl: `${url}/`, source: 'n8n', secret: SECRET };
	replies = [{ status: 400, body: { code: 'json_invalid' } }];
	assert.equal((await testSource(credential)).status, 'OK');
	replies = [{ status: 401, body: { code: 'signature_invalid' } }];
	const wrong = { status: 'Error', message: 'The source answered signature_invalid' };
	assert.deepEqual(await testSource(credential), wrong);
	replies = [{ status: 202, body: ACCEPTED }];
	assert.deepEqual(await testSource(credential), {
		status: 'Error',
		message: 'The source answered HTTP 202',
	});
	assert.equal((await testSource({ ...credential, secret: '' })).message, 'there is no secret');
	assert.equal(came.length, 3);
	assert.equal((await testSource({ ...credential, gatewayUrl: 'nowhere' })).status, 'Error');
});
