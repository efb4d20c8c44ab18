//! A program's entry without the set-up that Rust's runtime does before `main`.

/// Makes `$main`, a `fn() -> ExitCode`, the C entry of a program that is marked `#![no_main]`; every exit code but
/// success becomes 1.
///
/// Rust's runtime reads `/proc/self/maps`, maps a signal stack and installs handlers to tell a stack overflow in words;
/// a program that runs for a millisecond at every pod's start pays more for that than for its own work. What is lost:
/// those words (an overflow still ends the process by SIGSEGV), and that writing to a closed pipe is an error rather
/// than SIGPIPE. Arguments and environment are there, since the C library gives them (Linux).
#[macro_export]
macro_rules! c_main {
    ($main:path) => {
        // SAFETY: `main` is the symbol by which the C library finds a program's entry; with `#![no_main]` nobody else
        // defines it, and this is its type.
        #[unsafe(no_mangle)]
        extern "C" fn main(
            _count: core::ffi::c_int,
            _arguments: *const *const core::ffi::c_char,
        ) -> core::ffi::c_int {
            i32::from($main() != ::std::process::ExitCode::SUCCESS)
        }
    };
}
