import type {
	ICredentialsDecrypted,
	ICredentialTestFunctions,
	IExecuteFunctions,
	INodeCredentialTestResult,
	INodeExecutionData,
	INodeType,
	INodeTypeDescription,
} from 'n8n-workflow';
import { NodeApiError, NodeConnectionTypes, NodeOperationError } from 'n8n-workflow';

import { Failed, operationOf } from './operations';
import { deadLetterFields, eventFields, operations } from './properties';
import { testSource } from './testSource';

export class Hookmill implements INodeType {
	description: INodeTypeDescription = {
		displayName: 'Hookmill',
		name: 'hookmill',
		icon: { light: 'file:../../icons/hookmill.svg', dark: 'file:../../icons/hookmill.dark.svg' },
		group: ['transform'],
		version: 1,
		subtitle: '={{$parameter["operation"] + ": " + $parameter["resource"]}}',
		description: 'Sends events to Hookmill, reads what became of them, and has them worked again',
		defaults: { name: 'Hookmill' },
		usableAsTool: true,
		inputs: [NodeConnectionTypes.Main],
		outputs: [NodeConnectionTypes.Main],
		credentials: [
			{
				name: 'hookmillSourceApi',
				required: true,
				testedBy: 'sourceTakesSignature',
				displayOptions: { show: { resource: ['event'], operation: ['send'] } },
			},
			{
				name: 'hookmillApi',
				required: true,
				displayOptions: { show: { operation: ['get', 'getAll', 'replay'] } },
			},
		],
		properties: [
			{
				displayName: 'Resource',
				name: 'resource',
				type: 'options',
				noDataExpression: true,
				options: [
					{ name: 'Dead Letter', value: 'deadLetter' },
					{ name: 'Event', value: 'event' },
				],
				default: 'event',
			},
			...operations,
			...eventFields,
			...deadLetterFields,
		],
	};

	methods = {
		credentialTest: {
			async sourceTakesSignature(
				this: ICredentialTestFunctions,
				credential: ICredentialsDecrypted,
			): Promise<INodeCredentialTestResult> {
				return await testSource(credential.data ?? {});
			},
		},
	};

	async execute(this: IExecuteFunctions): Promise<INodeExecutionData[][]> {
		const given: INodeExecutionData[] = [];
		for (let item = 0; item < this.getInputData().length; item += 1) {
			try {
				const operation = operationOf(this, item);
				const rows = await operation(this, item);
				given.push(...rows.map((json) => ({ json, pairedItem: { item } })));
			} catch (error) {
				if (!this.continueOnFail()) throw asNodeError(this, error, item);
				given.push({ json: { error: (error as Error).message }, pairedItem: { item } });
			}
		}
		return [given];
	}
}

function asNodeError(context: IExecuteFunctions, error: unknown, itemIndex: number): Error {
	if (error instanceof Failed) {
		const { problem } = error;
		return new NodeApiError(context.getNode(), { ...problem }, { ...problem, itemIndex });
	}
	return new NodeOperationError(context.getNode(), error as Error, { itemIndex });
}
