/** What a person is told of an outcome that is no success: the gateway's code and its words, never what was sent. */
import type { Outcome } from './persist';
import { waitOf } from './persist';

export interface Problem {
	message: string;
	description: string;
	httpCode: string;
}

/** Say what went wrong; of an answer that is not the gateway's (RFC 9457, with a `code`) only the status is told. */
export function problemOf(outcome: Outcome): Problem {
	if ('failed' in outcome) {
		const description = 'Is the URL in the credential right, and Hookmill up?';
		return { message: `Hookmill did not answer (${outcome.failed})`, description, httpCode: '' };
	}
	const { code, detail } = fields(outcome.body);
	const told = code ? `${code}: ${detail}` : 'not as Hookmill answers';
	const wait = waitOf(outcome, Date.now());
	return {
		message: `Hookmill answered ${outcome.status} (${told})`,
		description: wait === undefined ? '' : `Try again in ${Math.ceil(wait / 1000)} s`,
		httpCode: String(outcome.status),
	};
}

function fields(body: unknown): { code: string; detail: string } {
	const { code, detail } = (objectOf(body) ?? {}) as { code?: unknown; detail?: unknown };
	const known = typeof code === 'string' && /^[a-z_]{1,64}$/.test(code);
	return {
		code: known ? code : '',
		detail: typeof detail === 'string' ? detail.slice(0, 300) : '',
	};
}

/** Give a body as an object, also where it came as text; undefined where it is none. */
export function objectOf(body: unknown): Record<string, unknown> | undefined {
	try {
		const value: unknown = typeof body === 'string' ? JSON.parse(body) : body;
		const object = typeof value === 'object' && value !== null && !Array.isArray(value);
		return object ? (value as Record<string, unknown>) : undefined;
	} catch {
		return undefined;
	}
}
