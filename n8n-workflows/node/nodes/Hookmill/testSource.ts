import type { ICredentialDataDecryptedObject, INodeCredentialTestResult } from 'n8n-workflow';

import { objectOf } from '../../wire/problem';
import { signedHeaders } from '../../wire/signature';

const TIMEOUT = 10_000; // ms

/**
 * Try a source: post bytes that are signed, but are no JSON.
 *
 * The gateway checks the signature first. So `json_invalid` says that the secret is right, and nothing is stored.
 */
export async function testSource(
	credentials: ICredentialDataDecryptedObject,
): Promise<INodeCredentialTestResult> {
	const body = Buffer.from('a test of the signature');
	const url = `${String(credentials.gatewayUrl).replace(/\/+$/, '')}/hooks/${String(credentials.source)}`;
	try {
		const headers = signedHeaders(String(credentials.secret), {
			id: 'n8n_test',
			body,
			now: Date.now(),
		});
		const init = {
			method: 'POST',
			headers,
			body,
			redirect: 'manual',
			signal: AbortSignal.timeout(TIMEOUT),
		} as const;
		const answer = await fetch(url, init);
		const code = String(objectOf(await answer.text())?.code ?? `HTTP ${answer.status}`);
		if (code === 'json_invalid')
			return { status: 'OK', message: 'The source takes this signature' };
		return { status: 'Error', message: `The source answered ${code}` };
	} catch (error) {
		return { status: 'Error', message: (error as Error).message };
	}
}
