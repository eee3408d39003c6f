import type {
	IAuthenticateGeneric,
	ICredentialTestRequest,
	ICredentialType,
	Icon,
	INodeProperties,
} from 'n8n-workflow';

/** Reads events and replays them, with a token: `hookmill token create n8n --scope read,replay`. */
export class HookmillApi implements ICredentialType {
	name = 'hookmillApi';

	displayName = 'Hookmill API';

	icon: Icon = { light: 'file:../icons/hookmill.svg', dark: 'file:../icons/hookmill.dark.svg' };

	documentationUrl = 'https://www.rfc-editor.org/rfc/rfc6750';

	properties: INodeProperties[] = [
		{
			displayName: 'Gateway URL',
			name: 'gatewayUrl',
			type: 'string',
			default: 'http://127.0.0.1:8420',
			required: true,
			description: 'Where events are read',
		},
		{
			displayName: 'Admin URL',
			name: 'adminUrl',
			type: 'string',
			default: 'http://127.0.0.1:8421',
			description: 'Where dead letters are listed and events are replayed',
		},
		{
			displayName: 'Token',
			name: 'token',
			type: 'string',
			typeOptions: { password: true },
			default: '',
			required: true,
			description: 'With the scope read, and with replay to replay',
		},
	];

	authenticate: IAuthenticateGeneric = {
		type: 'generic',
		properties: { headers: { Authorization: '=Bearer {{$credentials.token}}' } },
	};

	test: ICredentialTestRequest = {
		request: {
			baseURL: '={{$credentials.gatewayUrl}}',
			url: '/events',
			qs: { limit: 1 },
			disableFollowRedirect: true,
		},
	};
}
