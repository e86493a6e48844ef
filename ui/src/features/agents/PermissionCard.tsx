import { useId, useState } from 'react';
import type { Permission, PermissionAnswer } from '../../platform/protocol';
import { useLink, useStale } from '../../store/client';
import { useKeys } from '../../store/keys';
import { answering } from '../../store/team';
import { to } from '../../store/route';
import { Icon } from '../../shared/Icon';
import { Ago, Button, Kbd, Link } from '../../shared/parts';
import { Answering } from '../../shared/Answering';
import { Problem } from '../../shared/Problem';
import { useAction } from '../../shared/useAction';
import { useSeen } from '../../shared/useSeen';
import { answerPermission, optionFor } from './answer';
import { ToldDiff } from './DiffView';
import { Places, Raw } from './Entries';
import { OPTION, pretty, TOOL } from './looks';
import '../../shared/question.css';
import './agents.css';

const LONGEST = 8_000;

/** A question of an agent that waits for a person. `keys`: A and R answer this one. */
export function PermissionCard({ permission, keys }: { permission: Permission; keys: boolean }) {
  const link = useLink();
  const stale = useStale();
  const field = useId();
  useSeen(permission.id);
  const [text, setText] = useState('');
  const answer = useAction((given: Omit<PermissionAnswer, 'permission'>) =>
    answerPermission({ permission: permission.id, ...given }),
  );
  const [given, setGiven] = useState(false);
  const barred = link.role === 'viewer' ? 'Only operator or owner may answer; you are viewer.' : undefined;
  // After an answer the card stays until the host says that it is settled: somebody else may have been first.
  const off = stale || answer.pending || given || barred !== undefined;
  const give = async (reply: Omit<PermissionAnswer, 'permission'>) => {
    if (off) return;
    if (await answer.run(reply)) setGiven(true);
  };
  const tool = TOOL[permission.kind] ?? TOOL.other;
  const [yes, no] = [optionFor(permission, 'a'), optionFor(permission, 'r')];
  return (
    <article
      className="card question-card permission"
      tabIndex={-1}
      data-testid={`permission-${permission.id}`}
      data-active={keys || undefined}
      aria-label={permission.title}
      {...(barred === undefined && answering(permission.project, 'permission', permission.id))}
    >
      <header>
        <span className="muted">
          <Link className="text" to={to.run(permission.project, permission.run, { step: permission.step })}>
            {permission.workflow} #{permission.run_number}
          </Link>{' '}
          in {permission.project}, step {permission.step}
        </span>
        <span className="muted">
          waits since <Ago at={permission.opened_at} />
        </span>
      </header>
      <h2 className="row">
        {permission.topic === 'tool' && <Icon name={tool.icon} size={18} />}
        <span className="grow">{permission.title}</span>
      </h2>
      <p className="soft">{asks(permission, tool.word)}</p>
      <Places places={permission.locations ?? []} />
      {permission.input !== undefined && <Raw label="Input" text={pretty(permission.input)} />}
      {(permission.diffs ?? []).map((diff, index) => (
        <ToldDiff key={index} diff={diff} />
      ))}
      {permission.free_text && (
        <div className="field">
          <label className="label" htmlFor={field}>
            In your own words
          </label>
          <textarea
            id={field}
            className="input"
            maxLength={LONGEST}
            value={text}
            disabled={off}
            onChange={(event) => setText(event.target.value)}
          />
        </div>
      )}
      <Problem error={answer.error} />
      <footer>
        {permission.options.map((option) => (
          <Button
            key={option.id}
            kind={OPTION[option.kind]}
            disabled={off}
            data-testid={`option-${option.id}`}
            onClick={() =>
              void give(
                permission.free_text && text.trim() !== '' ? { option: option.id, text } : { option: option.id },
              )
            }
          >
            {option.name} {keys && option === yes && <Kbd>A</Kbd>}
            {keys && option === no && <Kbd>R</Kbd>}
          </Button>
        ))}
        {permission.free_text && (
          <Button
            kind={permission.options.length === 0 ? 'primary' : undefined}
            disabled={off || text.trim() === ''}
            data-testid="answer-text"
            onClick={() => void give({ text })}
          >
            Send this answer
          </Button>
        )}
        <span className="muted" role="status">
          {barred ?? (given ? 'Answered. The host is told.' : 'operator or owner may answer')}
        </span>
        <Answering project={permission.project} question={permission.id} />
      </footer>
      {keys && (
        <AnswerKeys
          onYes={yes && (() => void give({ option: yes.id }))}
          onNo={no && (() => void give({ option: no.id }))}
        />
      )}
    </article>
  );
}

function asks(permission: Permission, tool: string): string {
  switch (permission.topic) {
    case 'tool':
      return `${permission.agent} asks to use a tool: ${tool.toLowerCase()}.`;
    case 'question':
      return `${permission.agent} asks.`;
    case 'budget':
      return `The budget of ${permission.agent} is used up.`;
  }
}

function AnswerKeys({ onYes, onNo }: { onYes: (() => void) | undefined; onNo: (() => void) | undefined }) {
  useKeys([
    ...(onYes ? [{ keys: 'a', label: 'Allow once', group: 'Inbox', run: onYes }] : []),
    ...(onNo ? [{ keys: 'r', label: 'Refuse once', group: 'Inbox', run: onNo }] : []),
  ]);
  return null;
}
