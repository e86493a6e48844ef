//! What links and notifications ask of the page.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard},
};

use serde::Serialize;
use tauri::ipc::Channel;

/// Wishes that wait for a page; the oldest make room: nobody clicks on more links than that while an app starts.
const WAITING: usize = 8;

/// One of them, as the page gets it.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(crate) enum Wish {
    /// Show this path of a host; no host: the one of this computer.
    Open {
        #[serde(skip_serializing_if = "Option::is_none")]
        host: Option<String>,
        path: String,
    },
    /// Ask whether to join with this invitation.
    Join { link: String },
    /// Say why a link is not followed.
    Refused { message: String },
}

#[derive(Default)]
struct Inner {
    page: Option<Channel<Wish>>,
    waiting: VecDeque<Wish>,
}

/// The way to the page, and what waits until there is one.
#[derive(Default)]
pub(crate) struct Wishes(Mutex<Inner>);

impl Wishes {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(|e| e.into_inner())
    }

    /// The page is there, and hears what waits.
    pub(crate) fn hear(&self, page: Channel<Wish>) {
        let mut inner = self.inner();
        for wish in inner.waiting.drain(..) {
            page.send(wish).ok();
        }
        inner.page = Some(page);
    }

    /// The page is being loaded anew.
    pub(crate) fn leave(&self) {
        self.inner().page = None;
    }

    /// Tells the page, now or when it is there.
    pub(crate) fn tell(&self, wish: Wish) {
        let mut inner = self.inner();
        if let Some(page) = &inner.page
            && page.send(wish.clone()).is_ok()
        {
            return;
        }
        inner.waiting.push_back(wish);
        if inner.waiting.len() > WAITING {
            inner.waiting.pop_front();
        }
    }
}
