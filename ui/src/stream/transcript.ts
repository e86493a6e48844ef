import type {
  AgentError,
  AgentPlan,
  AgentSession,
  AgentText,
  AgentUsage,
  BlobRef,
  Correction,
  FileDiff,
  Permission,
  Speaker,
  ToolCall,
} from '../platform/protocol';

/** A stretch of text. After it, text may be missing: too large for the stream (`blob`), or lost (`gap`). */
export interface Part {
  readonly text: string;
  readonly blob?: BlobRef;
  readonly gap?: boolean;
}

export interface TextEntry {
  readonly kind: 'message' | 'thought';
  readonly key: string;
  /** The event that it was first seen in: entries are in this order, whatever order they come in. */
  readonly first: number;
  readonly from: Speaker;
  readonly parts: readonly Part[];
  /** Bytes that are known from the start without a hole. */
  readonly bytes: number;
  /** Later text came, but not yet what is before it. */
  readonly waiting: boolean;
  readonly repeated: boolean;
}

interface Upserted<K extends string, T> {
  readonly kind: K;
  readonly key: string;
  readonly first: number;
  /** The event that this state is from. */
  readonly at: number;
  readonly value: T;
}

export type ToolEntry = Upserted<'tool', ToolCall>;
export type ErrorEntry = Upserted<'error', AgentError>;
export type CorrectionEntry = Upserted<'correction', Correction>;
export type PermissionEntry = Upserted<'permission', Permission>;
export type Entry = TextEntry | ToolEntry | ErrorEntry | CorrectionEntry | PermissionEntry;

/** Events of agents: what a transcript is made of. */
export type AgentEvent =
  | { type: 'agent_session'; data: AgentSession }
  | { type: 'agent_message' | 'agent_thought'; data: AgentText }
  | { type: 'tool_call'; data: ToolCall }
  | { type: 'plan_update'; data: AgentPlan }
  | { type: 'file_diff'; data: FileDiff }
  | { type: 'usage_update'; data: AgentUsage }
  | { type: 'agent_error'; data: AgentError }
  | { type: 'correction'; data: Correction }
  | { type: 'permission_requested' | 'permission_resolved'; data: Permission };

const TYPES: ReadonlySet<string> = new Set<AgentEvent['type']>([
  'agent_session',
  'agent_message',
  'agent_thought',
  'tool_call',
  'plan_update',
  'file_diff',
  'usage_update',
  'agent_error',
  'correction',
  'permission_requested',
  'permission_resolved',
]);

export function isAgentEvent(event: { type: string }): event is AgentEvent {
  return TYPES.has(event.type);
}

interface Dated<T> {
  value: T;
  at: number;
}

/** A stretch whose place is not reached yet. */
interface Early {
  offset: number;
  length: number;
  text: string;
  blob?: BlobRef;
}

/** Beyond these the oldest entries go; the log still has them. */
const ENTRIES_KEPT = 20_000;
const CHARS_KEPT = 32_000_000;
const DROPPED_AT_ONCE = 1_000;
/** Stretches of one message that may wait for what is before them. */
const EARLY_KEPT = 500;

/**
 * What one attempt's agent said and did, built from events by upserts. Events may come twice and in
 * any order: live ones meet those from the log's history.
 *
 * Changes in place, entry by entry: an entry is replaced when it changes, so that a row can compare by identity.
 */
export class Transcript {
  readonly entries: Entry[] = [];
  readonly files = new Map<string, Dated<FileDiff>>();
  session: AgentSession | undefined;
  plan: AgentPlan | undefined;
  usage: AgentUsage | undefined;
  /** Raised by every change. */
  version = 0;
  /** Raised by every change of `files`. */
  filesVersion = 0;
  /** Older entries that were dropped to save memory. */
  dropped = 0;
  readonly #byKey = new Map<string, Entry>();
  readonly #early = new Map<string, Early[]>();
  readonly #dates = { session: 0, plan: 0, usage: 0 };
  /** Entries first seen before this event were dropped, and stay so. */
  #floor = 0;
  #chars = 0;

  apply(seq: number, event: AgentEvent): void {
    switch (event.type) {
      case 'agent_message':
        this.#text('message', seq, event.data);
        break;
      case 'agent_thought':
        this.#text('thought', seq, event.data);
        break;
      case 'tool_call':
        this.#upsert('tool', event.data.id, seq, event.data);
        break;
      case 'agent_error':
        // Errors have no id: each event is one.
        this.#upsert('error', String(seq), seq, event.data);
        break;
      case 'correction':
        this.#upsert('correction', String(event.data.number), seq, event.data);
        break;
      case 'permission_requested':
      case 'permission_resolved':
        this.#upsert('permission', event.data.id, seq, event.data);
        break;
      case 'agent_session':
        if (this.#newer('session', seq)) this.session = event.data;
        break;
      case 'plan_update':
        if (this.#newer('plan', seq)) this.plan = event.data;
        break;
      case 'usage_update':
        if (this.#newer('usage', seq)) this.usage = event.data;
        break;
      case 'file_diff': {
        const held = this.files.get(event.data.path);
        if (held && held.at >= seq) break;
        this.files.set(event.data.path, { value: event.data, at: seq });
        this.filesVersion += 1;
        break;
      }
    }
    this.version += 1;
  }

  get(key: string): Entry | undefined {
    return this.#byKey.get(key);
  }

  /** All files of the attempt as they were at a place in the log: what is not named is as before. */
  filesAt(seq: number, files: readonly FileDiff[]): void {
    const named = new Set(files.map((file) => file.path));
    for (const [path, { at }] of this.files) if (at <= seq && !named.has(path)) this.files.delete(path);
    for (const value of files) {
      const held = this.files.get(value.path);
      if (!held || held.at <= seq) this.files.set(value.path, { value, at: seq });
    }
    this.filesVersion += 1;
    this.version += 1;
  }

  /** Files that differ now, by name. */
  changes(): FileDiff[] {
    return [...this.files.values()]
      .map((file) => file.value)
      .filter((file) => file.status !== 'unchanged')
      .sort((a, b) => (a.path < b.path ? -1 : a.path > b.path ? 1 : 0));
  }

  /** All of the history was read: what is missing in a text now will not come any more. */
  settle(): void {
    for (const key of [...this.#early.keys()]) {
      for (;;) {
        const early = this.#early.get(key);
        const entry = this.#byKey.get(key) as TextEntry | undefined;
        const next = early?.reduce((a, b) => (b.offset < a.offset ? b : a));
        if (!entry || !next) break;
        const parts = entry.parts.length > 0 ? [...entry.parts] : [{ text: '' }];
        parts.push({ ...(parts.pop() ?? { text: '' }), gap: true });
        this.#put({ ...entry, parts, bytes: next.offset });
        this.#drain(key);
      }
      this.#early.delete(key);
    }
    this.version += 1;
  }

  #newer(what: 'session' | 'plan' | 'usage', seq: number): boolean {
    if (this.#dates[what] >= seq) return false;
    this.#dates[what] = seq;
    return true;
  }

  #upsert<K extends Exclude<Entry['kind'], TextEntry['kind']>>(
    kind: K,
    id: string,
    seq: number,
    value: Extract<Entry, { kind: K }>['value'],
  ): void {
    const key = `${kind} ${id}`;
    const held = this.#byKey.get(key) as Upserted<K, typeof value> | undefined;
    if (!held) {
      this.#insert({ kind, key, first: seq, at: seq, value } as unknown as Entry);
      return;
    }
    const newest = seq > held.at ? { at: seq, value } : { at: held.at, value: held.value };
    this.#replace(held as unknown as Entry, { ...held, ...newest } as unknown as Entry, seq);
  }

  #text(kind: TextEntry['kind'], seq: number, piece: AgentText): void {
    const key = `${kind} ${piece.id}`;
    let entry = this.#byKey.get(key) as TextEntry | undefined;
    if (!entry) {
      entry = {
        kind,
        key,
        first: seq,
        from: piece.from,
        parts: [],
        bytes: 0,
        waiting: false,
        repeated: piece.repeated ?? false,
      };
      if (!this.#insert(entry)) return;
    } else if (seq < entry.first || (piece.repeated && !entry.repeated)) {
      entry = this.#replace(entry, { ...entry, repeated: entry.repeated || (piece.repeated ?? false) }, seq);
    }
    const length = piece.blob ? piece.blob.bytes : utf8Length(piece.text);
    if (piece.offset + length <= entry.bytes) return;
    if (piece.offset === entry.bytes) {
      this.#put(this.#grown(entry, piece.text, piece.blob, piece.offset + length));
      if (this.#early.size > 0) this.#drain(key);
      return;
    }
    const early = this.#early.get(key) ?? [];
    const end = piece.offset + length;
    if (early.some((other) => other.offset <= piece.offset && other.offset + other.length >= end)) return;
    // A page of the past brings many pieces of one stretch: it waits as one.
    const before = piece.blob
      ? undefined
      : early.find((other) => !other.blob && other.offset + other.length === piece.offset);
    if (before) {
      before.text += piece.text;
      before.length += length;
    } else early.push({ offset: piece.offset, length, text: piece.text, ...(piece.blob ? { blob: piece.blob } : {}) });
    // The farthest is the one that history brings last.
    if (early.length > EARLY_KEPT)
      early.splice(early.indexOf(early.reduce((a, b) => (b.offset > a.offset ? b : a))), 1);
    this.#early.set(key, early);
    this.#drain(key);
  }

  /** Appends what has its place now. */
  #drain(key: string): void {
    let early = this.#early.get(key);
    let entry = this.#byKey.get(key) as TextEntry | undefined;
    if (!early || !entry) return;
    for (;;) {
      const { bytes } = entry as TextEntry;
      early = early.filter((piece) => piece.offset + piece.length > bytes);
      const next = early.find((piece) => piece.offset <= bytes);
      if (!next) break;
      const text = next.offset === bytes ? next.text : afterBytes(next.text, bytes - next.offset);
      entry = this.#grown(entry as TextEntry, text, next.blob, next.offset + next.length);
    }
    const waiting = early.length > 0;
    if (waiting) this.#early.set(key, early);
    else this.#early.delete(key);
    this.#put(entry.waiting === waiting ? entry : { ...entry, waiting });
  }

  #grown(entry: TextEntry, text: string, blob: BlobRef | undefined, bytes: number): TextEntry {
    this.#chars += text.length;
    const last = entry.parts.at(-1);
    const open = last !== undefined && !last.blob && !last.gap;
    const grown: Part = { text: open ? last.text + text : text, ...(blob ? { blob } : {}) };
    return {
      ...entry,
      parts: entry.parts.length === (open ? 1 : 0) ? [grown] : [...entry.parts.slice(0, open ? -1 : undefined), grown],
      bytes,
    };
  }

  /** Puts a newer state of an entry in its place, and the place right if it turns out to be older than known. */
  #replace<T extends Entry>(old: T, next: T, seq: number): T {
    if (seq >= old.first) {
      this.#put(next);
      return next;
    }
    this.entries.splice(this.#find(old.first), 1);
    this.#byKey.delete(old.key);
    const moved = { ...next, first: seq };
    this.#insert(moved);
    return moved;
  }

  #put(entry: Entry): void {
    const at = this.#find(entry.first);
    if (this.entries[at]?.key !== entry.key) return;
    this.entries[at] = entry;
    this.#byKey.set(entry.key, entry);
  }

  #insert(entry: Entry): boolean {
    if (entry.first < this.#floor) return false;
    const last = this.entries.at(-1);
    if (!last || last.first < entry.first) this.entries.push(entry);
    else this.entries.splice(this.#find(entry.first), 0, entry);
    this.#byKey.set(entry.key, entry);
    if (this.entries.length > ENTRIES_KEPT + DROPPED_AT_ONCE || this.#chars > CHARS_KEPT) this.#shed();
    return this.#byKey.has(entry.key);
  }

  /** The first place whose entry is not older. */
  #find(first: number): number {
    let low = 0;
    let high = this.entries.length;
    // Most news is about what is at the end.
    if (this.entries[high - 1]?.first === first) return high - 1;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.entries[middle] as Entry).first < first) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  #shed(): void {
    let gone = 0;
    let chars = this.#chars;
    while (gone < this.entries.length - 1 && (this.entries.length - gone > ENTRIES_KEPT || chars > CHARS_KEPT * 0.9)) {
      const entry = this.entries[gone] as Entry;
      if ('parts' in entry) for (const part of entry.parts) chars -= part.text.length;
      this.#byKey.delete(entry.key);
      this.#early.delete(entry.key);
      gone += 1;
    }
    this.entries.splice(0, gone);
    this.#chars = chars;
    this.dropped += gone;
    this.#floor = this.entries[0]?.first ?? this.#floor;
  }
}

/** Bytes of a text in UTF-8, as the host counts them. */
export function utf8Length(text: string): number {
  let bytes = text.length;
  for (let at = 0; at < text.length; at += 1) {
    const unit = text.charCodeAt(at);
    if (unit < 0x80) continue;
    if (unit < 0x800) bytes += 1;
    // Each half of a pair is two of the four bytes.
    else if (unit >= 0xd800 && unit <= 0xdfff) bytes += 1;
    else bytes += 2;
  }
  return bytes;
}

/** What is left of a text after its first bytes. Never begins within a character. */
function afterBytes(text: string, skip: number): string {
  let bytes = 0;
  for (const character of text) {
    if (bytes >= skip) break;
    bytes += utf8Length(character);
    text = text.slice(character.length);
  }
  return text;
}
