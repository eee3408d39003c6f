import type { IDataObject, IExecuteFunctions, IHttpRequestOptions } from 'n8n-workflow';
import { sleep } from 'n8n-workflow';

import type { Page } from '../../wire/pages';
import { collect, MOST_ROWS } from '../../wire/pages';
import type { Attempt, Outcome, Patience } from '../../wire/persist';
import { passing, persist, turnedAway } from '../../wire/persist';
import type { Problem } from '../../wire/problem';
import { objectOf, problemOf } from '../../wire/problem';
import { isId, jsonBytes, send, stableId } from '../../wire/send';
import { wrongSecrets } from '../../wire/signature';

const WORK_ID = /^(evt_[0-7][0-9A-HJKMNP-TV-Z]{25}|dlv_[0-9a-f]{32})$/;

/** Hookmill refused, or did not answer. */
export class Failed extends Error {
	constructor(readonly problem: Problem) {
		super(problem.message);
	}
}

/** A parameter or a credential of the node is not as it must be. */
export class Misused extends Error {}

type Operation = (context: IExecuteFunctions, item: number) => Promise<IDataObject[]>;

const OPERATIONS: Record<string, Operation> = {
	'event.send': sendEvent,
	'event.get': getEvent,
	'event.getAll': listEvents,
	'event.replay': replay,
	'deadLetter.getAll': listDead,
	'deadLetter.replay': replay,
};

/** Find what is to be done for an item; throws Misused. */
export function operationOf(context: IExecuteFunctions, item: number): Operation {
	const resource = context.getNodeParameter('resource', item) as string;
	const name = context.getNodeParameter('operation', item) as string;
	const found = OPERATIONS[`${resource}.${name}`];
	if (!found) throw new Misused(`There is no operation ${name} of ${resource}`);
	return found;
}

async function sendEvent(context: IExecuteFunctions, item: number): Promise<IDataObject[]> {
	const { gatewayUrl, source, secret } = await context.getCredentials('hookmillSourceApi', item);
	const wrong = wrongSecrets(secret);
	if (wrong) throw new Misused(`Signing secret: ${wrong}`);
	const body = jsonBytes(context.getNodeParameter('body', item));
	if (!body) throw new Misused('The body is not JSON');
	const id = idOf(context, item, body);
	if (!/^[A-Za-z0-9_-]{1,64}$/.test(String(source)))
		throw new Misused('The source is not the name of one');
	const attempt = attempting(context, 'hookmillSourceApi', {
		method: 'POST',
		url: urlOf(gatewayUrl, `/hooks/${String(source)}`),
		headers: { 'webhook-id': id },
		body,
	});
	const done = await send(attempt, patienceOf(context, item));
	if ('problem' in done) throw new Failed(done.problem);
	return [{ ...done.sent, webhookId: id }];
}

/** Give the id that was set, or one that n8n's own retries repeat. */
function idOf(context: IExecuteFunctions, item: number, body: Buffer): string {
	const set = String(context.getNodeParameter('eventId', item, '') ?? '');
	if (set !== '') {
		if (!isId(set)) throw new Misused('The event ID is not 1 to 128 visible characters of ASCII');
		return set;
	}
	const run = String(context.getWorkflowDataProxy(item).$runIndex);
	const places = [
		context.getInstanceId(),
		context.getWorkflow().id ?? '',
		context.getExecutionId(),
	];
	return stableId([...places, context.getNode().id, run, String(item)], body);
}

async function getEvent(context: IExecuteFunctions, item: number): Promise<IDataObject[]> {
	const id = workId(context, item);
	return [await read(context, item, 'gatewayUrl', `/events/${id}`, {})];
}

async function listEvents(context: IExecuteFunctions, item: number): Promise<IDataObject[]> {
	return await listed(context, item, { base: 'gatewayUrl', path: '/events', rows: 'events' });
}

async function listDead(context: IExecuteFunctions, item: number): Promise<IDataObject[]> {
	return await listed(context, item, { base: 'adminUrl', path: '/dead', rows: 'letters' });
}

interface Listing {
	base: 'gatewayUrl' | 'adminUrl';
	path: string;
	rows: string;
}

async function listed(
	context: IExecuteFunctions,
	item: number,
	from: Listing,
): Promise<IDataObject[]> {
	const all = context.getNodeParameter('returnAll', item) as boolean;
	const most = all ? MOST_ROWS : (context.getNodeParameter('limit', item) as number);
	const asked = filters(context, item);
	const page = async (limit: number, cursor: string | null): Promise<Page<IDataObject>> => {
		const query = { ...asked, limit, ...(cursor === null ? {} : { cursor }) };
		const told = await read(context, item, from.base, from.path, query);
		if (!Array.isArray(told[from.rows]))
			throw new Failed(problemOf({ status: 200, headers: {}, body: '' }));
		return {
			rows: told[from.rows] as IDataObject[],
			cursor: (told.cursor ?? null) as string | null,
		};
	};
	const { rows, more } = await collect(page, most);
	if (all && more)
		throw new Misused(`There are more than ${MOST_ROWS}: filter them, or set a limit`);
	return rows;
}

/** Take the filters that are set; the names are those of the API. */
function filters(context: IExecuteFunctions, item: number): IDataObject {
	const set = context.getNodeParameter('filters', item, {}) as IDataObject;
	const kept = Object.entries(set).filter(([, value]) => value !== '' && value !== undefined);
	return Object.fromEntries(kept.map(([name, value]) => [name, String(value)]));
}

async function replay(context: IExecuteFunctions, item: number): Promise<IDataObject[]> {
	const id = workId(context, item);
	const scratch = context.getNodeParameter('from', item) === 'scratch';
	const { adminUrl } = await context.getCredentials('hookmillApi', item);
	const attempt = attempting(context, 'hookmillApi', {
		method: 'POST',
		url: urlOf(adminUrl, '/dead/replay'),
		headers: { 'content-type': 'application/json' },
		body: Buffer.from(JSON.stringify({ ids: [id], scratch })),
	});
	const told = succeeded(await persist(attempt, turnedAway, patienceOf(context, item)));
	const [letter] = (told.letters ?? []) as Array<{ answer?: string }>;
	const answer = letter?.answer ?? '';
	return [{ id, answer, replayed: answer === 'queued' }];
}

async function read(
	context: IExecuteFunctions,
	item: number,
	base: 'gatewayUrl' | 'adminUrl',
	path: string,
	qs: IDataObject,
): Promise<IDataObject> {
	const credentials = await context.getCredentials('hookmillApi', item);
	const url = urlOf(credentials[base], path);
	const headers = { accept: 'application/json' };
	const attempt = attempting(context, 'hookmillApi', { method: 'GET', url, headers, qs });
	return succeeded(await persist(attempt, passing, patienceOf(context, item)));
}

function succeeded(outcome: Outcome): IDataObject {
	const told = 'failed' in outcome || outcome.status !== 200 ? undefined : objectOf(outcome.body);
	if (!told) throw new Failed(problemOf(outcome));
	return told as IDataObject;
}

function workId(context: IExecuteFunctions, item: number): string {
	const id = String(context.getNodeParameter('id', item)).trim();
	if (!WORK_ID.test(id))
		throw new Misused('The ID is not one of an event (evt_…) or a delivery (dlv_…)');
	return id;
}

function urlOf(base: unknown, path: string): string {
	const text = String(base ?? '').replace(/\/+$/, '');
	if (!/^https?:\/\/[^/?#@\s]+(\/[^?#\s]*)?$/.test(text))
		throw new Misused('The URL in the credential is none');
	return text + path;
}

function patienceOf(context: IExecuteFunctions, item: number): Patience {
	const set = context.getNodeParameter('options', item, {}) as {
		patience?: number;
		timeout?: number;
	};
	return { patience: (set.patience ?? 30) * 1000, timeout: (set.timeout ?? 10) * 1000, sleep };
}

/** Make the try of a request. It follows no redirect: what is signed is for this host alone. */
function attempting(
	context: IExecuteFunctions,
	credential: string,
	request: IHttpRequestOptions,
): Attempt {
	return async (timeout) => {
		const options = {
			...request,
			headers: { ...request.headers },
			timeout,
			disableFollowRedirect: true,
			ignoreHttpStatusErrors: true,
			returnFullResponse: true,
		};
		try {
			const given = await context.helpers.httpRequestWithAuthentication.call(
				context,
				credential,
				options,
			);
			return { status: given.statusCode, headers: given.headers, body: given.body };
		} catch (error) {
			return { failed: codeOf(error) };
		}
	};
}

/** Give the code of what went wrong on the way, such as ECONNREFUSED; its text may hold what was sent. */
function codeOf(error: unknown): string {
	for (
		let one = error as { code?: unknown; cause?: unknown } | undefined;
		one;
		one = one.cause as typeof one
	) {
		if (typeof one.code === 'string' && /^[A-Z_]{3,40}$/.test(one.code)) return one.code;
	}
	return 'no answer';
}
