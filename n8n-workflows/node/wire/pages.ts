/** Lists that come a page at a time. */

/** One page; `cursor` is where the next one begins, null after the last. */
export interface Page<Row> {
	rows: Row[];
	cursor: string | null;
}

export const LARGEST_PAGE = 200;
/** So many rows does "Return All" give at most: n8n holds them all in its memory. */
export const MOST_ROWS = 10_000;

/** Collect rows until there are `most` or no more; `more` tells that there are others. */
export async function collect<Row>(
	ask: (limit: number, cursor: string | null) => Promise<Page<Row>>,
	most: number,
): Promise<{ rows: Row[]; more: boolean }> {
	const rows: Row[] = [];
	let cursor: string | null = null;
	do {
		const page: Page<Row> = await ask(Math.min(LARGEST_PAGE, most - rows.length), cursor);
		rows.push(...page.rows);
		if (page.cursor === cursor) break; // a page that leads to itself would never end
		cursor = page.cursor;
	} while (cursor !== null && rows.length < most);
	return { rows, more: cursor !== null };
}
