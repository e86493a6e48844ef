//! Types of events that have an index of their own, as the conditions of those indexes (`schema/9.sql`): in a statement the
//! same comparisons in the same order, else SQLite does not use the index.
//!
//! Comparisons, no list: with each row that it writes, SQLite builds a table for a list of more than two. And first of all what
//! is written most is told from the rest, so that it costs three comparisons for each index at most.

/// `type < 'x' AND ... AND (type = 'a' OR type = 'b' ...)`
macro_rules! one_of {
    ($first:literal $(, $kind:literal)* $(,)?) => {
        concat!(
            "type < 'x' AND type <> 'log' AND type <> 'step_updated' AND (type = '", $first, "'"
            $(, " OR type = '", $kind, "'")*, ")"
        )
    };
}

/// What an agent did and said: `events_agents`.
macro_rules! of_agents {
    () => {
        $crate::kinds::one_of!(
            "agent_session",
            "agent_message",
            "agent_thought",
            "tool_call",
            "plan_update",
            "usage_update",
            "agent_error"
        )
    };
}

/// What is told of a run in its project's room: `events_told`.
macro_rules! of_told {
    () => {
        $crate::kinds::one_of!(
            "verify_result",
            "correction",
            "goal_check",
            "commit",
            "permission_requested",
            "permission_resolved"
        )
    };
}

/// Of what somebody may have to be told: `events_notify`, and [`NOTIFY_TYPES`](crate::NOTIFY_TYPES).
macro_rules! of_notify {
    () => {
        $crate::kinds::one_of!(
            "chat_message",
            "approval_requested",
            "approval_resolved",
            "permission_requested",
            "permission_resolved",
            "webhook_updated"
        )
    };
}

/// What matters to who was away: `events_away`.
macro_rules! of_away {
    () => {
        $crate::kinds::one_of!(
            "chat_message",
            "approval_requested",
            "approval_resolved",
            "permission_requested",
            "permission_resolved",
            "completion",
            "risk_alert"
        )
    };
}

pub(crate) use {of_agents, of_away, of_notify, of_told, one_of};

#[test]
fn what_is_told_from_the_rest_first_is_in_none_of_the_lists() {
    for condition in [of_agents!(), of_told!(), of_notify!(), of_away!()] {
        let kinds: Vec<&str> =
            condition.split("type = '").skip(1).map(|rest| rest.split('\'').next().unwrap()).collect();
        assert!(!kinds.is_empty(), "{condition}");
        for kind in kinds {
            assert!(kind < "x" && kind != "log" && kind != "step_updated", "{kind} would not be found: {condition}");
        }
    }
}
