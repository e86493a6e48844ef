//! The system's keychain: Keychain on macOS, Credential Manager on Windows, the Secret Service elsewhere.
//!
//! Nothing here falls back to a file. Where there is no keychain the caller is told so, and a secret can be given in the
//! host's environment instead, which is the person's own decision.

use std::time::Duration;

use keyring::Entry;

/// Under which name entries appear in the person's keychain program.
const SERVICE: &str = "Signalbox";
/// The longest wait. A locked keychain asks the person first.
const PATIENCE: Duration = Duration::from_secs(60);

/// Why the keychain did not do what was asked. Nothing was kept elsewhere.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the system's keychain {0}")]
pub struct KeychainError(String);

fn failed(error: &keyring::Error) -> KeychainError {
    match (error, Entry::store_status()) {
        (keyring::Error::NoDefaultStore, Err(why)) => KeychainError(format!("cannot be reached: {why}")),
        _ => KeychainError(format!("refused: {error}")),
    }
}

/// On a thread of its own: the keychain may ask the person, and it answers when they do.
async fn with_entry<T: Send + 'static>(
    account: String,
    work: impl FnOnce(Entry) -> keyring::Result<T> + Send + 'static,
) -> Result<T, KeychainError> {
    let task = tokio::task::spawn_blocking(move || Entry::new(SERVICE, &account).and_then(work));
    match tokio::time::timeout(PATIENCE, task).await {
        Ok(Ok(result)) => result.map_err(|error| failed(&error)),
        Ok(Err(_)) => Err(KeychainError("was not asked: the program is ending".into())),
        Err(_) => Err(KeychainError(format!("did not answer within {} s: unlock it", PATIENCE.as_secs()))),
    }
}

/// What is kept under `account`; none if there is nothing.
///
/// # Errors
/// If there is no keychain, or it is locked and stays so.
pub async fn get(account: String) -> Result<Option<String>, KeychainError> {
    let read = |entry: Entry| match entry.get_password() {
        Ok(value) => Ok(Some(value)),
        Err(keyring::Error::NoEntry) => Ok(None),
        Err(error) => Err(error),
    };
    with_entry(account, read).await
}

/// Keeps `value` under `account`, in place of what was there.
///
/// # Errors
/// As [`get`].
pub async fn set(account: String, value: String) -> Result<(), KeychainError> {
    with_entry(account, move |entry| entry.set_password(&value)).await
}

/// Forgets what is kept under `account`; whether there was something.
///
/// # Errors
/// As [`get`].
pub async fn remove(account: String) -> Result<bool, KeychainError> {
    let delete = |entry: Entry| match entry.delete_credential() {
        Ok(()) => Ok(true),
        Err(keyring::Error::NoEntry) => Ok(false),
        Err(error) => Err(error),
    };
    with_entry(account, delete).await
}

/// Whether there is a keychain here.
///
/// # Errors
/// Why not.
pub async fn check() -> Result<(), KeychainError> {
    // An entry that nobody makes: to look for it is the least that shows whether somebody answers.
    get("check".into()).await.map(|_| ())
}
