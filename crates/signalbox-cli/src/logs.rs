//! What steps print, whole: an event carries only the beginning of a long piece, the host has the rest.

use serde_json::json;
use signalbox_client::Client;
use signalbox_model::LogChunk;
use signalbox_wire::method::LogPage;

use crate::output;

/// Lines asked for at a time.
const PAGE: u64 = 5000;

/// The lines of a piece, the last `most` of them, as they may be shown.
///
/// If the host cannot be asked any more the beginning is given, and a line that says so.
pub(crate) async fn lines(client: &Client, run: &str, chunk: &LogChunk, most: u64) -> Vec<String> {
    if chunk.blob.is_none() {
        return chunk.text.lines().map(output::safe).collect();
    }
    let end = chunk.line + chunk.lines.max(1);
    let mut next = chunk.line.max(end.saturating_sub(most));
    let mut lines = Vec::new();
    while next < end {
        let params = json!({
            "run": run, "step": chunk.step, "attempt": chunk.attempt, "offset": next, "limit": PAGE.min(end - next),
        });
        let page = client.get::<LogPage>("run.log", params).await;
        let missing = match &page {
            Err(error) => Some(error.to_string()),
            Ok(page) if page.lines.is_empty() => Some("the host no longer has them".to_owned()),
            Ok(_) => None,
        };
        if let Some(why) = missing {
            lines.extend(chunk.text.lines().map(output::safe));
            lines.push(format!("[{} lines are not shown: {why}; `signalbox call run.log` has them]", end - next));
            return lines;
        }
        for line in page.into_iter().flat_map(|page| page.lines) {
            next = line.n + 1;
            let mut text = output::safe(&line.text);
            if let Some(cut) = line.cut.filter(|cut| *cut > 0) {
                text.push_str(&format!(" [{cut} bytes more]"));
            }
            lines.push(text);
        }
    }
    lines
}
