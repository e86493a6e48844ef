import type { EventEnvelope } from '../platform/protocol';

interface Held {
  /** The newest event of this room that the state contains. */
  last: number;
  /** The same for each room of the feed: it is joined as a whole, and each has a chain of its own. */
  parts: Map<string, number>;
  /** The snapshot's place in the whole log; events up to it are in the state. */
  at: number;
}

/** What is joined to get the events of `room`. */
function joinedAs(room: string): string {
  return room.startsWith('activity/') ? 'activity' : room;
}

export type Verdict = 'apply' | 'duplicate' | 'gap' | 'stranger';

/**
 * Which rooms we want, which we hold state of, and up to where.
 *
 * Every event names the one before it in its room, so any loss shows at the next event, whoever lost it.
 */
export class Rooms {
  readonly #wanted = new Map<string, number>();
  readonly #held = new Map<string, Held>();
  readonly #joining = new Map<string, number>();
  readonly refused = new Map<string, string>();

  /** True if nobody wanted it before. */
  want(room: string): boolean {
    const count = this.#wanted.get(room) ?? 0;
    this.#wanted.set(room, count + 1);
    if (count === 0) this.refused.delete(room);
    return count === 0;
  }

  /** True if nobody wants it any more. */
  release(room: string): boolean {
    const count = this.#wanted.get(room) ?? 0;
    if (count > 1) {
      this.#wanted.set(room, count - 1);
      return false;
    }
    this.#wanted.delete(room);
    this.#held.delete(room);
    this.#joining.delete(room);
    return count === 1;
  }

  wanted(): string[] {
    return [...this.#wanted.keys()].filter((room) => !this.refused.has(room));
  }

  isWanted(room: string): boolean {
    return this.#wanted.has(room);
  }

  holds(room: string): boolean {
    return this.#held.has(room);
  }

  last(room: string): number | undefined {
    const held = this.#held.get(joinedAs(room));
    return held && joinedAs(room) !== room ? (held.parts.get(room) ?? held.at) : held?.last;
  }

  forgetAll(): void {
    this.#held.clear();
    this.#joining.clear();
  }

  refuse(room: string, code: string): void {
    this.#held.delete(room);
    this.refused.set(room, code);
  }

  joined(room: string, mode: 'resumed' | 'snapshot' | 'live', head: number): void {
    this.#joining.set(room, head);
    // Resumed: what was missed follows, so `last` stays where we were, else the replay would look like a gap.
    if (mode !== 'snapshot' && !this.#held.has(room)) this.#held.set(room, { last: head, parts: new Map(), at: 0 });
  }

  snapshot(room: string, at: number): void {
    this.#held.set(room, { last: this.#joining.get(room) ?? 0, parts: new Map(), at });
  }

  judge(event: EventEnvelope): Verdict {
    const held = this.#held.get(joinedAs(event.room));
    if (!held) return 'stranger';
    const last = joinedAs(event.room) === 'activity' ? (held.parts.get(event.room) ?? held.at) : held.last;
    if (event.seq <= last || event.seq <= held.at) return 'duplicate';
    if (event.prev !== last && event.prev > held.at) return 'gap';
    return 'apply';
  }

  advance(event: EventEnvelope): void {
    const held = this.#held.get(joinedAs(event.room));
    if (!held) return;
    held.last = Math.max(held.last, event.seq);
    if (joinedAs(event.room) === 'activity') held.parts.set(event.room, event.seq);
  }

  /** At `synced`: a room whose replay ended before its head has lost something. The answer is where to resume. */
  shortfall(): number | undefined {
    let from: number | undefined;
    for (const [room, head] of this.#joining) {
      const held = this.#held.get(room);
      if (held && held.last < head && held.at < head) from = Math.min(from ?? held.last, held.last);
    }
    this.#joining.clear();
    return from;
  }
}
