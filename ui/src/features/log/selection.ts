import { plain } from '../../stream/ansi';
import type { Logbook } from '../../stream/logbook';

interface End {
  line: number;
  column: number;
}

function endOf(root: HTMLElement, node: Node | null, offset: number): End | undefined {
  const element = node instanceof HTMLElement ? node : node?.parentElement;
  const row = element?.closest<HTMLElement>('[data-line]');
  if (!row || !root.contains(row) || !node) return undefined;
  const text = row.querySelector('.log-text');
  if (!text?.contains(node)) return { line: Number(row.dataset['line']), column: 0 };
  const range = document.createRange();
  range.selectNodeContents(text);
  range.setEnd(node, offset);
  return { line: Number(row.dataset['line']), column: range.toString().length };
}

/** Whether a person holds a selection within the log: nothing may move under it. */
export function isSelecting(root: HTMLElement): boolean {
  const selection = getSelection();
  return selection !== null && !selection.isCollapsed && root.contains(selection.anchorNode);
}

/** The selected lines as clean text: no numbers, no colours, no redrawn progress bars. */
export function selectedText(root: HTMLElement, book: Logbook): string | undefined {
  const selection = getSelection();
  if (!selection || selection.isCollapsed) return undefined;
  const range = selection.getRangeAt(0);
  const from = endOf(root, range.startContainer, range.startOffset);
  const to = endOf(root, range.endContainer, range.endOffset);
  if (!from || !to) return undefined;
  if (from.line === to.line) return selection.toString();
  const lines: string[] = [];
  for (let n = from.line; n <= to.line; n += 1) {
    const text = plain(book.get(n)?.text ?? '');
    lines.push(n === from.line ? text.slice(from.column) : n === to.line ? text.slice(0, to.column) : text);
  }
  return lines.join('\n');
}
