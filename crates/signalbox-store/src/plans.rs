//! No query of a live log may look at every row of a table that grows with it, or sort what it found.

use crate::{read, retain, rows::Numbers, schema, search};

fn plan(db: &rusqlite::Connection, sql: &str) -> Vec<String> {
    explained(db, &format!("EXPLAIN QUERY PLAN {sql}"), 3)
}

/// One column of what SQLite says of a statement.
fn explained(db: &rusqlite::Connection, sql: &str, column: usize) -> Vec<String> {
    let mut program = db.prepare(sql).unwrap();
    // Not `query_map`, which wants each parameter.
    program.raw_query().mapped(|row| row.get(column)).map(Result::unwrap).collect()
}

#[test]
fn what_a_long_log_is_asked_is_found_by_an_index() {
    let db = schema::in_memory().unwrap();
    let statements = [
        schema::HEAD,
        schema::SETTLE,
        search::MATCHING,
        search::ANY,
        read::ROOM_HEAD,
        read::ROOM,
        read::ROOMS_OF_PROJECT,
        read::ROOMS_OF_FEED,
        read::FEED_HEAD,
        read::COUNT,
        read::COUNT_ROOMS,
        read::NEXT_OF_ANY,
        read::NEXT_OF_ROOM,
        read::LATEST_OF_ROOM,
        read::ACTIVE_RUNS,
        read::RUNS,
        read::RUNS_OF_STATUS,
        read::STEPS,
        read::OPEN_APPROVALS,
        read::ALL_APPROVALS,
        crate::agents::TRANSCRIPT,
        crate::agents::TOLD,
        crate::recorded::OF_RUN,
        crate::recorded::TOLD_LATER,
        crate::recorded::FIRST_FROM,
        crate::team::NOTIFY,
        crate::team::AWAY,
        crate::agents::OPEN_PERMISSIONS,
        crate::team::UNDELIVERED,
        crate::team::UNREAD_UNTIL,
        crate::team::UNREAD_OF,
        crate::team::KNOWS,
        crate::team::ABOUT,
        crate::team::MARKS,
        crate::team::TIME_OF,
        crate::team::DELIVERED,
        retain::NEWEST,
        retain::OLDEST,
        retain::OLD_KEYS,
    ];
    let mut shown = Vec::new();
    for sql in statements {
        let steps = plan(&db, sql);
        // An index that is in the wanted order, or holds only what is wanted, or the index of words.
        let walks = ["USING INDEX", "USING COVERING INDEX", "VIRTUAL TABLE INDEX", "CONSTANT ROW", "(subquery"];
        for step in &steps {
            let bad =
                step.contains("TEMP B-TREE") || step.starts_with("SCAN") && !walks.iter().any(|w| step.contains(w));
            assert!(!bad, "{sql}\n{steps:#?}");
        }
        shown.push(format!("{sql}\n    {}", steps.join("\n    ")));
    }
    println!("{}", shown.join("\n"));
}

/// A statement that no longer says what the index says is answered by another one, more slowly.
#[test]
fn kinds_with_an_index_of_their_own_are_found_by_it() {
    let db = schema::in_memory().unwrap();
    let statements = [
        (crate::agents::TRANSCRIPT, "events_agents"),
        (crate::agents::TOLD, "events_told"),
        (crate::recorded::TOLD_LATER, "events_told"),
        (crate::team::NOTIFY, "events_notify"),
        (crate::team::AWAY, "events_away"),
    ];
    for (sql, index) in statements {
        let steps = plan(&db, sql);
        assert!(steps.iter().any(|step| step.contains(index)), "{sql}\n{steps:#?}");
    }
}

#[test]
fn who_is_to_be_told_is_asked_of_the_types_that_are_said_to_matter() {
    let asked: Vec<&str> =
        crate::team::NOTIFY.split("type = '").skip(1).map(|rest| rest.split('\'').next().unwrap()).collect();
    assert_eq!(asked, crate::NOTIFY_TYPES);
}

/// A table that SQLite builds for each row costs more than the row.
#[test]
fn writing_events_builds_no_table_for_a_list_and_keeps_no_copies() {
    let db = crate::schema::in_memory().unwrap();
    for (sql, numbers) in [Numbers::Given, Numbers::Next]
        .map(|numbers| numbers.inserts().iter().map(move |sql| (sql, numbers)))
        .into_iter()
        .flatten()
    {
        let steps = explained(&db, &format!("EXPLAIN {sql}"), 1);
        assert!(steps.iter().any(|step| step == "IdxInsert"), "{sql} {steps:?}");
        assert!(!steps.iter().any(|step| step.contains("Ephemeral") || step == "OpenAutoindex"), "{sql} {steps:?}");
        // By this it may fail after its first row, and keeps copies of pages for that.
        assert_eq!(steps.iter().any(|step| step == "MustBeInt"), numbers == Numbers::Given, "{sql} {steps:?}");
    }
}
