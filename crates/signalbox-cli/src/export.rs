//! `signalbox export`: a run as one file, that needs neither a host nor a network to be read.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};
use serde::Serialize;
use serde_json::{json, value::RawValue};
use signalbox_client::Client;
use signalbox_wire::method::{BlobText, EventPage, RunReply};

use crate::{
    End, Target, output,
    remote::{self, Usage},
};

/// Events asked for at a time.
const PAGE: u32 = 500;
/// Texts over this many bytes are left out of a page, and so is what would make all of them larger than [`TEXTS`].
const TEXT: u64 = 4 * 1024 * 1024;
const TEXTS: u64 = 64 * 1024 * 1024;

/// What the page shows.
#[derive(Serialize)]
struct Recording {
    events: Vec<Box<RawValue>>,
    /// Long texts, by their hash.
    blobs: BTreeMap<String, String>,
    /// Long texts of which the page has the beginning only.
    left_out: usize,
}

/// What is looked for in an event: its long text.
#[derive(serde::Deserialize)]
struct Line {
    #[serde(default)]
    data: Data,
}

#[derive(serde::Deserialize, Default)]
#[serde(default)]
struct Data {
    blob: Option<signalbox_model::BlobRef>,
}

pub(crate) async fn export(target: &Target, run: &str, out: &Path) -> anyhow::Result<End> {
    let page = match out.extension().and_then(|extension| extension.to_str()) {
        Some("html" | "htm") => true,
        Some("jsonl" | "ndjson") => false,
        _ if out == Path::new("-") => false,
        _ => bail!(Usage(format!("{} should end in .html or .jsonl; `-` prints JSON lines", out.display()))),
    };
    let (client, _updates) = remote::client(target).await?;
    let found: RunReply = client.get("run.get", json!({ "run": run })).await.map_err(remote::explain)?;
    if out == Path::new("-") {
        let mut standard = io::stdout();
        let written = each_event(&client, run, |event| writeln!(standard, "{}", event.get())).await;
        return Ok(match written {
            // Whoever read it has enough.
            Err(error) if error.downcast_ref::<io::Error>().is_some_and(|e| e.kind() == io::ErrorKind::BrokenPipe) => {
                End::Success
            }
            written => written.map(|_| End::Success)?,
        });
    }
    // Beside its place first: a file of that name is whole, or is the one from before.
    let draft = draft_of(out);
    let unwritten = || format!("{} cannot be written; nothing was changed", out.display());
    let written = match File::create(&draft) {
        Ok(file) if page => write_page(&client, run, BufWriter::new(file)).await,
        Ok(file) => write_lines(&client, run, BufWriter::new(file)).await,
        Err(error) => Err(error.into()),
    };
    let written = written.and_then(|count| Ok(std::fs::rename(&draft, out).map(|()| count)?));
    let count = written.inspect_err(|_| drop(std::fs::remove_file(&draft))).with_context(unwritten)?;
    output::note!(
        "{} #{}: {count} events in {}{}",
        output::safe(&found.run.workflow),
        found.run.number,
        out.display(),
        if found.run.ended_at.is_none() { "; it goes on, and what happens from now on is not in it" } else { "" }
    );
    Ok(End::Success)
}

fn draft_of(out: &Path) -> PathBuf {
    let mut name = out.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.part", std::process::id()));
    out.with_file_name(name)
}

/// Gives every event of a run, in order, and how many there were.
async fn each_event(
    client: &Client,
    run: &str,
    mut each: impl FnMut(Box<RawValue>) -> io::Result<()>,
) -> anyhow::Result<u64> {
    let mut params = json!({ "run": run, "limit": PAGE });
    let mut count = 0;
    loop {
        let page: EventPage = client.get("run.events", params.clone()).await.map_err(remote::explain)?;
        for event in page.events {
            count += 1;
            each(event)?;
        }
        if !page.more {
            return Ok(count);
        }
        params["after"] = json!(page.cursor);
    }
}

async fn write_lines(client: &Client, run: &str, mut file: BufWriter<File>) -> anyhow::Result<u64> {
    let count = each_event(client, run, |event| writeln!(file, "{}", event.get())).await?;
    finish(file)?;
    Ok(count)
}

fn finish(file: BufWriter<File>) -> io::Result<()> {
    file.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()
}

async fn write_page(client: &Client, run: &str, mut file: BufWriter<File>) -> anyhow::Result<u64> {
    let mut recording = Recording { events: Vec::new(), blobs: BTreeMap::new(), left_out: 0 };
    let mut texts = BTreeMap::new();
    let count = each_event(client, run, |event| {
        if let Ok(Line { data: Data { blob: Some(blob) } }) = serde_json::from_str(event.get()) {
            texts.insert(blob.hash, blob.bytes);
        }
        recording.events.push(event);
        Ok(())
    })
    .await?;
    let mut all = 0;
    for (hash, bytes) in texts {
        if bytes > TEXT || all + bytes > TEXTS {
            recording.left_out += 1;
            continue;
        }
        match text(client, &hash).await? {
            Some(text) => {
                all += bytes;
                recording.blobs.insert(hash, text);
            }
            None => recording.left_out += 1,
        }
    }
    // Within a script element only `<` can end it (HTML, section 4.12.1.3).
    let data = serde_json::to_string(&recording)?.replace('<', "\\u003c");
    let (before, after) = signalbox_assets::RECORDING
        .split_once("__RECORDING__")
        .context("the page for recordings has no place for one")?;
    for part in [before, &data, after] {
        file.write_all(part.as_bytes())?;
    }
    finish(file)?;
    Ok(count)
}

/// A long text; none if retention deleted it.
async fn text(client: &Client, hash: &str) -> anyhow::Result<Option<String>> {
    let (mut text, mut offset) = (String::new(), 0);
    loop {
        let page: BlobText = match client.get("blob.text", json!({ "hash": hash, "offset": offset })).await {
            Ok(page) => page,
            Err(error) if error.code == signalbox_wire::ErrorCode::NotFound => return Ok(None),
            Err(error) => return Err(remote::explain(error)),
        };
        text.push_str(&page.text);
        match page.next {
            Some(next) => offset = next,
            None => return Ok(Some(text)),
        }
    }
}
