import { describe, expect, it } from 'vitest';
import { addedLines, placesOf } from '../src/features/agents/gaze';
import type { FileDiff, ToolCall } from '../src/platform/protocol';
import { Transcript } from '../src/stream/transcript';

const call = (id: string, locations: { path: string; line?: number }[]): ToolCall => ({
  step: 'a',
  attempt: 1,
  id,
  kind: 'read',
  title: id,
  status: 'completed',
  locations,
});

const diff = (path: string, patch: string, status: FileDiff['status'] = 'modified'): FileDiff => ({
  step: 'a',
  attempt: 1,
  path,
  status,
  added: 1,
  removed: 0,
  patch,
});

const PATCH = [
  'diff --git a/src/a.ts b/src/a.ts',
  '--- a/src/a.ts',
  '+++ b/src/a.ts',
  '@@ -1,2 +1,3 @@',
  ' one',
  '+two',
  ' three',
  '@@ -10,1 +11,3 @@',
  ' ten',
  '+eleven',
  '+twelve',
  '',
].join('\n');

describe('where the agent is', () => {
  it('is the newest place, once for each file, with the line that was told last', () => {
    const transcript = new Transcript();
    transcript.apply(1, { type: 'tool_call', data: call('read', [{ path: 'src/a.ts', line: 3 }, { path: 'b.ts' }]) });
    transcript.apply(2, { type: 'file_diff', data: diff('src/a.ts', PATCH) });
    expect(placesOf(transcript)).toEqual([
      { path: 'src/a.ts', line: 13, at: 2, changed: true },
      { path: 'b.ts', line: undefined, at: 1, changed: false },
    ]);
    transcript.apply(3, { type: 'tool_call', data: call('again', [{ path: 'b.ts', line: 7 }, { path: 'src/a.ts' }]) });
    expect(placesOf(transcript)).toEqual([
      { path: 'src/a.ts', line: 13, at: 3, changed: true },
      { path: 'b.ts', line: 7, at: 3, changed: false },
    ]);
  });

  it('is never a file elsewhere, nor one that is as it was', () => {
    const transcript = new Transcript();
    const elsewhere = ['/etc/hosts', '../x', '..', '~/x', 'C:\\x', '', '.', '\\\\host\\x'];
    transcript.apply(1, {
      type: 'tool_call',
      data: call(
        'r',
        elsewhere.map((path) => ({ path })),
      ),
    });
    transcript.apply(2, { type: 'file_diff', data: diff('same', '', 'unchanged') });
    expect(placesOf(transcript)).toEqual([]);
    transcript.apply(3, { type: 'tool_call', data: call('s', [{ path: '..b/c' }]) });
    expect(placesOf(transcript).map((place) => place.path)).toEqual(['..b/c']);
  });

  it('has the lines that are new', () => {
    expect(addedLines(PATCH)).toEqual([2, 12, 13]);
    expect(addedLines('')).toEqual([]);
  });
});
