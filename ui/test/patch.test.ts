import { describe, expect, test } from 'vitest';
import { extent, hunksBetween, parsePatch, sideBySide } from '../src/features/agents/patch';

const PATCH = `diff --git a/a.sql b/a.sql
index 1..2 100644
--- a/a.sql
+++ b/a.sql
@@ -1,4 +1,4 @@ create table
 one
--- two
+++ two
 three
-four
\\ No newline at end of file
+four!
@@ -10 +10,2 @@
 ten
+eleven
`;

describe('a patch', () => {
  test('rows have their numbers, and lines that look like headers are lines', () => {
    const { hunks, cut } = parsePatch(PATCH);
    expect(cut).toBe(false);
    expect(hunks.map((hunk) => [hunk.title, hunk.old, hunk.new])).toEqual([
      ['create table', 1, 1],
      ['', 10, 10],
    ]);
    expect(hunks[0]?.rows).toEqual([
      { kind: 'same', old: 1, new: 1, text: 'one' },
      { kind: 'remove', old: 2, text: '-- two' },
      { kind: 'add', new: 2, text: '++ two' },
      { kind: 'same', old: 3, new: 3, text: 'three' },
      { kind: 'remove', old: 4, text: 'four', open: true },
      { kind: 'add', new: 4, text: 'four!' },
    ]);
    expect(hunks[1]?.rows).toEqual([
      { kind: 'same', old: 10, new: 10, text: 'ten' },
      { kind: 'add', new: 11, text: 'eleven' },
    ]);
    expect(extent(hunks)).toEqual({ added: 3, removed: 2 });
  });

  test('one that was cut says so, at any place', () => {
    for (let at = PATCH.indexOf('three'); at < PATCH.indexOf('four!'); at += 1)
      expect(parsePatch(PATCH.slice(0, at)).cut).toBe(true);
    expect(parsePatch('').hunks).toEqual([]);
  });

  test('rights, links and renames are told', () => {
    expect(parsePatch('diff --git a/x b/x\nold mode 100644\nnew mode 100755\n').notes).toEqual([
      'was a file',
      'is a program now',
    ]);
    const kind =
      'diff --git a/x b/x\ndeleted file mode 120000\n--- a/x\n+++ /dev/null\n@@ -1 +0,0 @@\n-t\n\\ No newline at end of file\ndiff --git a/x b/x\nnew file mode 100644\n--- /dev/null\n+++ b/x\n@@ -0,0 +1 @@\n+text\n';
    expect(parsePatch(kind)).toMatchObject({
      notes: ['was a link'],
      hunks: [{ rows: [{ text: 't' }] }, { rows: [{ text: 'text' }] }],
    });
    expect(parsePatch('similarity index 100%\nrename from a\nrename to b\n').notes).toEqual(['same content']);
  });

  test('side by side, what replaces shares a row', () => {
    const pairs = sideBySide(parsePatch(PATCH).hunks[0]?.rows ?? []);
    expect(pairs.map(([a, b]) => [a?.text, b?.text])).toEqual([
      ['one', 'one'],
      ['-- two', '++ two'],
      ['three', 'three'],
      ['four', 'four!'],
    ]);
    const added = sideBySide([
      { kind: 'remove', old: 1, text: 'a' },
      { kind: 'add', new: 1, text: 'b' },
      { kind: 'add', new: 2, text: 'c' },
    ]);
    expect(added.map(([a, b]) => [a?.text, b?.text])).toEqual([
      ['a', 'b'],
      [undefined, 'c'],
    ]);
  });

  test('between two texts: what was new, what changed, far apart', () => {
    expect(hunksBetween(undefined, 'a\nb\n')).toMatchObject([
      {
        rows: [
          { kind: 'add', new: 1 },
          { kind: 'add', new: 2 },
        ],
      },
    ]);
    const before = Array.from({ length: 40 }, (_, n) => `line ${String(n)}`);
    const after = [...before];
    after[5] = 'five';
    after.splice(30, 1);
    const hunks = hunksBetween(before.join('\n'), after.join('\n'));
    expect(hunks.map((hunk) => [hunk.old, hunk.new, hunk.rows.length])).toEqual([
      [3, 3, 8],
      [28, 28, 7],
    ]);
    expect(extent(hunks)).toEqual({ added: 1, removed: 2 });
    expect(hunksBetween('same', 'same')).toEqual([]);
  });

  test('two large texts with nothing in common do not hang the window', () => {
    const text = (seed: string) => Array.from({ length: 30_000 }, (_, n) => `${seed}${String(n)}`).join('\n');
    const start = performance.now();
    expect(extent(hunksBetween(text('a'), text('b')))).toEqual({ added: 30_000, removed: 30_000 });
    expect(performance.now() - start).toBeLessThan(1_000);
  });
});
