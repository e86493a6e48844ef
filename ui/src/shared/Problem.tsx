import type { CallError } from '../platform/protocol';
import { CallFailed } from '../stream/calls';

const WHAT_TO_DO: Partial<Record<CallError['code'], string>> = {
  forbidden: 'Your role does not allow this. Ask an owner of this host.',
  unauthorized: 'Log in again.',
  unavailable: 'Try again in a moment.',
  internal: "The host's log says more. Try again; if it stays, report it with that log.",
};

export function errorOf(error: unknown): CallError {
  if (error instanceof CallFailed) return error.detail;
  return { code: 'internal', message: error instanceof Error ? error.message : String(error) };
}

/** What happened, whether anything was lost, what to do. */
export function Problem({ error, kind }: { error: unknown; kind?: 'warning' }) {
  if (error === undefined || error === null) return null;
  const { code, message, hint } = errorOf(error);
  const advice = hint ?? WHAT_TO_DO[code];
  return (
    <div className="problem" role="alert" data-kind={kind} data-testid="problem">
      <div>
        <p>{message}</p>
        {advice && <p>{advice}</p>}
      </div>
    </div>
  );
}
