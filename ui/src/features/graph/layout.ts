/** What the layout needs to know of a step: nothing that changes while it runs. */
export interface Stop {
  key: string;
  id: string;
  needs: readonly string[];
  /** What an agent does has a third line: who, and what it used up. */
  kind?: string;
}

/** A single step, or the children of a matrix drawn as one panel. */
export interface Unit {
  id: string;
  keys: string[];
  x: number;
  y: number;
  width: number;
  height: number;
  /** Steps of a large matrix are lamps without text. */
  compact: boolean;
  group: boolean;
}

export interface Point {
  x: number;
  y: number;
}

export interface Track {
  id: string;
  from: string;
  to: string;
  /** Corners of the track, left to right. */
  points: Point[];
}

export interface Diagram {
  units: Unit[];
  tracks: Track[];
  width: number;
  height: number;
}

export const NODE = { width: 196, height: 54 };
const AGENT = { width: 216, height: 74 };
export const GROUP_HEAD = 30;
export const GROUP_PAD = 8;
/** Both sides of it: within the size, as all boxes have it. */
export const GROUP_BORDER = 3;
export const CHILD = 34;
export const TILE = 22;
const TILES = 10;
const GROUP_TEXT_MAX = 8;
const GAP_X = 60;
const GAP_Y = 22;
const DUMMY = 10;
const MAX_DUMMIES = 3_000;
const SWEEPS = 6;

/** The value of a child of a matrix: its key without the step's id. */
export function childName(id: string, key: string): string {
  return key.startsWith(`${id}[`) ? key.slice(id.length + 1, -1) : key;
}

interface Cell {
  id: string;
  unit: Unit | undefined;
  layer: number;
  height: number;
  y: number;
  up: Cell[];
  down: Cell[];
}

function unitsOf(stops: readonly Stop[]): { units: Map<string, Unit>; needs: Map<string, Set<string>> } {
  const units = new Map<string, Unit>();
  const idOf = new Map<string, string>();
  for (const stop of stops) {
    idOf.set(stop.key, stop.id);
    const unit = units.get(stop.id);
    if (unit) unit.keys.push(stop.key);
    else
      units.set(stop.id, {
        id: stop.id,
        keys: [stop.key],
        x: 0,
        y: 0,
        ...NODE,
        ...(stop.kind === 'agent' ? AGENT : {}),
        compact: false,
        group: stop.key !== stop.id,
      });
  }
  const needs = new Map<string, Set<string>>();
  for (const stop of stops) {
    const set = needs.get(stop.id) ?? new Set<string>();
    for (const key of stop.needs) {
      const id = idOf.get(key) ?? key;
      if (id !== stop.id && units.has(id)) set.add(id);
    }
    needs.set(stop.id, set);
  }
  for (const unit of units.values()) {
    if (!unit.group) continue;
    unit.compact = unit.keys.length > GROUP_TEXT_MAX;
    const tiles = Math.min(unit.keys.length, Math.max(TILES, Math.ceil(Math.sqrt(unit.keys.length * 1.6))));
    unit.width = unit.compact
      ? Math.max(NODE.width, tiles * TILE + GROUP_PAD * 2 + GROUP_BORDER)
      : NODE.width + GROUP_PAD * 2;
    unit.height =
      GROUP_HEAD + GROUP_PAD + (unit.compact ? Math.ceil(unit.keys.length / tiles) * TILE : unit.keys.length * CHILD);
  }
  return { units, needs };
}

/** The layer of a unit is the longest way to it; a cycle, which no valid workflow has, is cut. */
function layers(units: Map<string, Unit>, needs: Map<string, Set<string>>): Map<string, number> {
  const layer = new Map<string, number>();
  const waits = new Map<string, number>();
  const next = new Map<string, string[]>();
  for (const [id, set] of needs) {
    waits.set(id, set.size);
    for (const need of set) next.set(need, [...(next.get(need) ?? []), id]);
  }
  let ready = [...units.keys()].filter((id) => (waits.get(id) ?? 0) === 0);
  for (const id of ready) layer.set(id, 0);
  while (ready.length > 0) {
    const after: string[] = [];
    for (const id of ready) {
      for (const follower of next.get(id) ?? []) {
        layer.set(follower, Math.max(layer.get(follower) ?? 0, (layer.get(id) ?? 0) + 1));
        const left = (waits.get(follower) ?? 0) - 1;
        waits.set(follower, left);
        if (left === 0) after.push(follower);
      }
    }
    ready = after;
  }
  for (const id of units.keys()) if (!layer.has(id)) layer.set(id, 0);
  return layer;
}

function mean(cells: Cell[], of: (cell: Cell) => number): number | undefined {
  return cells.length === 0 ? undefined : cells.reduce((sum, cell) => sum + of(cell), 0) / cells.length;
}

/** Places the cells of a column at the heights they wish for, in their order, without overlap. */
function settle(column: Cell[], wish: (cell: Cell) => number): void {
  const wishes = column.map((cell) => wish(cell) - cell.height / 2);
  // Forward and backward packing, averaged: neither pushes everything to one side.
  const forward: number[] = [];
  let edge = -Infinity;
  column.forEach((cell, i) => {
    const y = Math.max(wishes[i] ?? 0, edge);
    forward.push(y);
    edge = y + cell.height + GAP_Y;
  });
  const backward: number[] = [];
  edge = Infinity;
  for (let i = column.length - 1; i >= 0; i -= 1) {
    const cell = column[i];
    if (!cell) continue;
    const y = Math.min(wishes[i] ?? 0, edge - cell.height);
    backward[i] = y;
    edge = y - GAP_Y;
  }
  column.forEach((cell, i) => {
    cell.y = ((forward[i] ?? 0) + (backward[i] ?? 0)) / 2;
  });
}

/** A layered drawing, left to right. Depends on the structure only, so states never move it. */
export function layout(stops: readonly Stop[]): Diagram {
  const { units, needs } = unitsOf(stops);
  const layer = layers(units, needs);
  const columns: Cell[][] = [];
  const cells = new Map<string, Cell>();
  const add = (cell: Cell) => {
    (columns[cell.layer] ??= []).push(cell);
    return cell;
  };
  for (const unit of units.values()) {
    cells.set(
      unit.id,
      add({ id: unit.id, unit, layer: layer.get(unit.id) ?? 0, height: unit.height, y: 0, up: [], down: [] }),
    );
  }
  const chains = new Map<string, Cell[]>();
  let dummies = 0;
  for (const [id, set] of needs) {
    const end = cells.get(id);
    for (const need of set) {
      const start = cells.get(need);
      if (!start || !end) continue;
      const chain: Cell[] = [];
      let last = start;
      for (let at = start.layer + 1; at < end.layer && dummies < MAX_DUMMIES; at += 1) {
        dummies += 1;
        const cell = add({
          id: `${need}>${id}@${String(at)}`,
          unit: undefined,
          layer: at,
          height: DUMMY,
          y: 0,
          up: [last],
          down: [],
        });
        last.down.push(cell);
        chain.push(cell);
        last = cell;
      }
      last.down.push(end);
      end.up.push(last);
      chains.set(`${need}>${id}`, chain);
    }
  }
  order(columns);
  place(columns);

  let x = 0;
  let bottom = 0;
  const spans: { x: number; width: number }[] = [];
  for (const column of columns) {
    const width = Math.max(...column.map((cell) => cell.unit?.width ?? 0));
    spans.push({ x, width });
    x += width + GAP_X;
  }
  const least = Math.min(0, ...columns.flatMap((column) => column.map((cell) => cell.y)));
  for (const column of columns) {
    for (const cell of column) {
      cell.y -= least;
      bottom = Math.max(bottom, cell.y + cell.height);
      const span = spans[cell.layer];
      if (cell.unit && span) Object.assign(cell.unit, { x: span.x + (span.width - cell.unit.width) / 2, y: cell.y });
    }
  }
  const tracks: Track[] = [];
  for (const [name, chain] of chains) {
    const [from, to] = name.split('>') as [string, string];
    const a = units.get(from);
    const b = units.get(to);
    if (!a || !b) continue;
    const points = [{ x: a.x + a.width, y: a.y + a.height / 2 }];
    for (const cell of chain) {
      const span = spans[cell.layer];
      if (span) points.push({ x: span.x, y: cell.y + DUMMY / 2 }, { x: span.x + span.width, y: cell.y + DUMMY / 2 });
    }
    points.push({ x: b.x, y: b.y + b.height / 2 });
    tracks.push({ id: name, from, to, points });
  }
  return { units: [...units.values()], tracks, width: Math.max(0, x - GAP_X), height: bottom };
}

/** Fewer crossings: each column by the middle of its neighbours, to and fro. Ties keep the file's order. */
function order(columns: Cell[][]): void {
  const place = new Map<Cell, number>();
  const number = (column: Cell[]) => column.forEach((cell, i) => place.set(cell, i));
  columns.forEach(number);
  const at = (cell: Cell) => place.get(cell) ?? 0;
  for (let sweep = 0; sweep < SWEEPS; sweep += 1) {
    const forward = sweep % 2 === 0;
    for (const column of forward ? columns : columns.toReversed()) {
      const keys = new Map(column.map((cell) => [cell, mean(forward ? cell.up : cell.down, at) ?? at(cell)]));
      column.sort((a, b) => (keys.get(a) ?? 0) - (keys.get(b) ?? 0));
      number(column);
    }
  }
}

function place(columns: Cell[][]): void {
  for (const column of columns) {
    let y = 0;
    for (const cell of column) {
      cell.y = y;
      y += cell.height + GAP_Y;
    }
    const middle = (y - GAP_Y) / 2;
    for (const cell of column) cell.y -= middle;
  }
  const middle = (cell: Cell) => cell.y + cell.height / 2;
  for (let sweep = 0; sweep < SWEEPS; sweep += 1) {
    const forward = sweep % 2 === 0;
    for (const column of forward ? columns : columns.toReversed()) {
      settle(column, (cell) => mean(forward ? cell.up : cell.down, middle) ?? middle(cell));
    }
  }
  // Averaged packing may leave a hair of overlap: a last pass in order removes it.
  for (const column of columns) {
    let edge = -Infinity;
    for (const cell of column) {
      cell.y = Math.round(Math.max(cell.y, edge));
      edge = cell.y + cell.height + GAP_Y;
    }
  }
}
