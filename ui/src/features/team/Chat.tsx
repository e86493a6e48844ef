import { Fragment, useEffect, useLayoutEffect, useRef, useState } from 'react';
import type { ChatLink, ChatMessage, Member } from '../../platform/protocol';
import { call, useLink, useRoom, useStale, world } from '../../store/client';
import { useMembers } from '../../store/read';
import { post, postAgain, takeBack, useOutbox } from '../../store/outbox';
import { to } from '../../store/route';
import { markRead, readNotices, readOlderChat, seekChat, typing, useChat, useTyping } from '../../store/team';
import { clockTime, exact } from '../../shared/format';
import { Button, Empty, Link } from '../../shared/parts';
import { Problem } from '../../shared/Problem';
import { useAction } from '../../shared/useAction';
import { Face } from './People';
import './team.css';

/** Bytes that a message may have. */
const LONGEST = 4_096;
/** Messages of one person within this time stand together. */
const TOGETHER_MS = 5 * 60_000;
const AT_END_PX = 60;

/** The project's chat. What comes while somebody reads farther up moves nothing. `sought` is shown first, if it is among those that can be held. */
export function Chat({ project, sought }: { project: string; sought?: string | undefined }) {
  const messages = useChat(project);
  const link = useLink();
  useRoom(`project/${project}`);
  const [answer, setAnswer] = useState<ChatMessage>();
  const [edit, setEdit] = useState<ChatMessage>();
  const [more, setMore] = useState(true);
  const list = useRef<HTMLDivElement>(null);
  const atEnd = useRef(true);
  // Where the line "new" stands is kept while this is open.
  const [readUpTo] = useState(() => world.team.marks.get(project));
  const [opened] = useState(() => Date.now());
  const older = useAction(async () => {
    const first = messages[0];
    if (first) setMore(await readOlderChat(project, first.id));
  });
  const missed = useSought(project, messages, sought, (message) => {
    const found = list.current?.querySelector<HTMLElement>(`#${message}`);
    atEnd.current = false;
    found?.scrollIntoView({ block: 'center' });
    found?.focus({ preventScroll: true });
  });
  useLayoutEffect(() => {
    if (atEnd.current && list.current) list.current.scrollTop = list.current.scrollHeight;
  }, [messages]);
  useReadChat(project, messages);
  const newFrom =
    readUpTo &&
    messages.find(({ author, created_at }) => author !== link.member && created_at > readUpTo.at && created_at < opened)
      ?.id;
  return (
    <section className="chat" aria-label="Chat" data-testid="chat">
      <div
        className="chat-log"
        ref={list}
        role="log"
        aria-label="Messages"
        tabIndex={0}
        onScroll={(event) => {
          const box = event.currentTarget;
          atEnd.current = box.scrollHeight - box.scrollTop - box.clientHeight < AT_END_PX;
        }}
      >
        {messages.length >= 50 && more && (
          <p className="chat-day">
            <Button size="small" disabled={older.pending} onClick={() => void older.run()}>
              Earlier messages
            </Button>
          </p>
        )}
        <Problem error={older.error} />
        {missed && <p className="chat-day muted">{MISSED[missed]}</p>}
        {messages.length === 0 && (
          <Empty title="No message yet">
            <p>Everybody who may see this project reads here. Name somebody with @ and it waits in their inbox.</p>
          </Empty>
        )}
        {messages.map((message, index) => {
          const before = messages[index - 1];
          const day = new Date(message.created_at).toDateString();
          const newDay = !before || new Date(before.created_at).toDateString() !== day;
          const together =
            !newDay &&
            before.author === message.author &&
            message.created_at - before.created_at < TOGETHER_MS &&
            message.reply_to === undefined;
          return (
            <Fragment key={message.id}>
              {newDay && <p className="chat-day muted">{day}</p>}
              {message.id === newFrom && <div className="chat-new">New</div>}
              <Message
                message={message}
                sought={message.id === sought}
                project={project}
                together={together && message.id !== newFrom}
                answered={messages.find((each) => each.id === message.reply_to)}
                onAnswer={() => {
                  setEdit(undefined);
                  setAnswer(message);
                }}
                onEdit={() => {
                  setAnswer(undefined);
                  setEdit(message);
                }}
              />
            </Fragment>
          );
        })}
      </div>
      <Composer
        key={edit?.id ?? 'new'}
        project={project}
        answer={answer}
        edit={edit}
        onDone={() => {
          setAnswer(undefined);
          setEdit(undefined);
        }}
        onSent={() => {
          atEnd.current = true;
          if (list.current) list.current.scrollTop = list.current.scrollHeight;
        }}
      />
    </section>
  );
}

type Missed = 'far' | 'gone' | 'failed';
const MISSED: Record<Missed, string> = {
  far: 'The message that this link leads to is further back than this page goes.',
  gone: 'The message that this link leads to is not here any more.',
  failed: 'The message that this link leads to could not be read. Follow the link again.',
};

/** Reads older messages until one is there, and says when it is in the list; or why it is not. */
function useSought(
  project: string,
  messages: readonly ChatMessage[],
  sought: string | undefined,
  onFound: (message: string) => void,
): Missed | undefined {
  const [missed, setMissed] = useState<{ message: string; why: Missed }>();
  const shown = useRef<string>(undefined);
  const here = sought !== undefined && messages.some((message) => message.id === sought);
  const begun = messages.length > 0;
  useEffect(() => {
    if (sought === undefined || here || !begun) return;
    let left = false;
    const say = (why: Missed) => {
      if (!left) setMissed({ message: sought, why });
    };
    seekChat(project, sought).then(
      (end) => {
        if (end !== 'here') say(end);
      },
      () => {
        say('failed');
      },
    );
    return () => {
      left = true;
    };
  }, [project, sought, here, begun]);
  useLayoutEffect(() => {
    if (!here || shown.current === sought) return;
    shown.current = sought;
    onFound(sought);
  });
  return missed?.message === sought && !here ? missed?.why : undefined;
}

/** What is seen is read, on all devices of this person. */
function useReadChat(project: string, messages: readonly ChatMessage[]): void {
  const stale = useStale();
  useEffect(() => {
    if (stale) return;
    const read = () => {
      if (document.visibilityState !== 'visible') return;
      markRead(project);
      const told = [...world.team.notices.values()].filter(
        (notice) => notice.project === project && (notice.kind === 'mention' || notice.kind === 'reply'),
      );
      readNotices(told.map((notice) => notice.id)).catch(() => undefined);
    };
    const timer = setTimeout(read, 600);
    document.addEventListener('visibilitychange', read);
    return () => {
      clearTimeout(timer);
      document.removeEventListener('visibilitychange', read);
    };
  }, [project, messages, stale]);
}

function Message({
  message,
  sought,
  project,
  together,
  answered,
  onAnswer,
  onEdit,
}: {
  message: ChatMessage;
  /** A link led here. */
  sought: boolean;
  project: string;
  together: boolean;
  answered: ChatMessage | undefined;
  onAnswer: () => void;
  onEdit: () => void;
}) {
  const link = useLink();
  const stale = useStale();
  const mine = message.author === link.member;
  const remove = useAction(() => call('chat.delete', { message: message.id }), { toast: true });
  const named = link.member !== undefined && (message.mentions ?? []).includes(link.member);
  return (
    <article
      className="chat-message"
      id={message.id}
      tabIndex={-1}
      data-testid="chat-message"
      data-sought={sought || undefined}
      data-mine-named={(named && !message.deleted) || undefined}
      aria-label={`${message.author_name} at ${clockTime(message.created_at)}`}
    >
      {together ? <span /> : <Face member={message.author} name={message.author_name} />}
      <div>
        {!together && (
          <p className="chat-who">
            <b>{message.author_name}</b>
            <time
              className="muted"
              dateTime={new Date(message.created_at).toISOString()}
              title={exact(message.created_at)}
            >
              {clockTime(message.created_at)}
            </time>
          </p>
        )}
        {message.reply_to !== undefined && (
          <p className="chat-quote">
            {answered
              ? `${answered.author_name}: ${answered.deleted ? 'taken back' : answered.text}`
              : 'An earlier message'}
          </p>
        )}
        {message.deleted ? (
          <p className="muted">Taken back.</p>
        ) : (
          <p className="chat-text">
            <Words text={message.text} mentions={message.mentions ?? []} />
            {message.edited_at !== undefined && (
              <span className="muted" title={exact(message.edited_at)}>
                {' '}
                (edited)
              </span>
            )}
          </p>
        )}
        {(message.links ?? []).length > 0 && (
          <p className="chat-links">
            {(message.links ?? []).map((each) => (
              <Link
                key={`${each.run} ${each.step ?? ''} ${String(each.line ?? '')}`}
                className="text"
                to={to.run(project, each.run, { step: each.step, line: each.line })}
              >
                {linkName(each)}
              </Link>
            ))}
          </p>
        )}
      </div>
      {!message.deleted && link.role !== 'viewer' && (
        <span className="chat-acts">
          <Button size="small" kind="quiet" disabled={stale} onClick={onAnswer}>
            Answer
          </Button>
          {mine && (
            <Button
              size="small"
              kind="quiet"
              icon="edit"
              aria-label="Edit"
              title="Edit"
              disabled={stale}
              onClick={onEdit}
            />
          )}
          {(mine || link.role === 'owner') && (
            <Button
              size="small"
              kind="quiet"
              icon="trash"
              aria-label="Take back"
              title="Take back"
              disabled={stale || remove.pending}
              onClick={() => void remove.run()}
            />
          )}
        </span>
      )}
    </article>
  );
}

/** Names of those who were told are set off, and no others; everything else is text as it was written. */
function Words({ text, mentions }: { text: string; mentions: readonly string[] }) {
  const members = useMembers();
  const names = members.filter((member) => mentions.includes(member.id)).map((member) => `@${member.name}`);
  if (names.length === 0) return text;
  names.sort((a, b) => b.length - a.length);
  const parts = text.split(new RegExp(`(${names.map(escaped).join('|')})`, 'iu'));
  return parts.map((part, index) =>
    index % 2 === 1 ? (
      <span key={index} className="mention">
        {part}
      </span>
    ) : (
      <Fragment key={index}>{part}</Fragment>
    ),
  );
}

function escaped(text: string): string {
  return text.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&');
}

function linkName(link: ChatLink): string {
  const run = world.run(link.run);
  const name = run ? `${run.workflow} #${String(run.number)}` : 'Run';
  const step = link.step === undefined ? '' : `, ${link.step}`;
  return `${name}${step}${link.line === undefined ? '' : `, line ${String(link.line + 1)}`}`;
}

/** Links to runs of this project that were pasted into a message. */
function linksIn(text: string, project: string): ChatLink[] {
  const found: ChatLink[] = [];
  for (const match of text.matchAll(/\/projects\/([^/\s]+)\/runs\/(r_[a-z0-9]{8,40})(\?[^\s#]*)?(?:#L(\d{1,12}))?/g)) {
    const [, at, run, query, line] = match;
    if (at !== project || run === undefined || found.length >= 16) continue;
    const step = new URLSearchParams(query).get('step');
    found.push({ run, ...(step && { step }), ...(step && line !== undefined && { line: Number(line) }) });
  }
  return found;
}

function Composer({
  project,
  answer,
  edit,
  onDone,
  onSent,
}: {
  project: string;
  answer: ChatMessage | undefined;
  edit: ChatMessage | undefined;
  onDone: () => void;
  onSent: () => void;
}) {
  const link = useLink();
  const stale = useStale();
  const writers = useTyping(project);
  const members = useMembers();
  const [text, setText] = useState(edit?.text ?? '');
  const field = useRef<HTMLTextAreaElement>(null);
  useEffect(() => {
    if (answer || edit) field.current?.focus();
  }, [answer, edit]);
  useEffect(() => () => typing(project, false), [project]);
  const unsent = useOutbox(project);
  const change = useAction(async (body: string) => {
    if (!edit) return;
    await call('chat.edit', { message: edit.id, text: body });
    onDone();
  });
  const send = (body: string) => {
    if (edit) {
      void change.run(body);
      return;
    }
    // Out of the box at once: what is written next is another message, however long this one takes.
    post({ project, text: body, links: linksIn(body, project), ...(answer && { reply_to: answer.id }) });
    setText('');
    typing(project, false);
    onDone();
    onSent();
  };
  if (link.role === 'viewer') return <p className="chat-foot muted">You may read here; operators and owners write.</p>;
  const size = new TextEncoder().encode(text).length;
  const off = stale || change.pending || text.trim() === '' || size > LONGEST;
  const failed = unsent.find((each) => each.error !== undefined);
  const word = /(?:^|\s)@([\p{L}\p{N}._-]{0,40})$/u.exec(text)?.[1];
  const fitting =
    word === undefined ? [] : members.filter((member) => fits(member, word, project, link.member)).slice(0, 6);
  const name = (member: Member) => {
    setText(text.slice(0, text.length - (word?.length ?? 0)) + member.name + ' ');
    field.current?.focus();
  };
  return (
    <form
      className="chat-foot"
      onSubmit={(event) => {
        event.preventDefault();
        if (!off) send(text.trim());
      }}
    >
      {(answer ?? edit) && (
        <p className="chat-about">
          <span className="cut muted">
            {edit ? 'Changes your message' : `Answers ${answer?.author_name ?? ''}: ${answer?.text ?? ''}`}
          </span>
          <Button size="small" kind="quiet" onClick={onDone}>
            Cancel
          </Button>
        </p>
      )}
      {fitting.length > 0 && (
        <div className="chat-names" role="group" aria-label="Name somebody">
          {fitting.map((member) => (
            <Button key={member.id} size="small" onClick={() => name(member)}>
              @{member.name}
            </Button>
          ))}
        </div>
      )}
      <div className="chat-compose">
        <textarea
          ref={field}
          className="input"
          rows={1}
          aria-label="Message"
          placeholder={stale ? 'Not connected: what you write stays here' : 'Write a message, @ names somebody'}
          data-testid="chat-text"
          value={text}
          onChange={(event) => {
            setText(event.target.value);
            typing(project, event.target.value.trim() !== '');
          }}
          onKeyDown={(event) => {
            if (event.key === 'Escape') onDone();
            if (event.key !== 'Enter' || event.shiftKey || event.nativeEvent.isComposing) return;
            event.preventDefault();
            event.currentTarget.form?.requestSubmit();
          }}
        />
        <Button type="submit" kind="primary" disabled={off} data-testid="chat-send">
          {edit ? 'Save' : 'Send'}
        </Button>
      </div>
      <Problem error={change.error} />
      {unsent.length > 0 && (
        <div className="chat-unsent" role="status" data-testid="chat-unsent">
          {unsent.map((each) => (
            <p key={each.id} className="cut muted">
              {each.error === undefined ? 'On its way: ' : 'Not sent: '}
              {each.params.text}
            </p>
          ))}
          {failed && (
            <>
              <Problem error={failed.error} />
              <span className="row">
                <Button size="small" disabled={stale} onClick={() => postAgain(project)}>
                  Send again
                </Button>
                <Button
                  size="small"
                  kind="quiet"
                  onClick={() => {
                    setText(text === '' ? failed.params.text : `${failed.params.text}\n${text}`);
                    takeBack(project, failed.id);
                    field.current?.focus();
                  }}
                >
                  Back into the box
                </Button>
              </span>
            </>
          )}
        </div>
      )}
      <p className="muted" style={{ minHeight: 18, fontSize: 12 }} role="status" data-testid="chat-typing">
        {size > LONGEST
          ? `${String(size - LONGEST)} bytes too long: a message has at most 4 KiB.`
          : writers !== '' && `${writers} ${writers.includes(', ') ? 'are' : 'is'} writing…`}
      </p>
    </form>
  );
}

function fits(member: Member, word: string, project: string, me: string | undefined): boolean {
  const projects = member.projects ?? [];
  const sees = projects.length === 0 || projects.includes(project);
  return !member.revoked && sees && member.id !== me && member.name.toLowerCase().startsWith(word.toLowerCase());
}
