import type {
	ICredentialsDecrypted,
	ICredentialTestFunctions,
	IDataObject,
	IHookFunctions,
	INodeCredentialTestResult,
	INodeType,
	INodeTypeDescription,
	IWebhookFunctions,
	IWebhookResponseData,
} from 'n8n-workflow';
import { NodeConnectionTypes, NodeOperationError } from 'n8n-workflow';

import type { Verdict } from '../../wire/delivery';
import { judge } from '../../wire/delivery';
import { wrongSecrets } from '../../wire/signature';
import { properties } from './properties';

const KIB = 1024;

export class HookmillTrigger implements INodeType {
	description: INodeTypeDescription = {
		displayName: 'Hookmill Trigger',
		name: 'hookmillTrigger',
		icon: { light: 'file:../../icons/hookmill.svg', dark: 'file:../../icons/hookmill.dark.svg' },
		group: ['trigger'],
		version: 1,
		subtitle: '={{$parameter["path"]}}',
		description: 'Starts the workflow with what Hookmill delivers, once its signature is verified',
		defaults: { name: 'Hookmill Trigger' },
		inputs: [],
		outputs: [NodeConnectionTypes.Main],
		credentials: [{ name: 'hookmillSinkApi', required: true, testedBy: 'secretsAreReadable' }],
		webhooks: [
			{
				name: 'default',
				httpMethod: 'POST',
				isFullPath: true,
				path: '={{$parameter["path"]}}',
				responseMode: '={{$parameter["responseMode"]}}',
				responseCode: '={{$parameter["responseCode"] || 200}}',
				responseData: 'noData',
			},
		],
		properties,
	};

	methods = {
		credentialTest: {
			async secretsAreReadable(
				this: ICredentialTestFunctions,
				credential: ICredentialsDecrypted,
			): Promise<INodeCredentialTestResult> {
				const wrong = wrongSecrets(credential.data?.secrets);
				if (wrong) return { status: 'Error', message: `Signing secrets: ${wrong}` };
				return {
					status: 'OK',
					message: 'The secrets can be read; only a delivery tells if they are right',
				};
			},
		},
	};

	/** Nothing is registered elsewhere: the URL stands in hookmill.toml. Only the secrets are looked at. */
	webhookMethods = {
		default: {
			async checkExists(this: IHookFunctions): Promise<boolean> {
				return false;
			},
			async create(this: IHookFunctions): Promise<boolean> {
				const { secrets } = await this.getCredentials('hookmillSinkApi');
				const wrong = wrongSecrets(secrets);
				if (wrong) throw new NodeOperationError(this.getNode(), `Signing secrets: ${wrong}`);
				return true;
			},
			async delete(this: IHookFunctions): Promise<boolean> {
				return true;
			},
		},
	};

	/** Nothing may be thrown from here: n8n would answer 500, and start the workflow with an empty item. */
	async webhook(this: IWebhookFunctions): Promise<IWebhookResponseData> {
		const verdict = await judged(this);
		if ('delivery' in verdict) {
			return { workflowData: [[{ json: { ...verdict.delivery } as IDataObject }]] };
		}
		const response = this.getResponseObject();
		response.writeHead(verdict.status, { 'content-type': 'application/json' });
		response.end(JSON.stringify(answerOf(verdict)));
		return { noWebhookResponse: true };
	}
}

async function judged(context: IWebhookFunctions): Promise<Verdict> {
	try {
		const { secrets, tolerance } = await context.getCredentials('hookmillSinkApi');
		const { maxBody = KIB } = context.getNodeParameter('options', {}) as { maxBody?: number };
		const request = context.getRequestObject();
		return judge(
			{
				headers: request.headers,
				body: Buffer.isBuffer(request.rawBody) ? request.rawBody : undefined,
			},
			{
				secrets: String(secrets ?? ''),
				tolerance: Number(tolerance),
				mostBytes: maxBody * KIB,
				types: context.getNodeParameter('types', ['result']) as string[],
				pipelines: listed(context.getNodeParameter('pipelines', '') as string),
				now: Date.now() / 1000,
			},
		);
	} catch {
		return { status: 500, code: 'secret_unusable' };
	}
}

function answerOf({ status, code }: { status: number; code: string }): object {
	return status < 300 ? { status: code } : { error: code };
}

function listed(text: string): string[] {
	return text
		.split(',')
		.map((one) => one.trim())
		.filter((one) => one !== '');
}
