import { useState } from 'react';
import type { ReactNode } from 'react';
import type { ToolCall } from '../../platform/protocol';
import type { CorrectionEntry, Entry, ErrorEntry, Part, PermissionEntry, TextEntry } from '../../stream/transcript';
import { blobText } from '../../store/blobs';
import { bytes, count, exact } from '../../shared/format';
import { Icon } from '../../shared/Icon';
import { Lamp } from '../../shared/Lamp';
import { Button } from '../../shared/parts';
import { Problem } from '../../shared/Problem';
import { ToldDiff } from './DiffView';
import { ADVICE, pretty, TOOL, TOOL_STATUS } from './looks';
import { Markdown } from './Markdown';

/** Text that is painted at once: longer ones show their end, where an agent that works is. */
const SHOWN = 40_000;

interface Props<T> {
  entry: T;
  open: boolean;
  onToggle: () => void;
}

export function EntryRow({ entry, open, onToggle }: Props<Entry>) {
  switch (entry.kind) {
    case 'message':
      return <Message entry={entry} open={open} onToggle={onToggle} />;
    case 'thought':
      return (
        <Fold
          className="entry-thought"
          icon="bulb"
          title="Thought"
          about={firstLine(entry)}
          open={open}
          onToggle={onToggle}
        >
          <Body entry={entry} />
        </Fold>
      );
    case 'tool':
      return <Tool call={entry.value} open={open} onToggle={onToggle} />;
    case 'error':
      return <Failure entry={entry} />;
    case 'correction':
      return <Corrected entry={entry} open={open} onToggle={onToggle} />;
    case 'permission':
      return <Asked entry={entry} />;
  }
}

function Fold({
  className,
  icon,
  title,
  about,
  end,
  open,
  onToggle,
  children,
}: {
  className: string;
  icon: Parameters<typeof Icon>[0]['name'];
  title: ReactNode;
  about?: string | undefined;
  end?: ReactNode;
  open: boolean;
  onToggle: () => void;
  children: ReactNode;
}) {
  return (
    <div className={`entry ${className}`}>
      <button type="button" className="entry-head" aria-expanded={open} onClick={onToggle}>
        <Icon name={open ? 'down' : 'right'} size={14} />
        <Icon name={icon} size={15} />
        <span className="cut grow">
          {title}
          {about && !open && <span className="muted"> {about}</span>}
        </span>
        {end}
      </button>
      {open && <div className="entry-body">{children}</div>}
    </div>
  );
}

function firstLine(entry: TextEntry): string {
  const text = entry.parts[0]?.text.trimStart() ?? '';
  return (text.split('\n', 1)[0] ?? '').slice(0, 160).replaceAll('**', '');
}

function Message({ entry, open, onToggle }: Props<TextEntry>) {
  if (entry.repeated)
    return (
      <Fold
        className="entry-repeated"
        icon="retry"
        title="Said again after its connection broke"
        about={firstLine(entry)}
        open={open}
        onToggle={onToggle}
      >
        <Body entry={entry} />
      </Fold>
    );
  const prompt = entry.from === 'prompt';
  return (
    <article className="entry entry-message" data-from={entry.from} aria-label={prompt ? 'Prompt' : 'Agent'}>
      {prompt && <p className="entry-who">Prompt</p>}
      <Body entry={entry} plain={prompt} />
    </article>
  );
}

/** What was told to an agent is shown letter by letter; what it says, as it means it. */
function Body({ entry, plain = false }: { entry: TextEntry; plain?: boolean }) {
  const [all, setAll] = useState(false);
  const length = entry.parts.reduce((sum, part) => sum + part.text.length, 0);
  const hidden = all ? 0 : Math.max(0, length - SHOWN);
  return (
    <>
      {hidden > 0 && (
        <p>
          <Button size="small" kind="quiet" icon="up" onClick={() => setAll(true)}>
            Show the beginning ({bytes(hidden)})
          </Button>
        </p>
      )}
      {withoutFirst(entry.parts, hidden).map(({ part, text }, index) => (
        <div key={index}>
          {text !== '' && (plain ? <p className="said-plain">{text}</p> : <Markdown text={text} />)}
          {part.blob && <Rest blob={part.blob} held={part.text} plain={plain} />}
          {part.gap && <p className="muted entry-gap">A part of this text is missing.</p>}
        </div>
      ))}
      {entry.waiting && <p className="muted entry-gap">Loading the rest…</p>}
    </>
  );
}

function withoutFirst(parts: readonly Part[], skip: number): { part: Part; text: string }[] {
  let left = skip;
  return parts.map((part) => {
    const text = part.text.slice(left);
    left = Math.max(0, left - part.text.length);
    return { part, text };
  });
}

/** What is left of a piece that was too large for the stream. */
function Rest({ blob, held, plain }: { blob: { hash: string; bytes: number }; held: string; plain: boolean }) {
  const [text, setText] = useState<string>();
  const [state, setState] = useState<'idle' | 'loading'>('idle');
  const [error, setError] = useState<unknown>();
  if (text !== undefined) {
    const rest = text.startsWith(held) ? text.slice(held.length) : text;
    return plain ? <p className="said-plain">{rest}</p> : <Markdown text={rest} />;
  }
  return (
    <div className="entry-gap">
      <Button
        size="small"
        disabled={state === 'loading'}
        onClick={() => {
          setState('loading');
          setError(undefined);
          blobText(blob).then(setText, (failure: unknown) => {
            setError(failure);
            setState('idle');
          });
        }}
      >
        {state === 'loading' ? 'Loading…' : `Load all of it (${bytes(blob.bytes)})`}
      </Button>
      <Problem error={error} kind="warning" />
    </div>
  );
}

function Tool({ call, open, onToggle }: { call: ToolCall; open: boolean; onToggle: () => void }) {
  const look = TOOL_STATUS[call.status] ?? TOOL_STATUS.unknown;
  const kind = TOOL[call.kind] ?? TOOL.other;
  const places = call.locations ?? [];
  return (
    <Fold
      className="entry-tool"
      icon={kind.icon}
      title={
        <>
          <span className="muted">{kind.word}</span> {call.title}
        </>
      }
      end={
        <span className="row">
          {call.exit_code !== undefined && call.exit_code !== 0 && (
            <span className="badge" data-tone="bad">
              exit code {call.exit_code}
            </span>
          )}
          <span data-tone={look.tone} className="row">
            <Lamp look={look} size={14} title={look.word} />
          </span>
        </span>
      }
      open={open}
      onToggle={onToggle}
    >
      <p className="muted">
        {look.word}
        {call.exit_code !== undefined && ` · exit code ${String(call.exit_code)}`}
      </p>
      <Places places={places} />
      {call.input !== undefined && <Raw label="Input" text={pretty(call.input)} />}
      {call.output !== undefined && (
        <Raw
          label={call.output_bytes !== undefined ? `Output: the end of ${bytes(call.output_bytes)}` : 'Output'}
          text={call.output}
        />
      )}
      {(call.diffs ?? []).map((diff, index) => (
        <ToldDiff key={index} diff={diff} />
      ))}
    </Fold>
  );
}

export function Places({ places }: { places: readonly { path: string; line?: number }[] }) {
  if (places.length === 0) return null;
  return (
    <ul className="entry-places" aria-label="Places">
      {places.slice(0, 20).map((place, index) => (
        <li key={index} className="mono cut" title={place.path}>
          {place.path}
          {place.line !== undefined && <span className="muted">:{place.line}</span>}
        </li>
      ))}
      {places.length > 20 && <li className="muted">and {count(places.length - 20, 'more place')}</li>}
    </ul>
  );
}

export function Raw({ label, text }: { label: string; text: string }) {
  if (text === '') return null;
  return (
    <figure className="entry-raw">
      <figcaption>{label}</figcaption>
      <pre tabIndex={0}>{text}</pre>
    </figure>
  );
}

function Failure({ entry }: { entry: ErrorEntry }) {
  const { kind, message, detail, resets_at } = entry.value;
  return (
    <div className="entry">
      <div className="problem" role="note" data-testid="agent-error">
        <div className="grow">
          <p>{message}</p>
          <p>{ADVICE[kind] ?? ADVICE.agent}</p>
          {resets_at !== undefined && <p>The limit ends at {exact(resets_at)}.</p>}
          {detail !== undefined && (
            <details>
              <summary>In the agent’s own words</summary>
              <pre>{detail}</pre>
            </details>
          )}
        </div>
      </div>
    </div>
  );
}

function Corrected({ entry, open, onToggle }: Props<CorrectionEntry>) {
  const { number, max, feedback } = entry.value;
  return (
    <Fold
      className="entry-correction"
      icon="retry"
      title={`A check failed and went back to the agent, ${String(number)} of at most ${String(max)}`}
      open={open}
      onToggle={onToggle}
    >
      <p className="said-plain">{feedback}</p>
    </Fold>
  );
}

/** A question in its place in the story; the open one is answered above it. */
function Asked({ entry }: { entry: PermissionEntry }) {
  const { title, state, option, options, text, by, reason } = entry.value;
  const chosen = options.find((each) => each.id === option)?.name ?? text;
  return (
    <p className="entry entry-asked">
      <Icon name="help" size={15} />
      <span className="grow">
        {title}{' '}
        <span className="muted">
          {state === 'open'
            ? '· waits for an answer'
            : state === 'void'
              ? `· no longer asked${reason ? `: ${reason}` : ''}`
              : `· ${[chosen, by && `by ${by}`, reason].filter(Boolean).join(', ')}`}
        </span>
      </span>
    </p>
  );
}
