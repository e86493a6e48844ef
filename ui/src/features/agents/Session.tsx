import { useState } from 'react';
import type { AgentPlan, AgentSession, AgentUsage } from '../../platform/protocol';
import { percent } from '../../shared/format';
import { Icon } from '../../shared/Icon';
import { Lamp, State } from '../../shared/Lamp';
import { Meter } from '../../shared/parts';
import { Rehearsal } from '../../shared/AgentTag';
import { PLAN, SESSION } from './looks';
import { money, tokens } from '../../shared/used';

/** Who works, where, and what it has used up. Keeps its height while numbers change. */
export function SessionHead({
  session,
  usage,
  working,
}: {
  session: AgentSession | undefined;
  usage: AgentUsage | undefined;
  working: boolean;
}) {
  if (!session)
    return <div className="agent-head muted">{working ? 'The agent is being started.' : 'No agent was started.'}</div>;
  const mode = session.modes?.find((each) => each.id === session.mode)?.name ?? session.mode;
  const model = session.model ?? usage?.model;
  // A host that stopped could not say that the agent ended.
  const state = working ? session.state : 'closed';
  return (
    <header className="agent-head" aria-label="Agent">
      <div className="row wrap">
        <b>{session.name}</b>
        {session.version && <span className="muted num">{session.version}</span>}
        {session.rehearsal && <Rehearsal />}
        <State look={SESSION[state]} />
        {session.resumed && <span className="badge">resumed</span>}
        {model && <span className="soft">{model}</span>}
        {mode && <span className="soft">mode {mode}</span>}
        {session.branch && (
          <span className="mono muted cut" title={`${session.folder}${session.base ? `, from ${session.base}` : ''}`}>
            {session.branch}
          </span>
        )}
      </div>
      {session.reason && <p className="soft">{session.reason}</p>}
      {usage && <Used usage={usage} />}
    </header>
  );
}

function Used({ usage }: { usage: AgentUsage }) {
  const { input_tokens, output_tokens, cached_tokens, usd, context_used, context_size } = usage;
  const part = context_used !== undefined && context_size ? context_used / context_size : undefined;
  return (
    <div className="agent-used muted num" data-testid="agent-usage">
      <span
        title={`${input_tokens.toLocaleString()} tokens in${cached_tokens ? `, ${cached_tokens.toLocaleString()} of them from a cache` : ''}`}
      >
        {tokens(input_tokens)} in
      </span>
      <span title={`${output_tokens.toLocaleString()} tokens out`}>{tokens(output_tokens)} out</span>
      {usd !== undefined && <span title="As the agent reckons it">{money(usd)}</span>}
      {part !== undefined && (
        <span
          className="agent-context"
          title={`${(context_used ?? 0).toLocaleString()} of ${(context_size ?? 0).toLocaleString()} tokens`}
        >
          context {percent(part)} <Meter value={part} label="Context in use" />
        </span>
      )}
    </div>
  );
}

export function Plan({ plan }: { plan: AgentPlan }) {
  const [open, setOpen] = useState(true);
  const done = plan.entries.filter((entry) => entry.status === 'completed').length;
  const now = plan.entries.find((entry) => entry.status === 'in_progress');
  if (plan.entries.length === 0) return null;
  return (
    <section className="agent-plan" aria-label="Plan">
      <button type="button" className="entry-head" aria-expanded={open} onClick={() => setOpen(!open)}>
        <Icon name={open ? 'down' : 'right'} size={14} />
        <b>Plan</b>
        <span className="badge num">
          {done}/{plan.entries.length}
        </span>
        {!open && now && <span className="muted cut grow">{now.text}</span>}
      </button>
      {open && (
        <ol>
          {plan.entries.map((entry, index) => (
            <li key={index} data-tone={PLAN[entry.status].tone}>
              <Lamp look={PLAN[entry.status]} size={14} title={PLAN[entry.status].word} />
              <span>{entry.text}</span>
            </li>
          ))}
        </ol>
      )}
    </section>
  );
}
