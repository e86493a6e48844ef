/** Where an agent looks and writes: what it names as places of its tools, and the files that git sees changing. */

import type { Transcript } from '../../stream/transcript';
import { parsePatch } from './patch';

export interface Place {
  /** As the agent or git names it. */
  readonly path: string;
  /** From 1. */
  readonly line: number | undefined;
  /** The event that told of it. */
  readonly at: number;
  readonly changed: boolean;
}

/** Files that are offered; an agent that searches touches thousands. */
const FILES = 100;
/** Newest entries that are looked through for them. */
const LOOKED_AT = 2_000;

/** Files that lie elsewhere are not the step's to show. */
function isInside(path: string): boolean {
  return path !== '' && path !== '.' && !/^([/\\~]|[A-Za-z]:|\.\.([/\\]|$))/.test(path);
}

/** The newest place in each file, the newest first. */
export function placesOf(transcript: Transcript): Place[] {
  const byPath = new Map<string, Place>();
  const put = (place: Place) => {
    const known = byPath.get(place.path);
    if (known && known.at > place.at) {
      if (place.changed && !known.changed) byPath.set(place.path, { ...known, changed: true });
      return;
    }
    const line = place.line ?? known?.line;
    byPath.set(place.path, { ...place, line, changed: place.changed || (known?.changed ?? false) });
  };
  for (const [path, { value, at }] of transcript.files)
    if (value.status !== 'unchanged') put({ path, line: lastAdded(value.patch), at, changed: true });
  const first = Math.max(0, transcript.entries.length - LOOKED_AT);
  for (const entry of transcript.entries.slice(first)) {
    if (entry.kind !== 'tool') continue;
    for (const { path, line } of entry.value.locations ?? [])
      if (isInside(path)) put({ path, line: line ?? undefined, at: entry.at, changed: false });
  }
  return [...byPath.values()].sort((a, b) => b.at - a.at).slice(0, FILES);
}

/** Where the newest lines of a growing file are: at the end of its last change. */
function lastAdded(patch: string): number | undefined {
  const rows = parsePatch(patch).hunks.at(-1)?.rows ?? [];
  return rows.findLast((row) => row.kind === 'add')?.new ?? rows.findLast((row) => row.new !== undefined)?.new;
}

/** Lines that are new or changed, from 1. */
export function addedLines(patch: string): number[] {
  return parsePatch(patch).hunks.flatMap((hunk) =>
    hunk.rows.flatMap((row) => (row.kind === 'add' && row.new !== undefined ? [row.new] : [])),
  );
}
