import { ReactFlow, ReactFlowProvider, useReactFlow, useStore } from '@xyflow/react';
import { useEffect, useLayoutEffect, useRef, useState } from 'react';
import { Button } from '../../shared/parts';
import { Chosen, ChosenProvider } from './chosen';
import { MatrixNode, StepNode } from './GraphNodes';
import { drawing } from './drawing';
import type { Planned } from './drawing';
import { isCrowded, scene } from './far';
import { FarView } from './FarView';
import { TINY, useGiven } from './given';
import type { Diagram } from './layout';
import { TrackEdge } from './TrackEdge';
import '@xyflow/react/dist/base.css';
import './graph.css';

interface Props {
  /** Absent for a workflow that is not a run. */
  run?: string;
  steps: readonly Planned[];
  selected?: string | undefined;
  /** The step to keep in sight while the person has not moved the drawing. */
  focus?: string | undefined;
  onSelect: (key: string) => void;
}

const nodeTypes = { step: StepNode, matrix: MatrixNode };
const edgeTypes = { track: TrackEdge };
/** Zoomed out farther than this no text can be read. */
const FAR = 0.5;

export function SignalGraph(props: Props) {
  return (
    <ReactFlowProvider>
      <Drawing {...props} />
    </ReactFlowProvider>
  );
}

function Drawing({ run, steps, selected, focus, onSelect }: Props) {
  const drawn = drawing(run, steps);
  const { diagram } = drawn;
  const crowded = isCrowded(diagram);
  const { nodes, edges, isWhole } = useGiven(drawn, crowded);
  const [chosen] = useState(() => new Chosen());
  useLayoutEffect(() => {
    chosen.set(selected, onSelect);
  }, [chosen, onSelect, selected]);
  const frame = useRef<HTMLDivElement>(null);
  const movedRef = useRef(false);
  return (
    <ChosenProvider value={chosen}>
      <div
        ref={frame}
        className="graph"
        tabIndex={-1}
        data-testid="graph"
        role="group"
        aria-label="Steps as a signal diagram; the list of steps tells the same"
      >
        <ReactFlow
          className={isWhole ? undefined : 'painted'}
          nodes={nodes}
          edges={edges}
          nodeTypes={nodeTypes}
          edgeTypes={edgeTypes}
          onlyRenderVisibleElements={drawn.nodes.length > 40}
          nodesDraggable={false}
          nodesConnectable={false}
          nodesFocusable={false}
          edgesFocusable={false}
          elementsSelectable={false}
          deleteKeyCode={null}
          selectionKeyCode={null}
          minZoom={0.05}
          maxZoom={1.6}
          panOnScroll
          zoomOnDoubleClick={false}
          proOptions={{ hideAttribution: true }}
          onMoveStart={() => {
            if (frame.current) frame.current.dataset['moving'] = 'true';
          }}
          onMoveEnd={() => {
            if (frame.current) delete frame.current.dataset['moving'];
          }}
          onMove={(event, viewport) => {
            if (event) movedRef.current = true;
            // Without React: a thousand nodes must not render for a zoom.
            if (frame.current) tellDistance(frame.current, viewport.zoom, crowded);
          }}
        >
          {!isWhole && <FarView scene={scene(drawn)} run={run ?? ''} />}
          <Camera diagram={diagram} unit={unitOf(diagram, focus)} movedRef={movedRef} />
        </ReactFlow>
      </div>
    </ChosenProvider>
  );
}

/** Steps that are painted have no look of their own from there: to give it to those that are about to go took a long frame. */
function tellDistance(frame: HTMLElement, zoom: number, crowded: boolean): void {
  const far = zoom < TINY && !crowded ? 'tiny' : zoom < FAR ? 'far' : undefined;
  if (far === frame.dataset['far']) return;
  if (far === undefined) delete frame.dataset['far'];
  else frame.dataset['far'] = far;
}

function unitOf(diagram: Diagram, key: string | undefined): string | undefined {
  return key === undefined ? undefined : diagram.units.find((unit) => unit.keys.includes(key))?.id;
}

const MARGIN = 32;
const READABLE = 0.62;

interface CameraProps {
  diagram: Diagram;
  unit: string | undefined;
  movedRef: React.RefObject<boolean>;
}

function Camera({ diagram, unit, movedRef }: CameraProps) {
  const flow = useReactFlow();
  const width = useStore((state) => state.width);
  const height = useStore((state) => state.height);
  const whole = Math.min(
    1,
    (width - MARGIN * 2) / Math.max(1, diagram.width),
    (height - MARGIN * 2) / Math.max(1, diagram.height),
  );
  const fits = whole >= READABLE;

  const look = (smooth: number, all = false) => {
    const duration = matchMedia('(prefers-reduced-motion: reduce)').matches ? 0 : smooth;
    const zoom = Math.max(0.05, all ? whole : Math.max(whole, READABLE));
    const target = diagram.units.find((each) => each.id === unit) ?? diagram.units[0];
    if (fits || all || !target) {
      void flow.setViewport(
        { x: (width - diagram.width * zoom) / 2, y: (height - diagram.height * zoom) / 2, zoom },
        { duration },
      );
      return;
    }
    // A drawing too large for the frame: keep the step in the left half, with what comes next to its right.
    void flow.setViewport(
      {
        x: Math.min(MARGIN, width * 0.35 - (target.x + target.width / 2) * zoom),
        y: height / 2 - (target.y + target.height / 2) * zoom,
        zoom,
      },
      { duration },
    );
  };

  const seen = useRef(false);
  useEffect(() => {
    if (width === 0 || height === 0 || movedRef.current) return;
    look(seen.current ? 300 : 0);
    seen.current = true;
    // `look` is made anew at each render; what it depends on is named here.
    // eslint-disable-next-line react-hooks/exhaustive-deps
  }, [width, height, diagram, unit]);

  return (
    <div className="graph-tools">
      <Button
        size="small"
        icon="plus"
        aria-label="Zoom in"
        onClick={() => {
          movedRef.current = true;
          void flow.zoomIn();
        }}
      />
      <Button
        size="small"
        aria-label="Zoom out"
        onClick={() => {
          movedRef.current = true;
          void flow.zoomOut();
        }}
      >
        −
      </Button>
      <Button
        size="small"
        icon="fit"
        aria-label="Show the whole diagram"
        title="Show all"
        onClick={() => {
          movedRef.current = true;
          look(200, true);
        }}
      />
      <Button
        size="small"
        title="Keep the step at work in sight"
        onClick={() => {
          movedRef.current = false;
          look(200);
        }}
      >
        Follow
      </Button>
    </div>
  );
}
