import { describe, expect, test } from 'vitest';
import { parseInline, parseMarkdown } from '../src/features/agents/markdown';

describe('what agents write', () => {
  test('blocks', () => {
    const text =
      '# Plan\nFirst\nsecond\n\n- one\n- two `x`\n  - deeper\n1. ordered\n\n> said\n> more\n\n---\n```ts\nlet a = "**b**";\n```\nend';
    expect(parseMarkdown(text)).toMatchObject([
      { kind: 'heading' },
      { kind: 'paragraph', inline: [{ kind: 'text', text: 'First\nsecond' }] },
      { kind: 'list', ordered: false, items: [{ depth: 0 }, { depth: 0 }, { depth: 1 }] },
      { kind: 'list', ordered: true, start: 1 },
      { kind: 'quote', inline: [{ text: 'said\nmore' }] },
      { kind: 'rule' },
      { kind: 'code', language: 'ts', text: 'let a = "**b**";', open: false },
      { kind: 'paragraph' },
    ]);
  });

  test('a fence that is still being written shows as code', () => {
    expect(parseMarkdown('```sh\nmake')).toEqual([{ kind: 'code', language: 'sh', text: 'make', open: true }]);
    expect(parseMarkdown('````\n```\n````')).toEqual([{ kind: 'code', language: '', text: '```', open: false }]);
  });

  test('inline', () => {
    expect(parseInline('a `b*c*` **d** *e* [f](https://x.y/z) https://q.r/s.')).toEqual([
      { kind: 'text', text: 'a ' },
      { kind: 'code', text: 'b*c*' },
      { kind: 'text', text: ' ' },
      { kind: 'strong', text: 'd' },
      { kind: 'text', text: ' ' },
      { kind: 'em', text: 'e' },
      { kind: 'text', text: ' ' },
      { kind: 'link', text: 'f', href: 'https://x.y/z' },
      { kind: 'text', text: ' ' },
      { kind: 'link', text: 'https://q.r/s', href: 'https://q.r/s' },
      { kind: 'text', text: '.' },
    ]);
  });

  test('what is no mark stays, and nothing but the web is a link', () => {
    for (const text of [
      '2 * 3 * 4',
      '`open',
      '**',
      '<b>x</b>',
      '[x](javascript:alert(1))',
      '[x](/etc)',
      'a_b_c',
      '* ',
      '***',
    ])
      expect(parseInline(text)).toEqual([{ kind: 'text', text }]);
  });

  test('no text is lost and none takes long', () => {
    const hard = ['*'.repeat(20_000), '['.repeat(20_000), '`'.repeat(20_000), '> '.repeat(9_000), '- '.repeat(9_000)];
    const start = performance.now();
    for (const text of hard) parseMarkdown(text);
    expect(performance.now() - start).toBeLessThan(1_000);
  });
});
