-- The team: its chat, each member's inbox and read marks, and webhooks.
CREATE TABLE chat (id TEXT PRIMARY KEY, project TEXT NOT NULL, seq INTEGER NOT NULL, data TEXT NOT NULL) WITHOUT ROWID;
CREATE INDEX chat_project ON chat (project, seq);
CREATE TABLE notices (
    member TEXT NOT NULL,
    seq INTEGER NOT NULL,
    id TEXT NOT NULL,
    subject TEXT,
    about INTEGER NOT NULL,
    read INTEGER NOT NULL,
    delivered INTEGER NOT NULL,
    data TEXT NOT NULL,
    PRIMARY KEY (member, seq)
) WITHOUT ROWID;
CREATE UNIQUE INDEX notices_id ON notices (id);
CREATE INDEX notices_unread ON notices (member, seq) WHERE read = 0;
CREATE INDEX notices_undelivered ON notices (member, seq) WHERE delivered = 0;
CREATE INDEX notices_open ON notices (subject) WHERE read = 0 AND subject IS NOT NULL;
CREATE TABLE marks (member TEXT NOT NULL, project TEXT NOT NULL, seq INTEGER NOT NULL, data TEXT NOT NULL,
    PRIMARY KEY (member, project)) WITHOUT ROWID;
CREATE TABLE webhooks (id TEXT PRIMARY KEY, project TEXT NOT NULL, state TEXT NOT NULL, made INTEGER NOT NULL,
    data TEXT NOT NULL) WITHOUT ROWID;

-- Not derived: what no event may say, and how far each reader of the log has come.
CREATE TABLE webhook_secrets (id TEXT PRIMARY KEY, secret TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE deliveries (webhook TEXT NOT NULL, number INTEGER NOT NULL, data TEXT NOT NULL,
    PRIMARY KEY (webhook, number)) WITHOUT ROWID;
CREATE TABLE cursors (name TEXT PRIMARY KEY, seq INTEGER NOT NULL) WITHOUT ROWID;

-- What somebody may have to be told of, over all rooms; and what happened in a project while a member was away.
CREATE INDEX events_notify ON events (seq) WHERE type IN ('chat_message', 'approval_requested', 'approval_resolved',
    'permission_requested', 'permission_resolved', 'webhook_updated');
CREATE INDEX events_away ON events (room, seq) WHERE type IN ('chat_message', 'approval_requested', 'approval_resolved',
    'permission_requested', 'permission_resolved', 'completion', 'risk_alert');
