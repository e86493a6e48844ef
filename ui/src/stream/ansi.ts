/** A stretch of text in one style. */
export interface Span {
  text: string;
  /** Class names of the design system: `a-b` bold, `a-d` dim, `a-f3` foreground 3, ... */
  className: string;
  color?: string;
  background?: string;
}

interface Style {
  bold: boolean;
  dim: boolean;
  italic: boolean;
  underline: boolean;
  strike: boolean;
  inverse: boolean;
  fg?: string | number;
  bg?: string | number;
}

// CSI sequences, OSC strings (ended by BEL or ST), and the short escapes.

const ESCAPE =
  /\x1b(?:\[([0-9;:?<=>]*)[ -/]*([@-~])|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[PX^_][^\x1b]*(?:\x1b\\)?|[ -/]*[0-~])|[\x00-\x08\x0b\x0c\x0e-\x1a\x1c-\x1f\x7f]/g;

/** What a terminal would show at the end of the line: a progress bar redrawn with `\r` is its last state. */
export function fold(text: string): string {
  let end = text.length;
  while (end > 0 && text[end - 1] === '\r') end -= 1;
  const start = text.lastIndexOf('\r', end - 1);
  return start < 0 && end === text.length ? text : text.slice(start + 1, end);
}

/** The line without any control sequence: what is copied. */
export function plain(text: string): string {
  return fold(text).replace(ESCAPE, '');
}

export function parseAnsi(raw: string): Span[] {
  const text = fold(raw);
  if (!text.includes('\x1b')) return [{ text: text.replace(ESCAPE, ''), className: '' }];
  const spans: Span[] = [];
  let style = fresh();
  let from = 0;
  ESCAPE.lastIndex = 0;
  for (let match = ESCAPE.exec(text); match; match = ESCAPE.exec(text)) {
    push(spans, text.slice(from, match.index), style);
    from = match.index + match[0].length;
    if (match[2] === 'm') style = sgr(style, match[1] ?? '');
  }
  push(spans, text.slice(from), style);
  return spans.length > 0 ? spans : [{ text: '', className: '' }];
}

function fresh(): Style {
  return { bold: false, dim: false, italic: false, underline: false, strike: false, inverse: false };
}

function push(spans: Span[], text: string, style: Style): void {
  if (text === '') return;
  const names: string[] = [];
  if (style.bold) names.push('a-b');
  if (style.dim) names.push('a-d');
  if (style.italic) names.push('a-i');
  if (style.underline) names.push('a-u');
  if (style.strike) names.push('a-s');
  const fg = style.inverse ? (style.bg ?? 'var(--log-bg)') : style.fg;
  const bg = style.inverse ? (style.fg ?? 'var(--log-fg)') : style.bg;
  if (typeof fg === 'number') names.push(`a-f${String(fg)}`);
  if (typeof bg === 'number') names.push(`a-g${String(bg)}`);
  const span: Span = { text, className: names.join(' ') };
  if (typeof fg === 'string') span.color = fg;
  if (typeof bg === 'string') span.background = bg;
  spans.push(span);
}

function sgr(before: Style, parameters: string): Style {
  let style = { ...before };
  const codes = parameters.split(/[;:]/).map((code) => (code === '' ? 0 : Number(code)));
  for (let i = 0; i < codes.length; i += 1) {
    const code = codes[i] ?? 0;
    if (code === 0) style = fresh();
    else if (code === 1) style.bold = true;
    else if (code === 2) style.dim = true;
    else if (code === 3) style.italic = true;
    else if (code === 4) style.underline = true;
    else if (code === 7) style.inverse = true;
    else if (code === 9) style.strike = true;
    else if (code === 22) style.bold = style.dim = false;
    else if (code === 23) style.italic = false;
    else if (code === 24) style.underline = false;
    else if (code === 27) style.inverse = false;
    else if (code === 29) style.strike = false;
    else if (code >= 30 && code <= 37) style.fg = code - 30;
    else if (code >= 90 && code <= 97) style.fg = code - 82;
    else if (code >= 40 && code <= 47) style.bg = code - 40;
    else if (code >= 100 && code <= 107) style.bg = code - 92;
    else if (code === 39) delete style.fg;
    else if (code === 49) delete style.bg;
    else if (code === 38 || code === 48) {
      const [color, used] = extended(codes, i + 1);
      i += used;
      if (color !== undefined) style[code === 38 ? 'fg' : 'bg'] = color;
    }
  }
  return style;
}

/** `5;n` (256 colours) or `2;r;g;b`. */
function extended(codes: number[], at: number): [string | number | undefined, number] {
  if (codes[at] === 5) return [indexed(codes[at + 1] ?? 0), 2];
  if (codes[at] === 2) {
    const [r, g, b] = [codes[at + 1], codes[at + 2], codes[at + 3]].map((part) =>
      Math.min(255, Math.max(0, part ?? 0) || 0),
    );
    return [`rgb(${String(r)} ${String(g)} ${String(b)})`, 4];
  }
  return [undefined, 0];
}

function indexed(n: number): string | number | undefined {
  if (n < 0 || n > 255 || Number.isNaN(n)) return undefined;
  if (n < 16) return n;
  if (n >= 232) {
    const level = 8 + (n - 232) * 10;
    return `rgb(${String(level)} ${String(level)} ${String(level)})`;
  }
  const cube = n - 16;
  const level = (part: number) => (part === 0 ? 0 : 55 + part * 40);
  return `rgb(${String(level(Math.floor(cube / 36)))} ${String(level(Math.floor(cube / 6) % 6))} ${String(level(cube % 6))})`;
}
