//! A file of names that is read again when it changes. Looked at by its metadata, once a second: works for every editor,
//! and for files that an orchestrator replaces.

use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tickwire_nats::watch_lists::parse_names;
use tokio::fs::File;
use tokio::io::AsyncReadExt as _;
use tokio::time::{Instant, sleep_until};
use tracing::{info, warn};

/// How often the file is looked at. A file is read when two looks found the same, so not in the middle of a write.
const LOOK: Duration = Duration::from_secs(1);

/// Largest file that is read, in bytes: some 100,000 names.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// What tells one state of a file from another; editors replace files by new ones of the same name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    inode: u64,
    bytes: u64,
    seconds: i64,
    nanoseconds: i64,
}

/// A watched file.
#[derive(Debug)]
pub(super) struct FileList {
    path: PathBuf,
    /// What was found at the last look.
    seen: Option<Stamp>,
    /// What `names` were read from, or could not be.
    read: Option<Stamp>,
    names: Option<Vec<String>>,
    is_lost: bool,
    next_look: Instant,
}

impl FileList {
    pub(super) fn new(path: &Path) -> Self {
        let (path, next_look) = (path.to_owned(), Instant::now() + LOOK);
        Self { path, seen: None, read: None, names: None, is_lost: false, next_look }
    }

    /// The names of the last good list; `None` before the first.
    pub(super) fn names(&self) -> Option<&[String]> {
        self.names.as_deref()
    }

    /// Waits until the names are others. Cancel-safe.
    pub(super) async fn changed(&mut self) {
        loop {
            sleep_until(self.next_look).await;
            self.next_look = Instant::now() + LOOK;
            if self.look().await {
                return;
            }
        }
    }

    /// Looks whether the file has changed, and reads it then; true if the names are others now.
    pub(super) async fn look(&mut self) -> bool {
        let stamp = match stamp(&self.path).await {
            Ok(stamp) => stamp,
            Err(error) => {
                self.lost(&error);
                return false;
            }
        };
        let has_settled = self.seen.replace(stamp) == Some(stamp) || self.names.is_none();
        if !has_settled || self.read == Some(stamp) {
            return false;
        }
        let names = match names(&self.path).await {
            Ok(names) => names,
            Err(error) => {
                self.read = Some(stamp);
                self.lost(&error);
                return false;
            }
        };
        self.read = Some(stamp);
        self.is_lost = false;
        let is_new = self.names.as_ref() != Some(&names);
        info!(file = %self.path.display(), names = names.len(), "read the list of symbols");
        self.names = Some(names);
        is_new
    }

    fn lost(&mut self, error: &io::Error) {
        if !std::mem::replace(&mut self.is_lost, true) {
            warn!(file = %self.path.display(), %error, "cannot read the list of symbols, keeping the last good one");
        }
    }
}

async fn stamp(path: &Path) -> io::Result<Stamp> {
    let found = tokio::fs::metadata(path).await?;
    Ok(Stamp {
        inode: found.ino(),
        bytes: found.size(),
        seconds: found.mtime(),
        nanoseconds: found.mtime_nsec(),
    })
}

async fn names(path: &Path) -> io::Result<Vec<String>> {
    let mut text = Vec::new();
    let read = File::open(path).await?.take(FILE_BYTES_MAX + 1).read_to_end(&mut text).await?;
    if read as u64 > FILE_BYTES_MAX {
        return Err(io::Error::other(format!("it is larger than {FILE_BYTES_MAX} bytes")));
    }
    parse_names(&text).map_err(|error| io::Error::other(format!("it {error}")))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// A folder of its own, removed at the end.
    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let folder = std::env::temp_dir().join(format!("tickwire-lists-{name}-{}", std::process::id()));
            fs::create_dir_all(&folder).unwrap();
            Self(folder)
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn names(list: &FileList) -> Vec<&str> {
        list.names.iter().flatten().map(String::as_str).collect()
    }

    #[tokio::test]
    async fn a_file_is_read_again_once_it_has_settled() {
        let folder = Folder::new("settle");
        let path = folder.0.join("symbols");
        fs::write(&path, "# ours\nBTC/USDT\n").unwrap();
        let mut list = FileList::new(&path);
        assert!(list.look().await, "the first time at once");
        assert_eq!(names(&list), ["BTC/USDT"]);
        assert!(!list.look().await);

        // As editors write: a new file of the same name.
        fs::write(folder.0.join("new"), "BTC/USDT\nETH/USDT # too\n").unwrap();
        fs::rename(folder.0.join("new"), &path).unwrap();
        assert!(!list.look().await, "it may be half written");
        assert!(list.look().await);
        assert_eq!(names(&list), ["BTC/USDT", "ETH/USDT"]);

        fs::write(&path, "# none\n").unwrap();
        assert!(!list.look().await);
        assert!(list.look().await);
        assert_eq!(list.names, Some(Vec::new()), "an empty list is meant");
    }

    #[tokio::test]
    async fn what_cannot_be_read_leaves_the_last_good_list() {
        let folder = Folder::new("lost");
        let path = folder.0.join("symbols");
        let mut list = FileList::new(&path);
        assert!(!list.look().await);
        assert_eq!(list.names, None);
        fs::write(&path, "BTC/USDT").unwrap();
        assert!(list.look().await);
        for bad in [vec![b'A'; FILE_BYTES_MAX as usize + 1], b"\xFF".to_vec()] {
            fs::write(&path, bad).unwrap();
            assert!(!list.look().await && !list.look().await && list.is_lost);
            assert_eq!(names(&list), ["BTC/USDT"]);
        }
        fs::remove_file(&path).unwrap();
        assert!(!list.look().await);
        fs::write(&path, "ETH/USDT").unwrap();
        assert!(!list.look().await);
        assert!(list.look().await && !list.is_lost);
        assert_eq!(names(&list), ["ETH/USDT"]);
    }
}
