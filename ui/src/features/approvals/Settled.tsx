import type { Approval } from '../../platform/protocol';
import { to } from '../../store/route';
import { State } from '../../shared/Lamp';
import { Ago, Link } from '../../shared/parts';
import type { Look } from '../../shared/status';

const LOOK: Record<Exclude<Approval['state'], 'open'>, Look> = {
  approved: { word: 'Approved', tone: 'good', shape: 'check' },
  rejected: { word: 'Rejected', tone: 'bad', shape: 'hand' },
  void: { word: 'No longer asked', tone: 'off', shape: 'slash' },
};

export function Settled({ approvals }: { approvals: readonly Approval[] }) {
  return (
    <section className="panel" aria-label="Settled questions" data-testid="settled">
      <header>
        <h2>Settled</h2>
      </header>
      <ul>
        {approvals.map(
          (approval) =>
            approval.state !== 'open' && (
              <li key={approval.id} className="settled">
                <State look={LOOK[approval.state]} />
                <Link to={to.run(approval.project, approval.run, { step: approval.step })} className="grow" data-row="">
                  <span className="cut" style={{ display: 'block' }}>
                    {approval.question}
                  </span>
                  <span className="muted cut" style={{ display: 'block' }}>
                    {approval.workflow} #{approval.run_number} in {approval.project}
                    {(approval.answers ?? []).length > 0
                      ? ` · ${(approval.answers ?? []).map((each) => each.actor).join(', ')}`
                      : approval.reason
                        ? ` · ${approval.reason}`
                        : ''}
                  </span>
                </Link>
                <span className="muted">{approval.resolved_at !== undefined && <Ago at={approval.resolved_at} />}</span>
              </li>
            ),
        )}
      </ul>
    </section>
  );
}
