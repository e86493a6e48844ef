import { useEffect } from 'react';
import type { History } from '../stream/agents';
import { logKey } from '../stream/keys';
import { here, useRoom, world } from './client';
import { useTopic } from './topics';

const PAGE = 1_000;

/** Something of the past: how much of it is here, and how to ask once more. */
export interface Past {
  state: History | undefined;
  again: () => void;
}

/**
 * What agents of a step said and did before what the room's snapshot tells, page by page backwards,
 * while somebody looks at it. Pages, snapshot and live events may overlap.
 */
export function useHistory(run: string, step: string): Past {
  const room = useRoom(`run/${run}`);
  const state = useTopic(`history:${run}`, () => world.historyOf(run, step));
  useEffect(() => {
    if (room !== 'filled' || state !== undefined) return;
    void readBack(run, step);
  }, [run, step, room, state]);
  return { state, again: () => void readBack(run, step) };
}

async function readBack(run: string, step: string): Promise<void> {
  const session = here();
  const { world } = session;
  if (world.historyOf(run, step) === 'loading') return;
  const turn = world.turnOf(run);
  const tell = (state: History) => {
    world.history(run, step, state);
    session.show();
  };
  tell('loading');
  try {
    for (;;) {
      const before = world.knownFrom(run, step);
      const page = await session.call('run.transcript', {
        run,
        step,
        limit: PAGE,
        ...(before === undefined ? {} : { before }),
      });
      // A new snapshot meanwhile: whoever shows the step begins anew.
      if (world.turnOf(run) !== turn) return;
      world.earlier(run, step, page.events, page.more && page.events.length > 0);
      session.show();
      if (world.historyOf(run, step) !== 'loading') return;
      // What is older than what is kept in memory would be dropped at once.
      if (world.droppedOf(run, step)) {
        tell('complete');
        return;
      }
    }
  } catch (failed) {
    if (world.turnOf(run) === turn) tell({ failed });
  }
}

/** The changed files of an attempt: the newest comes with the room, an older one is asked for. */
export function useChanges(run: string, step: string, attempt: number): Past {
  const room = useRoom(`run/${run}`);
  // A snapshot may make an attempt an older one.
  const turn = useTopic(`history:${run}`, () => world.turnOf(run));
  const state = useTopic(`agent:${logKey(run, step, attempt)}`, () => world.changesOf(run, step, attempt));
  useEffect(() => {
    if (room !== 'filled' || state !== undefined) return;
    void readChanges(run, step, attempt);
  }, [run, step, attempt, room, state, turn]);
  return { state, again: () => void readChanges(run, step, attempt) };
}

async function readChanges(run: string, step: string, attempt: number): Promise<void> {
  const session = here();
  const { world } = session;
  if (world.changesOf(run, step, attempt) === 'loading') return;
  world.changes(run, step, attempt, 'loading');
  session.show();
  try {
    const { files } = await session.call('run.diff', { run, step, attempt });
    world.changes(run, step, attempt, files);
  } catch (failed) {
    world.changes(run, step, attempt, { failed });
  }
  session.show();
}
