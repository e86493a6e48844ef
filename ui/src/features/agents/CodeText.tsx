import { highlightSelectionMatches, search, searchKeymap } from '@codemirror/search';
import { EditorState, RangeSetBuilder, StateEffect, StateField } from '@codemirror/state';
import type { DecorationSet } from '@codemirror/view';
import { Decoration, EditorView, drawSelection, keymap, lineNumbers } from '@codemirror/view';
import { useEffect, useRef } from 'react';
import { editorTheme } from '../../shared/codeTheme';

interface Props {
  label: string;
  text: string;
  /** Lines that are new or changed, from 1, in order. */
  added: readonly number[];
  /** The line to look at, from 1. */
  line: number | undefined;
  /** Whether to go there whenever it or the text changes. */
  follow: boolean;
}

interface Marks {
  added: readonly number[];
  line: number | undefined;
}

const setMarks = StateEffect.define<Marks>();
const ADDED = Decoration.line({ class: 'code-added' });
const HERE = Decoration.line({ class: 'code-here' });

const marks = StateField.define<DecorationSet>({
  create: () => Decoration.none,
  update(held, transaction) {
    const wanted = transaction.effects.find((effect) => effect.is(setMarks));
    if (!wanted) return held.map(transaction.changes);
    const { doc } = transaction.state;
    const { added, line } = wanted.value as Marks;
    const places = added.map((number) => ({ number, mark: ADDED }));
    if (line !== undefined) places.push({ number: line, mark: HERE });
    const builder = new RangeSetBuilder<Decoration>();
    for (const { number, mark } of places.sort((a, b) => a.number - b.number)) {
      if (number < 1 || number > doc.lines) continue;
      const { from } = doc.line(number);
      builder.add(from, from, mark);
    }
    return builder.finish();
  },
  provide: (field) => EditorView.decorations.from(field),
});

/** A text to read, of any length. What of it changed is marked, and what stays keeps its place. */
export default function CodeText({ label, text, added, line, follow }: Props) {
  const host = useRef<HTMLDivElement>(null);
  const view = useRef<EditorView>(undefined);

  useEffect(() => {
    if (!host.current) return;
    const editor = new EditorView({
      parent: host.current,
      state: EditorState.create({
        extensions: [
          lineNumbers(),
          drawSelection(),
          highlightSelectionMatches(),
          search({ top: true }),
          keymap.of(searchKeymap),
          editorTheme,
          marks,
          EditorState.readOnly.of(true),
          EditorView.editable.of(false),
          EditorView.contentAttributes.of({ 'aria-label': label, 'data-testid': 'file-text', tabindex: '0' }),
        ],
      }),
    });
    view.current = editor;
    return () => editor.destroy();
  }, [label]);

  useEffect(() => {
    const editor = view.current;
    if (!editor) return;
    const change = difference(editor.state.doc.toString(), text);
    const lines = editor.state.doc.lines;
    editor.dispatch({ ...(change && { changes: change }), effects: setMarks.of({ added, line }) });
    if (!follow || line === undefined) return;
    const at = editor.state.doc.line(Math.min(Math.max(1, line), editor.state.doc.lines));
    // On the first text there is nothing to keep in sight.
    editor.dispatch({
      effects: EditorView.scrollIntoView(at.from, { y: lines === 1 ? 'center' : 'nearest', yMargin: 60 }),
    });
  }, [text, added, line, follow, label]);

  return <div className="code-text" ref={host} />;
}

/** The one stretch in which two texts differ; none if they do not. */
function difference(from: string, to: string): { from: number; to: number; insert: string } | undefined {
  if (from === to) return undefined;
  let start = 0;
  const shorter = Math.min(from.length, to.length);
  while (start < shorter && from.charCodeAt(start) === to.charCodeAt(start)) start += 1;
  let end = 0;
  while (end < shorter - start && from.charCodeAt(from.length - 1 - end) === to.charCodeAt(to.length - 1 - end))
    end += 1;
  return { from: start, to: from.length - end, insert: to.slice(start, to.length - end) };
}
