import { Position } from '@xyflow/react';
import type { StepKind } from '../../platform/protocol';
import type { UnitNode } from './GraphNodes';
import { layout } from './layout';
import type { Diagram, Unit } from './layout';
import type { TrackEdgeType } from './TrackEdge';

export interface Planned {
  key: string;
  id: string;
  title: string;
  kind: StepKind;
  needs: readonly string[];
  matrix?: boolean;
}

/** Only what the drawing depends on: a new state of a step gives the same text, and so the same layout. */
function structure(steps: readonly Planned[]): string {
  return JSON.stringify(
    steps.map((step) => [step.key, step.id, step.title, step.kind, step.needs, step.matrix ?? false]),
  );
}

export interface Drawn {
  diagram: Diagram;
  nodes: UnitNode[];
  edges: TrackEdgeType[];
}

function draw(run: string | undefined, text: string): Drawn {
  const steps = (JSON.parse(text) as [string, string, string, StepKind, string[], boolean][]).map(
    ([key, id, title, kind, needs, matrix]): Planned => ({ key, id, title, kind, needs, matrix }),
  );
  const diagram = layout(steps);
  const planned = new Map(steps.map((step) => [step.key, step]));
  const keysOf = new Map(diagram.units.map((unit) => [unit.id, unit.keys]));
  return {
    diagram,
    nodes: diagram.units.map((unit) => node(run, unit, planned)),
    edges: diagram.tracks.map((track) => ({
      id: track.id,
      source: track.from,
      target: track.to,
      type: 'track',
      data: { run, from: keysOf.get(track.from) ?? [], to: keysOf.get(track.to) ?? [], points: track.points },
    })),
  };
}

function node(run: string | undefined, unit: Unit, planned: ReadonlyMap<string, Planned>): UnitNode {
  const step = planned.get(unit.keys[0] ?? '');
  const end = { y: unit.height / 2, width: 1, height: 1 };
  return {
    id: unit.id,
    type: unit.group ? 'matrix' : 'step',
    position: { x: unit.x, y: unit.y },
    width: unit.width,
    height: unit.height,
    // Told, so that the library need not put every node into the page once to find out.
    measured: { width: unit.width, height: unit.height },
    handles: [
      { type: 'target', position: Position.Left, x: 0, ...end },
      { type: 'source', position: Position.Right, x: unit.width, ...end },
    ],
    data: {
      run,
      unit,
      title: unit.group ? groupTitle(unit, planned) : (step?.title ?? unit.id),
      kind: step?.kind ?? 'command',
      many: step?.matrix ?? false,
    },
  };
}

const drawn = new Map<string, Drawn>();

/** The same nodes for the same steps: the library looks through all of them, and makes them anew, when they are others. */
export function drawing(run: string | undefined, steps: readonly Planned[]): Drawn {
  const text = structure(steps);
  const key = `${run ?? ''} ${text}`;
  let found = drawn.get(key);
  if (!found) {
    if (drawn.size > 8) drawn.clear();
    found = draw(run, text);
    drawn.set(key, found);
  }
  return found;
}

/** What the children of a matrix are all called; their own values are told beside their lamps. */
function groupTitle(unit: Unit, planned: ReadonlyMap<string, Planned>): string {
  const titles = new Set(unit.keys.map((key) => planned.get(key)?.title));
  const [title] = titles;
  return titles.size === 1 && title !== undefined ? title : unit.id;
}
