import { parseAnsi } from '../../stream/ansi';
import type { Span } from '../../stream/ansi';
import type { Line } from '../../stream/logbook';
import { bytes } from '../../shared/format';

interface Props {
  n: number;
  line: Line | undefined;
  mark: string;
  caseSensitive: boolean;
  current: boolean;
  href: string;
  onLink: (n: number) => void;
}

export function LogRow({ n, line, mark, caseSensitive, current, href, onLink }: Props) {
  return (
    <div className="log-row" data-line={n} data-stream={line?.stream} data-current={current || undefined}>
      <a
        className="log-n"
        href={href}
        aria-label={`Line ${String(n + 1)}`}
        tabIndex={-1}
        onClick={(event) => {
          event.preventDefault();
          onLink(n);
        }}
      >
        {n + 1}
      </a>
      <span className="log-text">
        {line === undefined ? (
          <span className="log-wait" />
        ) : (
          parseAnsi(line.text).map((span, index) => (
            <Piece key={index} span={span} mark={mark} caseSensitive={caseSensitive} />
          ))
        )}
        {line?.cut !== undefined && <span className="muted"> … {bytes(line.cut)} more in this line</span>}
      </span>
    </div>
  );
}

function Piece({ span, mark, caseSensitive }: { span: Span; mark: string; caseSensitive: boolean }) {
  // As variables: the style sheet brings a program's own colours to a readable contrast in either theme.
  const style =
    span.color !== undefined || span.background !== undefined
      ? ({ '--c': span.color, '--b': span.background } as React.CSSProperties)
      : undefined;
  const className = [span.className, span.color !== undefined && 'a-c', span.background !== undefined && 'a-k']
    .filter(Boolean)
    .join(' ');
  if (mark === '' && className === '') return span.text;
  return (
    <span className={className} style={style}>
      {mark === '' ? span.text : marked(span.text, mark, caseSensitive)}
    </span>
  );
}

function marked(text: string, mark: string, caseSensitive: boolean): React.ReactNode {
  const hay = caseSensitive ? text : text.toLowerCase();
  const needle = caseSensitive ? mark : mark.toLowerCase();
  const parts: React.ReactNode[] = [];
  let from = 0;
  for (let at = hay.indexOf(needle); at >= 0; at = hay.indexOf(needle, from)) {
    parts.push(text.slice(from, at), <mark key={at}>{text.slice(at, at + needle.length)}</mark>);
    from = at + needle.length;
  }
  return from === 0 ? text : [...parts, text.slice(from)];
}
