//! Memory that the allocator keeps.
#![allow(unsafe_code, reason = "malloc_trim is a C function")]

/// Gives pages that hold nothing back to the kernel. Worth it after a burst of work in a process that stays: glibc keeps
/// what each thread's arena once grew to. Does nothing with another C library.
pub fn give_back() {
    #[cfg(target_env = "gnu")]
    // SAFETY: malloc_trim has no preconditions and is thread-safe (malloc_trim(3), "Attributes").
    unsafe {
        libc::malloc_trim(0);
    }
}
