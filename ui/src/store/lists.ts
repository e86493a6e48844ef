import type { Methods, Present, ServerFrame } from '../platform/protocol';
import type { World } from '../stream/world';

/** Members that were asked for because they are present and not known, at most; a new connection begins anew. */
const ASKED_KEPT = 1_000;

type Call = <M extends 'project.list' | 'member.list'>(
  method: M,
  params: Methods[M]['params'],
) => Promise<Methods[M]['reply']>;

/**
 * The projects and members of a person who does not see the host's room: they are asked for, and whatever is not in
 * the answer is not theirs any more.
 *
 * Each connection asks for the host's room anew, and each time it is refused both lists are read again. A change of
 * rights ends the connection, so that is also when the lists follow it.
 */
export class Lists {
  /** Counts the connections that were refused the room: an answer to an older one says nothing. */
  #turn = 0;
  readonly #asked = new Set<string>();

  constructor(
    private readonly world: World,
    private readonly call: Call,
    /** Shows what was changed. */
    private readonly changed: () => void,
  ) {}

  /** After the world took the frame. */
  apply(frame: ServerFrame): void {
    if (frame.type === 'left' && frame.room === 'host' && frame.code !== 'unsubscribed') {
      this.#turn += 1;
      this.#asked.clear();
      void this.#projects();
      void this.#members();
    } else if (this.world.refused.has('host')) {
      if (frame.type === 'presence' && frame.state) this.#present([frame.member]);
      else if (frame.type === 'snapshot' && (frame.state.of === 'project' || frame.state.of === 'run'))
        this.#present((frame.state.presence ?? []).map((present: Present) => present.member));
    }
  }

  /** Somebody is here of whom nothing is known: who joined since. Each is asked for once. */
  #present(members: readonly string[]): void {
    const unknown = members.filter((member) => !this.world.members.has(member) && !this.#asked.has(member));
    if (unknown.length === 0 || this.#asked.size >= ASKED_KEPT) return;
    for (const member of unknown) this.#asked.add(member);
    void this.#members();
  }

  async #projects(): Promise<void> {
    const turn = this.#turn;
    // Without an answer what is known stays: the next connection asks again.
    const answer = await this.call('project.list', {}).catch(() => undefined);
    if (!answer || !this.#current(turn)) return;
    this.world.seesOnly(answer.projects);
    this.changed();
  }

  async #members(): Promise<void> {
    const turn = this.#turn;
    const answer = await this.call('member.list', {}).catch(() => undefined);
    if (!answer || !this.#current(turn)) return;
    this.world.setMembers(answer.members);
    this.changed();
  }

  /** Not once the room itself tells, nor after a newer question. */
  #current(turn: number): boolean {
    return turn === this.#turn && this.world.refused.has('host');
  }
}

/** The project whose audit list is shown; none: that of the whole host, or there is no project to show it of. */
export function auditedProject(
  seesAll: boolean,
  projects: readonly { id: string }[],
  chosen: string | undefined,
): string | undefined {
  if (seesAll) return undefined;
  // The chosen one may be theirs no more.
  return (projects.find((project) => project.id === chosen) ?? projects[0])?.id;
}
