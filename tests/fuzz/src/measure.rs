//! What an input may cost.

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
    time::{Duration, Instant},
};

/// Longest time for one input, in a debug build on a busy machine. What grows exponentially is far beyond it.
/// Under libFuzzer everything is watched, which takes many times as long.
#[expect(unexpected_cfgs, reason = "cargo-fuzz sets it")]
const LONGEST: Duration = Duration::from_secs(if cfg!(fuzzing) { 60 } else { 2 });
/// Most memory held at a time for one input, in bytes; inputs have at most 16 KiB.
const LARGEST: usize = 48 * 1024 * 1024;

/// The system's allocator, which counts what the thread holds.
struct Counting;

thread_local! {
    static HELD: Cell<isize> = const { Cell::new(0) };
    static PEAK: Cell<isize> = const { Cell::new(0) };
}

fn count(bytes: isize) {
    // A thread that ends may free after its cells are gone.
    let held = HELD.try_with(|held| {
        held.set(held.get() + bytes);
        held.get()
    });
    if let Ok(held) = held {
        PEAK.try_with(|peak| peak.set(peak.get().max(held))).ok();
    }
}

fn signed(bytes: usize) -> isize {
    isize::try_from(bytes).unwrap_or(isize::MAX)
}

#[expect(unsafe_code, reason = "an allocator cannot be written without; it hands everything on to the system's")]
// SAFETY: the system's allocator does the work, and counting neither allocates nor panics.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(signed(layout.size()));
        // SAFETY: the caller's promises are handed on.
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(-signed(layout.size()));
        // SAFETY: the caller's promises are handed on.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Does `work` and panics if it took too long or held too much memory. A slow run is repeated, and then the thread's own
/// time counts: what is slow for the input's sake is slow again, what is slow because the machine is busy is not.
pub fn bounded(mut work: impl FnMut()) {
    let before = HELD.get();
    PEAK.set(before);
    let started = Instant::now();
    work();
    let held = PEAK.get() - before;
    assert!(held <= signed(LARGEST), "one input took {held} bytes of memory");
    if started.elapsed() > LONGEST {
        let (started, used) = (Instant::now(), time_used());
        work();
        let took = time_used().zip(used).map_or_else(|| started.elapsed(), |(now, then)| now.saturating_sub(then));
        assert!(took <= LONGEST, "one input took {took:?}");
    }
}

/// What this thread has had of the processor, where the system says so.
fn time_used() -> Option<Duration> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    text.split(' ').next()?.parse().ok().map(Duration::from_nanos)
}
