//! Which log is the one that clients know, and which is another one that looks like it.

use std::{fs, path::Path, sync::Arc};

use signalbox_model::{Actor, Cursor, CustomType, EventBody, ManualClock, NewEvent, Room, RoomFilter};
use signalbox_store::{Batch, Durability, Options, Resume, Store};

fn open(dir: &Path) -> Store {
    Store::open(Options {
        dir: dir.to_owned(),
        durability: Durability::Process,
        clock: Arc::new(ManualClock::new(1_000_000_000)),
        publish: Box::new(|_| {}),
    })
    .unwrap()
}

async fn append(store: &Store, count: usize) -> Cursor {
    let body = EventBody::Custom(CustomType::new("x_test").unwrap(), serde_json::json!({}).into());
    let event = NewEvent::new(Room::Activity, Actor::new("tester").unwrap(), body);
    store.append(Batch::of(vec![event; count])).await.unwrap().cursor
}

/// What `cp -r` does.
fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).unwrap();
        }
    }
}

#[tokio::test]
async fn a_folder_that_was_put_back_whole_is_another_log() {
    let place = tempfile::tempdir().unwrap();
    let (data, backup) = (place.path().join("data"), place.path().join("backup"));
    let store = open(&data);
    append(&store, 3).await;
    store.close();
    copy(&data, &backup);
    let store = open(&data);
    let lost = append(&store, 2).await;
    store.close();
    fs::remove_dir_all(&data).unwrap();
    copy(&backup, &data);

    let store = open(&data);
    assert_ne!(store.epoch(), &lost.epoch);
    // Longer than what was lost: from the numbers alone the old cursor looks good.
    append(&store, 10).await;
    let resume = store.read(|r| r.resume(&[RoomFilter::One(Room::Activity)], &lost, 100)).unwrap();
    assert_eq!(resume, Resume::EpochChanged);
    let restored = store.epoch().clone();
    store.close();
    assert_eq!(open(&data).epoch(), &restored, "once is enough");
}

#[tokio::test]
async fn a_copy_beside_it_is_another_log_and_the_original_stays_what_it_is() {
    let place = tempfile::tempdir().unwrap();
    let (data, twin) = (place.path().join("data"), place.path().join("twin"));
    let store = open(&data);
    let epoch = append(&store, 1).await.epoch;
    store.close();
    copy(&data, &twin);
    assert_ne!(open(&twin).epoch(), &epoch);
    assert_eq!(open(&data).epoch(), &epoch);
}

#[tokio::test]
async fn a_moved_or_reopened_folder_is_the_same_log() {
    let place = tempfile::tempdir().unwrap();
    let (data, moved) = (place.path().join("data"), place.path().join("moved"));
    let store = open(&data);
    let cursor = append(&store, 3).await;
    store.close();
    let store = open(&data);
    assert_eq!(store.epoch(), &cursor.epoch);
    store.close();
    fs::rename(&data, &moved).unwrap();
    assert_eq!(open(&moved).cursor(), cursor);
}

#[tokio::test]
async fn a_copy_that_is_written_over_the_closed_original_is_another_log() {
    let place = tempfile::tempdir().unwrap();
    let (data, backup) = (place.path().join("data"), place.path().join("backup"));
    let store = open(&data);
    append(&store, 3).await;
    store.close();
    copy(&data, &backup);
    let store = open(&data);
    let lost = append(&store, 3).await;
    store.close();
    // Into the same files, as `cp -a` does it.
    for name in ["log.db", "log.mark"] {
        fs::write(data.join(name), fs::read(backup.join(name)).unwrap()).unwrap();
    }
    let store = open(&data);
    assert_ne!(store.epoch(), &lost.epoch);
    let cursor = append(&store, 5).await;
    store.close();
    assert_eq!(open(&data).cursor(), cursor, "and from now on it is a log like any other");
}

#[tokio::test]
async fn a_log_from_before_files_were_remembered_keeps_its_epoch_and_remembers_from_now_on() {
    let place = tempfile::tempdir().unwrap();
    let (data, twin) = (place.path().join("data"), place.path().join("twin"));
    let store = open(&data);
    let cursor = append(&store, 3).await;
    store.close();
    let db = rusqlite::Connection::open(data.join("log.db")).unwrap();
    assert_eq!(db.execute("DELETE FROM meta WHERE key = 'file'", []).unwrap(), 1);
    db.close().unwrap();
    // The mark of that time had one line.
    let mark = fs::read_to_string(data.join("log.mark")).unwrap();
    fs::write(data.join("log.mark"), format!("{}\n", mark.lines().next().unwrap())).unwrap();
    let store = open(&data);
    assert_eq!(store.cursor(), cursor);
    store.close();
    copy(&data, &twin);
    assert_ne!(open(&twin).epoch(), &cursor.epoch);
}
