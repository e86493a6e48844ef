-- Who may come in, and who did what. Neither is derived from events: the first holds hashes of codes, the second is about
-- calls.
CREATE TABLE invites (
    id TEXT PRIMARY KEY,
    hash BLOB NOT NULL UNIQUE,
    created INTEGER NOT NULL,
    data TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE audit (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    ts INTEGER NOT NULL,
    member TEXT,
    name TEXT,
    method TEXT NOT NULL,
    project TEXT,
    target TEXT,
    outcome TEXT NOT NULL,
    address TEXT
);
CREATE INDEX audit_member ON audit (member, id);
CREATE INDEX audit_project ON audit (project, id);
