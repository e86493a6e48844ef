import { expect, test } from 'vitest';
import { drawing } from '../src/features/graph/drawing';
import type { Planned } from '../src/features/graph/drawing';

function chain(count: number, more: object = {}): Planned[] {
  return Array.from({ length: count }, (_, n) => ({
    key: `s${String(n)}`,
    id: `s${String(n)}`,
    title: `Step ${String(n)}`,
    kind: 'command' as const,
    needs: n === 0 ? [] : [`s${String(n - 1)}`],
    ...more,
  }));
}

test('a new state of a step makes no new nodes', () => {
  const before = drawing('r_1', chain(20));
  const after = drawing('r_1', chain(20, { status: 'running', generation: 2, progress: 0.5 }));
  expect(after.nodes).toBe(before.nodes);
  expect(after.edges).toBe(before.edges);
});

test('another plan, and another run of the same plan, have nodes of their own', () => {
  const before = drawing('r_1', chain(20));
  expect(drawing('r_1', chain(21)).nodes).toHaveLength(21);
  const other = drawing('r_2', chain(20));
  expect(other.nodes).not.toBe(before.nodes);
  expect(other.nodes[0]?.data.run).toBe('r_2');
  expect(other.edges[0]?.data?.run).toBe('r_2');
});

test('nodes bring what the library would have to measure, so that only those in sight come into the page', () => {
  for (const node of drawing('r_1', chain(3)).nodes) {
    expect(node.measured).toEqual({ width: node.width, height: node.height });
    expect(node.handles?.map((handle) => [handle.type, handle.x])).toEqual([
      ['target', 0],
      ['source', node.width],
    ]);
  }
});
