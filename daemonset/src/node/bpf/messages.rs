//! libbpf's own messages: kept for the error they explain instead of going to stderr.

use std::cell::RefCell;
use std::sync::Once;

use libbpf_rs::{PrintLevel, set_print};

/// The verifier's log of a refused program can be long; the end of it tells why.
const KEPT_BYTES: usize = 4096;

thread_local! {
    static MESSAGES: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Runs `operation` and returns its result with what libbpf said on this thread meanwhile.
pub(super) fn collect<T>(operation: impl FnOnce() -> T) -> (T, String) {
    static REDIRECTED: Once = Once::new();
    REDIRECTED.call_once(|| {
        set_print(Some((PrintLevel::Warn, keep)));
    });
    MESSAGES.take();
    let result = operation();
    (result, shortened(MESSAGES.take().trim()))
}

/// A plain function because libbpf-rs takes no closure, which is why the messages go through a thread-local.
#[allow(clippy::needless_pass_by_value, reason = "the callback's type is libbpf-rs's")]
fn keep(_level: PrintLevel, message: String) {
    tracing::debug!(target: "libbpf", "{}", message.trim_end());
    MESSAGES.with_borrow_mut(|messages| messages.push_str(&message));
}

fn shortened(messages: &str) -> String {
    let start = messages.len().saturating_sub(KEPT_BYTES);
    let start = (start..=messages.len()).find(|&at| messages.is_char_boundary(at)).unwrap_or(start);
    messages[start..].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_log_keeps_its_end() {
        let log = format!("{}é the reason", "x".repeat(KEPT_BYTES * 2));
        let kept = shortened(&log);
        assert!(kept.len() <= KEPT_BYTES);
        assert!(kept.ends_with("é the reason"));
    }

    #[test]
    fn a_cut_never_falls_inside_a_character() {
        for padding in 0..4 {
            let log = format!("{}{}", "é".repeat(KEPT_BYTES), "x".repeat(padding));
            assert!(log.ends_with(&shortened(&log)));
        }
    }

    #[test]
    fn messages_of_one_operation_do_not_leak_into_the_next() {
        let ((), first) = collect(|| keep(PrintLevel::Warn, "one\n".into()));
        let ((), second) = collect(|| ());
        assert_eq!((first.as_str(), second.as_str()), ("one", ""));
    }
}
