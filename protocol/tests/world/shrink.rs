//! What breaks a promise, made as short as it can be.

use std::any::Any;
use std::panic::{self, AssertUnwindSafe};

use super::trace::{self, Act};
use super::world::{self, Outcome};

/// Runs a world, and tells of a breach in its words.
pub(crate) fn attempt(trace: &[Act]) -> Result<Outcome, String> {
    panic::catch_unwind(AssertUnwindSafe(|| world::run(trace))).map_err(|payload| words(&*payload))
}

/// The shortest trace that was found in which the same invariant is broken, with the words of its breach.
pub(crate) fn report(trace: &[Act]) -> String {
    let Err(first) = attempt(trace) else {
        return String::from("The second time, all is well: there is chance in it.");
    };
    let hook = panic::take_hook();
    panic::set_hook(Box::new(|_| {}));
    let (trace, words) = shrink(trace.to_vec(), first);
    panic::set_hook(hook);
    let text = trace::write(&trace);
    format!("{words}\n\nThe shortest trace; WORLD_TRACE names a file to run it again:\n\n{text}")
}

/// Leaves out pieces of half the length, then of a quarter, and so on to single decisions, as long as that helps.
fn shrink(mut trace: Vec<Act>, mut words: String) -> (Vec<Act>, String) {
    let mut size = trace.len() / 2;
    while size > 0 {
        let (before, mut at) = (trace.len(), 0);
        while at < trace.len() {
            let shorter = [&trace[..at], &trace[(at + size).min(trace.len())..]].concat();
            match attempt(&shorter) {
                Err(breach) if invariant(&breach) == invariant(&words) => (trace, words) = (shorter, breach),
                _ => at += size,
            }
        }
        if size > 1 || trace.len() == before {
            size /= 2;
        }
    }
    (trace, words)
}

/// What stands in front of the first colon of the message.
fn invariant(words: &str) -> &str {
    let words = words.strip_prefix("assertion `left == right` failed: ").unwrap_or(words);
    words.split(':').next().unwrap_or_default()
}

fn words(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| payload.downcast_ref::<&str>().copied()).unwrap_or_default().to_owned()
}
