import type { Role } from './protocol';
import { isDemo, isDesktop } from './environment';

export interface Session {
  member: string;
  member_name: string;
  role: Role;
}

export type SessionState = 'valid' | 'none' | 'unreachable';

/** Whether the browser's cookie is good. The window of the desktop app needs none. */
export async function checkSession(): Promise<SessionState> {
  if (isDesktop || isDemo) return 'valid';
  try {
    const answer = await fetch('/api/v1/session', { headers: { accept: 'application/json' }, cache: 'no-store' });
    if (answer.ok) return 'valid';
    return answer.status === 401 ? 'none' : 'unreachable';
  } catch {
    return 'unreachable';
  }
}

/** Exchanges a one-time code for the cookie. The answer is why it did not work, if it did not. */
export async function login(code: string): Promise<string | undefined> {
  let answer: Response;
  try {
    answer = await fetch('/api/v1/login', {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ code }),
    });
  } catch {
    return 'The host cannot be reached. Check that it is running, then try again.';
  }
  if (answer.ok) return undefined;
  const problem = (await answer.json().catch(() => undefined)) as
    { message?: string; hint?: string; error?: { message?: string; hint?: string } } | undefined;
  const told = problem?.error ?? problem;
  if (told?.message) return [told.message, told.hint].filter(Boolean).join(' ');
  return answer.status === 429
    ? 'Too many attempts. Wait a minute, then try again with a new code.'
    : 'This code is wrong, used up or older than a minute. Ask for a new one.';
}

/** What a person needs to know of an invitation that did not work. */
export interface JoinProblem {
  message: string;
  /** Whether another name may help: the invitation itself is good. */
  again: boolean;
}

/** Exchanges an invitation's code for the cookie, as `name`. */
export async function join(code: string, name: string): Promise<JoinProblem | undefined> {
  let answer: Response;
  try {
    answer = await fetch('/api/v1/join', {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ code, name, session: true }),
    });
  } catch {
    return { message: 'The host cannot be reached. You have not joined; try again.', again: true };
  }
  if (answer.ok) return undefined;
  const problem = (await answer.json().catch(() => undefined)) as
    { error?: { message?: string; hint?: string } } | undefined;
  const told = [problem?.error?.message, problem?.error?.hint].filter(Boolean).join('. ');
  return {
    message: told === '' ? `The host answered with ${answer.status}. You have not joined.` : told,
    again: answer.status !== 401 && answer.status !== 403,
  };
}

export async function logout(): Promise<void> {
  await fetch('/api/v1/logout', { method: 'POST' }).catch(() => undefined);
}
