/** What people on one host share: who is here, what they say, and what each has still to see. */

import type {
  ChatMessage,
  Connection,
  MemberSnapshot,
  Notice,
  NoticesUpdated,
  Present,
  Profile,
  ReadMark,
  ServerFrame,
} from '../platform/protocol';

/** Messages of a project that are kept; older ones are asked for again. */
const CHAT_KEPT = 2_000;
/** Measurements of each connection that are kept for its plot: ten minutes, one each 5 s. */
const SAMPLES = 120;

export interface Sample {
  readonly at: number;
  readonly roundTrip: number | undefined;
  readonly lag: number;
  readonly events: number;
  readonly bytes: number;
}

export interface Heard {
  readonly connection: Connection;
  readonly samples: readonly Sample[];
}

interface Dated<T> {
  value: T;
  at: number;
}

/** Upserts, like everything in the world: a page of the past never overwrites what the stream said later. */
export class Team {
  /** By room and member. */
  readonly presence = new Map<string, Map<string, Present>>();
  /** By project and message. */
  readonly chats = new Map<string, Map<string, Dated<ChatMessage>>>();
  /** Those that were not read. */
  readonly notices = new Map<string, Notice>();
  unread = 0;
  /** Up to which event this member has read each project. */
  readonly marks = new Map<string, ReadMark>();
  /** What this member wants on every device. */
  profile: Profile | undefined;
  readonly connections = new Map<number, Heard>();
  measuredAt: number | undefined;

  constructor(private readonly dirty: Set<string>) {}

  forget(): void {
    this.gone();
    for (const map of [this.chats, this.notices, this.marks, this.connections]) map.clear();
    this.unread = 0;
    this.setProfile(undefined);
    this.measuredAt = undefined;
  }

  /** Whoever loses a connection forgets whom it saw: each room tells anew. */
  gone(): void {
    this.presence.clear();
    this.dirty.add('presence');
  }

  present(frame: Extract<ServerFrame, { type: 'presence' }>): void {
    const { room, member, name, state, devices } = frame;
    let here = this.presence.get(room);
    if (!here) this.presence.set(room, (here = new Map()));
    if (state) here.set(member, { room, member, name, state, ...(devices && { devices }) });
    else here.delete(member);
    this.dirty.add('presence');
  }

  here(room: string, present: readonly Present[] | undefined): void {
    this.presence.set(
      room,
      new Map((present ?? []).filter((each) => each.room === room).map((each) => [each.member, each])),
    );
    this.dirty.add('presence');
  }

  left(room: string): void {
    if (this.presence.delete(room)) this.dirty.add('presence');
  }

  /** Of a project that this person does not see any more. */
  drop(project: string): void {
    this.chats.delete(project);
    this.marks.delete(project);
    this.#read([...this.notices.values()].filter((notice) => notice.project === project).map((notice) => notice.id));
    this.presence.delete(`project/${project}`);
  }

  chat(project: string, messages: readonly ChatMessage[], at: number): void {
    let held = this.chats.get(project);
    if (!held) this.chats.set(project, (held = new Map()));
    for (const value of messages) {
      const known = held.get(value.id);
      if (!known || known.at <= at) held.set(value.id, { value, at });
    }
    if (held.size > CHAT_KEPT) {
      const oldest = [...held.values()].sort((a, b) => a.value.created_at - b.value.created_at);
      for (const { value } of oldest.slice(0, held.size - CHAT_KEPT)) held.delete(value.id);
    }
    this.dirty.add(`chat:${project}`);
  }

  mine({ notices, unread, marks, profile }: Pick<MemberSnapshot, 'notices' | 'unread' | 'marks' | 'profile'>): void {
    this.setProfile(profile);
    this.notices.clear();
    for (const notice of notices) this.notices.set(notice.id, notice);
    this.unread = unread;
    this.marks.clear();
    for (const mark of marks) this.mark(mark);
    this.dirty.add('notices');
  }

  setProfile(profile: Profile | undefined): void {
    this.profile = profile;
    this.dirty.add('profile');
  }

  mark(mark: ReadMark): void {
    const known = this.marks.get(mark.project);
    if (!known || known.seq < mark.seq) this.marks.set(mark.project, mark);
    this.dirty.add('notices');
  }

  /** Whether it is new: a page may tell of it as well. */
  notice(notice: Notice): boolean {
    const isNew = !this.notices.has(notice.id) && notice.read_at === undefined;
    if (notice.read_at !== undefined) {
      this.#read([notice.id]);
    } else {
      this.notices.set(notice.id, notice);
      if (isNew) this.unread += 1;
    }
    this.dirty.add('notices');
    return isNew;
  }

  noticesUpdated({ ids, delivered_at, read_at }: NoticesUpdated): void {
    if (read_at !== undefined) this.#read(ids);
    else if (delivered_at !== undefined)
      for (const id of ids) {
        const notice = this.notices.get(id);
        if (notice) this.notices.set(id, { ...notice, delivered_at });
      }
    this.dirty.add('notices');
  }

  #read(ids: readonly string[]): void {
    for (const id of ids) this.notices.delete(id);
    this.unread = Math.max(this.notices.size, this.unread - ids.length);
  }

  measured({ at, connections }: Extract<ServerFrame, { type: 'connection_stats' }>): void {
    const now = new Set(connections.map((connection) => connection.id));
    for (const id of this.connections.keys()) if (!now.has(id)) this.connections.delete(id);
    for (const connection of connections) {
      const sample: Sample = {
        at,
        roundTrip: connection.round_trip_ms,
        lag: connection.lag,
        events: connection.events,
        bytes: connection.bytes,
      };
      const before = this.connections.get(connection.id)?.samples ?? [];
      this.connections.set(connection.id, { connection, samples: [...before, sample].slice(-SAMPLES) });
    }
    this.measuredAt = at;
    this.dirty.add('connections');
  }
}
