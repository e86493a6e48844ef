import type { Approval, Permission } from '../../platform/protocol';
import { to } from '../../store/route';
import { State } from '../../shared/Lamp';
import { Ago, Link } from '../../shared/parts';
import type { Look } from '../../shared/status';

const LOOK: Record<Exclude<Approval['state'], 'open'>, Look> = {
  approved: { word: 'Approved', tone: 'good', shape: 'check' },
  rejected: { word: 'Rejected', tone: 'bad', shape: 'hand' },
  void: { word: 'No longer asked', tone: 'off', shape: 'slash' },
};
const ANSWERED: Look = { word: 'Answered', tone: 'good', shape: 'check' };

/** A question that nobody waits with any more: of an approval, or of an agent. */
export interface SettledQuestion {
  id: string;
  project: string;
  run: string;
  step: string;
  look: Look;
  question: string;
  about: string;
  at: number | undefined;
}

export function settledApproval(approval: Approval): SettledQuestion | undefined {
  if (approval.state === 'open') return undefined;
  const { id, project, run, step, question, resolved_at: at } = approval;
  const who = (approval.answers ?? []).map((each) => each.actor).join(', ') || approval.reason;
  return { id, project, run, step, look: LOOK[approval.state], question, about: about(approval, who), at };
}

export function settledPermission(permission: Permission): SettledQuestion | undefined {
  if (permission.state === 'open') return undefined;
  const { id, project, run, step, title, resolved_at: at } = permission;
  const chosen = permission.options.find((option) => option.id === permission.option);
  const look = permission.state === 'void' ? LOOK.void : chosen?.kind.startsWith('reject') ? LOOK.rejected : ANSWERED;
  const who = [chosen?.name ?? permission.text, permission.by ?? permission.reason].filter(Boolean).join(', ');
  return { id, project, run, step, look, question: title, about: about(permission, who), at };
}

function about(asked: { workflow: string; run_number: number; project: string }, who: string | undefined): string {
  return `${asked.workflow} #${String(asked.run_number)} in ${asked.project}${who ? ` · ${who}` : ''}`;
}

export function Settled({ questions }: { questions: readonly SettledQuestion[] }) {
  return (
    <section className="panel" aria-label="Settled questions" data-testid="settled">
      <header>
        <h2>Settled</h2>
      </header>
      <ul>
        {questions.map((asked) => (
          <li key={asked.id} className="settled">
            <State look={asked.look} />
            <Link to={to.run(asked.project, asked.run, { step: asked.step })} className="grow" data-row="">
              <span className="cut" style={{ display: 'block' }}>
                {asked.question}
              </span>
              <span className="muted cut" style={{ display: 'block' }}>
                {asked.about}
              </span>
            </Link>
            <span className="muted">{asked.at !== undefined && <Ago at={asked.at} />}</span>
          </li>
        ))}
      </ul>
    </section>
  );
}
