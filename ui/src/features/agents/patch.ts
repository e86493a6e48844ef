/** Reads unified patches, and makes rows to look at. */

export interface Row {
  readonly kind: 'same' | 'add' | 'remove';
  /** Line numbers, from 1. */
  readonly old?: number;
  readonly new?: number;
  readonly text: string;
  /** The file ends here without a line end. */
  readonly open?: boolean;
}

export interface Hunk {
  /** What git says where this is: the function, for example. */
  readonly title: string;
  readonly old: number;
  readonly new: number;
  readonly rows: readonly Row[];
}

export interface Patch {
  readonly hunks: readonly Hunk[];
  /** Changes beside the lines: of rights, of what kind of file it is. */
  readonly notes: readonly string[];
  /** Its end is missing. */
  readonly cut: boolean;
}

const HUNK = /^@@ -(\d+)(?:,(\d+))? \+(\d+)(?:,(\d+))? @@ ?(.*)$/;
const NOTE = /^(old mode|new mode|deleted file mode|new file mode|similarity index|Binary files) ?(.*)$/;
const MODES: Record<string, string> = {
  '100644': 'a file',
  '100755': 'a program',
  '120000': 'a link',
  '160000': 'a repository',
};

export function parsePatch(text: string): Patch {
  const hunks: Hunk[] = [];
  const notes: string[] = [];
  let rows: Row[] = [];
  let [oldLeft, newLeft, oldLine, newLine] = [0, 0, 0, 0];
  const lines = text.split('\n');
  if (lines.at(-1) === '') lines.pop();
  for (const line of lines) {
    if (line.startsWith('\\')) {
      const last = rows.pop();
      if (last) rows.push({ ...last, open: true });
      continue;
    }
    // Within a hunk its counts say what a line is: a removed `-- a` looks like a header.
    if (oldLeft > 0 || newLeft > 0) {
      const content = line.slice(1);
      if (line.startsWith('-')) {
        rows.push({ kind: 'remove', old: oldLine++, text: content });
        oldLeft -= 1;
      } else if (line.startsWith('+')) {
        rows.push({ kind: 'add', new: newLine++, text: content });
        newLeft -= 1;
      } else {
        rows.push({ kind: 'same', old: oldLine++, new: newLine++, text: content });
        oldLeft -= 1;
        newLeft -= 1;
      }
      continue;
    }
    const hunk = HUNK.exec(line);
    if (hunk) {
      rows = [];
      oldLine = Number(hunk[1]);
      newLine = Number(hunk[3]);
      oldLeft = Number(hunk[2] ?? 1);
      newLeft = Number(hunk[4] ?? 1);
      hunks.push({ title: hunk[5] ?? '', old: oldLine, new: newLine, rows });
      continue;
    }
    const note = NOTE.exec(line);
    const said = note && noteOf(note[1] ?? '', note[2] ?? '');
    if (said) notes.push(said);
  }
  return { hunks, notes, cut: oldLeft > 0 || newLeft > 0 };
}

function noteOf(what: string, value: string): string | undefined {
  const mode = MODES[value] ?? value;
  switch (what) {
    case 'old mode':
      return `was ${mode}`;
    case 'new mode':
      return `is ${mode} now`;
    case 'deleted file mode':
      return value === '100644' ? undefined : `was ${mode}`;
    case 'new file mode':
      return value === '100644' ? undefined : `is ${mode}`;
    case 'similarity index':
      return value === '100%' ? 'same content' : undefined;
    default:
      return undefined;
  }
}

/** Old and new beside each other: what was removed and what was added in its place share a row. */
export function sideBySide(rows: readonly Row[]): (readonly [Row | undefined, Row | undefined])[] {
  const pairs: (readonly [Row | undefined, Row | undefined])[] = [];
  for (let at = 0; at < rows.length;) {
    const row = rows[at] as Row;
    if (row.kind === 'same') {
      pairs.push([row, row]);
      at += 1;
      continue;
    }
    const removed: Row[] = [];
    const added: Row[] = [];
    for (; rows[at] !== undefined && rows[at]?.kind !== 'same'; at += 1)
      (rows[at]?.kind === 'remove' ? removed : added).push(rows[at] as Row);
    for (let n = 0; n < Math.max(removed.length, added.length); n += 1) pairs.push([removed[n], added[n]]);
  }
  return pairs;
}

const CONTEXT = 3;
/** Above this many cells of the comparison, all of the middle is told as replaced. */
const CELLS = 4_000_000;

/** The change between two texts as an agent tells them: whole, without hunks. */
export function hunksBetween(before: string | undefined, after: string): Hunk[] {
  const a = before === undefined || before === '' ? [] : before.replace(/\n$/, '').split('\n');
  const b = after === '' ? [] : after.replace(/\n$/, '').split('\n');
  const kinds = compare(a, b);
  const rows: Row[] = [];
  let [x, y] = [0, 0];
  for (const kind of kinds) {
    if (kind === 'same') rows.push({ kind, old: ++x, new: ++y, text: b[y - 1] ?? '' });
    else if (kind === 'remove') rows.push({ kind, old: ++x, text: a[x - 1] ?? '' });
    else rows.push({ kind, new: ++y, text: b[y - 1] ?? '' });
  }
  return grouped(rows);
}

function grouped(rows: readonly Row[]): Hunk[] {
  const near = rows.map(() => false);
  rows.forEach((row, at) => {
    if (row.kind === 'same') return;
    for (let n = Math.max(0, at - CONTEXT); n <= Math.min(rows.length - 1, at + CONTEXT); n += 1) near[n] = true;
  });
  const hunks: (Hunk & { rows: Row[] })[] = [];
  rows.forEach((row, at) => {
    if (!near[at]) return;
    const last = hunks.at(-1);
    if (last && near[at - 1]) last.rows.push(row);
    else hunks.push({ title: '', old: row.old ?? 1, new: row.new ?? 1, rows: [row] });
  });
  return hunks;
}

function compare(a: readonly string[], b: readonly string[]): Row['kind'][] {
  let start = 0;
  while (start < a.length && start < b.length && a[start] === b[start]) start += 1;
  let end = 0;
  while (end < a.length - start && end < b.length - start && a[a.length - 1 - end] === b[b.length - 1 - end]) end += 1;
  const same = (n: number) => Array.from({ length: n }, (): Row['kind'] => 'same');
  return [...same(start), ...middle(a.slice(start, a.length - end), b.slice(start, b.length - end)), ...same(end)];
}

/** The longest common subsequence. */
function middle(a: readonly string[], b: readonly string[]): Row['kind'][] {
  const all = (n: number, kind: Row['kind']) => Array.from({ length: n }, () => kind);
  if (a.length === 0 || b.length === 0 || a.length * b.length > CELLS)
    return [...all(a.length, 'remove'), ...all(b.length, 'add')];
  const wide = b.length + 1;
  const best = new Uint32Array((a.length + 1) * wide);
  for (let x = a.length - 1; x >= 0; x -= 1)
    for (let y = b.length - 1; y >= 0; y -= 1)
      best[x * wide + y] =
        a[x] === b[y]
          ? (best[(x + 1) * wide + y + 1] ?? 0) + 1
          : Math.max(best[(x + 1) * wide + y] ?? 0, best[x * wide + y + 1] ?? 0);
  const kinds: Row['kind'][] = [];
  let [x, y] = [0, 0];
  while (x < a.length && y < b.length) {
    if (a[x] === b[y]) {
      kinds.push('same');
      x += 1;
      y += 1;
    } else if ((best[(x + 1) * wide + y] ?? 0) >= (best[x * wide + y + 1] ?? 0)) {
      kinds.push('remove');
      x += 1;
    } else {
      kinds.push('add');
      y += 1;
    }
  }
  return [...kinds, ...all(a.length - x, 'remove'), ...all(b.length - y, 'add')];
}

export function extent(hunks: readonly Hunk[]): { added: number; removed: number } {
  const counts = { added: 0, removed: 0 };
  for (const hunk of hunks)
    for (const row of hunk.rows) {
      if (row.kind === 'add') counts.added += 1;
      else if (row.kind === 'remove') counts.removed += 1;
    }
  return counts;
}
