import type { INodeProperties } from 'n8n-workflow';

const STATES = ['dead', 'discarded', 'done', 'queued', 'running', 'waiting'];

export const operations: INodeProperties[] = [
	{
		displayName: 'Operation',
		name: 'operation',
		type: 'options',
		noDataExpression: true,
		displayOptions: { show: { resource: ['event'] } },
		options: [
			{
				name: 'Get',
				value: 'get',
				action: 'Get an event',
				description: 'Get where an event or a delivery is, its steps, and its result',
			},
			{
				name: 'Get Many',
				value: 'getAll',
				action: 'Get many events',
				description: 'List events, newest first',
			},
			{
				name: 'Replay',
				value: 'replay',
				action: 'Replay an event',
				description: 'Have an event that is over worked again',
			},
			{
				name: 'Send',
				value: 'send',
				action: 'Send an event',
				description: 'Post an event, signed',
			},
		],
		default: 'send',
	},
	{
		displayName: 'Operation',
		name: 'operation',
		type: 'options',
		noDataExpression: true,
		displayOptions: { show: { resource: ['deadLetter'] } },
		options: [
			{
				name: 'Get Many',
				value: 'getAll',
				action: 'Get many dead letters',
				description: 'List what Hookmill has given up on, the last first',
			},
			{
				name: 'Replay',
				value: 'replay',
				action: 'Replay a dead letter',
				description: 'Have a dead letter worked again',
			},
		],
		default: 'getAll',
	},
];

const onlySend = { show: { resource: ['event'], operation: ['send'] } };
const onlyLists = { show: { operation: ['getAll'] } };

export const eventFields: INodeProperties[] = [
	{
		displayName: 'Body',
		name: 'body',
		type: 'json',
		default: '={{ $json }}',
		required: true,
		displayOptions: onlySend,
		description: 'The event, as the pipeline of the source reads it; the whole item by default',
	},
	{
		displayName: 'Event ID',
		name: 'eventId',
		type: 'string',
		default: '',
		displayOptions: onlySend,
		description:
			"The same event is taken once: name what makes it the same, such as an order number. Empty: an ID that n8n's own retries repeat, but not a workflow that runs again.",
	},
	{
		displayName: 'ID',
		name: 'id',
		type: 'string',
		default: '',
		required: true,
		placeholder: 'evt_…',
		displayOptions: { show: { operation: ['get', 'replay'] } },
		description: 'ID of the event (evt_…) or of the delivery (dlv_…)',
	},
	{
		displayName: 'Begin',
		name: 'from',
		type: 'options',
		options: [
			{
				name: 'At the Failed Step',
				value: 'failedStep',
				description: 'What finished steps made is kept; results are delivered under the same IDs',
			},
			{
				name: 'From Scratch',
				value: 'scratch',
				description: 'Every step is worked, and paid, again; results are delivered under new IDs',
			},
		],
		default: 'failedStep',
		displayOptions: { show: { operation: ['replay'] } },
		description: 'Where the work begins again',
	},
	{
		displayName: 'Return All',
		name: 'returnAll',
		type: 'boolean',
		default: false,
		displayOptions: onlyLists,
		description: 'Whether to return all results or only up to a given limit',
	},
	{
		displayName: 'Limit',
		name: 'limit',
		type: 'number',
		typeOptions: { minValue: 1, maxValue: 10_000 },
		default: 50,
		displayOptions: { show: { operation: ['getAll'], returnAll: [false] } },
		description: 'Max number of results to return',
	},
	{
		displayName: 'Filters',
		name: 'filters',
		type: 'collection',
		placeholder: 'Add Filter',
		default: {},
		displayOptions: { show: { resource: ['event'], operation: ['getAll'] } },
		options: [
			{
				displayName: 'Repeated',
				name: 'repeated',
				type: 'boolean',
				default: true,
				description: 'Whether their sender sent them more than once',
			},
			{ displayName: 'Source', name: 'source', type: 'string', default: '' },
			{
				displayName: 'State',
				name: 'state',
				type: 'options',
				options: STATES.map((value) => ({ name: value[0]!.toUpperCase() + value.slice(1), value })),
				default: 'done',
			},
		],
	},
];

export const deadLetterFields: INodeProperties[] = [
	{
		displayName: 'Filters',
		name: 'filters',
		type: 'collection',
		placeholder: 'Add Filter',
		default: {},
		displayOptions: { show: { resource: ['deadLetter'], operation: ['getAll'] } },
		options: [
			{ displayName: 'Error Class', name: 'error_class', type: 'string', default: '' },
			{ displayName: 'Pipeline', name: 'pipeline', type: 'string', default: '' },
			{
				displayName: 'Since',
				name: 'since',
				type: 'string',
				default: '',
				placeholder: '24h',
				description: 'A time with its zone, or how long ago: 30m, 24h',
			},
			{ displayName: 'Sink', name: 'sink', type: 'string', default: '' },
			{ displayName: 'Source', name: 'source', type: 'string', default: '' },
			{ displayName: 'Step', name: 'step', type: 'string', default: '' },
			{
				displayName: 'Until',
				name: 'until',
				type: 'string',
				default: '',
				placeholder: '1h',
				description: 'A time with its zone, or how long ago',
			},
		],
	},
	{
		displayName: 'Options',
		name: 'options',
		type: 'collection',
		placeholder: 'Add option',
		default: {},
		options: [
			{
				displayName: 'Patience (Seconds)',
				name: 'patience',
				type: 'number',
				typeOptions: { minValue: 0, maxValue: 600 },
				default: 30,
				description:
					'How long to ask again where Hookmill answers 429 or 503, or not at all; 0 asks once',
			},
			{
				displayName: 'Timeout (Seconds)',
				name: 'timeout',
				type: 'number',
				typeOptions: { minValue: 1, maxValue: 60 },
				default: 10,
				description: 'How long to wait for one answer',
			},
		],
	},
];
