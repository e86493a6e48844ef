import { describe, expect, test } from 'vitest';
import { fold, parseAnsi, plain } from '../src/stream/ansi';
import { Logbook } from '../src/stream/logbook';

const chunk = (offset: number, line: number, text: string, more = {}) => ({
  step: 's',
  attempt: 1,
  stream: 'stdout' as const,
  offset,
  line,
  lines: text.split('\n').length - 1,
  text,
  ...more,
});

describe('a log', () => {
  test('pieces find their place by line number; a line in two pieces is one line', () => {
    const book = new Logbook();
    book.chunk(chunk(0, 0, 'one\ntw'));
    book.chunk(chunk(6, 1, 'o\nthree\n'));
    expect([0, 1, 2].map((n) => book.get(n)?.text)).toEqual(['one', 'two', 'three']);
    expect(book.total).toBe(3);
  });

  test('a piece seen before changes nothing', () => {
    const book = new Logbook();
    book.chunk(chunk(0, 0, 'one\ntw'));
    book.chunk(chunk(0, 0, 'one\ntw'));
    expect(book.get(1)?.text).toBe('tw');
  });

  test('the middle of a huge log costs its page, and holes are named', () => {
    const book = new Logbook();
    book.page({
      attempt: 1,
      total_lines: 5_000_000,
      total_bytes: 9,
      live: true,
      lines: [{ n: 4_999_999, stream: 'stdout', text: 'end' }],
    });
    expect(book.get(4_999_999)?.text).toBe('end');
    expect(book.missing(4_999_990, 5_000_010)).toEqual({ from: 4_999_990, to: 4_999_999 });
    book.chunk(chunk(9, 5_000_000, 'more\n'));
    expect(book.total).toBe(5_000_001);
  });

  test('a piece too large for the stream asks for the end of the log', () => {
    const book = new Logbook();
    book.chunk(chunk(0, 0, 'a\nb', { blob: { hash: 'x', bytes: 90_000, media_type: 'text/plain' } }));
    expect(book.behind).toBe(true);
    expect(book.get(0)?.text).toBe('a');
    expect(book.get(1)).toBeUndefined();
  });

  test('what is far away is dropped, what is near stays', () => {
    const book = new Logbook();
    for (let i = 0; i < 300_000; i += 256) book.chunk(chunk(i, i, 'x\n'));
    expect(book.get(0)).toBeUndefined();
    expect(book.get(299_776)).toBeDefined();
  });
});

describe('ANSI', () => {
  test('a progress line is its last state', () => {
    expect(fold('10%\r50%\r100%')).toBe('100%');
    expect(fold('done\r')).toBe('done');
    expect(fold('10%\r20%\r')).toBe('20%');
  });

  test('colours: 16, 256, true', () => {
    expect(parseAnsi('\x1b[1;31merr\x1b[0m ok')).toEqual([
      { text: 'err', className: 'a-b a-f1' },
      { text: ' ok', className: '' },
    ]);
    expect(parseAnsi('\x1b[38;5;196mx')[0]?.color).toBe('rgb(255 0 0)');
    expect(parseAnsi('\x1b[48;2;1;2;3mx')[0]?.background).toBe('rgb(1 2 3)');
    expect(parseAnsi('\x1b[4;2mx')[0]?.className).toBe('a-d a-u');
  });

  test('a copy is clean: links, titles, cursor moves and bells are gone', () => {
    expect(plain('\x1b]8;;http://x\x07link\x1b]8;;\x07 \x1b[2K\x1b[1Aa\x07\x1b]0;title\x1b\\b')).toBe('link ab');
    expect(plain('tab\tstays')).toBe('tab\tstays');
  });

  test('an unfinished or hostile sequence ends', () => {
    expect(plain('a\x1b[')).not.toContain('b');
    expect(parseAnsi(`\x1b[${'9;'.repeat(5000)}mx`).at(-1)?.text).toBe('x');
  });
});
