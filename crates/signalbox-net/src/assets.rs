//! The UI's files, handed over by the binary that embeds them.

/// Embedded files by their path without a leading `/`.
#[derive(Debug, Clone, Copy, Default)]
pub struct Assets(pub &'static [(&'static str, &'static [u8])]);

impl Assets {
    /// A file.
    #[must_use]
    pub fn get(&self, path: &str) -> Option<&'static [u8]> {
        self.0.iter().find(|(name, _)| *name == path).map(|(_, content)| *content)
    }

    /// The media type of a file by its ending.
    #[must_use]
    pub fn media_type(path: &str) -> &'static str {
        match path.rsplit_once('.').map_or("", |(_, ending)| ending) {
            "html" => "text/html; charset=utf-8",
            "js" => "text/javascript; charset=utf-8",
            "css" => "text/css; charset=utf-8",
            "json" | "map" => "application/json",
            "svg" => "image/svg+xml",
            "png" => "image/png",
            "ico" => "image/x-icon",
            "woff2" => "font/woff2",
            "txt" => "text/plain; charset=utf-8",
            _ => "application/octet-stream",
        }
    }
}
