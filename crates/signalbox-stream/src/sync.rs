//! What [`bell`](crate::bell) is made of; its test puts loom's in their place.

pub(crate) use std::sync::atomic::{AtomicBool, Ordering, fence};
