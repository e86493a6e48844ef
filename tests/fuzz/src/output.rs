//! What steps print: from bytes to pieces, and from stored pieces to lines.
//!
//! An input's first line says how often the rest is repeated, and what is secret: `3 token|other`. The rest is printed,
//! on both streams and in portions that the input itself decides.

use std::sync::atomic::{AtomicU32, Ordering};

use signalbox_model::{Actor, BlobRef, EventData, LogChunk, LogStream, NewEvent, Room, RunId, StepKey};
use signalbox_process::{Assembler, Masker, Piece};
use signalbox_store::LogLines;

use crate::{
    bytes::find,
    host::{Running, with_host},
    measure::bounded,
    random::Random,
};

/// Bytes that are kept of one attempt: far more than an input has.
const LIMIT: u64 = 1 << 30;
/// Largest piece, as `signalbox-process` promises.
const PIECE: usize = 32 * 1024;

struct Input {
    secrets: Vec<String>,
    portions: Vec<(LogStream, Vec<u8>, bool)>,
}

fn input(data: &[u8]) -> Input {
    let end = find(data, b"\n").unwrap_or(data.len());
    let (head, body) = data.split_at(end);
    let body = body.get(1..).unwrap_or_default();
    let head = String::from_utf8_lossy(head);
    let (times, secrets) = head.split_once(' ').unwrap_or(("1", &head));
    let times: usize = times.parse().unwrap_or(1).clamp(1, 64);
    let secrets = secrets.split('|').take(8).map(str::to_owned).collect();
    let printed = body.repeat(times);
    // The same bytes are always cut alike.
    let mut random = Random::of(data.iter().fold(7, |sum: u64, b| sum.rotate_left(5) ^ u64::from(*b)), 0);
    let both = random.percent(30);
    // A few hundred portions at most: an input is to be cheap.
    let largest = random.choose(&[1, 4, 16, 64, 1024, 20_000]).max(printed.len() / 200);
    let mut portions = Vec::new();
    let mut rest = printed.as_slice();
    while !rest.is_empty() {
        let (now, later) = rest.split_at((1 + random.below(largest)).min(rest.len()));
        let stream = if both && random.percent(50) { LogStream::Stderr } else { LogStream::Stdout };
        portions.push((stream, now.to_vec(), random.percent(60)));
        rest = later;
    }
    Input { secrets, portions }
}

fn pieces(input: &Input) -> Vec<Piece> {
    let mut assembler = Assembler::new(Masker::new(input.secrets.iter().cloned()), LIMIT, (0, 0));
    let mut progress = Vec::new();
    let mut pieces = Vec::new();
    for (stream, bytes, partial) in &input.portions {
        assembler.push(*stream, bytes);
        pieces.extend(assembler.take(*partial, false, &mut progress));
    }
    pieces.extend(assembler.take(true, true, &mut progress));
    for report in progress {
        assert!((0.0..=1.0).contains(&report.value), "{report:?}");
    }
    pieces
}

/// However reads are cut: the pieces of a stream add up to what was printed, secrets replaced and progress taken out.
pub fn output(data: &[u8]) {
    let input = input(data);
    bounded(|| {
        let pieces = pieces(&input);
        let (mut offset, mut line, mut open) = (0, 0, None);
        for piece in &pieces {
            if open.is_some_and(|open| open != piece.stream) {
                line += 1;
            }
            assert_eq!((piece.offset, piece.line), (offset, line), "{piece:?}");
            assert!(!piece.text.is_empty() && piece.text.len() <= PIECE, "a piece of {} bytes", piece.text.len());
            assert_eq!(piece.lines, piece.text.matches('\n').count() as u64);
            offset += piece.text.len() as u64;
            line += piece.lines;
            open = (!piece.text.ends_with('\n')).then_some(piece.stream);
        }
        for stream in [LogStream::Stdout, LogStream::Stderr] {
            let of_stream = input.portions.iter().filter(|(of, ..)| *of == stream);
            let printed: Vec<u8> = of_stream.flat_map(|(_, bytes, _)| bytes.iter().copied()).collect();
            let expected = masked(&without_progress(&String::from_utf8_lossy(&printed)), &input.secrets);
            let shown: String = pieces.iter().filter(|p| p.stream == stream).map(|p| p.text.as_str()).collect();
            assert!(shown == expected, "secrets {:?}: printed {printed:?}, shown {shown:?}", input.secrets);
        }
    });
}

/// The text without progress sequences (`ESC ] 9 ; 4 ; ...`, which end with BEL, `ESC \` or before the next ESC).
fn without_progress(text: &str) -> String {
    let (mut out, mut rest) = (String::new(), text);
    while let Some(at) = rest.find("\u{1b}]9;4;") {
        let (before, from) = rest.split_at(at);
        out.push_str(before);
        let body = &from[6..];
        match body.find(['\u{7}', '\u{1b}']).filter(|end| *end < 200) {
            Some(end) => {
                let tail = &body[end..];
                rest = tail.strip_prefix('\u{7}').or_else(|| tail.strip_prefix("\u{1b}\\")).unwrap_or(tail);
            }
            None => {
                out.push_str(&from[..6]);
                rest = body;
            }
        }
    }
    out + rest
}

/// The text with everything covered that is part of a secret; what overlaps is one.
fn masked(text: &str, secrets: &[String]) -> String {
    let lines = secrets.iter().flat_map(|secret| secret.lines()).map(str::trim).filter(|line| line.len() >= 4);
    let mut covers: Vec<(usize, usize)> = Vec::new();
    for secret in lines {
        covers.extend(
            (0..text.len())
                .filter(|at| text.as_bytes()[*at..].starts_with(secret.as_bytes()))
                .map(|at| (at, at + secret.len())),
        );
    }
    covers.sort_unstable();
    let (mut out, mut at) = (String::new(), 0);
    let mut covers = covers.into_iter().peekable();
    while let Some((start, mut end)) = covers.next() {
        while let Some((_, further)) = covers.next_if(|(next, _)| *next < end) {
            end = end.max(further);
        }
        out.push_str(&text[at..start]);
        out.push_str("***");
        at = end;
    }
    out + &text[at..]
}

/// Attempts of the step that prints; one number is used once in a log.
static ATTEMPT: AtomicU32 = AtomicU32::new(0);

/// Stores pieces as the host does.
fn keep(running: &Running, run: &RunId, step: &StepKey, attempt: u32, pieces: &[Piece]) {
    let store = running.host.store();
    let events = pieces.iter().map(|piece| {
        let blob: Option<BlobRef> = (piece.text.len() > 16 * 1024)
            .then(|| store.blobs().put(piece.text.as_bytes(), "text/plain").expect("a blob"));
        let text = if blob.is_some() { String::new() } else { piece.text.clone() };
        let Piece { stream, offset, line, lines, .. } = *piece;
        let chunk = LogChunk { step: step.clone(), attempt, stream, offset, line, lines, text, blob };
        let event = NewEvent::new(Room::Run(run.clone()), Actor::engine(), EventData::Log(chunk));
        event.of_run(run.clone()).of_step(step.clone())
    });
    running.append(events.collect());
}

/// The lines of a stored log are those that were printed, from wherever it is read.
pub fn log(data: &[u8]) {
    let input = input(data);
    let pieces = pieces(&input);
    with_host(|running| stored(running, &pieces));
}

fn stored(running: &Running, pieces: &[Piece]) {
    let run = RunId::new(String::from_utf8_lossy(&running.named(b"@run"))).expect("an id");
    let (step, attempt) = (StepKey::new("step[a]").expect("a key"), ATTEMPT.fetch_add(1, Ordering::Relaxed) + 1);
    keep(running, &run, &step, attempt, pieces);
    let mut lines: Vec<String> = Vec::new();
    for piece in pieces {
        let first = usize::try_from(piece.line).expect("few lines");
        let parts: Vec<&str> = piece.text.split('\n').collect();
        // What follows the last line's end is no line while nothing stands in it.
        let parts = if parts.last() == Some(&"") { &parts[..parts.len() - 1] } else { &parts[..] };
        for (at, part) in parts.iter().enumerate() {
            lines.resize(lines.len().max(first + at + 1), String::new());
            lines[first + at].push_str(part);
        }
    }
    let bytes: u64 = pieces.iter().map(|piece| piece.text.len() as u64).sum();
    let mut random = Random::of(bytes, lines.len() as u64);
    for from in [0, random.below(lines.len() + 1), lines.len() + 1] {
        let wanted = 1 + random.below(lines.len() + 2);
        let mut read: Vec<LogLines> = Vec::new();
        let index = running.host.store().read(|reader| {
            reader.walk_log(&run, &step, attempt, from as u64, |line| {
                read.push(line);
                read.len() < wanted
            })?;
            reader.log_index(&run, &step, attempt)
        });
        let index = index.expect("the log can be read");
        assert_eq!((index.lines, index.bytes), (lines.len() as u64, bytes));
        assert_eq!(read.len(), wanted.min(lines.len().saturating_sub(from)), "from {from} of {}", lines.len());
        for (at, line) in read.iter().enumerate() {
            let whole = &lines[from + at];
            assert_eq!(line.n, (from + at) as u64);
            assert!(whole.starts_with(&line.text) && line.text.len() <= 16 * 1024, "line {} of {lines:?}", line.n);
            assert_eq!(line.text.len() as u64 + line.cut, whole.len() as u64, "line {}", line.n);
        }
    }
    let tail =
        running.host.store().read(|reader| reader.log_tail(&run, &step, attempt, 2_000)).expect("the log can be read");
    let last = &pieces[pieces.len() - tail.len()..];
    assert!(tail.iter().zip(last).all(|(kept, piece)| (kept.line, kept.offset) == (piece.line, piece.offset)));
    assert!(tail.is_empty() == pieces.is_empty());
}
