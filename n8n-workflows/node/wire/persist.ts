/** Asking again: what is answered 429 or 503 is asked again as the answer says, within a bounded patience. */

const SHORTEST_WAIT = 250; // ms, whatever is answered
const LONGEST_WAIT = 8_000; // ms, where nothing is answered
const FIRST_WAIT = 500; // ms
const CANCELLED = 'ERR_CANCELED'; // a person stopped the execution

/** What was answered; `headers` in lower case. */
export interface Answer {
	status: number;
	headers: Record<string, unknown>;
	body: unknown;
}

/** No answer came: `failed` is a code such as ECONNREFUSED, or `timeout`. */
export interface Silence {
	failed: string;
}

export type Outcome = Answer | Silence;

/** One try, which is given up after so many ms. It gives a Silence rather than throw. */
export type Attempt = (timeout: number) => Promise<Outcome>;

/** How long all tries may take together (`patience`), and each of them (`timeout`), in ms. */
export interface Patience {
	patience: number;
	timeout: number;
	sleep: (ms: number) => Promise<void>;
	now?: () => number;
	random?: () => number;
}

/** Try until the outcome is not one of those to ask again for, or the next try would come too late; give the last. */
export async function persist(
	attempt: Attempt,
	again: (outcome: Outcome) => boolean,
	{ patience, timeout, sleep, now = Date.now, random = Math.random }: Patience,
): Promise<Outcome> {
	const end = now() + patience;
	for (let tries = 1; ; tries += 1) {
		const limit = tries === 1 ? timeout : Math.min(timeout, end - now());
		const outcome = await Promise.race([attempt(limit), silence(sleep(limit))]);
		const wait = waitOf(outcome, now()) ?? backoff(tries, random());
		if (!again(outcome) || now() + wait >= end) return outcome;
		await sleep(wait);
	}
}

async function silence(passed: Promise<void>): Promise<Silence> {
	await passed;
	return { failed: 'timeout' };
}

/** Half to all of 0.5, 1, 2, 4, 8, 8, … s. */
function backoff(tries: number, random: number): number {
	return Math.min(LONGEST_WAIT, FIRST_WAIT * 2 ** (tries - 1)) * (0.5 + random / 2);
}

/**
 * Read Retry-After: seconds, or a date, to ms from `now`; undefined where there is none.
 *
 * https://www.rfc-editor.org/rfc/rfc9110#field.retry-after
 */
export function waitOf(outcome: Outcome, now: number): number | undefined {
	if ('failed' in outcome) return undefined;
	const told = outcome.headers['retry-after'];
	if (typeof told !== 'string') return undefined;
	if (/^[0-9]{1,9}$/.test(told)) return Math.max(Number(told) * 1000, SHORTEST_WAIT);
	// Date.parse alone would take "-1" for the year 2001.
	const date = told.endsWith(' GMT') ? Date.parse(told) : Number.NaN;
	return Number.isNaN(date) ? undefined : Math.max(date - now, SHORTEST_WAIT);
}

/** Tell whether asking the same again may help: nobody answered, too often, or it cannot be done now. */
export function passing(outcome: Outcome): boolean {
	if ('failed' in outcome) return outcome.failed !== CANCELLED;
	return outcome.status === 429 || outcome.status >= 500;
}

/** Tell whether it was turned away before anything was done: for what is not the same when it is done twice. */
export function turnedAway(outcome: Outcome): boolean {
	return !('failed' in outcome) && outcome.status === 429;
}
