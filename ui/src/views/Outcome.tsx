import type { Commit, GoalVerdict, Risk } from '../platform/protocol';
import { useCommits, useGoal } from '../store/read';
import { to } from '../store/route';
import { duration } from '../shared/format';
import { Lamp, State } from '../shared/Lamp';
import { Link } from '../shared/parts';
import { conclusionLook, goalLook } from '../shared/status';
import { Counts } from '../features/agents/DiffView';
import { RiskCard } from '../features/risks/RiskCard';
import './run.css';

/** What came of the run: its goal, what may go wrong, and what was landed. */
export function Outcome({
  project,
  run,
  statement,
  risks,
}: {
  project: string;
  run: string;
  /** What it is to reach, if its workflow says so. */
  statement: string | undefined;
  risks: readonly Risk[];
}) {
  const goal = useGoal(run);
  const commits = useCommits(run);
  return (
    <div className="outcome" data-testid="outcome">
      <section className="panel" aria-label="Goal">
        <header>
          <h2 className="grow">Goal</h2>
          {goal && <State look={goalLook(goal.passed)} />}
        </header>
        {goal ? (
          <Goal goal={goal} project={project} run={run} />
        ) : (
          <div className="body stack">
            {statement !== undefined && <blockquote className="goal-statement">{statement}</blockquote>}
            <p className="muted" data-testid="goal-unchecked">
              {statement === undefined
                ? 'The workflow names no goal.'
                : 'Not checked yet: that is done before anything lands, and when everything else is done.'}
            </p>
          </div>
        )}
      </section>
      {risks.length > 0 && (
        <section className="risks" aria-label="Risks">
          <h2>Risks</h2>
          {risks.map((risk) => (
            <RiskCard key={risk.id} risk={risk} />
          ))}
        </section>
      )}
      <section className="panel" aria-label="Commits">
        <header>
          <h2 className="grow">Commits</h2>
          {commits.length > 0 && <span className="badge num">{commits.length}</span>}
        </header>
        {commits.length === 0 ? (
          <p className="body muted">No step of this run has committed anything.</p>
        ) : (
          <ul data-testid="commits">
            {commits.map((commit) => (
              <CommitRow key={`${commit.hash} ${commit.branch}`} commit={commit} project={project} run={run} />
            ))}
          </ul>
        )}
      </section>
    </div>
  );
}

function Goal({ goal, project, run }: { goal: GoalVerdict; project: string; run: string }) {
  return (
    <div className="body stack" data-testid="goal" data-passed={goal.passed}>
      <blockquote className="goal-statement">{goal.statement}</blockquote>
      <ul className="goal-evidence">
        {goal.evidence.map((each, index) => (
          <li key={index}>
            <div className="row">
              <Lamp
                look={conclusionLook(each.passed ? 'success' : 'failed')}
                size={14}
                title={each.passed ? 'Held' : 'Did not hold'}
              />
              <span className="grow">{each.what}</span>
              {each.duration_ms > 0 && <span className="muted num">{duration(each.duration_ms)}</span>}
            </div>
            {each.detail !== '' && <pre className="soft">{each.detail}</pre>}
          </li>
        ))}
      </ul>
      {goal.step !== undefined && (
        <p className="muted">
          Checked before{' '}
          <Link className="text" to={to.run(project, run, { step: goal.step })}>
            {goal.step}
          </Link>{' '}
          landed anything.
        </p>
      )}
    </div>
  );
}

function CommitRow({ commit, project, run }: { commit: Commit; project: string; run: string }) {
  return (
    <li className="commit">
      <code title={commit.hash}>{commit.hash.slice(0, 8)}</code>
      <span className="grow">
        <span className="commit-subject">{commit.subject}</span>
        <span className="muted commit-where">
          <span className="mono cut" title={commit.branch}>
            {commit.branch}
          </span>
          {commit.step !== undefined && (
            <Link className="text" to={to.run(project, run, { step: commit.step })}>
              {commit.step}
            </Link>
          )}
        </span>
      </span>
      <Counts added={commit.added} removed={commit.removed} />
    </li>
  );
}
