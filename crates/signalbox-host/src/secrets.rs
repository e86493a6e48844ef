//! Secrets of a project: from the host's environment, or else from the system's keychain.

use std::{collections::BTreeMap, path::Path};

use signalbox_wire::{
    CallError, ErrorCode,
    method::{SecretInfo, SecretSource, Secrets},
};

use signalbox_workflow::Capabilities;

use crate::{
    keychain::{self, KeychainError},
    workflows,
};

/// Most bytes of a secret. The Credential Manager of Windows keeps no more in one entry.
const LARGEST: usize = 2560;

/// The variable of the host's environment that has a secret, before all else.
pub(crate) fn variable(name: &str) -> String {
    format!("SIGNALBOX_SECRET_{name}")
}

/// The entry in the keychain. By folder: it means the same in every data folder, and a person can read it.
fn account(folder: &str, name: &str) -> String {
    format!("{name} ({folder})")
}

/// The value of a secret for the project in `folder`.
///
/// # Errors
/// What is missing, and what to do.
pub(crate) async fn value(folder: &str, name: &str) -> Result<String, String> {
    if let Ok(value) = std::env::var(variable(name)) {
        return Ok(value);
    }
    let variable = variable(name);
    match keychain::get(account(folder, name)).await {
        Ok(Some(value)) => Ok(value),
        Ok(None) => Err(format!(
            "the secret {name} is not set: `signalbox secret set {name}` in the project's folder puts it into the \
             keychain, or start the host with {variable} in its environment"
        )),
        Err(error) => Err(format!(
            "the secret {name} cannot be read: {error}; instead the host can be started with {variable} in its environment"
        )),
    }
}

/// Where a secret of the project in `folder` comes from; none: it is not set.
///
/// # Errors
/// If the keychain had to be asked and did not answer.
async fn source(folder: &str, name: &str) -> Result<Option<SecretSource>, KeychainError> {
    if std::env::var_os(variable(name)).is_some() {
        return Ok(Some(SecretSource::Environment));
    }
    Ok(keychain::get(account(folder, name)).await?.map(|_| SecretSource::Keychain))
}

/// What the workflows of the project in `folder` ask for.
pub async fn list(folder: &str) -> Secrets {
    let mut wanted = BTreeMap::<String, Vec<String>>::new();
    for workflow in workflows::list(Path::new(folder), &Capabilities::basic()) {
        for name in workflow.definition.iter().flat_map(|definition| &definition.secrets) {
            let users = wanted.entry(name.to_string()).or_default();
            if !users.contains(&workflow.name) {
                users.push(workflow.name.clone());
            }
        }
    }
    let mut keychain_error = keychain::check().await.err().map(|error| error.to_string());
    let mut secrets = Vec::new();
    for (name, workflows) in wanted {
        let source = source(folder, &name).await.unwrap_or_else(|error| {
            keychain_error.get_or_insert(error.to_string());
            None
        });
        secrets.push(SecretInfo { name, workflows, source });
    }
    Secrets { secrets, keychain_error }
}

fn check_name(name: &str) -> Result<(), CallError> {
    let ok = (1..=100).contains(&name.len())
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    if ok {
        Ok(())
    } else {
        Err(CallError::bad_request(format!("{name:?} is no name of a secret: letters, digits and _")))
    }
}

fn refused(error: &KeychainError, name: &str) -> CallError {
    CallError::new(ErrorCode::Unavailable, format!("{error}; nothing was kept"))
        .hint(format!("unlock or start the keychain, or start the host with {} in its environment", variable(name)))
}

/// Puts a secret of the project in `folder` (its canonical path) into the keychain.
///
/// # Errors
/// `bad_request` for a name or value that cannot be one, `unavailable` if there is no keychain. Then nothing was kept.
pub async fn set(folder: &str, name: &str, value: String) -> Result<(), CallError> {
    check_name(name)?;
    if value.is_empty() || value.len() > LARGEST || value.contains('\0') {
        return Err(CallError::bad_request(format!("a secret has 1 to {LARGEST} bytes, and no NUL; nothing was kept")));
    }
    keychain::set(account(folder, name), value).await.map_err(|error| refused(&error, name))
}

/// Takes a secret out of the keychain; whether it was there.
///
/// # Errors
/// As [`set`].
pub async fn remove(folder: &str, name: &str) -> Result<bool, CallError> {
    check_name(name)?;
    keychain::remove(account(folder, name))
        .await
        .map_err(|error| CallError::new(ErrorCode::Unavailable, format!("{error}; nothing was changed")))
}
