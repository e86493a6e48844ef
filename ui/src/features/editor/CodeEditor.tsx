import { defaultKeymap, history, historyKeymap, indentWithTab } from '@codemirror/commands';
import { yaml } from '@codemirror/lang-yaml';
import { bracketMatching, foldGutter, indentUnit } from '@codemirror/language';
import { lintGutter, setDiagnostics } from '@codemirror/lint';
import { highlightSelectionMatches, search, searchKeymap } from '@codemirror/search';
import { EditorState } from '@codemirror/state';
import {
  EditorView,
  drawSelection,
  highlightActiveLine,
  highlightActiveLineGutter,
  keymap,
  lineNumbers,
} from '@codemirror/view';
import { useEffect, useRef } from 'react';
import type { Diagnostic } from '../../platform/protocol';
import { editorTheme } from '../../shared/codeTheme';

interface Props {
  /** The text to begin with; a later one replaces what is shown only if it differs from it. */
  text: string;
  readOnly: boolean;
  diagnostics: readonly Diagnostic[];
  /** A line to go to, from 1. */
  line: number | undefined;
  onChange: (text: string) => void;
  onSave: () => void;
}

export default function CodeEditor({ text, readOnly, diagnostics, line, onChange, onSave }: Props) {
  const host = useRef<HTMLDivElement>(null);
  const view = useRef<EditorView>(undefined);
  const handlers = useRef({ onChange, onSave });
  useEffect(() => {
    handlers.current = { onChange, onSave };
  });

  useEffect(() => {
    if (!host.current) return;
    const editor = new EditorView({
      parent: host.current,
      state: EditorState.create({
        doc: text,
        extensions: [
          lineNumbers(),
          foldGutter(),
          history(),
          drawSelection(),
          highlightActiveLine(),
          highlightActiveLineGutter(),
          bracketMatching(),
          highlightSelectionMatches(),
          search({ top: true }),
          lintGutter(),
          yaml(),
          indentUnit.of('  '),
          editorTheme,
          EditorState.readOnly.of(readOnly),
          EditorView.contentAttributes.of({ 'aria-label': 'Workflow text', 'data-testid': 'editor', tabindex: '0' }),
          keymap.of([
            {
              key: 'Mod-s',
              run: () => {
                handlers.current.onSave();
                return true;
              },
            },
            // Escape gives Tab back to the page: the editor must not be a keyboard trap.
            {
              key: 'Escape',
              run: (target) => {
                target.contentDOM.blur();
                return true;
              },
            },
            ...defaultKeymap,
            ...historyKeymap,
            ...searchKeymap,
            indentWithTab,
          ]),
          EditorView.updateListener.of((update) => {
            if (update.docChanged) handlers.current.onChange(update.state.doc.toString());
          }),
        ],
      }),
    });
    view.current = editor;
    return () => editor.destroy();
    // The editor owns its text from here on; `text` is followed below.
    // eslint-disable-next-line react-hooks/exhaustive-deps
  }, [readOnly]);

  useEffect(() => {
    const editor = view.current;
    if (editor && editor.state.doc.toString() !== text)
      editor.dispatch({ changes: { from: 0, to: editor.state.doc.length, insert: text } });
  }, [text]);

  useEffect(() => {
    const editor = view.current;
    if (!editor) return;
    const { doc } = editor.state;
    editor.dispatch(
      setDiagnostics(
        editor.state,
        diagnostics.map((diagnostic) => {
          const at = doc.line(Math.min(Math.max(1, diagnostic.line), doc.lines));
          const from = Math.min(at.to, at.from + Math.max(0, diagnostic.column - 1));
          return {
            from,
            to: at.to,
            severity: diagnostic.severity === 'error' ? ('error' as const) : ('warning' as const),
            message: diagnostic.hint ? `${diagnostic.message}\n${diagnostic.hint}` : diagnostic.message,
            source: diagnostic.code,
          };
        }),
      ),
    );
  }, [diagnostics]);

  useEffect(() => {
    const editor = view.current;
    if (!editor || line === undefined || line < 1) return;
    const at = editor.state.doc.line(Math.min(line, editor.state.doc.lines));
    editor.dispatch({ selection: { anchor: at.from }, effects: EditorView.scrollIntoView(at.from, { y: 'center' }) });
    editor.focus();
  }, [line]);

  return <div ref={host} className="editor" />;
}
