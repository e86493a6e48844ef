//! Calls that come over a WebSocket, and their replies.

use std::{pin::Pin, sync::Arc};

use serde_json::value::RawValue;
use signalbox_wire::{CallError, Caller, HostFrame};

use crate::http::Net;

/// Calls of one connection at work at a time, and bytes of their parameters beside those of one call. Many small ones share
/// a commit.
pub(super) const MOST: usize = 256;
pub(super) const MOST_BYTES: usize = 1024 * 1024;

/// What a call gave; an error without words is an answer without a result.
pub(super) type Reply = Result<Box<RawValue>, Option<CallError>>;

/// A call that came back.
pub(super) struct Answered {
    pub(super) rid: u64,
    pub(super) reply: Reply,
    /// Of its parameters.
    pub(super) bytes: usize,
}

/// Boxed: it waits among others.
pub(super) type Call = Pin<Box<dyn Future<Output = Answered> + Send>>;

pub(super) fn call(net: Arc<Net>, caller: Caller, rid: u64, method: String, params: Option<Box<RawValue>>) -> Call {
    Box::pin(async move {
        let reply = net.host.call(&caller, &method, params.as_deref()).await.map_err(Some);
        Answered { rid, reply, bytes: params.map_or(0, |params| params.get().len()) }
    })
}

pub(super) fn reply_to(rid: u64, reply: Reply) -> HostFrame {
    let (result, error) = match reply {
        Ok(result) => (Some(result), None),
        Err(None) => (RawValue::from_string("{}".into()).ok(), None),
        Err(error) => (None, error),
    };
    HostFrame::Reply { rid, result, error }
}
