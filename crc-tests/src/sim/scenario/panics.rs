//! Panics of the code under test, which are violations.

use std::cell::RefCell;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Once;

thread_local! {
    /// `Some` while a scenario is played: the message of its panic.
    static MESSAGE: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Calls a function. A panic in it is not printed, and its message with its place is the error.
pub(in crate::sim) fn catch<R>(call: impl FnOnce() -> R) -> Result<R, String> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let default_hook = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            let is_caught = MESSAGE.with_borrow_mut(|message| {
                message.as_mut().map(|message| *message = info.to_string()).is_some()
            });
            if !is_caught {
                default_hook(info);
            }
        }));
    });
    MESSAGE.set(Some(String::new()));
    let result = panic::catch_unwind(AssertUnwindSafe(call));
    let message = MESSAGE.take().unwrap_or_default();
    result.map_err(|_| message)
}
