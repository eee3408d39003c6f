import type { ICredentialType, Icon, INodeProperties } from 'n8n-workflow';

/** What verifies what Hookmill delivers: the secrets of the sink. Hookmill Trigger tests it. */
export class HookmillSinkApi implements ICredentialType {
	name = 'hookmillSinkApi';

	displayName = 'Hookmill Sink API';

	icon: Icon = { light: 'file:../icons/hookmill.svg', dark: 'file:../icons/hookmill.dark.svg' };

	documentationUrl = 'https://www.standardwebhooks.com';

	properties: INodeProperties[] = [
		{
			displayName: 'Signing Secrets',
			name: 'secrets',
			type: 'string',
			typeOptions: { password: true },
			default: '',
			required: true,
			description:
				'The secret of the sink, <code>whsec_…</code>; while it is changed, the old and the new one with a space between',
		},
		{
			displayName: 'Tolerance (Seconds)',
			name: 'tolerance',
			type: 'number',
			typeOptions: { minValue: 1, maxValue: 3600 },
			default: 300,
			description: 'How far the time of a delivery may be from now, in the past and in the future',
		},
	];
}
