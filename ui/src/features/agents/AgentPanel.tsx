import { useId, useRef, useState } from 'react';
import type { ReactNode } from 'react';
import { useChanges } from '../../store/history';
import { remember, usePreference } from '../../store/preferences';
import { transcriptOf, useFilesVersion } from '../../store/read';
import { DiffView } from './DiffView';
import { FileView } from './FileView';
import { Transcript } from './Transcript';
import './agents.css';

const TABS = ['transcript', 'changes', 'file', 'output', 'frames'] as const;
type Tab = (typeof TABS)[number];
const WORD: Record<Tab, string> = {
  transcript: 'Transcript',
  changes: 'Changes',
  file: 'File',
  output: 'Output',
  frames: 'Raw frames',
};

interface Props {
  run: string;
  step: string;
  attempt: number;
  working: boolean;
  /** Questions of the agent that wait for a person. */
  questions: ReactNode;
  /** What it wrote to standard error, and the host beside it. */
  output: ReactNode;
  /** The lines of the protocol. */
  frames: ReactNode;
  /** Opened by a link to a line of the log. */
  linked: boolean;
}

/** An agent's step: what it says, what it changed, what it printed, what went over the wire. */
export function AgentPanel({ run, step, attempt, working, questions, output, frames, linked }: Props) {
  // The transcript changes in place, so nothing here may be cached.
  'use no memo';
  useFilesVersion(run, step, attempt);
  const changes = useChanges(run, step, attempt);
  const changed = transcriptOf(run, step, attempt).changes().length;
  const id = useId();
  const list = useRef<HTMLDivElement>(null);
  const preferred = usePreference('agent.tab', 'transcript');
  // The tab is kept for the next step, but not the one that a link opened.
  const [own, setOwn] = useState<Tab | undefined>(linked ? 'output' : undefined);
  const tab = own ?? TABS.find((each) => each === preferred) ?? 'transcript';
  const choose = (next: Tab) => {
    setOwn(next);
    remember('agent.tab', next);
  };
  const move = (event: React.KeyboardEvent) => {
    const by = event.key === 'ArrowRight' ? 1 : event.key === 'ArrowLeft' ? -1 : 0;
    if (by === 0) return;
    event.preventDefault();
    const next = TABS[(TABS.indexOf(tab) + by + TABS.length) % TABS.length] ?? tab;
    choose(next);
    list.current?.querySelector<HTMLElement>(`[data-tab="${next}"]`)?.focus();
  };
  return (
    <div className="agent-panel">
      {questions && <div className="agent-asks">{questions}</div>}
      <div className="tabs" role="tablist" aria-label="Views of the agent" ref={list} onKeyDown={move}>
        {TABS.map((each) => (
          <button
            key={each}
            type="button"
            role="tab"
            className="tab"
            id={`${id}-${each}`}
            data-tab={each}
            data-testid={`agent-tab-${each}`}
            aria-selected={each === tab}
            aria-controls={`${id}-panel`}
            tabIndex={each === tab ? 0 : -1}
            onClick={() => choose(each)}
          >
            {WORD[each]}
            {each === 'changes' && changed > 0 && <span className="badge num">{changed}</span>}
          </button>
        ))}
      </div>
      <div className="agent-view" role="tabpanel" id={`${id}-panel`} aria-labelledby={`${id}-${tab}`}>
        {tab === 'transcript' && (
          <Transcript key={`${step} ${String(attempt)}`} run={run} step={step} attempt={attempt} working={working} />
        )}
        {tab === 'changes' && (
          <DiffView
            key={`${step} ${String(attempt)}`}
            run={run}
            step={step}
            attempt={attempt}
            working={working}
            known={changes}
          />
        )}
        {tab === 'file' && (
          <FileView key={`${step} ${String(attempt)}`} run={run} step={step} attempt={attempt} working={working} />
        )}
        {tab === 'output' && output}
        {tab === 'frames' && frames}
      </div>
    </div>
  );
}
