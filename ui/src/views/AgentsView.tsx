import { useState } from 'react';
import type { AgentInfo, AgentTested } from '../platform/protocol';
import { call, useLink, useStale } from '../store/client';
import { Rehearsal } from '../shared/AgentTag';
import { duration } from '../shared/format';
import { State } from '../shared/Lamp';
import { Button, Empty, Loading } from '../shared/parts';
import { Page } from '../shared/Page';
import { Problem } from '../shared/Problem';
import type { Look } from '../shared/status';
import { useAction } from '../shared/useAction';
import { useQuery } from '../shared/useQuery';
import { useTick } from '../shared/useTick';
import { UsageTable } from '../features/agents/UsageTable';
import '../features/agents/agents.css';

const POLL_MS = 60_000;
/** A program is started, and some take their time. */
const TEST_MS = 120_000;
const LOOK_MS = 60_000;
const HERE: Look = { word: 'Installed', tone: 'good', shape: 'check' };
const MISSING: Look = { word: 'Not installed', tone: 'off', shape: 'dash' };

/** Who can work on this host, what is missing for the others, and whether it answers. */
export function AgentsView() {
  const { data, error, loading, reload } = useQuery('agent.list', {}, useTick(POLL_MS));
  const stale = useStale();
  const look = useAction(async () => {
    await call('agent.list', { refresh: true }, LOOK_MS);
    reload();
  });
  // What works comes first.
  const agents = [...(data?.agents ?? [])].sort((a, b) => Number(b.installed) - Number(a.installed));
  return (
    <Page
      title="Agents"
      testid="view-agents"
      actions={
        <Button icon="retry" disabled={stale || look.pending} onClick={() => void look.run()}>
          {look.pending ? 'Looking…' : 'Look again'}
        </Button>
      }
    >
      <p className="soft column">
        Programs on the host’s machine that can do a step of <code>kind: agent</code>. A workflow names one by its id.
        Signalbox holds none of their keys: each signs in by itself.
      </p>
      <UsageTable />
      {loading && <Loading lines={5} label="Loading the agents" />}
      {(error ?? look.error) !== undefined && (
        <div className="column">
          <Problem error={error ?? look.error} kind="warning" />
        </div>
      )}
      {data && agents.length === 0 && (
        <Empty title="No agent is known">
          <p>The host’s settings name agents of your own under [agents].</p>
        </Empty>
      )}
      {agents.length > 0 && (
        <ul className="agent-cards" aria-label="Agents">
          {agents.map((agent) => (
            <AgentCard key={agent.id} agent={agent} />
          ))}
        </ul>
      )}
    </Page>
  );
}

function AgentCard({ agent }: { agent: AgentInfo }) {
  const link = useLink();
  const stale = useStale();
  const [tested, setTested] = useState<AgentTested>();
  const test = useAction(async () => setTested(await call('agent.test', { agent: agent.id }, TEST_MS)));
  return (
    <li className="card agent-card" data-testid={`agent-${agent.id}`}>
      <div className="row wrap">
        <h2>{agent.name}</h2>
        <code className="muted">{agent.id}</code>
        {agent.rehearsal && <Rehearsal />}
        {agent.custom && <span className="badge">own settings</span>}
        <span className="grow" />
        <State look={agent.installed ? HERE : MISSING} />
        <Button
          size="small"
          disabled={stale || test.pending || !agent.installed || link.role === 'viewer'}
          title={agent.installed ? 'Starts it, asks who it is, and ends it. No model is asked.' : 'Install it first'}
          aria-label={`Test ${agent.name}`}
          data-testid={`test-agent-${agent.id}`}
          onClick={() => void test.run()}
        >
          {test.pending ? 'Testing…' : 'Test'}
        </Button>
      </div>
      {agent.missing && <p className="soft">{agent.missing}</p>}
      <dl className="facts">
        {agent.version && <Fact name="Version" value={agent.version} />}
        {agent.program && <Fact name="Program" value={agent.program} mono />}
        {!agent.installed && agent.install && !agent.missing?.includes(agent.install) && (
          <Fact name="Install" value={agent.install} mono />
        )}
        {agent.sign_in && <Fact name="Sign in" value={agent.sign_in} />}
        {agent.licence && <Fact name="Licence" value={agent.licence} />}
      </dl>
      <div role="status">
        {tested && !test.pending && (
          <p className="agent-tested" data-tone={tested.ok ? 'good' : 'bad'} data-testid="agent-tested">
            <b className="tone">{tested.ok ? 'It answers' : 'It does not work'}</b> after {duration(tested.took_ms)}:{' '}
            {tested.message}
          </p>
        )}
      </div>
      <Problem error={test.error} />
    </li>
  );
}

function Fact({ name, value, mono }: { name: string; value: string; mono?: boolean }) {
  return (
    <>
      <dt>{name}</dt>
      <dd className={mono ? 'mono' : undefined}>{value}</dd>
    </>
  );
}
