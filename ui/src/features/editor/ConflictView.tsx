import { yaml } from '@codemirror/lang-yaml';
import { MergeView, unifiedMergeView } from '@codemirror/merge';
import { EditorState } from '@codemirror/state';
import { EditorView, lineNumbers } from '@codemirror/view';
import { useEffect, useRef } from 'react';
import { NARROW, useMedia } from '../../shared/useMedia';
import { comparedTheme, editorTheme } from '../../shared/codeTheme';

const COLLAPSE = { margin: 3, minSize: 6 };

const shown = (label: string, tone: 'good' | 'bad') => [
  lineNumbers(),
  yaml(),
  editorTheme,
  comparedTheme(tone),
  EditorState.readOnly.of(true),
  EditorView.lineWrapping,
  // Read only, but the keyboard must be able to scroll it and select in it.
  EditorView.contentAttributes.of({ 'aria-label': label, tabindex: '0' }),
];

/** Two texts compared, mine on the left; one below the other, line by line, where there is no room for two. */
export default function ConflictView({ mine, theirs }: { mine: string; theirs: string }) {
  const host = useRef<HTMLDivElement>(null);
  const narrow = useMedia(NARROW);
  useEffect(() => {
    const parent = host.current;
    if (!parent) return;
    const view = narrow
      ? new EditorView({
          parent,
          doc: mine,
          extensions: [
            shown('Mine, compared with the file on disk', 'good'),
            unifiedMergeView({
              original: theirs,
              mergeControls: false,
              highlightChanges: true,
              collapseUnchanged: COLLAPSE,
            }),
          ],
        })
      : new MergeView({
          parent,
          a: { doc: mine, extensions: shown('Mine', 'good') },
          b: { doc: theirs, extensions: shown('On disk', 'bad') },
          highlightChanges: true,
          gutter: true,
          collapseUnchanged: COLLAPSE,
        });
    return () => view.destroy();
  }, [mine, theirs, narrow]);
  return (
    <div className="compare" data-testid="compare">
      <div className="compare-heads" aria-hidden="true">
        {narrow ? (
          <span>
            <ins>Mine</ins> against <del>on disk</del>
          </span>
        ) : (
          <>
            <span>Mine, not saved</span>
            <span>On disk</span>
          </>
        )}
      </div>
      <div ref={host} className="compare-body" />
    </div>
  );
}
