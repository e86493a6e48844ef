import { useEffect, useState } from 'react';
import type { Methods } from '../platform/protocol';
import { call } from '../store/client';

interface Answer<T> {
  key: string;
  data?: T;
  error?: unknown;
}

/**
 * A read that the stream does not carry. The answer of an older question never shows under a newer
 * one; while the same question is asked again (`again`), the old answer stays.
 */
export function useQuery<M extends keyof Methods>(
  method: M,
  params: Methods[M]['params'] | undefined,
  again: unknown = 0,
) {
  const key = params === undefined ? '' : `${method} ${JSON.stringify(params)}`;
  const [answer, setAnswer] = useState<Answer<Methods[M]['reply']>>({ key: '' });
  const [turn, setTurn] = useState(0);
  useEffect(() => {
    if (key === '') return;
    let current = true;
    call(method, JSON.parse(key.slice(method.length + 1)) as Methods[M]['params']).then(
      (data) => {
        if (current) setAnswer({ key, data });
      },
      (error: unknown) => {
        if (current)
          setAnswer((before) =>
            before.key === key && before.data !== undefined ? { ...before, error } : { key, error },
          );
      },
    );
    return () => {
      current = false;
    };
  }, [key, method, again, turn]);
  const mine = answer.key === key ? answer : undefined;
  return {
    data: mine?.data,
    error: mine?.error,
    loading: mine === undefined && key !== '',
    reload: () => setTurn((n) => n + 1),
  };
}
