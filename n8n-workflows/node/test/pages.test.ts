/* eslint-disable @n8n/community-nodes/no-restricted-imports -- what n8n Cloud forbids is not shipped from here */
import assert from 'node:assert/strict';
import { test } from 'node:test';

import type { Page } from '../dist/wire/pages.js';
import { collect } from '../dist/wire/pages.js';
import { problemOf } from '../dist/wire/problem.js';

/** A list of so many numbers, and what was asked of it. */
function list(count: number) {
	const asked: Array<[number, string | null]> = [];
	const ask = async (limit: number, cursor: string | null): Promise<Page<number>> => {
		asked.push([limit, cursor]);
		const from = Number(cursor ?? 0);
		const rows = Array.from({ length: Math.min(limit, count - from) }, (_, at) => from + at);
		const next = from + rows.length;
		return { rows, cursor: next < count ? String(next) : null };
	};
	return { ask, asked };
}

test('pages follow each other to the end', async () => {
	const { ask, asked } = list(450);
	const { rows, more } = await collect(ask, 10_000);
	assert.deepEqual(
		rows,
		Array.from({ length: 450 }, (_, at) => at),
	);
	assert.equal(more, false);
	assert.deepEqual(asked, [
		[200, null],
		[200, '200'],
		[200, '400'],
	]);
});

test('no more is asked for than is wanted', async () => {
	const { ask, asked } = list(450);
	const { rows, more } = await collect(ask, 210);
	assert.deepEqual([rows.length, more], [210, true]);
	assert.deepEqual(asked, [
		[200, null],
		[10, '200'],
	]);
});

test('an empty list', async () => {
	assert.deepEqual(await collect(list(0).ask, 50), { rows: [], more: false });
});

test('a page that leads to itself ends the list', async () => {
	let pages = 0;
	const ask = async (): Promise<Page<number>> => {
		pages += 1;
		return { rows: [], cursor: 'here' };
	};
	await collect(ask, 50);
	assert.equal(pages, 2);
});

test("of a refusal the code and the words are told, and nothing that is not the gateway's", () => {
	const told = (body: unknown) => problemOf({ status: 403, headers: {}, body }).message;
	assert.equal(
		told({ code: 'forbidden', detail: 'No.' }),
		'Hookmill answered 403 (forbidden: No.)',
	);
	assert.equal(
		told('{"code":"forbidden","detail":"No."}'),
		'Hookmill answered 403 (forbidden: No.)',
	);
	for (const body of ['<b>x</b>', null, [], { code: 'Not a code' }, { code: 7 }]) {
		assert.equal(told(body), 'Hookmill answered 403 (not as Hookmill answers)');
	}
	assert.ok(told({ code: 'x', detail: 'y'.repeat(9_999) }).length < 400);
});
