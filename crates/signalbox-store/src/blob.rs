//! Content-addressed files: what is too large for an event.

use std::{
    fs, io,
    io::Write,
    path::{Path, PathBuf},
    sync::Arc,
};

use sha2::{Digest, Sha256};
use signalbox_model::BlobRef;

/// A folder of files named by the SHA-256 of their content. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Blobs {
    dir: Arc<Path>,
}

/// Whether `text` is the hexadecimal form of a SHA-256.
#[must_use]
pub fn is_hash(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

/// The SHA-256 of `content` in lower-case hexadecimal.
#[must_use]
pub fn hash(content: &[u8]) -> String {
    use std::fmt::Write as _;
    Sha256::digest(content).iter().fold(String::with_capacity(64), |mut out, byte| {
        let _ = write!(out, "{byte:02x}");
        out
    })
}

impl Blobs {
    pub(crate) fn open(dir: PathBuf) -> io::Result<Self> {
        fs::create_dir_all(&dir)?;
        Ok(Self { dir: dir.into() })
    }

    fn path(&self, hash: &str) -> PathBuf {
        self.dir.join(&hash[..2]).join(&hash[2..])
    }

    /// Keeps `content`. The same content is kept once. Blocks.
    ///
    /// # Errors
    /// If the file cannot be written; nothing is left behind.
    pub fn put(&self, content: &[u8], media_type: &str) -> io::Result<BlobRef> {
        let hash = hash(content);
        let path = self.path(&hash);
        if !path.exists() {
            let folder = path.parent().unwrap_or(&self.dir);
            fs::create_dir_all(folder)?;
            // Written beside and renamed: a reader sees all of it or nothing, whenever this process dies.
            let beside = folder.join(format!(".{}-{:?}", &hash[2..], std::thread::current().id()));
            let written = fs::File::create(&beside).and_then(|mut file| file.write_all(content));
            if let Err(error) = written.and_then(|()| fs::rename(&beside, &path)) {
                fs::remove_file(&beside).ok();
                return Err(error);
            }
        }
        Ok(BlobRef { hash, bytes: content.len() as u64, media_type: media_type.to_owned() })
    }

    /// The content, or `NotFound` if it was deleted. Blocks.
    ///
    /// # Errors
    /// If there is no such blob or it cannot be read.
    pub fn get(&self, hash: &str) -> io::Result<Vec<u8>> {
        if !is_hash(hash) {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "not the name of a blob"));
        }
        fs::read(self.path(hash))
    }

    pub(crate) fn remove(&self, hash: &str) -> io::Result<()> {
        if !is_hash(hash) {
            return Ok(());
        }
        match fs::remove_file(self.path(hash)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            other => other,
        }
    }
}
