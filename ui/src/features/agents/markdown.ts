/** What agents write is nearly Markdown. This reads what helps to read it; all else, HTML included, stays text. */

export type Inline =
  { kind: 'text' | 'code' | 'strong' | 'em'; text: string } | { kind: 'link'; text: string; href: string };

export type Block =
  | { kind: 'paragraph' | 'heading' | 'quote'; inline: Inline[] }
  | { kind: 'code'; language: string; text: string; open: boolean }
  | { kind: 'list'; ordered: boolean; start: number; items: { depth: number; inline: Inline[] }[] }
  | { kind: 'rule' };

const FENCE = /^ {0,3}(`{3,}|~{3,})\s*([^`]*)$/;
const ITEM = /^(\s*)(?:[-*+]|(\d{1,9})[.)])\s+(.*)$/;
const HEADING = /^ {0,3}#{1,6}\s+(.*?)\s*#*$/;
const QUOTE = /^ {0,3}>\s?(.*)$/;
const RULE = /^ {0,3}(?:(?:-\s*){3,}|(?:\*\s*){3,}|(?:_\s*){3,})$/;
const DEEPEST = 4;

export function parseMarkdown(text: string): Block[] {
  const blocks: Block[] = [];
  const lines = text.split('\n');
  let paragraph: string[] = [];
  const flush = () => {
    if (paragraph.length > 0) blocks.push({ kind: 'paragraph', inline: parseInline(paragraph.join('\n')) });
    paragraph = [];
  };
  for (let at = 0; at < lines.length; at += 1) {
    const line = lines[at] ?? '';
    const fence = FENCE.exec(line);
    if (fence) {
      flush();
      const mark = fence[1] ?? '```';
      const code: string[] = [];
      let open = true;
      for (at += 1; at < lines.length; at += 1) {
        const inner = lines[at] ?? '';
        const end = inner.trim();
        if (end.startsWith(mark) && end === (mark[0] ?? '`').repeat(end.length)) {
          open = false;
          break;
        }
        code.push(inner);
      }
      // The fence of a text that still grows is not closed yet.
      blocks.push({
        kind: 'code',
        language: (fence[2] ?? '').trim().split(/\s/)[0] ?? '',
        text: code.join('\n'),
        open,
      });
      continue;
    }
    if (line.trim() === '') {
      flush();
      continue;
    }
    if (RULE.test(line)) {
      flush();
      blocks.push({ kind: 'rule' });
      continue;
    }
    const heading = HEADING.exec(line);
    if (heading) {
      flush();
      blocks.push({ kind: 'heading', inline: parseInline(heading[1] ?? '') });
      continue;
    }
    const quote = QUOTE.exec(line);
    if (quote) {
      flush();
      const quoted = [quote[1] ?? ''];
      for (let next = QUOTE.exec(lines[at + 1] ?? ''); next; next = QUOTE.exec(lines[at + 1] ?? '')) {
        quoted.push(next[1] ?? '');
        at += 1;
      }
      blocks.push({ kind: 'quote', inline: parseInline(quoted.join('\n')) });
      continue;
    }
    const item = ITEM.exec(line);
    if (item) {
      flush();
      const indent = (item[1] ?? '').replaceAll('\t', '    ').length;
      const ordered = item[2] !== undefined;
      const last = blocks.at(-1);
      const entry = { depth: Math.min(DEEPEST, Math.floor(indent / 2)), inline: parseInline(item[3] ?? '') };
      // A deeper item belongs to the list above it, whatever its own marks are.
      if (last?.kind === 'list' && (last.ordered === ordered || entry.depth > 0)) last.items.push(entry);
      else blocks.push({ kind: 'list', ordered, start: ordered ? Number(item[2]) : 1, items: [entry] });
      continue;
    }
    const last = blocks.at(-1);
    if (paragraph.length === 0 && last?.kind === 'list' && /^\s{2,}\S/.test(line) && lines[at - 1]?.trim() !== '') {
      last.items.at(-1)?.inline.push({ kind: 'text', text: '\n' }, ...parseInline(line.trim()));
      continue;
    }
    paragraph.push(line);
  }
  flush();
  return blocks;
}

const LINK = /^\[([^\]\n]{1,500})\]\((https?:\/\/[^\s()]{1,2000})\)/;
const BARE = /^https?:\/\/[^\s<>"'`]{1,2000}/;

export function parseInline(text: string): Inline[] {
  const parts: Inline[] = [];
  let plain = '';
  const add = (part: Inline, length: number) => {
    if (plain !== '') parts.push({ kind: 'text', text: plain });
    plain = '';
    parts.push(part);
    return length;
  };
  for (let at = 0; at < text.length;) {
    const here = text[at] ?? '';
    const used = takeOne(text, at, here, add);
    if (used > 0) at += used;
    else {
      plain += here;
      at += 1;
    }
  }
  if (plain !== '') parts.push({ kind: 'text', text: plain });
  return parts;
}

function takeOne(text: string, at: number, here: string, add: (part: Inline, length: number) => number): number {
  if (here === '`') {
    const mark = /^`+/.exec(text.slice(at, at + 20))?.[0] ?? '`';
    const end = text.indexOf(mark, at + mark.length);
    if (end > at + mark.length) {
      const code = text.slice(at + mark.length, end);
      return add({ kind: 'code', text: mark.length > 1 ? code.trim() : code }, end + mark.length - at);
    }
    return 0;
  }
  if (here === '*') {
    const strong = text.startsWith('**', at);
    const mark = strong ? '**' : '*';
    const end = text.indexOf(mark, at + mark.length);
    const inner = end > 0 ? text.slice(at + mark.length, end) : '';
    // `2 * 3 * 4` and a star that nothing closes are stars.
    if (inner === '' || inner.startsWith(' ') || inner.endsWith(' ') || inner.includes('\n\n') || inner.startsWith('*'))
      return 0;
    return add({ kind: strong ? 'strong' : 'em', text: inner }, end + mark.length - at);
  }
  if (here === '[') {
    const link = LINK.exec(text.slice(at, at + 2_600));
    return link ? add({ kind: 'link', text: link[1] ?? '', href: link[2] ?? '' }, link[0].length) : 0;
  }
  if (here === 'h' && (at === 0 || /[\s(<"']/.test(text[at - 1] ?? ''))) {
    const bare = BARE.exec(text.slice(at, at + 2_100))?.[0].replace(/[.,;:!?)\]*_]+$/, '');
    return bare && bare.length > 8 ? add({ kind: 'link', text: bare, href: bare }, bare.length) : 0;
  }
  return 0;
}
