import { useState } from 'react';
import { join } from '../platform/session';
import type { JoinProblem } from '../platform/session';
import { Button } from '../shared/parts';

const DAMAGED: JoinProblem = {
  message: 'This link is not whole. Copy all of it, up to its very end, or ask for a new one.',
  again: false,
};

/** Asks who has followed an invitation for a name. */
export function JoinView({ code, onDone }: { code: string; onDone: () => void }) {
  const [name, setName] = useState('');
  const [pending, setPending] = useState(false);
  const [problem, setProblem] = useState<JoinProblem | undefined>(code === '' ? DAMAGED : undefined);
  const over = problem !== undefined && !problem.again;
  const submit = async () => {
    setPending(true);
    const failed = await join(code, name.trim());
    setPending(false);
    if (failed === undefined) onDone();
    else setProblem(failed);
  };
  return (
    <main className="login" data-testid="view-join">
      <form
        className="card login-card"
        onSubmit={(event) => {
          event.preventDefault();
          if (name.trim() !== '' && !over && !pending) void submit();
        }}
      >
        <img src="/favicon.svg" width="44" height="44" alt="" />
        <h1>You are invited</h1>
        <p className="soft">
          Somebody shares their Signalbox with you at <strong>{location.host}</strong>. The others there see your name.
        </p>
        <div className="field">
          <label className="label" htmlFor="join-name">
            Your name
          </label>
          <input
            id="join-name"
            className="input"
            autoFocus
            autoComplete="name"
            spellCheck={false}
            maxLength={60}
            disabled={over}
            value={name}
            data-testid="join-name"
            aria-invalid={problem !== undefined}
            aria-describedby="join-wrong"
            onChange={(event) => setName(event.target.value)}
          />
          <span id="join-wrong" className="wrong" role="alert" data-testid="join-problem">
            {problem?.message}
          </span>
        </div>
        <Button kind="primary" type="submit" disabled={pending || over || name.trim() === ''} data-testid="join-submit">
          {pending ? 'Joining…' : 'Join'}
        </Button>
      </form>
    </main>
  );
}
