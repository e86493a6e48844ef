import { useEffect, useState } from 'react';

/** `value`, but never two of its changes within `ms`: what flickers cannot be read. The newest is shown in the end. */
export function useCalm<T>(value: T, ms: number): T {
  const [shown, setShown] = useState({ value, at: -Infinity });
  const differs = !Object.is(shown.value, value);
  useEffect(() => {
    if (!differs) return;
    const timer = setTimeout(
      () => setShown({ value, at: performance.now() }),
      Math.max(0, shown.at + ms - performance.now()),
    );
    return () => clearTimeout(timer);
  }, [value, differs, shown.at, ms]);
  return shown.value;
}
