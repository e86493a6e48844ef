import { Handle, Position } from '@xyflow/react';
import type { Node, NodeProps } from '@xyflow/react';
import { memo } from 'react';
import type { Step, StepKind } from '../../platform/protocol';
import { useProgress, useStep, useSteps } from '../../store/read';
import { Lamp } from '../../shared/Lamp';
import { Elapsed } from '../../shared/parts';
import { stepLook } from '../../shared/status';
import type { Look } from '../../shared/status';
import { AgentTag } from '../../shared/AgentTag';
import { useChosen } from './chosen';
import { lookOf, panelLook } from './states';
import { childName } from './layout';
import type { Unit } from './layout';

export const KIND_WORD: Record<StepKind, string> = {
  agent: 'Agent',
  command: 'Command',
  approval: 'Approval',
  git: 'Git',
  notify: 'Notify',
};

export interface UnitData extends Record<string, unknown> {
  run: string | undefined;
  unit: Unit;
  title: string;
  kind: StepKind;
  many: boolean;
}

export type UnitNode = Node<UnitData>;

const NO_RUN = '';

function Ends() {
  return (
    <>
      <Handle type="target" position={Position.Left} isConnectable={false} />
      <Handle type="source" position={Position.Right} isConnectable={false} />
    </>
  );
}

export const StepNode = memo(function StepNode({ data }: NodeProps<UnitNode>) {
  const key = data.unit.keys[0] ?? data.unit.id;
  const step = useStep(data.run ?? NO_RUN, key);
  const look = lookOf(step);
  const [selected, select] = useChosen(data.unit.keys);
  return (
    <button
      type="button"
      className="signal"
      data-tone={look.tone}
      data-shape={look.shape}
      data-kind={data.kind}
      data-selected={selected === key || undefined}
      data-testid={`node-${key}`}
      data-state={step?.conclusion ?? step?.status ?? 'planned'}
      aria-pressed={selected === key}
      title={`${data.title}: ${look.word}`}
      onClick={() => select(key)}
    >
      <Ends />
      <span className="signal-head">
        <Lamp look={look} size={22} />
      </span>
      {/* From far away no text is painted: then the title is the name. */}
      <span className="signal-text">
        <span className="signal-title cut">{data.title}</span>
        <span className="signal-sub">
          {step ? <Sub step={step} look={look} /> : `${KIND_WORD[data.kind]}${data.many ? ' · for each value' : ''}`}
        </span>
        {step?.agent && <AgentTag agent={step.agent} tight />}
      </span>
      {step?.stalled === true && (
        <span className="signal-flag" title="Silent for longer than expected">
          silent
        </span>
      )}
      {step && <StepMeter step={step} />}
    </button>
  );
});

function Sub({ step, look }: { step: Step; look: Look }) {
  const attempt = step.attempts?.length ?? 0;
  return (
    <>
      <b>{step.status === 'blocked' ? KIND_WORD[step.kind] : look.word}</b>
      {step.started_at !== undefined && step.conclusion !== 'skipped' && step.conclusion !== 'omitted' && (
        <>
          {' '}
          <span>
            {'· '}
            <Elapsed from={step.started_at} until={step.ended_at} />
          </span>
        </>
      )}
      {attempt > 1 && (
        <>
          {' '}
          <span>· attempt {attempt}</span>
        </>
      )}
    </>
  );
}

function StepMeter({ step }: { step: Step }) {
  const progress = useProgress(step.run, step.key);
  const value = progress?.value ?? step.progress;
  if (value === undefined || step.status !== 'running') return null;
  return <span className="signal-meter" style={{ width: `${String(Math.round(value * 100))}%` }} />;
}

export const MatrixNode = memo(function MatrixNode({ data }: NodeProps<UnitNode>) {
  const { unit, run } = data;
  const keys = new Set(unit.keys);
  const steps = useSteps(run ?? NO_RUN).filter((step) => keys.has(step.key));
  const done = steps.filter((step) => step.status === 'done').length;
  const failed = steps.filter((step) => step.status === 'done' && stepLook(step).tone === 'bad').length;
  const look = panelLook(steps);
  const [selected, select] = useChosen(unit.keys);
  return (
    <div
      className="matrix"
      data-tone={look.tone}
      data-compact={unit.compact || undefined}
      style={{ width: unit.width, height: unit.height }}
    >
      <Ends />
      <div className="matrix-head">
        <Lamp look={look} size={16} />
        <span className="cut grow">{data.title}</span>
        <span className="num muted">
          {done === unit.keys.length
            ? failed > 0
              ? done
              : `all ${String(done)}`
            : `${String(done)}/${String(unit.keys.length)}`}
          {' done'}
          {failed > 0 && <b className="tone">, {failed} failed</b>}
        </span>
      </div>
      <div className="matrix-body">
        {unit.keys.map((key) => (
          <Child
            key={key}
            run={run ?? NO_RUN}
            stepKey={key}
            id={unit.id}
            compact={unit.compact}
            selected={selected === key}
            onSelect={select}
          />
        ))}
      </div>
    </div>
  );
});

interface ChildProps {
  run: string;
  stepKey: string;
  id: string;
  compact: boolean;
  selected: boolean;
  onSelect: (key: string) => void;
}

const Child = memo(function Child({ run, stepKey, id, compact, selected, onSelect }: ChildProps) {
  const step = useStep(run, stepKey);
  const look = lookOf(step);
  const name = childName(id, stepKey);
  return (
    <button
      type="button"
      className="matrix-child"
      data-tone={look.tone}
      data-selected={selected || undefined}
      data-testid={`node-${stepKey}`}
      data-state={step?.conclusion ?? step?.status ?? 'planned'}
      title={`${name}: ${look.word}`}
      onClick={() => onSelect(stepKey)}
    >
      <Lamp look={look} size={compact ? 14 : 16} {...(compact ? {} : { title: look.word })} />
      {!compact && <span className="cut grow">{name}</span>}
      {!compact && (step?.agent?.questions ?? 0) > 0 && (
        <span className="badge solid" data-tone="wait" title="Questions of the agent">
          {step?.agent?.questions}?
        </span>
      )}
      {!compact && step?.started_at !== undefined && (
        <span className="muted">
          <Elapsed from={step.started_at} until={step.ended_at} />
        </span>
      )}
    </button>
  );
});
