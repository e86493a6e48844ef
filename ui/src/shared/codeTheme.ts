import { HighlightStyle, syntaxHighlighting } from '@codemirror/language';
import { EditorView } from '@codemirror/view';
import { tags } from '@lezer/highlight';

type Tone = 'good' | 'bad';

/** A line below the words that differ: colour is not all that tells. */
const differs = (tone: Tone) => ({
  background: 'none',
  textDecoration: `underline 2px var(--${tone})`,
  textUnderlineOffset: '3px',
});

const sides = (part: string) => `&.cm-merge-a ${part}, &.cm-merge-b ${part}`;

/** How the differing lines of one of two compared texts look. */
export const comparedTheme = (tone: Tone) =>
  EditorView.theme({
    [sides('.cm-changedLine')]: { backgroundColor: `var(--${tone}-soft)` },
    [sides('.cm-changedText')]: differs(tone),
    [sides('.cm-changeGutter .cm-changedLineGutter')]: { background: `var(--${tone})` },
  });

const look = EditorView.theme({
  '&': { height: '100%', fontSize: '13px', backgroundColor: 'var(--surface)', color: 'var(--ink)' },
  '.cm-scroller': { fontFamily: 'var(--mono)', lineHeight: '1.55' },
  '.cm-gutters': { backgroundColor: 'var(--surface)', color: 'var(--ink-3)', borderRight: '1px solid var(--line)' },
  '.cm-activeLine, .cm-activeLineGutter': { backgroundColor: 'color-mix(in srgb, var(--accent) 8%, transparent)' },
  '&.cm-focused': { outline: 'none' },
  '.cm-cursor': { borderLeftColor: 'var(--ink)' },
  '&.cm-focused > .cm-scroller > .cm-selectionLayer .cm-selectionBackground, .cm-selectionBackground': {
    backgroundColor: 'color-mix(in srgb, var(--accent) 28%, transparent) !important',
  },
  '.cm-panels': { backgroundColor: 'var(--raised)', color: 'var(--ink)' },
  '.cm-tooltip': { backgroundColor: 'var(--raised)', border: '1px solid var(--line)', color: 'var(--ink)' },
  '.cm-diagnostic-error': { borderLeftColor: 'var(--bad)' },
  '.cm-diagnostic-warning': { borderLeftColor: 'var(--wait)' },
  '.cm-deletedChunk': { backgroundColor: 'var(--bad-soft)', paddingLeft: '6px' },
  '.cm-deletedChunk .cm-deletedText': differs('bad'),
  '.cm-collapsedLines': {
    background: 'var(--sunken)',
    color: 'var(--ink-2)',
    padding: '4px 8px',
    fontFamily: 'var(--font)',
    fontSize: '12.5px',
  },
  // The library's own sign for it is in few fonts.
  '.cm-collapsedLines:before, .cm-collapsedLines:after': { content: '"\\22ef"', color: 'var(--ink-3)' },
  '.cm-changeGutter': { paddingLeft: '2px' },
});

const colours = HighlightStyle.define([
  { tag: [tags.propertyName, tags.definition(tags.propertyName)], color: 'var(--ansi-4)' },
  { tag: [tags.string, tags.special(tags.string)], color: 'var(--ansi-2)' },
  { tag: [tags.number, tags.bool, tags.null, tags.keyword], color: 'var(--ansi-5)' },
  { tag: tags.comment, color: 'var(--ink-3)', fontStyle: 'italic' },
  { tag: [tags.punctuation, tags.separator, tags.squareBracket, tags.brace], color: 'var(--ink-2)' },
  { tag: tags.meta, color: 'var(--ansi-6)' },
]);

export const editorTheme = [look, syntaxHighlighting(colours)];
