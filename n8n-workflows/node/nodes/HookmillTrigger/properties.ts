import type { INodeProperties } from 'n8n-workflow';

export const properties: INodeProperties[] = [
	{
		displayName:
			"Name this URL as the <code>url</code> of a sink in hookmill.toml, and take the sink's secret for the credential",
		name: 'notice',
		type: 'notice',
		default: '',
	},
	{
		displayName: 'Path',
		name: 'path',
		type: 'string',
		default: 'hookmill',
		required: true,
		description: 'The end of the URL; no other workflow may have the same',
	},
	{
		displayName: 'Types',
		name: 'types',
		type: 'multiOptions',
		options: [
			{
				name: 'Alert',
				value: 'alert',
				description: 'A notice: dead letters, budgets, keys of models',
			},
			{ name: 'Result', value: 'result', description: 'What a pipeline made of an event' },
		],
		default: ['result'],
		required: true,
		description: 'Whatever else is delivered is answered 200 and starts nothing',
	},
	{
		displayName: 'Pipelines',
		name: 'pipelines',
		type: 'string',
		default: '',
		placeholder: 'comment-sentiment, triage',
		description: 'Only results of these, with commas between; empty for all',
	},
	{
		displayName: 'Respond',
		name: 'responseMode',
		type: 'options',
		options: [
			{
				name: 'When Last Node Finishes',
				value: 'lastNode',
				description: 'With 500 when the workflow fails, so that Hookmill delivers again',
			},
			{
				name: 'Immediately',
				value: 'onReceived',
				description:
					'Before anything is done: what n8n then fails to do, or forgets as it dies, is lost',
			},
		],
		default: 'lastNode',
		description: 'When Hookmill is told that the delivery has arrived',
	},
	{
		displayName: 'Response Code',
		name: 'responseCode',
		type: 'options',
		options: [
			{ name: '200 OK', value: 200 },
			{ name: '202 Accepted', value: 202 },
		],
		default: 202,
		displayOptions: { show: { responseMode: ['onReceived'] } },
		description: 'Hookmill takes either for delivered',
	},
	{
		displayName: 'Options',
		name: 'options',
		type: 'collection',
		placeholder: 'Add option',
		default: {},
		options: [
			{
				displayName: 'Largest Body (KiB)',
				name: 'maxBody',
				type: 'number',
				typeOptions: { minValue: 1, maxValue: 16_384 },
				default: 1024,
				description: 'What is larger is answered 413',
			},
		],
	},
];
