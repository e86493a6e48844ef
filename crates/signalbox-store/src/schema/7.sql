-- What is told of a run in its project's room, and kept nowhere else.
CREATE INDEX events_told ON events (run, seq) WHERE type IN ('verify_result', 'correction', 'goal_check', 'commit',
    'permission_requested', 'permission_resolved');
