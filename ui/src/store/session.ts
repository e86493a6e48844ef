import { findTransport } from '../platform/environment';
import type { Methods, PresenceState } from '../platform/protocol';
import { checkSession } from '../platform/session';
import { CallFailed } from '../stream/calls';
import { nextFrame, systemClock } from '../stream/clock';
import { Connection } from '../stream/connection';
import { initialLink } from '../stream/link';
import type { LinkState } from '../stream/link';
import { World } from '../stream/world';
import { Lists } from './lists';

const OPEN_PROJECTS = 100;

/**
 * One host: its connection, and all that is known of it. Nothing of it is ever in the session of another host; a page
 * that shows several has one for each.
 */
export class Session {
  readonly world = new World();
  link: LinkState = initialLink;
  connection: Connection | undefined;
  /** Where this person was when another host was shown. */
  path = '/';
  readonly #early = new Set<string>();
  readonly #present = new Map<string, PresenceState>();
  readonly #followed = new Set<string>();
  readonly #lists = new Lists(
    this.world,
    (method, params) => this.call(method, params),
    () => this.show(),
  );
  #starting: Promise<void> | undefined;
  #ended = false;

  constructor(
    /** Its name in the list of the desktop; `undefined`: the one of this computer, or of this browser's address. */
    readonly host: string | undefined,
    /** What changed, each time after a group of frames. */
    private readonly changed: (session: Session, topics: string[]) => void,
  ) {}

  connect(): Promise<void> {
    if (this.connection) {
      this.connection.start();
      return Promise.resolve();
    }
    this.#starting ??= this.#open();
    return this.#starting;
  }

  async #open(): Promise<void> {
    const transport = await findTransport(this.host);
    if (this.#ended) return;
    this.connection = new Connection({
      transport,
      clock: systemClock,
      schedule: nextFrame,
      client: { name: 'signalbox-ui', version: __VERSION__, instance: crypto.randomUUID() },
      sink: {
        forget: () => {
          this.#followed.clear();
          this.world.forget();
        },
        apply: (frame) => {
          this.world.apply(frame);
          this.#lists.apply(frame);
        },
        flushed: () => this.show(),
      },
      changed: (next) => {
        this.link = next;
        this.changed(this, ['link']);
      },
      session: checkSession,
    });
    for (const room of ['host', 'activity', ...this.#early]) this.connection.join(room);
    this.#early.clear();
    // A page that is opened at its address says where it is before there is a connection.
    for (const [room, state] of this.#present) this.connection.presence(room, state);
    this.#present.clear();
    this.connection.start();
  }

  /** Ends it for good. */
  end(): void {
    this.#ended = true;
    this.connection?.stop();
  }

  /** Shows what was changed outside the stream's flush. */
  show(): void {
    const topics = [...this.world.dirty];
    this.world.dirty.clear();
    if (topics.includes('projects') || topics.includes('*')) this.#followProjects();
    if (topics.length > 0) this.changed(this, topics);
  }

  join(room: string): void {
    if (this.connection) this.connection.join(room);
    else this.#early.add(room);
  }

  leave(room: string): void {
    this.connection?.leave(room);
  }

  presence(room: string, state: PresenceState | undefined): void {
    if (this.connection) this.connection.presence(room, state);
    else if (state) this.#present.set(room, state);
    else this.#present.delete(room);
  }

  /** Asks the host. Waits for a connection if there is none, and survives the loss of one. */
  async call<M extends keyof Methods>(
    method: M,
    params: Methods[M]['params'],
    timeoutMs?: number,
  ): Promise<Methods[M]['reply']> {
    if (!this.connection)
      throw new CallFailed({ code: 'unavailable', message: 'Not connected yet. Nothing was done.' });
    const size = JSON.stringify(params).length;
    const limit = this.link.limits?.frame_bytes ?? 65_536;
    if (size > limit - 512) {
      throw new CallFailed({
        code: 'limit_exceeded',
        message: `This is larger than the host takes in one message (${String(Math.round(limit / 1024))} KiB). Nothing was done.`,
        hint: 'Shorten it, or edit the file in the project folder.',
      });
    }
    return this.connection.call(method, params, timeoutMs);
  }

  /** The rooms of open projects are always joined: the inbox and the title speak for all of them. */
  #followProjects(): void {
    for (const room of this.#followed) {
      if (this.world.projects.has(room.slice('project/'.length))) continue;
      this.#followed.delete(room);
      this.connection?.leave(room);
    }
    for (const project of this.world.projects.values()) {
      const room = `project/${project.id}`;
      if (project.open && !this.#followed.has(room) && this.#followed.size < OPEN_PROJECTS) {
        this.#followed.add(room);
        this.connection?.join(room);
      }
    }
  }
}
