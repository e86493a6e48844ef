//! Settings: typed, from a file and from the environment, with errors that name line and key.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use signalbox_store::Durability;
use signalbox_wire::Limits;

use crate::proxies::Proxies;

/// Why settings cannot be used. Nothing was started.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// The file cannot be read.
    #[error("the settings file {} cannot be read: {source}", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file says something that is no setting.
    #[error("the settings file {} is wrong: {message}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// What, with line and key.
        message: String,
    },
    /// A variable has a value that does not fit.
    #[error("the environment variable {name} is {value:?}, it must be {wanted}")]
    Variable {
        /// Which.
        name: String,
        /// What it holds.
        value: String,
        /// What it should hold.
        wanted: &'static str,
    },
    /// A variable looks like a setting and is none.
    #[error("the environment variable {name} is no setting; those of its kind are {known}")]
    Unknown {
        /// Which.
        name: String,
        /// The variables that there are for the same section.
        known: String,
    },
}

/// One setting, for `signalbox doctor --settings`.
#[derive(Debug, Clone)]
pub struct Described {
    /// `section.key`.
    pub key: String,
    /// Its environment variable.
    pub variable: String,
    /// Its value now.
    pub value: String,
    /// What it does.
    pub doc: &'static str,
}

trait Value: Sized {
    const WANTED: &'static str;
    fn from_text(text: &str) -> Option<Self>;
    fn to_text(&self) -> String;
}

impl Value for u64 {
    const WANTED: &'static str = "a whole number";
    fn from_text(text: &str) -> Option<Self> {
        text.parse().ok()
    }
    fn to_text(&self) -> String {
        self.to_string()
    }
}

impl Value for bool {
    const WANTED: &'static str = "true or false";
    fn from_text(text: &str) -> Option<Self> {
        text.parse().ok()
    }
    fn to_text(&self) -> String {
        self.to_string()
    }
}

impl Value for String {
    const WANTED: &'static str = "a text";
    fn from_text(text: &str) -> Option<Self> {
        Some(text.to_owned())
    }
    fn to_text(&self) -> String {
        self.clone()
    }
}

impl Value for Vec<String> {
    const WANTED: &'static str = "a list separated by commas";
    fn from_text(text: &str) -> Option<Self> {
        Some(text.split(',').map(str::trim).filter(|item| !item.is_empty()).map(str::to_owned).collect())
    }
    fn to_text(&self) -> String {
        self.join(",")
    }
}

macro_rules! settings {
    ($( $(#[doc = $section_doc:literal])* $section:ident : $type:ident { $( #[doc = $doc:literal] $key:ident : $ty:ty = $default:expr; )* } )*) => {
        /// Every setting.
        #[derive(Debug, Clone, Default, Deserialize)]
        #[serde(deny_unknown_fields, default)]
        pub struct Settings {
            $( $(#[doc = $section_doc])* pub $section: $type, )*
            /// Agents of one's own, or other ways to start known ones, by id.
            pub agents: std::collections::BTreeMap<String, signalbox_agent::catalogue::Custom>,
        }

        $(
            $(#[doc = $section_doc])*
            #[derive(Debug, Clone, Deserialize)]
            #[serde(deny_unknown_fields, default)]
            pub struct $type { $( #[doc = $doc] pub $key: $ty, )* }

            impl Default for $type {
                fn default() -> Self {
                    Self { $( $key: $default, )* }
                }
            }
        )*

        impl Settings {
            fn apply_environment(&mut self, get: &impl Fn(&str) -> Option<String>) -> Result<(), SettingsError> {
                $($({
                    let name = variable(stringify!($section), stringify!($key));
                    if let Some(value) = get(&name) {
                        self.$section.$key = <$ty as Value>::from_text(&value)
                            .ok_or_else(|| SettingsError::Variable { name, value, wanted: <$ty as Value>::WANTED })?;
                    }
                })*)*
                Ok(())
            }

            /// Every setting with its value and its meaning.
            #[must_use]
            pub fn describe(&self) -> Vec<Described> {
                vec![$($( Described {
                    key: format!("{}.{}", stringify!($section), stringify!($key)),
                    variable: variable(stringify!($section), stringify!($key)),
                    value: Value::to_text(&self.$section.$key),
                    doc: $doc.trim_ascii(),
                } ),*),*]
            }
        }
    };
}

settings! {
    /// Where the host listens.
    host: HostSettings {
        /// Address and port; port 0 picks a free one.
        listen: String = "127.0.0.1:7117".into();
        /// Further names under which the host may be called, for reverse proxies: `name` or `name:port`.
        allowed_hosts: Vec<String> = Vec::new();
        /// Reverse proxies that are believed when they say who called: addresses or networks, such as 127.0.0.1,10.0.0.0/8.
        trusted_proxies: Vec<String> = Vec::new();
        /// The header in which they say it: `x-forwarded-for` or `forwarded`. The proxy must set it on every request.
        forwarded_header: String = "x-forwarded-for".into();
        /// Another listener without tokens for /metrics, such as 127.0.0.1:9117; empty: only /metrics with an owner's token.
        metrics_listen: String = String::new();
    }
    /// Sharing the host with others, over TLS.
    share: ShareSettings {
        /// A file with the certificate and its chain (PEM); empty: one is made at first use and kept in the data folder.
        certificate: String = String::new();
        /// The file with its key (PEM).
        key: String = String::new();
        /// The address to share on: 0.0.0.0 is every IPv4 address of this machine, [::] every address.
        bind: String = "0.0.0.0".into();
        /// Say in the local network (multicast DNS) that the host is there, while it is shared.
        announce: bool = true;
        /// The port to share on; 0 picks a free one.
        port: u64 = 7118;
    }
    /// Tokens that somebody else makes: JSON Web Tokens.
    auth: AuthSettings {
        /// A file with the secret of at least 32 bytes that signs them (HS256).
        jwt_secret_file: String = String::new();
        /// A file with the public key of who signs them (EdDSA, Ed25519, PEM).
        jwt_public_key_file: String = String::new();
        /// A file with a JSON Web Key Set (RS256, ES256, EdDSA); read again when it changes.
        jwks_file: String = String::new();
        /// Whose tokens are accepted: their claim `iss`. Needed with any of the keys.
        jwt_issuer: String = String::new();
        /// For whom they must be: their claim `aud`; empty: anybody.
        jwt_audience: String = String::new();
    }
    /// The event log.
    log: LogSettings {
        /// `process`: a committed event survives the end of the host; `power`: a power cut as well.
        durability: String = "process".into();
        /// Delete the detail of runs, and project events, older than this many days; 0 keeps them.
        keep_days: u64 = 0;
        /// Delete the detail of the oldest runs when a project's events take more megabytes than this; 0 keeps them.
        keep_megabytes: u64 = 0;
    }
    /// Running workflows.
    engine: EngineSettings {
        /// Steps that may run at once; 0: as many as there are cores.
        slots: u64 = 0;
        /// Output kept of one attempt, in megabytes.
        log_megabytes: u64 = 1024;
    }
    /// Webhooks that the host calls.
    webhooks: WebhookSettings {
        /// They may call this machine and the networks that it is in.
        allow_private: bool = false;
        /// A file with certificates (PEM) that receivers may show besides those that the public trusts: one's own authority.
        ca_file: String = String::new();
        /// Time to the second attempt, in milliseconds; it doubles with each, up to 5 minutes.
        retry_ms: u64 = 1000;
        /// Seconds after which one whose receiver fails is switched off.
        give_up_after_s: u64 = 86_400;
    }
    /// Bounds of connections; 0 switches a limit off.
    limits: LimitSettings {
        /// Calls per second and member.
        calls_per_second: u64 = 100;
        /// Connections of one member.
        connections_per_member: u64 = 64;
        /// Connections of the host.
        connections: u64 = 10_000;
        /// Streams (WebSocket, server-sent events) that are let in per second; further ones wait for their turn.
        joins_per_second: u64 = 500;
        /// Rooms of one connection.
        rooms: u64 = 128;
        /// Largest frame from a client, in bytes.
        frame_bytes: u64 = 65_536;
        /// Largest body of an HTTP request, in bytes.
        body_bytes: u64 = 1_048_576;
        /// Most events that a resume replays.
        replay_events: u64 = 10_000;
        /// Time for a TLS handshake, for the header of a request and for `hello`, in milliseconds; a body has three times as long.
        hello_ms: u64 = 10_000;
        /// How long an HTTP connection may be silent between two requests, in milliseconds.
        idle_ms: u64 = 75_000;
        /// A ping comes this often, in milliseconds.
        ping_ms: u64 = 25_000;
        /// How long a ping may go unanswered, and a socket may take nothing, in milliseconds.
        stall_ms: u64 = 10_000;
    }
}

fn variable(section: &str, key: &str) -> String {
    format!("SIGNALBOX_{}_{}", section.to_uppercase(), key.to_uppercase())
}

impl Settings {
    /// Reads `settings.toml` in `dir`, if there is one, and then the environment.
    ///
    /// # Errors
    /// If the file or a variable says something that is no setting.
    pub fn load(dir: &Path) -> Result<Self, SettingsError> {
        let settings = Self::load_with(dir, &|name| std::env::var(name).ok())?;
        settings.know(std::env::vars_os().filter_map(|(name, _)| name.into_string().ok()))?;
        Ok(settings)
    }

    /// Refuses variables that look like settings and are none, as the file refuses keys: a limit that is misspelt is no limit.
    fn know(&self, mut names: impl Iterator<Item = String>) -> Result<(), SettingsError> {
        let known: Vec<String> = self.describe().into_iter().map(|setting| setting.variable).collect();
        let section = |name: &str| name.splitn(3, '_').take(2).collect::<Vec<_>>().join("_") + "_";
        let unknown =
            names.find(|name| !known.contains(name) && known.iter().any(|setting| name.starts_with(&section(setting))));
        let Some(name) = unknown else { return Ok(()) };
        let mut alike = known;
        alike.retain(|setting| name.starts_with(&section(setting)));
        Err(SettingsError::Unknown { name, known: alike.join(", ") })
    }

    fn load_with(dir: &Path, get: &impl Fn(&str) -> Option<String>) -> Result<Self, SettingsError> {
        let path = dir.join("settings.toml");
        let mut settings = match std::fs::read_to_string(&path) {
            Ok(text) => toml::from_str::<Self>(&text)
                .map_err(|error| SettingsError::File { path: path.clone(), message: error.to_string() })?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Self::default(),
            Err(source) => return Err(SettingsError::Read { path, source }),
        };
        settings.apply_environment(get)?;
        settings.durability()?;
        settings.proxies()?;
        signalbox_agent::catalogue::with_custom(&settings.agents)
            .map_err(|error| SettingsError::File { path: path.clone(), message: error.to_string() })?;
        Ok(settings)
    }

    /// What a committed event survives.
    ///
    /// # Errors
    /// If the setting is neither `process` nor `power`.
    pub fn durability(&self) -> Result<Durability, SettingsError> {
        match self.log.durability.as_str() {
            "process" => Ok(Durability::Process),
            "power" => Ok(Durability::Power),
            other => Err(SettingsError::Variable {
                name: "SIGNALBOX_LOG_DURABILITY (log.durability)".into(),
                value: other.into(),
                wanted: "process or power",
            }),
        }
    }

    /// Whose word on who called is taken.
    ///
    /// # Errors
    /// If something in the list is no address and no network, or the header is not one of the two.
    pub fn proxies(&self) -> Result<Proxies, SettingsError> {
        Proxies::new(&self.host.trusted_proxies, &self.host.forwarded_header).map_err(|value| SettingsError::Variable {
            name: "SIGNALBOX_HOST_TRUSTED_PROXIES or SIGNALBOX_HOST_FORWARDED_HEADER (host.trusted_proxies, host.forwarded_header)".into(),
            value,
            wanted: "a list of addresses and networks like 10.0.0.0/8, and x-forwarded-for or forwarded",
        })
    }

    /// Steps that may run at once.
    #[must_use]
    pub fn slots(&self) -> u32 {
        match u32::try_from(self.engine.slots).unwrap_or(u32::MAX) {
            0 => std::thread::available_parallelism().map_or(2, |cores| u32::try_from(cores.get()).unwrap_or(2)),
            slots => slots,
        }
    }

    /// The bounds as a client is told.
    #[must_use]
    pub fn limits(&self) -> Limits {
        let limits = &self.limits;
        Limits {
            frame_bytes: limits.frame_bytes,
            event_bytes: 256 * 1024,
            outbound_bytes: 1024 * 1024,
            rooms: limits.rooms,
            hello_ms: limits.hello_ms,
            calls_per_second: limits.calls_per_second,
            connections_per_member: limits.connections_per_member,
            connections: limits.connections,
            replay_events: limits.replay_events,
        }
    }
}

/// The platform's folder for settings, or `SIGNALBOX_CONFIG_DIR`.
#[must_use]
pub fn config_dir() -> PathBuf {
    folder("SIGNALBOX_CONFIG_DIR", |dirs| dirs.config_dir().to_owned())
}

/// The platform's folder for data, or `SIGNALBOX_DATA_DIR`.
#[must_use]
pub fn data_dir() -> PathBuf {
    folder("SIGNALBOX_DATA_DIR", |dirs| dirs.data_local_dir().to_owned())
}

fn folder(variable: &str, platform: impl Fn(&directories::ProjectDirs) -> PathBuf) -> PathBuf {
    if let Some(set) = std::env::var_os(variable).filter(|set| !set.is_empty()) {
        return set.into();
    }
    directories::ProjectDirs::from("dev", "Signalbox", "signalbox")
        .map_or_else(|| PathBuf::from(".signalbox-data"), |dirs| platform(&dirs))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(text: &str, variables: &[(&str, &str)]) -> Result<Settings, SettingsError> {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("settings.toml"), text).unwrap();
        Settings::load_with(dir.path(), &|name| {
            variables.iter().find(|(n, _)| *n == name).map(|(_, v)| (*v).to_owned())
        })
    }

    #[test]
    fn the_environment_wins_over_the_file() {
        let settings =
            load("[limits]\ncalls_per_second = 5\nrooms = 7", &[("SIGNALBOX_LIMITS_CALLS_PER_SECOND", "0")]).unwrap();
        assert_eq!((settings.limits.calls_per_second, settings.limits.rooms), (0, 7));
    }

    #[test]
    fn a_misspelt_variable_is_an_error_that_names_the_right_ones() {
        let names = |list: &[&str]| list.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>().into_iter();
        let settings = Settings::default();
        let error = settings.know(names(&["PATH", "SIGNALBOX_LIMITS_CALS_PER_SECOND"])).unwrap_err().to_string();
        assert!(error.contains("CALS_PER_SECOND") && error.contains("SIGNALBOX_LIMITS_CALLS_PER_SECOND"), "{error}");
        assert!(!error.contains("SIGNALBOX_ENGINE_SLOTS"), "{error}");
        let others =
            ["SIGNALBOX_LOG", "SIGNALBOX_TOKEN", "SIGNALBOX_SECRET_X", "SIGNALBOX_LIMITS_ROOMS", "SIGNALBOX_RUN"];
        settings.know(names(&others)).unwrap();
    }

    #[test]
    fn an_unknown_key_is_an_error_with_its_line() {
        let error = load("[limits]\ncals_per_second = 5", &[]).unwrap_err().to_string();
        assert!(
            error.contains("line 2") && error.contains("cals_per_second") && error.contains("calls_per_second"),
            "{error}"
        );
    }

    #[test]
    fn a_variable_that_does_not_fit_is_named() {
        let error = load("", &[("SIGNALBOX_ENGINE_SLOTS", "many")]).unwrap_err().to_string();
        assert!(error.contains("SIGNALBOX_ENGINE_SLOTS") && error.contains("whole number"), "{error}");
    }

    #[test]
    fn every_setting_is_described_once() {
        let described = Settings::default().describe();
        let keys: std::collections::HashSet<_> = described.iter().map(|d| d.key.clone()).collect();
        assert_eq!(keys.len(), described.len());
        assert!(described.iter().all(|d| d.doc.len() > 10));
    }
}
