import { useEffect, useState } from 'react';
import { PermissionCard } from '../features/agents/PermissionCard';
import { ApprovalCard } from '../features/approvals/ApprovalCard';
import { Settled, settledApproval, settledPermission } from '../features/approvals/Settled';
import { Notices } from '../features/team/Notices';
import { RiskCard } from '../features/risks/RiskCard';
import { riskKey } from '../stream/agents';
import { call, show, world } from '../store/client';
import { useKeys } from '../store/keys';
import { useApprovals, usePermissions, useRisks } from '../store/read';
import { Empty } from '../shared/parts';
import { Page } from '../shared/Page';

const SETTLED = 100;

export function InboxView() {
  const approvals = useApprovals();
  const permissions = usePermissions();
  const risks = useRisks();
  // Whoever waits longest comes first, whatever asks.
  const open = [
    ...approvals.map((approval) => ({ of: 'approval' as const, ...approval })),
    ...permissions.map((permission) => ({ of: 'permission' as const, ...permission })),
  ]
    .filter((question) => question.state === 'open')
    .sort((a, b) => a.opened_at - b.opened_at);
  const settled = [...approvals.map(settledApproval), ...permissions.map(settledPermission)]
    .filter((question) => question !== undefined)
    .sort((a, b) => (b.at ?? 0) - (a.at ?? 0))
    .slice(0, SETTLED);
  const [chosen, setChosen] = useState(() => new URLSearchParams(location.search).get('approval') ?? undefined);
  const at = Math.max(
    0,
    open.findIndex((question) => question.id === chosen),
  );
  const current = open[at];
  const move = (by: number) => {
    const next = open[Math.max(0, Math.min(open.length - 1, at + by))];
    setChosen(next?.id);
    if (!next) return;
    const card = document.querySelector<HTMLElement>(`[data-testid="${next.of}-${next.id}"]`);
    card?.focus({ preventScroll: true });
    card?.scrollIntoView({ block: 'nearest' });
  };
  useKeys([
    { keys: 'j', label: 'Next question', group: 'Inbox', run: () => move(1) },
    { keys: 'k', label: 'Previous question', group: 'Inbox', run: () => move(-1) },
  ]);
  useEffect(() => {
    call('approval.list', { all: true }).then(
      ({ approvals: all }) => {
        world.settled(all);
        show();
      },
      () => undefined,
    );
  }, []);
  return (
    <Page title="Inbox" testid="view-inbox">
      <div className="stack column" role="feed" aria-label="Questions that wait" aria-live="polite">
        {open.map((question) =>
          question.of === 'approval' ? (
            <ApprovalCard key={question.id} approval={question} keys={question === current} />
          ) : (
            <PermissionCard key={question.id} permission={question} keys={question === current} />
          ),
        )}
      </div>
      {open.length === 0 && risks.length === 0 && (
        <Empty title="Nobody waits for you" testid="inbox-empty">
          <p>
            When a step or an agent asks for a decision, it appears here, in every window at once. Answer with <b>A</b>{' '}
            and <b>R</b>.
          </p>
        </Empty>
      )}
      <Notices />
      {risks.length > 0 && (
        <section className="risks column" aria-label="Risks" data-testid="risks">
          <h2>Risks</h2>
          {risks.map((risk) => (
            <RiskCard key={riskKey(risk)} risk={risk} />
          ))}
        </section>
      )}
      {settled.length > 0 && (
        <div className="column">
          <Settled questions={settled} />
        </div>
      )}
    </Page>
  );
}
