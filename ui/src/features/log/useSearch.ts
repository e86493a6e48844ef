import { useState } from 'react';
import type { LogMatches } from '../../platform/protocol';
import { call } from '../../store/client';
import type { LogRef } from './source';

export interface Search {
  query: string;
  /** What the matches are of. */
  asked: string;
  caseSensitive: boolean;
  matches: LogMatches | undefined;
  at: number;
  pending: boolean;
  error: unknown;
}

const START: Search = {
  query: '',
  asked: '',
  caseSensitive: false,
  matches: undefined,
  at: -1,
  pending: false,
  error: undefined,
};
const LIMIT = 10_000;

/** Search over the whole log, on the host: what is loaded here is only a window. */
export function useSearch(ref: LogRef, show: (line: number) => void) {
  const [search, setSearch] = useState(START);

  const go = (step: 1 | -1) => {
    const found = search.matches?.matches;
    if (!found || found.length === 0) return;
    const at = (search.at + step + found.length) % found.length;
    setSearch({ ...search, at });
    const line = found[at];
    if (line) show(line.n);
  };

  const run = async (from: number, caseSensitive = search.caseSensitive) => {
    const query = search.query;
    if (query === '') return;
    setSearch({ ...search, caseSensitive, pending: true, error: undefined });
    try {
      const matches = await call(
        'run.log_search',
        { ...ref, query, case_sensitive: caseSensitive, limit: LIMIT },
        60_000,
      );
      const after = matches.matches.findIndex((line) => line.n >= from);
      const at = matches.matches.length === 0 ? -1 : Math.max(0, after);
      setSearch((now) => ({ ...now, asked: query, matches, at, pending: false }));
      const line = matches.matches[at];
      if (line) show(line.n);
    } catch (error) {
      setSearch((now) => ({ ...now, pending: false, error }));
    }
  };

  return {
    search,
    type: (query: string) => setSearch({ ...search, query }),
    clear: () => setSearch(START),
    run,
    go,
  };
}
