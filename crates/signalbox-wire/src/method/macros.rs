//! What every type of parameters and of replies has in common.

/// Parameters: a name that is not theirs is an error.
macro_rules! params {
    ($( $(#[$doc:meta])* $name:ident { $( $(#[$field_doc:meta])* $field:ident : $ty:ty ),* $(,)? } )*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Serialize, Deserialize, JsonSchema, TS)]
        #[serde(deny_unknown_fields)]
        #[ts(optional_fields)]
        pub struct $name { $( $(#[$field_doc])* pub $field: $ty ),* }
    )*};
}

/// Replies: more may come with a later version.
macro_rules! replies {
    ($( $(#[$doc:meta])* $name:ident { $( $(#[$field_doc:meta])* $field:ident : $ty:ty ),* $(,)? } )*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Serialize, Deserialize, JsonSchema, TS)]
        #[ts(optional_fields)]
        pub struct $name { $( $(#[$field_doc])* pub $field: $ty ),* }
    )*};
}
