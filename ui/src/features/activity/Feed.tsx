import { useState } from 'react';
import type { ActivityEntry, Priority } from '../../platform/protocol';
import { useActivity, useProjects } from '../../store/read';
import { to } from '../../store/route';
import { Ago, Empty, Link } from '../../shared/parts';
import './activity.css';

const WORD: Record<Priority, string> = { low: 'Good to know', normal: 'Worth a look', high: 'Needs attention' };
const TONE: Record<Priority, string> = { low: 'idle', normal: 'active', high: 'bad' };
/** How urgent it is says nothing of whether it is bad: a question waits, and a workflow's own message may be good news. */
const TONE_OF: Record<string, string> = { approval_requested: 'wait', permission_requested: 'wait', notify: 'active' };
const RANK: Record<Priority, number> = { low: 0, normal: 1, high: 2 };

export function Feed() {
  const entries = useActivity();
  const projects = useProjects();
  const [kind, setKind] = useState('');
  const [project, setProject] = useState('');
  const [least, setLeast] = useState<Priority>('low');
  const kinds = [...new Set(entries.map((entry) => entry.data.kind))].sort();
  const shown = entries.filter(
    ({ data }) =>
      (kind === '' || data.kind === kind) &&
      (project === '' || data.project === project) &&
      RANK[data.priority] >= RANK[least],
  );
  return (
    <div className="stack">
      <div className="row wrap" role="group" aria-label="Filter">
        <select className="input" aria-label="Type" value={kind} onChange={(event) => setKind(event.target.value)}>
          <option value="">All types</option>
          {kinds.map((each) => (
            <option key={each} value={each}>
              {words(each)}
            </option>
          ))}
        </select>
        <select
          className="input"
          aria-label="Priority"
          data-testid="filter-priority"
          value={least}
          onChange={(event) => setLeast(event.target.value as Priority)}
        >
          <option value="low">Everything</option>
          <option value="normal">{WORD.normal} and up</option>
          <option value="high">{WORD.high}</option>
        </select>
        <select
          className="input"
          aria-label="Project"
          value={project}
          onChange={(event) => setProject(event.target.value)}
        >
          <option value="">All projects</option>
          {projects.map((each) => (
            <option key={each.id} value={each.id}>
              {each.name}
            </option>
          ))}
        </select>
      </div>
      {shown.length === 0 ? (
        <Empty title={entries.length === 0 ? 'Nothing has happened yet' : 'Nothing fits these filters'}>
          <p>
            {entries.length === 0
              ? 'Runs that start and end, questions and failures are told here as they happen.'
              : 'Widen them to see more.'}
          </p>
        </Empty>
      ) : (
        <ol className="panel feed" data-testid="feed">
          {shown.map((entry) => (
            <Entry key={entry.seq} entry={entry} />
          ))}
        </ol>
      )}
    </div>
  );
}

function words(kind: string): string {
  const text = kind.replaceAll('_', ' ');
  return text.charAt(0).toUpperCase() + text.slice(1);
}

function Entry({ entry }: { entry: ActivityEntry }) {
  const { data } = entry;
  const href =
    data.project !== undefined && data.run !== undefined
      ? to.run(data.project, data.run, { step: data.step })
      : data.project !== undefined
        ? to.project(data.project)
        : undefined;
  const body = (
    <>
      <span
        className="feed-mark"
        data-tone={TONE_OF[data.kind] ?? TONE[data.priority]}
        title={WORD[data.priority]}
        aria-label={WORD[data.priority]}
        role="img"
      />
      <span className="grow">
        <span className="feed-text">{data.text}</span>
        <span className="muted feed-meta">
          {words(data.kind)} · {data.actor}
          {data.project !== undefined && ` · ${data.project}`}
        </span>
      </span>
      <span className="muted">
        <Ago at={entry.ts} />
      </span>
    </>
  );
  return (
    <li className="feed-row" data-priority={data.priority}>
      {href === undefined ? (
        <div>{body}</div>
      ) : (
        <Link to={href} data-row="">
          {body}
        </Link>
      )}
    </li>
  );
}
