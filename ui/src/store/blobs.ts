import type { BlobText } from '../platform/protocol';
import { isDesktop } from '../platform/environment';
import { CallFailed } from '../stream/calls';
import { here } from './client';

/** Texts above this are not for looking at. */
const LARGEST = 8 * 1024 * 1024;
const KEPT = 20;
const known = new Map<string, Promise<string>>();

/** The text of a blob. Its name is its hash, so it never changes; the last few are kept. */
export function blobText(blob: { hash: string; bytes: number }): Promise<string> {
  const held = known.get(blob.hash);
  if (held) return held;
  const asked = load(blob);
  known.set(blob.hash, asked);
  asked.catch(() => known.delete(blob.hash));
  for (const oldest of known.keys()) {
    if (known.size <= KEPT) break;
    known.delete(oldest);
  }
  return asked;
}

async function load({ hash, bytes }: { hash: string; bytes: number }): Promise<string> {
  if (bytes > LARGEST)
    throw new CallFailed({
      code: 'limit_exceeded',
      message: 'This is too large to be shown.',
      hint: 'Look at it on the host.',
    });
  // The window of the desktop app has no address to fetch from.
  if (isDesktop) return inPages(hash);
  const answer = await fetch(`/api/v1/blobs/${encodeURIComponent(hash)}`).catch(() => undefined);
  if (!answer?.ok)
    throw new CallFailed({
      code: answer?.status === 404 ? 'not_found' : 'unavailable',
      message: answer?.status === 404 ? 'The host does not keep this text any more.' : 'The text could not be loaded.',
    });
  return answer.text();
}

async function inPages(hash: string): Promise<string> {
  const session = here();
  let text = '';
  let offset: number | undefined = 0;
  while (offset !== undefined) {
    const page: BlobText = await session.call('blob.text', { hash, offset });
    text += page.text;
    offset = page.next;
  }
  return text;
}
