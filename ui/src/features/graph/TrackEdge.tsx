import type { Edge, EdgeProps } from '@xyflow/react';
import { memo } from 'react';
import { useTopic } from '../../store/topics';
import { world } from '../../store/client';
import type { Point } from './layout';
import { trackState } from './states';
import { trackPath } from './track';

export interface TrackData extends Record<string, unknown> {
  run: string | undefined;
  from: readonly string[];
  to: readonly string[];
  points: Point[];
}

export type TrackEdgeType = Edge<TrackData>;

export const TrackEdge = memo(function TrackEdge({ data }: EdgeProps<TrackEdgeType>) {
  const run = data?.run ?? '';
  const state = useTopic(`steps:${run}`, () =>
    data
      ? trackState(
          data.from.map((key) => world.step(run, key)),
          data.to.map((key) => world.step(run, key)),
        )
      : 'dark',
  );
  if (!data) return null;
  const path = trackPath(data.points);
  return (
    <g className="track" data-track={state}>
      <path className="track-bed" d={path} />
      <path className="track-line" d={path} />
    </g>
  );
});
