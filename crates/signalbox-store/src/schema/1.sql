CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;

-- head: newest event of the room. floor: newest event that retention deleted from it.
CREATE TABLE rooms (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    project TEXT,
    head INTEGER NOT NULL,
    floor INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX rooms_project ON rooms (project, head) WHERE project IS NOT NULL;

CREATE TABLE events (
    seq INTEGER PRIMARY KEY,
    prev INTEGER NOT NULL,
    ts INTEGER NOT NULL,
    room INTEGER NOT NULL,
    type TEXT NOT NULL,
    actor TEXT NOT NULL,
    run TEXT,
    step TEXT,
    data TEXT NOT NULL
);
CREATE INDEX events_room ON events (room, seq);

-- What follows is derived from the events, in the same transaction.
CREATE TABLE projects (id TEXT PRIMARY KEY, data TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE runs (
    id TEXT PRIMARY KEY,
    project TEXT NOT NULL,
    number INTEGER NOT NULL,
    status TEXT NOT NULL,
    generation INTEGER NOT NULL,
    data TEXT NOT NULL
) WITHOUT ROWID;
CREATE UNIQUE INDEX runs_number ON runs (project, number);
CREATE INDEX runs_active ON runs (project, number) WHERE status <> 'done';
CREATE TABLE steps (
    run TEXT NOT NULL,
    idx INTEGER NOT NULL,
    key TEXT NOT NULL,
    status TEXT NOT NULL,
    generation INTEGER NOT NULL,
    data TEXT NOT NULL,
    PRIMARY KEY (run, idx)
) WITHOUT ROWID;
CREATE TABLE approvals (
    id TEXT PRIMARY KEY,
    project TEXT NOT NULL,
    run TEXT NOT NULL,
    state TEXT NOT NULL,
    opened INTEGER NOT NULL,
    data TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX approvals_open ON approvals (opened) WHERE state = 'open';
CREATE INDEX approvals_run ON approvals (run);
CREATE TABLE queues (project TEXT PRIMARY KEY, data TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE members (id TEXT PRIMARY KEY, data TEXT NOT NULL) WITHOUT ROWID;
-- The last state of single things: system_status, and health_check by service.
CREATE TABLE latest (key TEXT PRIMARY KEY, data TEXT NOT NULL) WITHOUT ROWID;
-- Where each piece of a step's output is: by line, so that a page is found without reading the rest.
CREATE TABLE chunks (
    run TEXT NOT NULL,
    step TEXT NOT NULL,
    attempt INTEGER NOT NULL,
    line INTEGER NOT NULL,
    offset INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    lines INTEGER NOT NULL,
    bytes INTEGER NOT NULL,
    PRIMARY KEY (run, step, attempt, line, offset)
) WITHOUT ROWID;
CREATE TABLE blob_refs (hash TEXT NOT NULL, seq INTEGER NOT NULL, PRIMARY KEY (hash, seq)) WITHOUT ROWID;
CREATE INDEX blob_refs_seq ON blob_refs (seq);

-- What follows is not derived: secrets (hashed), and answers to calls that carried a key.
CREATE TABLE tokens (hash BLOB PRIMARY KEY, member TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE keys (
    member TEXT NOT NULL,
    key TEXT NOT NULL,
    ts INTEGER NOT NULL,
    reply TEXT NOT NULL,
    PRIMARY KEY (member, key)
) WITHOUT ROWID;
CREATE INDEX keys_ts ON keys (ts);

CREATE VIRTUAL TABLE search USING fts5(body, content = '', contentless_delete = 1, tokenize = 'unicode61');
