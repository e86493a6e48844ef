//! What can go wrong with the log.

use std::path::PathBuf;

/// Why the log could not do what was asked. Unless said otherwise nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The data folder cannot be used.
    #[error("the data folder {} cannot be used: {source}; nothing was changed. Check that it exists and may be written", path.display())]
    Folder {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Another process has it.
    #[error("another Signalbox uses the data folder {} (process {holder}); nothing was changed. Stop it, talk to it with `signalbox call`, or name another folder with --data-dir", path.display())]
    InUse {
        /// Which folder.
        path: PathBuf,
        /// The other process's id, `unknown` if it did not say.
        holder: String,
    },
    /// Written by a newer version.
    #[error("the log {} has schema {found}, this version knows {known} at most; nothing was changed. Use the newer version, or another data folder", path.display())]
    Newer {
        /// Which file.
        path: PathBuf,
        /// Its schema.
        found: u32,
        /// Ours.
        known: u32,
    },
    /// The disk is full.
    #[error("the disk that holds the log is full; the event was not stored. Free some space and try again")]
    DiskFull,
    /// The disk or the file may not be written.
    #[error("the log cannot be written ({0}); the event was not stored")]
    ReadOnly(String),
    /// The database is damaged.
    #[error("the log is damaged ({0}); what can be read is kept. Restore a copy, or start with another data folder")]
    Damaged(String),
    /// Something else of the database.
    #[error("the database failed: {0}")]
    Database(rusqlite::Error),
    /// A file of the store failed.
    #[error("a file of the log failed: {0}")]
    Io(#[from] std::io::Error),
    /// A state in the batch is not newer than what is stored.
    #[error("{what} changed in the meantime; nothing was stored")]
    Refused {
        /// Which entity.
        what: String,
    },
    /// The key was used before; this is what the first call was answered.
    #[error("this key was used before")]
    Repeated {
        /// The first answer, JSON.
        reply: String,
    },
    /// The event is larger than the limit.
    #[error("the event's data has {bytes} bytes, the limit is {limit}; it was not stored")]
    TooLarge {
        /// Its place in the batch, from 0.
        place: usize,
        /// Its size.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
    /// What is stored is not what it should be.
    #[error("a stored event cannot be read: {0}")]
    Event(#[from] signalbox_model::EventError),
    /// A stored value is malformed.
    #[error("a stored row cannot be read: {0}")]
    Row(String),
    /// There is no such thing.
    #[error("there is no {0}")]
    NotFound(String),
    /// The log was closed.
    #[error("the log is closed; nothing was stored")]
    Closed,
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        use rusqlite::ErrorCode;
        match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => Self::DiskFull,
            Some(
                ErrorCode::ReadOnly | ErrorCode::CannotOpen | ErrorCode::PermissionDenied | ErrorCode::SystemIoFailure,
            ) => Self::ReadOnly(error.to_string()),
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => Self::Damaged(error.to_string()),
            _ => Self::Database(error),
        }
    }
}

impl From<serde_json::Error> for StoreError {
    fn from(error: serde_json::Error) -> Self {
        Self::Row(error.to_string())
    }
}

impl StoreError {
    /// Whether one batch is to blame, and others of the same transaction are not.
    pub(crate) fn is_of_the_batch(&self) -> bool {
        matches!(
            self,
            Self::Refused { .. } | Self::Repeated { .. } | Self::TooLarge { .. } | Self::Row(_) | Self::NotFound(_)
        )
    }

    /// Whether another program has the database's lock.
    pub(crate) fn is_busy(&self) -> bool {
        matches!(self, Self::Database(error) if error.sqlite_error_code() == Some(rusqlite::ErrorCode::DatabaseBusy))
    }

    /// Whether the same append may succeed later, without being changed.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::DiskFull | Self::ReadOnly(_) | Self::Database(_) | Self::Io(_))
    }
}
