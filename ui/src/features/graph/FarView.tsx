import { useStoreApi } from '@xyflow/react';
import { useLayoutEffect, useRef } from 'react';
import { world } from '../../store/client';
import { useChoice } from './chosen';
import type { Scene } from './far';
import { FarPainter } from './FarPainter';
import { viewOf } from './given';

/** The step that has the keyboard goes: then the diagram itself has it, whose name says where the steps can be read. */
function keepFocus(canvas: HTMLCanvasElement): void {
  const step = document.activeElement?.closest('.react-flow__node');
  const graph = canvas.closest<HTMLElement>('.graph');
  if (step && graph?.contains(step)) graph.focus({ preventScroll: true });
}

/** The diagram from afar as one canvas: a thousand steps with their tracks are 20,000 elements otherwise. */
export function FarView({ scene, run }: { scene: Scene; run: string }) {
  const flow = useStoreApi();
  const chosen = useChoice();
  const canvas = useRef<HTMLCanvasElement>(null);
  useLayoutEffect(() => {
    if (!canvas.current) return;
    keepFocus(canvas.current);
    const painter = new FarPainter(canvas.current, {
      scene,
      run,
      step: (key) => world.step(run, key),
      chosen,
      view: () => viewOf(flow.getState()),
      onView: (listener) =>
        flow.subscribe((state, before) => {
          if (state.transform !== before.transform || state.width !== before.width || state.height !== before.height)
            listener();
        }),
    });
    return () => painter.end();
  }, [chosen, flow, run, scene]);
  return <canvas ref={canvas} className="graph-far" data-testid="graph-far" aria-hidden="true" />;
}
