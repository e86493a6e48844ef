import type { StepAgent } from '../platform/protocol';
import { count } from './format';
import { brief, spelled } from './used';
import './agentTag.css';

/** Says that no model had a part in it. */
export function Rehearsal() {
  return (
    <span className="badge" data-tone="wait" title="A script plays the agent: nothing of it came from a model.">
      Rehearsal
    </span>
  );
}

/** Who works in a step, what it used up, and how many of its questions wait. One line, whatever happens. */
export function AgentTag({ agent, tight = false }: { agent: StepAgent; tight?: boolean }) {
  const used = brief(agent.usage, tight);
  const asked = agent.questions ?? 0;
  return (
    <span className="agent-tag" data-testid="agent-tag">
      {!(agent.rehearsal && (tight || /^rehearsal$/i.test(agent.name))) && (
        <span className="cut agent-name" title={agent.name}>
          {agent.name}
        </span>
      )}
      {agent.rehearsal && <Rehearsal />}
      {used !== '' && (
        <span className="num" title={spelled(agent.usage)}>
          {used}
        </span>
      )}
      {asked > 0 && (
        <span className="badge solid" data-tone="wait" title={`${count(asked, 'question')} of the agent`}>
          {asked}?<span className="sr"> {count(asked, 'question')}</span>
        </span>
      )}
    </span>
  );
}
