//! Runs a target on stable Rust: every input of the corpus, then as many made from them as are wanted.
//!
//! The input of a number depends on the seed and that number alone. What fails is written to a file, and belongs into
//! the corpus once it is mended.

use std::{
    fs,
    io::{Seek, SeekFrom, Write},
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    sync::{Mutex, Once},
};

use crate::{Target, host, mutate::mutated, random::Random};

/// A promise was broken.
#[derive(Debug)]
pub struct Failure {
    /// What was said.
    pub message: String,
    /// The file that holds the input.
    pub file: PathBuf,
}

/// Where the inputs of a target are kept.
#[must_use]
pub fn corpus_folder(target: &Target) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target.name)
}

/// Every input that is kept, by the name of its file.
///
/// # Panics
/// If there is none or one cannot be read.
#[must_use]
pub fn corpus(target: &Target) -> Vec<(String, Vec<u8>)> {
    let folder = corpus_folder(target);
    let entries = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.expect("a file").path()).collect();
    files.sort();
    assert!(!files.is_empty(), "{} is empty", folder.display());
    let name = |path: &Path| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    files.iter().map(|path| (name(path), fs::read(path).expect("a file"))).collect()
}

/// Panics since the program began, also of threads that nobody joins.
static PANICS: Mutex<Vec<String>> = Mutex::new(Vec::new());

fn panics() -> std::sync::MutexGuard<'static, Vec<String>> {
    PANICS.lock().unwrap_or_else(|e| e.into_inner())
}

fn watch_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        std::panic::set_hook(Box::new(|panic| {
            let thread = std::thread::current();
            let text = format!("{} (thread {})", panic, thread.name().unwrap_or("without a name"));
            panics().push(text);
        }));
    });
}

/// Runs a target on its corpus and then on inputs of this seed, as long as `goes_on` says of their number. Runs on a
/// thread of its own, with the stack that the host's threads have.
///
/// # Errors
/// The first input that broke a promise.
pub fn run(target: &'static Target, seed: u64, goes_on: impl Fn(u64) -> bool + Send + 'static) -> Result<u64, Failure> {
    let work = move || inputs(target, seed, &goes_on);
    let thread = std::thread::Builder::new().name(target.name.to_owned()).stack_size(2 * 1024 * 1024).spawn(work);
    thread.expect("a thread").join().unwrap_or_else(|_| {
        let message = panics().join("\n");
        Err(Failure { message, file: current_file(target) })
    })
}

/// The input at work: what is left when a stack overflows and the program is gone.
fn current_file(target: &Target) -> PathBuf {
    let folder = std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target"), PathBuf::from);
    folder.join("fuzz").join(format!("{}.{}", target.name, std::process::id()))
}

fn inputs(target: &'static Target, seed: u64, goes_on: &dyn Fn(u64) -> bool) -> Result<u64, Failure> {
    watch_panics();
    let file = current_file(target);
    fs::create_dir_all(file.parent().expect("a folder")).expect("a folder for failures");
    let mut current = fs::File::create(&file).expect("a file for the input at work");
    let kept = corpus(target);
    let only: Vec<Vec<u8>> = kept.iter().map(|(_, data)| data.clone()).collect();
    let mut done = 0;
    let result = loop {
        let number = done;
        let data = match kept.get(usize::try_from(number).unwrap_or(usize::MAX)) {
            Some((_, data)) => data.clone(),
            None if !goes_on(number - kept.len() as u64) => break Ok(done),
            None => {
                let mut random = Random::of(seed, number);
                match target.generate {
                    Some(generate) if random.percent(35) => generate(&mut random),
                    _ => mutated(target, &only, &mut random),
                }
            }
        };
        current.seek(SeekFrom::Start(0)).and_then(|_| current.set_len(0)).expect("the file at work");
        current.write_all(&data).expect("the file at work");
        let before = panics().len();
        let ended = catch_unwind(AssertUnwindSafe(|| (target.run)(&data)));
        let said = panics()[before..].join("\n");
        if ended.is_err() || !said.is_empty() {
            break Err(said);
        }
        done += 1;
    };
    let before = panics().len();
    let finished = catch_unwind(host::finish);
    match (result, finished) {
        (Ok(done), Ok(())) => {
            fs::remove_file(&file).ok();
            Ok(done)
        }
        (Ok(_), Err(_)) => Err(Failure { message: panics()[before..].join("\n"), file }),
        (Err(message), _) => Err(Failure { message, file }),
    }
}
