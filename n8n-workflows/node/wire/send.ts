/** Sending an event: posted until the gateway has it, always under the same id, so that it is one event. */
import { createHash } from 'node:crypto';

import type { Attempt, Patience } from './persist';
import { passing, persist } from './persist';
import type { Problem } from './problem';
import { objectOf, problemOf } from './problem';

const ID = /^[!-~]{1,128}$/;

/** What the gateway made of it: a duplicate is the event that was there before. */
export interface Sent {
	eventId: string;
	state: string;
	duplicate: boolean;
	statusUrl: string;
}

/** Post until it is taken or refused. Asking again is safe: the gateway knows the id. */
export async function send(
	attempt: Attempt,
	patience: Patience,
): Promise<{ sent: Sent } | { problem: Problem }> {
	const outcome = await persist(attempt, passing, patience);
	const taken = !('failed' in outcome) && outcome.status >= 200 && outcome.status < 300;
	const told = taken ? objectOf(outcome.body) : undefined;
	if (typeof told?.event_id !== 'string') return { problem: problemOf(outcome) };
	return {
		sent: {
			eventId: told.event_id,
			state: String(told.state ?? ''),
			duplicate: told.duplicate === true,
			statusUrl: String(told.status_url ?? ''),
		},
	};
}

/** Give an id that is the same as often as the same is sent from the same place of the same execution. */
export function stableId(place: readonly string[], body: Buffer): string {
	const digest = createHash('sha256').update(JSON.stringify(place)).update(body).digest('hex');
	return `n8n_${digest.slice(0, 32)}`;
}

/** Tell whether the gateway can take it for an id: 1 to 128 visible characters of ASCII. */
export function isId(text: string): boolean {
	return ID.test(text);
}

/** Give the bytes of JSON, also of JSON that is a text already; undefined where the text is none. */
export function jsonBytes(value: unknown): Buffer | undefined {
	if (typeof value !== 'string') {
		return value === undefined ? undefined : Buffer.from(JSON.stringify(value));
	}
	try {
		JSON.parse(value);
		return Buffer.from(value);
	} catch {
		return undefined;
	}
}
