-- The same indexes, with a condition in front that what is written most does not meet: events of other programs (x_...), output
-- and steps' states are told from the rest by one to three comparisons for each, instead of 26 for all: a fifth of what a row costs.
DROP INDEX events_agents;
CREATE INDEX events_agents ON events (room, seq) WHERE type < 'x' AND type <> 'log' AND type <> 'step_updated'
    AND (type = 'agent_session' OR type = 'agent_message'
    OR type = 'agent_thought' OR type = 'tool_call' OR type = 'plan_update' OR type = 'usage_update'
    OR type = 'agent_error');
DROP INDEX events_notify;
CREATE INDEX events_notify ON events (seq) WHERE type < 'x' AND type <> 'log' AND type <> 'step_updated'
    AND (type = 'chat_message' OR type = 'approval_requested'
    OR type = 'approval_resolved' OR type = 'permission_requested' OR type = 'permission_resolved'
    OR type = 'webhook_updated');
DROP INDEX events_away;
CREATE INDEX events_away ON events (room, seq) WHERE type < 'x' AND type <> 'log' AND type <> 'step_updated'
    AND (type = 'chat_message' OR type = 'approval_requested'
    OR type = 'approval_resolved' OR type = 'permission_requested' OR type = 'permission_resolved'
    OR type = 'completion' OR type = 'risk_alert');
DROP INDEX events_told;
CREATE INDEX events_told ON events (run, seq) WHERE type < 'x' AND type <> 'log' AND type <> 'step_updated'
    AND (type = 'verify_result' OR type = 'correction'
    OR type = 'goal_check' OR type = 'commit' OR type = 'permission_requested' OR type = 'permission_resolved');
