import { describe, expect, test } from 'vitest';
import type { Step } from '../src/platform/protocol';
import { drawing } from '../src/features/graph/drawing';
import type { Planned } from '../src/features/graph/drawing';
import { areaInView, changed, covers, fieldAt, isCrowded, scene, shadesOf, toScreen } from '../src/features/graph/far';
import { NONE, PIECE, PIECE_OUT, fewer, more } from '../src/features/graph/given';
import { step } from './host';

const planned = (key: string, id: string, needs: string[]): Planned => ({
  key,
  id,
  title: `Title of ${id}`,
  kind: 'command',
  needs,
});

const chain = (count: number) =>
  drawing(
    'r_1',
    Array.from({ length: count }, (_, n) =>
      planned(`s${String(n)}`, `s${String(n)}`, n === 0 ? [] : [`s${String(n - 1)}`]),
    ),
  );

const matrix = (count: number) =>
  drawing(
    'r_1',
    Array.from({ length: count }, (_, n) => planned(`m[v${String(n)}]`, 'm', [])),
  );

function known(states: Record<string, Record<string, unknown>>): (key: string) => Step | undefined {
  return (key) => (states[key] ? (step('r_1', key, states[key]) as Step) : undefined);
}

test('only what would be many elements is painted', () => {
  expect(isCrowded(chain(20).diagram)).toBe(false);
  expect(isCrowded(chain(200).diagram)).toBe(true);
  expect(isCrowded(matrix(400).diagram)).toBe(true);
});

describe('what there is to paint', () => {
  test('a step is a field of its own size, with the title that its node has', () => {
    const { fields, frames, lines } = scene(chain(2));
    expect(fields.map((field) => [field.key, field.name, field.width, field.height])).toEqual([
      ['s0', 'Title of s0', 196, 54],
      ['s1', 'Title of s1', 196, 54],
    ]);
    expect(frames).toEqual([]);
    expect(lines).toHaveLength(1);
    expect(lines[0]?.corners[0]).toEqual({ x: 196, y: fields[0]!.y + 27 });
  });

  test.each([3, 9, 100])('the %d children of a matrix are within its frame, and none is on another', (count) => {
    const { fields, frames } = scene(matrix(count));
    const [frame] = frames;
    expect(fields).toHaveLength(count);
    for (const field of fields) {
      expect(field.x).toBeGreaterThan(frame!.x);
      expect(field.y).toBeGreaterThan(frame!.y);
      expect(field.x + field.width).toBeLessThan(frame!.x + frame!.width);
      expect(field.y + field.height).toBeLessThan(frame!.y + frame!.height);
      expect(fieldAt(fields, { x: field.x + field.width / 2, y: field.y + field.height / 2 }, 0)).toBe(field);
    }
    expect(new Set(fields.map((field) => `${String(field.x)} ${String(field.y)}`)).size).toBe(count);
    expect(fields[0]?.name).toBe('v0');
  });

  test('it is made once for a diagram', () => {
    expect(scene(chain(3))).toBe(scene(chain(3)));
  });
});

describe('colours', () => {
  test('are those of the nodes and tracks', () => {
    const of = scene(chain(3));
    expect(shadesOf(of, () => undefined)).toEqual({
      fields: ['idle', 'idle', 'idle'],
      frames: [],
      lines: ['dark', 'dark'],
    });
    const shades = shadesOf(of, known({ s0: { status: 'done', conclusion: 'success' }, s1: { status: 'running' } }));
    expect(shades.fields).toEqual(['good', 'active', 'idle']);
    expect(shades.lines).toEqual(['taken', 'dark']);
  });

  test('a frame has that of the child that needs attention', () => {
    const of = scene(matrix(2));
    const states = {
      'm[v0]': { status: 'done', conclusion: 'success' },
      'm[v1]': { status: 'done', conclusion: 'failed' },
    };
    expect(shadesOf(of, known(states)).frames).toEqual(['bad']);
  });

  test('nothing is painted for news without another colour, and only tracks of other states are made anew', () => {
    const of = scene(chain(3));
    const running = shadesOf(of, known({ s0: { status: 'running' } }));
    expect(changed(running, shadesOf(of, known({ s0: { status: 'running', progress: 0.5 } })))).toBeUndefined();
    expect(changed(running, shadesOf(of, known({ s0: { status: 'waiting_input' } })))).toEqual(new Set());
    const after = shadesOf(of, known({ s0: { status: 'done', conclusion: 'success' }, s1: { status: 'running' } }));
    expect(changed(running, after)).toEqual(new Set(['taken', 'dark']));
  });
});

test('a click beside a step means the nearest, and one far from all means none', () => {
  const { fields } = scene(chain(2));
  const [first, second] = fields;
  const y = first!.y + 10;
  expect(fieldAt(fields, { x: first!.x + first!.width + 5, y }, 20)).toBe(first);
  expect(fieldAt(fields, { x: second!.x - 5, y }, 40)).toBe(second);
  expect(fieldAt(fields, { x: first!.x + first!.width + 5, y }, 4)).toBeUndefined();
});

describe('the painted part', () => {
  const size = { width: 800, height: 600 };
  const of = { fields: [], frames: [], lines: [], width: 25_000, height: 700 };

  test('is what is in the frame and a margin, never more than there is', () => {
    expect(areaInView({ x: 0, y: 100, zoom: 0.1, ...size }, of, 50)).toEqual({ x: -6, y: -6, width: 856, height: 82 });
    expect(areaInView({ x: 900, y: 0, zoom: 0.1, ...size }, of, 50)).toBeUndefined();
  });

  test('holds while what is in the frame is within it', () => {
    const painted = areaInView({ x: -500, y: 100, zoom: 0.1, ...size }, of, 50);
    const at = (x: number) => areaInView({ x, y: 100, zoom: 0.1, ...size }, of, 0);
    expect(covers(painted, at(-540))).toBe(true);
    expect(covers(painted, at(-560))).toBe(false);
    expect(covers(painted, at(900))).toBe(true);
    expect(covers(undefined, at(0))).toBe(false);
  });

  test('is whole pixels of the screen', () => {
    expect(toScreen({ x: -0.3, y: 1.2, width: 10, height: 10 }, 2)).toEqual({
      x: -0.5,
      y: 1,
      width: 10.5,
      height: 10.5,
    });
  });
});

describe('nodes come and go in pieces', () => {
  const { nodes } = chain(100);
  const view = { x: 0, y: 0, zoom: 0.19, width: 2_000, height: 600 };
  const inView = Math.ceil(2_000 / 0.19 / 256);

  test('those in sight first, then all others at once', () => {
    const sizes: number[] = [];
    let part: ReadonlySet<string> | undefined = NONE;
    while (part) {
      sizes.push(part.size);
      part = more(part, nodes, view);
    }
    expect(sizes).toEqual([0, PIECE]);
    expect(inView).toBeGreaterThan(PIECE);
    expect(inView).toBeLessThan(PIECE * 2 + 1);
  });

  test('those that are there go piece by piece', () => {
    const all = new Set(nodes.map((node) => node.id));
    const left = fewer(all);
    expect(left.size).toBe(nodes.length - PIECE_OUT);
    expect(fewer(left)).toBe(NONE);
  });
});
