import { useState } from 'react';
import { show, world } from '../store/client';
import { errorOf } from './Problem';

/** One thing that a person asks for: pending, failed, done. `toast` shows a failure where no place for it is. */
export function useAction<A extends unknown[]>(
  action: (...args: A) => Promise<unknown>,
  options: { toast?: boolean } = {},
) {
  const [pending, setPending] = useState(false);
  const [error, setError] = useState<unknown>();
  const run = async (...args: A): Promise<boolean> => {
    setPending(true);
    setError(undefined);
    try {
      await action(...args);
      return true;
    } catch (failure) {
      setError(failure);
      if (options.toast) {
        const { message, hint } = errorOf(failure);
        world.notice(hint ? { kind: 'error', title: message, text: hint } : { kind: 'error', title: message });
        show();
      }
      return false;
    } finally {
      setPending(false);
    }
  };
  return { run, pending, error, clear: () => setError(undefined) };
}
