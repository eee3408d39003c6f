/** What the trigger does with a post: refuse it, ignore it, or start the workflow with one item. */
import { readKeys, verify } from './signature';

const TRACEPARENT = /^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$/;
const PREFIX = 'hookmill.';

/** A post as it came: headers in lower case; `body` undefined where n8n has kept no bytes of it. */
export interface Post {
	headers: Record<string, string | string[] | undefined>;
	body: Buffer | undefined;
}

/** What is wanted; `tolerance` in seconds, `now` in seconds since 1970. An empty list of pipelines means all. */
export interface Terms {
	secrets: string;
	tolerance: number;
	mostBytes: number;
	types: readonly string[];
	pipelines: readonly string[];
	now: number;
}

export interface Delivery {
	deliveryId: string;
	timestamp: string;
	type: string;
	eventId: string;
	source: string;
	pipeline: string;
	result: unknown;
	degraded: boolean;
	generation: number;
	traceparent: string;
}

/** Either the status and code of an answer that starts nothing, or what the workflow starts with. */
export type Verdict = { status: number; code: string } | { delivery: Delivery };

/**
 * Judge a post. Whatever is odd starts nothing; no answer holds a secret, or anything of the post.
 *
 * A secret that cannot be used is our own fault, so the answer is 500: Hookmill tries again until it is mended.
 */
export function judge(post: Post, terms: Terms): Verdict {
	const keys = readable(terms);
	if (!keys) return { status: 500, code: 'secret_unusable' };
	if (!/^application\/json\s*(;|$)/i.test(text(post, 'content-type'))) {
		return { status: 415, code: 'media_type_unsupported' };
	}
	if (!post.body) return { status: 400, code: 'body_missing' };
	if (!(post.body.length <= terms.mostBytes)) return { status: 413, code: 'payload_too_large' };
	const message = {
		id: text(post, 'webhook-id'),
		timestamp: text(post, 'webhook-timestamp'),
		body: post.body,
	};
	const refused = verify(message, { signature: text(post, 'webhook-signature'), keys, ...terms });
	if (refused) return { status: 401, code: refused };
	const told = parsed(post.body);
	if (!told) return { status: 400, code: 'json_invalid' };
	if (!wanted(told, terms)) return { status: 200, code: 'ignored' };
	return { delivery: read(told, message.id, text(post, 'traceparent')) };
}

function readable({ secrets, tolerance }: Terms): Buffer[] | undefined {
	try {
		return tolerance > 0 ? readKeys(secrets) : undefined;
	} catch {
		return undefined;
	}
}

function text(post: Post, header: string): string {
	const value = post.headers[header];
	return typeof value === 'string' ? value : '';
}

/** Give the object that the bytes are, or undefined: not UTF-8, not JSON, or not an object. */
function parsed(body: Buffer): Record<string, unknown> | undefined {
	try {
		const value: unknown = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(body));
		const object = typeof value === 'object' && value !== null && !Array.isArray(value);
		return object ? (value as Record<string, unknown>) : undefined;
	} catch {
		return undefined;
	}
}

/** A notice has no pipeline that somebody could have named. */
function wanted(told: Record<string, unknown>, { types, pipelines }: Terms): boolean {
	const type = word(told.type);
	if (!type.startsWith(PREFIX) || !types.includes(type.slice(PREFIX.length))) return false;
	return type !== `${PREFIX}result` || !pipelines.length || pipelines.includes(word(told.pipeline));
}

function read(told: Record<string, unknown>, deliveryId: string, traceparent: string): Delivery {
	return {
		deliveryId,
		timestamp: word(told.timestamp),
		type: word(told.type),
		eventId: word(told.event_id),
		source: word(told.source),
		pipeline: word(told.pipeline),
		result: told.result ?? null,
		degraded: told.degraded === true,
		generation: typeof told.generation === 'number' ? told.generation : 0,
		traceparent: TRACEPARENT.test(traceparent) ? traceparent : '',
	};
}

function word(value: unknown): string {
	return typeof value === 'string' ? value : '';
}
