import { call, here } from '../../store/client';
import type { Logbook } from '../../stream/logbook';
import { logKey } from '../../stream/world';

const PAGE = 500;
const PULL = 1_000;
const busy = new Map<string, Promise<unknown>>();

export interface LogRef {
  run: string;
  step: string;
  attempt: number;
}

function fetchPage(ref: LogRef, offset: number | undefined, limit: number): Promise<unknown> {
  const key = `${logKey(ref.run, ref.step, ref.attempt)} ${String(offset)}`;
  const held = busy.get(key);
  if (held) return held;
  // Another host may be shown when the answer comes: it belongs to the one that was asked.
  const session = here();
  const { world } = session;
  const asked = session
    .call('run.log', offset === undefined ? { ...ref, limit } : { ...ref, offset, limit })
    .then((page) => {
      world.logbook(ref.run, ref.step, ref.attempt).page(page);
      world.dirty.add(`log:${logKey(ref.run, ref.step, ref.attempt)}`);
      session.show();
    })
    .finally(() => busy.delete(key));
  busy.set(key, asked);
  return asked;
}

/** The end of the log and its totals. */
export function pullTail(ref: LogRef): Promise<unknown> {
  return fetchPage(ref, undefined, PULL);
}

/** Fills what is missing around the lines that are seen. */
export function pullAround(ref: LogRef, book: Logbook, from: number, to: number): Promise<unknown> | undefined {
  const hole = book.missing(Math.max(0, from), to);
  if (!hole) return undefined;
  return fetchPage(ref, Math.floor(hole.from / PAGE) * PAGE, PULL);
}

/** The whole log as clean text, in pages, oldest first. */
export async function* wholeLog(ref: LogRef): AsyncGenerator<{ lines: string[]; done: number; total: number }> {
  let offset = 0;
  for (;;) {
    const page = await call('run.log', { ...ref, offset, limit: 5_000 }, 60_000);
    const last = page.lines.at(-1);
    if (!last) return;
    offset = last.n + 1;
    yield { lines: page.lines.map((line) => line.text), done: offset, total: page.total_lines };
    if (offset >= page.total_lines) return;
  }
}
