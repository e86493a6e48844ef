import { useVirtualizer } from '@tanstack/react-virtual';
import { useEffect, useRef } from 'react';
import { useSteps } from '../../store/read';
import { Lamp } from '../../shared/Lamp';
import { Elapsed } from '../../shared/parts';
import { stepLook, stepValue } from '../../shared/status';
import { AgentTag } from '../../shared/AgentTag';
import './steps.css';

const ROW = 44;

interface Props {
  run: string;
  selected?: string | undefined;
  /** The step to keep in sight while none is selected. */
  focus?: string | undefined;
  onSelect: (key: string) => void;
}

/** Every step, the not-yet-started included, in the workflow's order. */
export function StepList({ run, selected, focus, onSelect }: Props) {
  const steps = useSteps(run);
  const scroller = useRef<HTMLDivElement>(null);
  // eslint-disable-next-line react-hooks/incompatible-library
  const rows = useVirtualizer({
    count: steps.length,
    getScrollElement: () => scroller.current,
    estimateSize: () => ROW,
    overscan: 10,
  });
  const at = steps.findIndex((step) => step.key === (selected ?? focus));
  useEffect(() => {
    if (at >= 0) rows.scrollToIndex(at, { align: 'auto' });
    // Only a new selection scrolls; a new state must not.
    // eslint-disable-next-line react-hooks/exhaustive-deps
  }, [at]);
  return (
    <div className="step-list" ref={scroller} data-testid="step-list">
      <ul style={{ height: rows.getTotalSize(), position: 'relative' }} aria-label="Steps">
        {rows.getVirtualItems().map((item) => {
          const step = steps[item.index];
          if (!step) return null;
          const look = stepLook(step);
          return (
            <li key={step.key} style={{ transform: `translateY(${String(item.start)}px)` }}>
              <button
                type="button"
                className="step-row"
                data-tone={look.tone}
                data-testid={`step-${step.key}`}
                data-state={step.conclusion ?? step.status}
                aria-current={step.key === selected || undefined}
                onClick={() => onSelect(step.key)}
              >
                <Lamp look={look} size={18} />
                <span className="grow">
                  <span className="cut step-title">
                    {step.title}
                    {stepValue(step) !== '' && <span className="muted"> {stepValue(step)}</span>}
                  </span>
                  <span className="cut muted">{step.reason ?? look.word}</span>
                </span>
                {step.agent && <AgentTag agent={step.agent} />}
                <span className="muted num step-time">
                  {step.started_at !== undefined && <Elapsed from={step.started_at} until={step.ended_at} />}
                </span>
              </button>
            </li>
          );
        })}
      </ul>
    </div>
  );
}
