import type { BlobRef, SignalboxEvent } from '../../platform/protocol';
import { CallFailed } from '../../stream/calls';
import { blobText } from '../../store/blobs';
import { call } from '../../store/client';
import template from './recording.html?raw';

/** Texts over this many bytes are left out of a page, and so is what would make all of them larger than `TEXTS`. */
const TEXT = 4 * 1024 * 1024;
const TEXTS = 64 * 1024 * 1024;
const PAGE = 500;

/** Every event of a run, in order. */
export async function eventsOf(run: string): Promise<SignalboxEvent[]> {
  const events: SignalboxEvent[] = [];
  let after: string | undefined;
  for (;;) {
    const page = await call('run.events', { run, limit: PAGE, ...(after === undefined ? {} : { after }) });
    events.push(...(page.events as SignalboxEvent[]));
    if (!page.more) return events;
    after = page.cursor;
  }
}

/** One event a line, as `signalbox export` writes them. */
export function asLines(events: readonly SignalboxEvent[]): string {
  return events.map((event) => `${JSON.stringify(event)}\n`).join('');
}

/** A page that plays the run again without host or network. */
export async function asPage(events: readonly SignalboxEvent[]): Promise<string> {
  const texts = new Map<string, BlobRef>();
  for (const { data } of events as unknown as { data?: { blob?: BlobRef } }[])
    if (data?.blob) texts.set(data.blob.hash, data.blob);
  const blobs: Record<string, string> = {};
  let left_out = 0;
  let all = 0;
  for (const [hash, blob] of texts) {
    const text = blob.bytes > TEXT || all + blob.bytes > TEXTS ? undefined : await kept(blob);
    if (text === undefined) {
      left_out += 1;
      continue;
    }
    blobs[hash] = text;
    all += blob.bytes;
  }
  return pageOf(JSON.stringify({ events, blobs, left_out }));
}

/** The page with its data: within a script element only `<` can end it. */
export function pageOf(data: string): string {
  const [before, after] = template.split('__RECORDING__') as [string, string];
  return before + data.replaceAll('<', '\\u003c') + after;
}

/** A long text; none if the host does not keep it any more. */
async function kept(blob: BlobRef): Promise<string | undefined> {
  try {
    return await blobText(blob);
  } catch (failure) {
    if (failure instanceof CallFailed && failure.detail.code === 'not_found') return undefined;
    throw failure;
  }
}
