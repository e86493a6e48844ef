import { useVirtualizer } from '@tanstack/react-virtual';
import { useEffect, useRef } from 'react';
import type { CSSProperties } from 'react';
import type { Attempt, Run, Step } from '../../platform/protocol';
import { useSteps } from '../../store/read';
import { useNow } from '../../store/time';
import { clockTime, duration } from '../../shared/format';
import { Lamp } from '../../shared/Lamp';
import { conclusionLook, stepLook, stepValue } from '../../shared/status';
import { TOUCH, useMedia } from '../../shared/useMedia';
import './timeline.css';

const ROW = 34;
const ROW_TOUCH = 44;
const TICKS = [
  1_000, 2_000, 5_000, 10_000, 30_000, 60_000, 120_000, 300_000, 600_000, 1_800_000, 3_600_000, 7_200_000, 21_600_000,
  86_400_000,
];

/** When each attempt worked, from the host's own times. */
export function Timeline({
  run,
  selected,
  onSelect,
}: {
  run: Run;
  selected?: string | undefined;
  onSelect: (key: string, attempt?: number) => void;
}) {
  const steps = useSteps(run.id);
  const now = useNow(run.status !== 'done');
  const row = useMedia(TOUCH) ? ROW_TOUCH : ROW;
  const scroller = useRef<HTMLDivElement>(null);
  // eslint-disable-next-line react-hooks/incompatible-library
  const rows = useVirtualizer({
    count: steps.length,
    getScrollElement: () => scroller.current,
    estimateSize: () => row,
    overscan: 12,
  });
  useEffect(() => rows.measure(), [rows, row]);
  const times = steps.flatMap((step) =>
    (step.attempts ?? []).flatMap((attempt) => [attempt.started_at, attempt.ended_at ?? now]),
  );
  const start = Math.min(run.started_at ?? run.created_at, ...times.slice(0, 2));
  const end = Math.max(start + 1_000, run.ended_at ?? (run.status === 'done' ? Math.max(start, ...times) : now));
  const span = end - start;
  const tick = TICKS.find((each) => span / each <= 6) ?? TICKS.at(-1) ?? span;
  const ticks = Array.from({ length: Math.floor(span / tick) + 1 }, (_, i) => i * tick);
  const left = (at: number) => `${String(Math.max(0, Math.min(100, ((at - start) / span) * 100)))}%`;
  const width = (attempt: Attempt) =>
    `${String(Math.max(0, Math.min(100, (((attempt.ended_at ?? now) - attempt.started_at) / span) * 100)))}%`;
  return (
    <div
      className="timeline"
      ref={scroller}
      data-testid="timeline"
      role="group"
      aria-label={`Timeline from ${clockTime(start)}`}
    >
      <div className="timeline-head">
        <span className="muted">since {clockTime(start)}</span>
        <div className="timeline-scale num" aria-hidden="true">
          {ticks.map((at) => (
            <span key={at} style={{ left: left(start + at) }}>
              {label(at)}
            </span>
          ))}
        </div>
      </div>
      <div style={{ height: rows.getTotalSize(), position: 'relative', '--row': `${String(row)}px` } as CSSProperties}>
        {rows.getVirtualItems().map((item) => {
          const step = steps[item.index];
          return (
            step && (
              <div
                key={step.key}
                className="timeline-row"
                data-selected={selected === step.key || undefined}
                style={{ transform: `translateY(${String(item.start)}px)` }}
              >
                <button type="button" className="timeline-name" onClick={() => onSelect(step.key)}>
                  <Lamp look={stepLook(step)} size={14} />
                  <span className="cut">
                    {step.title}
                    {stepValue(step) && ` ${stepValue(step)}`}
                  </span>
                </button>
                <div className="timeline-lane">
                  {ticks.map((at) => (
                    <i key={at} style={{ left: left(start + at) }} />
                  ))}
                  {(step.attempts ?? []).map((attempt) => (
                    <Bar
                      key={attempt.number}
                      step={step}
                      attempt={attempt}
                      left={left(attempt.started_at)}
                      width={width(attempt)}
                      now={now}
                      onSelect={onSelect}
                    />
                  ))}
                </div>
              </div>
            )
          );
        })}
      </div>
    </div>
  );
}

function label(ms: number): string {
  return ms === 0 ? '0' : duration(ms).replace(/ 0[smh]$/, '');
}

interface BarProps {
  step: Step;
  attempt: Attempt;
  left: string;
  width: string;
  now: number;
  onSelect: (key: string, attempt?: number) => void;
}

function Bar({ step, attempt, left, width, now, onSelect }: BarProps) {
  const look = attempt.ended_at === undefined ? stepLook(step) : conclusionLook(attempt.conclusion);
  const took = duration((attempt.ended_at ?? now) - attempt.started_at);
  return (
    <button
      type="button"
      className="timeline-bar"
      data-tone={look.tone}
      data-live={attempt.ended_at === undefined || undefined}
      style={{ left, width }}
      title={`${step.key}, attempt ${String(attempt.number)}: ${look.word}, ${took}`}
      aria-label={`${step.key}, attempt ${String(attempt.number)}: ${look.word}, ${took}`}
      onClick={() => onSelect(step.key, attempt.number)}
    >
      <span className="num">{took}</span>
    </button>
  );
}
