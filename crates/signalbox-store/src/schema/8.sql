-- The same indexes with comparisons in place of lists: for a list SQLite builds a table each time that it writes a row
-- (https://www.sqlite.org/opcode.html, OpenEphemeral), which cost more than the row.
DROP INDEX events_agents;
CREATE INDEX events_agents ON events (room, seq) WHERE (type = 'agent_session' OR type = 'agent_message'
    OR type = 'agent_thought' OR type = 'tool_call' OR type = 'plan_update' OR type = 'usage_update'
    OR type = 'agent_error');
DROP INDEX events_notify;
CREATE INDEX events_notify ON events (seq) WHERE (type = 'chat_message' OR type = 'approval_requested'
    OR type = 'approval_resolved' OR type = 'permission_requested' OR type = 'permission_resolved'
    OR type = 'webhook_updated');
DROP INDEX events_away;
CREATE INDEX events_away ON events (room, seq) WHERE (type = 'chat_message' OR type = 'approval_requested'
    OR type = 'approval_resolved' OR type = 'permission_requested' OR type = 'permission_resolved'
    OR type = 'completion' OR type = 'risk_alert');
DROP INDEX events_told;
CREATE INDEX events_told ON events (run, seq) WHERE (type = 'verify_result' OR type = 'correction'
    OR type = 'goal_check' OR type = 'commit' OR type = 'permission_requested' OR type = 'permission_resolved');
