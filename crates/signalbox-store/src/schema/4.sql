-- Agents: their questions, sessions, use, and what changed in their folders; risks.
CREATE TABLE permissions (
    id TEXT PRIMARY KEY,
    project TEXT NOT NULL,
    run TEXT NOT NULL,
    state TEXT NOT NULL,
    opened INTEGER NOT NULL,
    data TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX permissions_open ON permissions (opened) WHERE state = 'open';
CREATE INDEX permissions_run ON permissions (run);
CREATE TABLE agent_sessions (
    run TEXT NOT NULL,
    step TEXT NOT NULL,
    attempt INTEGER NOT NULL,
    data TEXT NOT NULL,
    PRIMARY KEY (run, step, attempt)
) WITHOUT ROWID;
CREATE TABLE agent_usage (
    run TEXT NOT NULL,
    step TEXT NOT NULL,
    attempt INTEGER NOT NULL,
    data TEXT NOT NULL,
    PRIMARY KEY (run, step, attempt)
) WITHOUT ROWID;
CREATE TABLE file_diffs (
    run TEXT NOT NULL,
    step TEXT NOT NULL,
    attempt INTEGER NOT NULL,
    path TEXT NOT NULL,
    seq INTEGER NOT NULL,
    data TEXT NOT NULL,
    PRIMARY KEY (run, step, attempt, path)
) WITHOUT ROWID;
CREATE INDEX file_diffs_seq ON file_diffs (seq);
CREATE TABLE risks (
    project TEXT NOT NULL,
    id TEXT NOT NULL,
    state TEXT NOT NULL,
    raised INTEGER NOT NULL,
    data TEXT NOT NULL,
    PRIMARY KEY (project, id)
) WITHOUT ROWID;
-- What agents say and do, for transcripts: found without looking at the lines that are printed in between.
CREATE INDEX events_agents ON events (room, seq) WHERE type IN ('agent_session', 'agent_message', 'agent_thought',
    'tool_call', 'plan_update', 'usage_update', 'agent_error');
