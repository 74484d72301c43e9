//! Lists that others write and that are read again when they change: a file, and values in the bucket `md_watch`. What
//! cannot be read leaves the last good list in force.

mod file;

use anyhow::Context as _;
use tickwire_nats::Nats;
use tickwire_nats::watch_lists::{WatchLists, WatchedLists};
use tracing::warn;

use super::choose::Named;
use crate::config::Selection;
use file::FileList;

/// The lists of one venue.
#[derive(Debug)]
pub(super) struct Lists {
    file: Option<FileList>,
    key: Option<KeyList>,
}

impl Lists {
    /// Reads the file, and begins to follow the key.
    ///
    /// # Errors
    /// When the connection is closed, or for a key that can never be one.
    pub(super) async fn open(selection: &Selection, nats: &Nats) -> anyhow::Result<Self> {
        let mut file = selection.file.as_deref().map(FileList::new);
        if let Some(file) = &mut file {
            file.look().await;
        }
        let key = match &selection.key {
            Some(prefix) => {
                let watched = WatchLists::new(nats).watch(prefix).await.context("follow symbols_key")?;
                Some(KeyList { watched, names: None })
            }
            None => None,
        };
        Ok(Self { file, key })
    }

    /// What they name now.
    pub(super) fn named(&self) -> Named {
        Named {
            file: self.file.as_ref().and_then(|file| file.names().map(<[String]>::to_vec)),
            key: self.key.as_ref().and_then(|key| key.names.clone()),
        }
    }

    /// Waits until any of them has changed. Cancel-safe.
    pub(super) async fn changed(&mut self) {
        tokio::select! {
            () = changed_file(&mut self.file) => {}
            () = changed_key(&mut self.key) => {}
        }
    }
}

async fn changed_file(file: &mut Option<FileList>) {
    match file {
        Some(file) => file.changed().await,
        None => std::future::pending().await,
    }
}

async fn changed_key(key: &mut Option<KeyList>) {
    let Some(key) = key else { return std::future::pending().await };
    match key.watched.next().await {
        Some(union) => {
            if union.left_out > 0 {
                warn!(left_out = union.left_out, "the watch lists name too many symbols, some are left out");
            }
            key.names = Some(union.names.into_iter().collect());
        }
        // The connection is closed, so the process ends.
        None => std::future::pending().await,
    }
}

#[derive(Debug)]
struct KeyList {
    watched: WatchedLists,
    names: Option<Vec<String>>,
}
