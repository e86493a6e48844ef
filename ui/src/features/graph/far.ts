import type { Step } from '../../platform/protocol';
import type { Tone } from '../../shared/status';
import type { Drawn } from './drawing';
import { CHILD, GROUP_BORDER, GROUP_HEAD, GROUP_PAD, TILE, childName } from './layout';
import type { Diagram, Point, Unit } from './layout';
import { lookOf, panelLook, trackState } from './states';
import type { TrackState } from './states';
import { trackCorners } from './track';

/** The diagram as it is seen from so far away that a step is a few pixels: what there is to paint, and where it is. */
export interface Scene {
  fields: Field[];
  frames: Unit[];
  lines: Line[];
  width: number;
  height: number;
}

export interface Area {
  x: number;
  y: number;
  width: number;
  height: number;
}

/** A step, in the measures of the diagram. */
export interface Field extends Area {
  key: string;
  name: string;
  /** Of its corners. */
  round: number;
}

export interface Line {
  from: readonly string[];
  to: readonly string[];
  corners: Point[];
}

/** What changes while a run is at work, in the order of the scene's fields, frames and lines. */
export interface Shades {
  fields: Tone[];
  frames: Tone[];
  lines: TrackState[];
}

/** Elements of the page for a step are some ten, for a track three; so many of both are no trouble. */
const FEW = 300;

export function isCrowded(diagram: Diagram): boolean {
  return diagram.units.reduce((sum, unit) => sum + unit.keys.length, diagram.tracks.length) > FEW;
}

/** Where graph.css puts the children of a matrix. */
function children(unit: Unit): Field[] {
  const left = unit.x + GROUP_BORDER / 2 + GROUP_PAD;
  const top = unit.y + GROUP_BORDER / 2 + GROUP_HEAD;
  const width = unit.width - GROUP_BORDER - GROUP_PAD * 2;
  const inRow = unit.compact ? Math.max(1, Math.floor(width / TILE)) : 1;
  return unit.keys.map((key, i) => ({
    key,
    name: childName(unit.id, key),
    round: 6,
    ...(unit.compact
      ? {
          x: left + (i % inRow) * TILE + 1,
          y: top + Math.floor(i / inRow) * TILE + 1,
          width: TILE - 2,
          height: TILE - 2,
        }
      : { x: left, y: top + i * CHILD, width, height: CHILD - 4 }),
  }));
}

function sceneOf({ diagram, nodes, edges }: Drawn): Scene {
  return {
    fields: nodes.flatMap(({ data: { unit, title } }) => {
      const { id, x, y, width, height } = unit;
      return unit.group ? children(unit) : [{ key: unit.keys[0] ?? id, name: title, round: 0, x, y, width, height }];
    }),
    frames: diagram.units.filter((unit) => unit.group),
    lines: edges.flatMap(({ data }) =>
      data ? [{ from: data.from, to: data.to, corners: trackCorners(data.points) }] : [],
    ),
    width: diagram.width,
    height: diagram.height,
  };
}

const scenes = new WeakMap<Diagram, Scene>();

/** Made once for a diagram, when it is first seen from afar. */
export function scene(drawn: Drawn): Scene {
  let found = scenes.get(drawn.diagram);
  if (!found) {
    found = sceneOf(drawn);
    scenes.set(drawn.diagram, found);
  }
  return found;
}

export function shadesOf(scene: Scene, step: (key: string) => Step | undefined): Shades {
  const known = (keys: readonly string[]) => keys.map(step);
  return {
    fields: scene.fields.map((field) => lookOf(step(field.key)).tone),
    frames: scene.frames.map((frame) => panelLook(known(frame.keys).filter((each) => each !== undefined)).tone),
    lines: scene.lines.map((line) => trackState(known(line.from), known(line.to))),
  };
}

/** The states whose tracks are others than before; undefined if nothing at all has another colour. */
export function changed(before: Shades, after: Shades): Set<TrackState> | undefined {
  const states = new Set<TrackState>();
  after.lines.forEach((state, i) => {
    const was = before.lines[i];
    if (was === state) return;
    states.add(state);
    if (was) states.add(was);
  });
  const isSame = (one: readonly Tone[], other: readonly Tone[]) => one.every((tone, i) => tone === other[i]);
  const isNone = states.size === 0 && isSame(after.fields, before.fields) && isSame(after.frames, before.frames);
  return isNone ? undefined : states;
}

/** The field at a point; else the nearest that is no farther than `slack`: from afar a step is smaller than a hand is sure. */
export function fieldAt(fields: readonly Field[], { x, y }: Point, slack: number): Field | undefined {
  let found: Field | undefined;
  let least = slack;
  for (const field of fields) {
    const across = Math.max(field.x - x, 0, x - field.x - field.width);
    const down = Math.max(field.y - y, 0, y - field.y - field.height);
    const away = Math.hypot(across, down);
    if (away > least) continue;
    if (away === 0) return field;
    found = field;
    least = away;
  }
  return found;
}

/** Where the diagram's corner is in the frame, how large it is drawn, and the frame. All in pixels of the page. */
export interface View {
  x: number;
  y: number;
  zoom: number;
  width: number;
  height: number;
}

/** Painted around the diagram, for the outline of a step at its edge. */
const EDGE = 6;

/** What of the diagram is within `margin` of the frame, in pixels from the diagram's corner at this zoom. */
export function areaInView(view: View, scene: Scene, margin: number): Area | undefined {
  const left = Math.max(-view.x - margin, -EDGE);
  const top = Math.max(-view.y - margin, -EDGE);
  const right = Math.min(-view.x + view.width + margin, scene.width * view.zoom + EDGE);
  const bottom = Math.min(-view.y + view.height + margin, scene.height * view.zoom + EDGE);
  return right > left && bottom > top ? { x: left, y: top, width: right - left, height: bottom - top } : undefined;
}

export function covers(painted: Area | undefined, wanted: Area | undefined): boolean {
  if (!wanted) return true;
  return (
    painted !== undefined &&
    painted.x <= wanted.x &&
    painted.y <= wanted.y &&
    painted.x + painted.width >= wanted.x + wanted.width &&
    painted.y + painted.height >= wanted.y + wanted.height
  );
}

/** Out to whole pixels of the screen, of which there are `ratio` to one of the page: nothing is painted between two. */
export function toScreen(area: Area, ratio: number): Area {
  const x = Math.floor(area.x * ratio) / ratio;
  const y = Math.floor(area.y * ratio) / ratio;
  return {
    x,
    y,
    width: Math.ceil((area.x + area.width - x) * ratio) / ratio,
    height: Math.ceil((area.y + area.height - y) * ratio) / ratio,
  };
}
