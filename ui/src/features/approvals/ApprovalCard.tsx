import { useState } from 'react';
import type { Approval, Decision, Run } from '../../platform/protocol';
import { call, useLink, useStale } from '../../store/client';
import { useKeys } from '../../store/keys';
import { answering } from '../../store/team';
import { useRun } from '../../store/read';
import { to } from '../../store/route';
import { useNow } from '../../store/time';
import { duration, exact } from '../../shared/format';
import { FieldForm } from '../../shared/FieldForm';
import { formQuestion, initialAnswers, readAnswers } from '../../shared/form';
import { Ago, Button, Kbd, Link } from '../../shared/parts';
import { Answering } from '../../shared/Answering';
import { Problem } from '../../shared/Problem';
import { useAction } from '../../shared/useAction';
import { useSeen } from '../../shared/useSeen';
import '../../shared/question.css';
import './approvals.css';

const NONE: ReadonlyMap<string, string> = new Map();

/** Whether who looks has started the run: by member where that is known, since names can be alike. */
function startedBy(run: Run, link: { member?: string; memberName?: string }): boolean {
  return run.started_by === undefined ? run.actor === link.memberName : run.started_by === link.member;
}

/** What who looks has answered already. */
function ownAnswer(approval: Approval, link: { member?: string; memberName?: string }): Decision | undefined {
  return (approval.answers ?? []).find((each) =>
    each.member === undefined ? each.actor === link.memberName : each.member === link.member,
  )?.decision;
}

/** A question that waits for a person. `keys`: A and R answer this one. */
export function ApprovalCard({ approval, keys }: { approval: Approval; keys: boolean }) {
  const link = useLink();
  const stale = useStale();
  const run = useRun(approval.run);
  useSeen(approval.id);
  const questions = (approval.form ?? []).map(formQuestion);
  const [answers, setAnswers] = useState(() => initialAnswers(questions));
  const [tried, setTried] = useState(false);
  const { values, wrong } = readAnswers(questions, answers);
  const answer = useAction((decision: Decision) =>
    call(
      'approval.answer',
      values.length > 0
        ? { approval: approval.id, decision, form: Object.fromEntries(values) }
        : { approval: approval.id, decision },
    ),
  );
  const own = ownAnswer(approval, link);
  const roles = approval.roles.length > 0 ? approval.roles : ['operator', 'owner'];
  const barred =
    link.role !== undefined && !roles.includes(link.role)
      ? `Only ${roles.join(' or ')} may answer; you are ${link.role}.`
      : !approval.self_approval && run !== undefined && startedBy(run, link)
        ? 'Whoever started the run may not answer this one.'
        : own !== undefined
          ? `You said ${own === 'approve' ? 'yes' : 'no'}; it waits for others.`
          : undefined;
  const off = stale || answer.pending || barred !== undefined;
  const decide = (decision: Decision) => {
    if (off) return;
    setTried(true);
    // A rejection needs no form: what is required is required to approve.
    if (decision === 'approve' && wrong.size > 0) return;
    void answer.run(decision);
  };
  return (
    <article
      className="card question-card approval"
      tabIndex={-1}
      data-testid={`approval-${approval.id}`}
      data-active={keys || undefined}
      aria-label={approval.question}
      {...(barred === undefined && answering(approval.project, 'approval', approval.id))}
    >
      <header>
        <span className="muted">
          <Link className="text" to={to.run(approval.project, approval.run, { step: approval.step })}>
            {approval.workflow} #{approval.run_number}
          </Link>{' '}
          in {approval.project}, step {approval.step}
        </span>
        <TimeLeft approval={approval} />
      </header>
      <h2>{approval.question}</h2>
      {Object.entries(approval.show ?? {}).map(([label, text]) => (
        <figure key={label} className="approval-show">
          <figcaption>{label}</figcaption>
          <pre tabIndex={0}>{text}</pre>
        </figure>
      ))}
      {questions.length > 0 && (
        <FieldForm
          questions={questions}
          answers={answers}
          wrong={tried ? wrong : NONE}
          disabled={off}
          onChange={setAnswers}
        />
      )}
      <Problem error={answer.error} />
      {(approval.answers ?? []).length > 0 && (
        <p className="soft">
          {(approval.answers ?? [])
            .map((each) => `${each.actor} said ${each.decision === 'approve' ? 'yes' : 'no'}`)
            .join(', ')}
          . {approval.min} needed.
        </p>
      )}
      <footer>
        <Button kind="primary" disabled={off} data-testid="approve" onClick={() => decide('approve')}>
          Approve {keys && <Kbd>A</Kbd>}
        </Button>
        <Button kind="danger" disabled={off} data-testid="reject" onClick={() => decide('reject')}>
          Reject {keys && <Kbd>R</Kbd>}
        </Button>
        <span className="muted">
          {barred ?? `${roles.join(' or ')} may answer`}
          {approval.min > 1 && ` · ${String(approval.min)} approvals needed`}
        </span>
        <Answering project={approval.project} question={approval.id} />
      </footer>
      {keys && <AnswerKeys onDecide={decide} />}
    </article>
  );
}

function AnswerKeys({ onDecide }: { onDecide: (decision: Decision) => void }) {
  useKeys([
    { keys: 'a', label: 'Approve', group: 'Inbox', run: () => onDecide('approve') },
    { keys: 'r', label: 'Reject', group: 'Inbox', run: () => onDecide('reject') },
  ]);
  return null;
}

function TimeLeft({ approval }: { approval: Approval }) {
  const now = useNow();
  if (approval.due_at === undefined)
    return (
      <span className="muted">
        waits since <Ago at={approval.opened_at} />
      </span>
    );
  const left = approval.due_at - now;
  return (
    <span className="badge" data-tone={left < 600_000 ? 'bad' : 'wait'} title={`until ${exact(approval.due_at)}`}>
      {left > 0 ? `${duration(left)} left` : 'time is up'}
    </span>
  );
}
