import { useStore, useStoreApi } from '@xyflow/react';
import type { ReactFlowState } from '@xyflow/react';
import { useEffect, useLayoutEffect, useState, useSyncExternalStore } from 'react';
import type { Drawn } from './drawing';
import type { View } from './far';
import type { UnitNode } from './GraphNodes';
import type { TrackEdgeType } from './TrackEdge';

/** Ids of the nodes that the library has; undefined: all. */
export type Part = ReadonlySet<string> | undefined;

/** Zoomed out farther than this a step is a field of a colour. */
export const TINY = 0.2;
/** Nodes that come into the page in one frame, and that go from it. With their tracks they take some 10 ms. */
export const PIECE = 24;
export const PIECE_OUT = 64;
export const NONE: ReadonlySet<string> = new Set();
const NO_NODES: UnitNode[] = [];
const NO_EDGES: TrackEdgeType[] = [];

function idsInView(nodes: readonly UnitNode[], { x, y, zoom, width, height }: View): string[] {
  return nodes
    .filter(({ data: { unit } }) => {
      const left = unit.x * zoom + x;
      const top = unit.y * zoom + y;
      return left < width && top < height && left + unit.width * zoom > 0 && top + unit.height * zoom > 0;
    })
    .map((node) => node.id);
}

/** What to have next on the way to all nodes. Those out of sight make no elements: they come together at the end. */
export function more(part: ReadonlySet<string>, nodes: readonly UnitNode[], view: View): Part {
  const missing = idsInView(nodes, view).filter((id) => !part.has(id));
  return missing.length <= PIECE ? undefined : new Set([...part, ...missing.slice(0, PIECE)]);
}

/** What to have next on the way to no nodes. */
export function fewer(part: ReadonlySet<string>): ReadonlySet<string> {
  return part.size <= PIECE_OUT ? NONE : new Set([...part].slice(PIECE_OUT));
}

export function viewOf({ transform: [x, y, zoom], width, height }: ReactFlowState): View {
  return { x, y, zoom, width, height };
}

/** The part that the library has now. Beside React's state, so that it changes at once. */
class Held {
  #part: Part;
  readonly #listeners = new Set<() => void>();

  get part(): Part {
    return this.#part;
  }

  readonly subscribe = (listener: () => void): (() => void) => {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  };

  set(part: Part): void {
    this.#part = part;
    for (const listener of this.#listeners) listener();
  }
}

interface Given {
  nodes: UnitNode[];
  edges: TrackEdgeType[];
  /** Whether everything in sight is in the page. If not, the diagram is to be painted. */
  isWhole: boolean;
}

/**
 * What the library gets to draw: all, but nothing of a crowded diagram from afar. From one to the other it takes a few frames, a
 * piece in each: hundreds of nodes at once are a long time in which nothing moves.
 */
export function useGiven({ nodes, edges }: Drawn, isCrowded: boolean): Given {
  const flow = useStoreApi();
  const isPainted = useStore((state) => isCrowded && state.transform[2] < TINY);
  const [held] = useState(() => new Held());
  const part = useSyncExternalStore(held.subscribe, () => held.part);

  useLayoutEffect(() => {
    if (!isCrowded) return;
    return flow.subscribe((state, before) => {
      if (held.part || state.transform[2] >= TINY) return;
      const there = new Set(idsInView(nodes, viewOf(before)));
      held.set(there);
      // Before anything is drawn by the new view: all that is in it would be put into the page, only to be taken away again.
      state.setNodes(nodes.filter((node) => there.has(node.id)));
    });
  }, [flow, held, isCrowded, nodes]);

  useEffect(() => {
    if (isPainted ? part === NONE : part === undefined) return;
    const frame = requestAnimationFrame(() => {
      if (isPainted) held.set(part ? fewer(part) : NONE);
      else if (part) held.set(more(part, nodes, viewOf(flow.getState())));
    });
    return () => cancelAnimationFrame(frame);
  }, [flow, held, isPainted, nodes, part]);

  if (part === NONE) return { nodes: NO_NODES, edges: NO_EDGES, isWhole: false };
  if (part) return { nodes: nodes.filter((node) => part.has(node.id)), edges, isWhole: false };
  return { nodes, edges, isWhole: !isPainted };
}
