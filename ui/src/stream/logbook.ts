import type { LogChunk, LogLine, LogPage, LogTail } from '../platform/protocol';

const PAGE = 256;
const MAX_PAGES = 800;
const encoder = new TextEncoder();

export interface Line {
  text: string;
  stream: string;
  cut?: number;
}

/**
 * The lines of one attempt's log, as far as they are known: a sparse array, so that the middle of a
 * log of millions of lines costs what is looked at, and live pieces find their place by number.
 */
export class Logbook {
  readonly #pages = new Map<number, (Line | undefined)[]>();
  total = 0;
  bytes = 0;
  live = true;
  /** Raised by every change. */
  version = 0;
  /** A piece was too large for the stream: the host knows the lines, we do not yet. */
  behind = false;
  /** Whether the host was asked for the totals. */
  loaded = false;
  /** Up to this byte the lines that we hold are exact. */
  #known = 0;

  get(n: number): Line | undefined {
    return this.#pages.get(Math.floor(n / PAGE))?.[n % PAGE];
  }

  page(page: LogPage): void {
    for (const line of page.lines) this.#put(line.n, lineOf(line));
    this.total = Math.max(this.total, page.total_lines);
    this.bytes = Math.max(this.bytes, page.total_bytes);
    const last = page.lines.at(-1);
    if (!last || last.n + 1 >= page.total_lines) {
      this.#known = Math.max(this.#known, page.total_bytes);
      this.behind = false;
    }
    this.live = page.live;
    this.loaded = true;
    this.#changed();
  }

  tail(tail: LogTail): void {
    for (const chunk of tail.chunks) this.chunk(chunk);
    this.total = Math.max(this.total, tail.lines);
    this.bytes = Math.max(this.bytes, tail.bytes);
    this.#changed();
  }

  chunk(chunk: LogChunk): void {
    const length = encoder.encode(chunk.text).length;
    const repeated = chunk.offset < this.#known;
    const parts = chunk.text.split('\n');
    const open = parts.pop() ?? '';
    let n = chunk.line;
    for (const [index, part] of parts.entries()) {
      this.#piece(n, part, chunk.stream, index === 0, repeated);
      n += 1;
    }
    if (open !== '' && !chunk.blob) {
      this.#piece(n, open, chunk.stream, parts.length === 0, repeated);
      n += 1;
    }
    this.total = Math.max(this.total, n);
    if (chunk.blob) {
      this.behind = true;
      this.total = Math.max(this.total, chunk.line + (linesOf(chunk) ?? 0));
      this.bytes = Math.max(this.bytes, chunk.offset + chunk.blob.bytes);
    } else {
      this.#known = Math.max(this.#known, chunk.offset + length);
      this.bytes = Math.max(this.bytes, chunk.offset + length);
    }
    this.#changed();
  }

  /** The first run of lines between `from` and `to` (excluded) that is not held. */
  missing(from: number, to: number): { from: number; to: number } | undefined {
    const end = Math.min(to, this.total);
    let start = from;
    while (start < end && this.get(start)) start += 1;
    if (start >= end) return undefined;
    let stop = end;
    while (stop > start && this.get(stop - 1)) stop -= 1;
    return { from: start, to: stop };
  }

  #piece(n: number, text: string, stream: string, first: boolean, repeated: boolean): void {
    const held = this.get(n);
    if (held && repeated) return;
    // The beginning of this line came with the piece before, which did not end in a newline.
    this.#put(n, held && first ? { ...held, text: held.text + text } : { text, stream });
  }

  #put(n: number, line: Line): void {
    const index = Math.floor(n / PAGE);
    let page = this.#pages.get(index);
    if (!page) {
      page = [];
      if (this.#pages.size >= MAX_PAGES) this.#evict(index);
      this.#pages.set(index, page);
    }
    page[n % PAGE] = line;
  }

  /** The page farthest from where we are is the one least likely to be seen next. */
  #evict(near: number): void {
    let worst = near;
    for (const index of this.#pages.keys()) if (Math.abs(index - near) > Math.abs(worst - near)) worst = index;
    this.#pages.delete(worst);
  }

  #changed(): void {
    this.version += 1;
  }
}

/** How many lines a piece holds, its blob included; hosts before it was said leave it out. */
function linesOf(chunk: LogChunk & { lines?: number }): number | undefined {
  return chunk.lines;
}

function lineOf(line: LogLine): Line {
  return line.cut ? { text: line.text, stream: line.stream, cut: line.cut } : { text: line.text, stream: line.stream };
}
