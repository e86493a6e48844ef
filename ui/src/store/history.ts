import { useEffect } from 'react';
import type { History } from '../stream/world';
import { call, show, useRoom, world } from './client';
import { useTopic } from './topics';

const PAGE = 500;

/**
 * What agents of a run said and did before its room was joined, while something shows it. A room's
 * snapshot has states, not transcripts; what comes live meanwhile and what is read here may overlap.
 */
export function useHistory(run: string): { state: History | undefined; again: () => void } {
  const room = useRoom(`run/${run}`);
  const state = useTopic(`history:${run}`, () => world.histories.get(run));
  useEffect(() => {
    if (room === 'filled' && state === undefined) void read(run);
  }, [run, room, state]);
  return { state, again: () => void read(run) };
}

async function read(run: string): Promise<void> {
  if (world.histories.get(run) === 'loading') return;
  tell(run, 'loading');
  try {
    let after: string | undefined;
    for (;;) {
      const page = await call('event.list', {
        rooms: [`run/${run}`],
        limit: PAGE,
        ...(after === undefined ? {} : { after }),
      });
      // A new snapshot meanwhile: whoever shows the run begins anew.
      if (world.histories.get(run) !== 'loading') return;
      world.past(run, page.events);
      show();
      if (!page.more || page.cursor === after) break;
      after = page.cursor;
    }
    tell(run, 'complete');
  } catch (failed) {
    tell(run, { failed });
  }
}

function tell(run: string, state: History): void {
  world.history(run, state);
  show();
}
