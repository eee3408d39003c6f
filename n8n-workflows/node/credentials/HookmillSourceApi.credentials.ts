import { randomUUID } from 'node:crypto';

import type {
	IAuthenticate,
	ICredentialDataDecryptedObject,
	ICredentialType,
	Icon,
	IHttpRequestOptions,
	INodeProperties,
} from 'n8n-workflow';

import { signedHeaders } from '../wire/signature';

/** Signs what is posted to a source. Hookmill tests it; the HTTP Request node can sign with it, too. */
export class HookmillSourceApi implements ICredentialType {
	name = 'hookmillSourceApi';

	displayName = 'Hookmill Source API';

	icon: Icon = { light: 'file:../icons/hookmill.svg', dark: 'file:../icons/hookmill.dark.svg' };

	documentationUrl = 'https://www.standardwebhooks.com';

	properties: INodeProperties[] = [
		{
			displayName: 'Gateway URL',
			name: 'gatewayUrl',
			type: 'string',
			default: 'http://127.0.0.1:8420',
			required: true,
			description: 'Where events are posted',
		},
		{
			displayName: 'Source',
			name: 'source',
			type: 'string',
			default: 'n8n',
			required: true,
			description: 'The name of the source; its scheme is <code>standard</code>',
		},
		{
			displayName: 'Signing Secret',
			name: 'secret',
			type: 'string',
			typeOptions: { password: true },
			default: '',
			required: true,
			description: 'The secret of the source, <code>whsec_…</code>',
		},
	];

	authenticate: IAuthenticate = async (
		credentials: ICredentialDataDecryptedObject,
		request: IHttpRequestOptions,
	): Promise<IHttpRequestOptions> => {
		const body = bytesOf(request.body);
		const id = String(request.headers?.['webhook-id'] ?? `n8n_${randomUUID()}`);
		const headers = signedHeaders(String(credentials.secret), { id, body, now: Date.now() });
		return { ...request, body, headers: { ...request.headers, ...headers } };
	};
}

function bytesOf(body: IHttpRequestOptions['body']): Buffer {
	if (Buffer.isBuffer(body)) return body;
	return Buffer.from(typeof body === 'string' ? body : JSON.stringify(body ?? {}));
}
