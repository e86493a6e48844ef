import { useState } from 'react';
import { login } from '../platform/session';
import { Button } from '../shared/parts';

export function LoginView({ problem, onDone }: { problem: string | undefined; onDone: () => void }) {
  const [code, setCode] = useState('');
  const [pending, setPending] = useState(false);
  const [wrong, setWrong] = useState(problem);
  const submit = async () => {
    setPending(true);
    const failed = await login(code.trim());
    setPending(false);
    if (failed === undefined) onDone();
    else {
      setWrong(failed);
      setCode('');
    }
  };
  return (
    <main className="login" data-testid="view-login">
      <form
        className="card login-card"
        onSubmit={(event) => {
          event.preventDefault();
          if (code.trim() !== '') void submit();
        }}
      >
        <img src="/favicon.svg" width="44" height="44" alt="" />
        <h1>Log in to Signalbox</h1>
        <p className="soft">
          Paste a one-time code. The desktop app and any browser that is logged in make one under Settings; on the host
          itself, <code>signalbox login</code> does.
        </p>
        <div className="field">
          <label className="label" htmlFor="code">
            One-time code
          </label>
          <input
            id="code"
            className="input mono"
            autoFocus
            autoComplete="one-time-code"
            spellCheck={false}
            value={code}
            data-testid="login-input"
            aria-invalid={wrong !== undefined}
            aria-describedby="code-wrong"
            onChange={(event) => setCode(event.target.value)}
          />
          <span id="code-wrong" className="wrong" role="alert">
            {wrong}
          </span>
        </div>
        <Button kind="primary" type="submit" disabled={pending || code.trim() === ''} data-testid="login-submit">
          {pending ? 'Logging in…' : 'Log in'}
        </Button>
      </form>
    </main>
  );
}
