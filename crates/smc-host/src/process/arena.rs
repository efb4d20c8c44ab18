//! An allocator for a process that does one thing and ends.
#![allow(unsafe_code, reason = "`GlobalAlloc` is an unsafe trait")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::UnsafeCell;
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicUsize, Ordering};

/// Hands out `SIZE` bytes from their beginning to their end, and takes back only what it handed out last. What does not fit
/// comes from the system's allocator. Made for a `static` with `#[global_allocator]`; pages that are never written to cost
/// nothing there.
#[derive(Debug)]
#[repr(C)]
pub struct Arena<const SIZE: usize> {
    /// How much of the memory was handed out; before it, so that it is on a page that is used anyway.
    used: AtomicUsize,
    memory: UnsafeCell<[u8; SIZE]>,
}

// SAFETY: no part of the memory is handed out twice, since `used` only moves by compare-and-exchange; nobody but the owner of
// a part reads or writes it.
unsafe impl<const SIZE: usize> Sync for Arena<SIZE> {}

impl<const SIZE: usize> Default for Arena<SIZE> {
    fn default() -> Self {
        Self::new()
    }
}

impl<const SIZE: usize> Arena<SIZE> {
    /// Nothing handed out yet.
    pub const fn new() -> Self {
        Self { used: AtomicUsize::new(0), memory: UnsafeCell::new([0; SIZE]) }
    }

    fn base(&self) -> *mut u8 {
        self.memory.get().cast()
    }

    /// Where in the memory `pointer` is; `None` when it is the system's.
    fn offset(&self, pointer: *mut u8) -> Option<usize> {
        let offset = pointer.addr().wrapping_sub(self.base().addr());
        (offset < SIZE).then_some(offset)
    }

    fn take(&self, layout: Layout) -> Option<NonNull<u8>> {
        let base = self.base();
        let mut used = self.used.load(Ordering::Relaxed);
        loop {
            let start = (base.addr() + used).next_multiple_of(layout.align()) - base.addr();
            let end = start.checked_add(layout.size()).filter(|end| *end <= SIZE)?;
            match self.used.compare_exchange_weak(used, end, Ordering::Acquire, Ordering::Relaxed) {
                // SAFETY: `start` lies within the memory, or is its end for a size of nothing.
                Ok(_) => return NonNull::new(unsafe { base.add(start) }),
                Err(now) => used = now,
            }
        }
    }

    /// Moves the end of what was handed out last; `false` when it was not the last, or the memory ends.
    fn move_end(&self, from: usize, to: usize) -> bool {
        to <= SIZE && self.used.compare_exchange(from, to, Ordering::AcqRel, Ordering::Relaxed).is_ok()
    }
}

// SAFETY: what `take` hands out is as large and as aligned as asked, belongs to nobody else, and stays where it is until it
// is given back; everything else is left to the system's allocator, which is told by where a pointer lies.
unsafe impl<const SIZE: usize> GlobalAlloc for Arena<SIZE> {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        match self.take(layout) {
            Some(taken) => taken.as_ptr(),
            // SAFETY: the caller's own promise.
            None => unsafe { System.alloc(layout) },
        }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        match self.offset(pointer) {
            Some(start) => {
                self.move_end(start + layout.size(), start);
            }
            // SAFETY: it is not ours, so it is the system's; the rest is the caller's own promise.
            None => unsafe { System.dealloc(pointer, layout) },
        }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        let Some(start) = self.offset(pointer) else {
            // SAFETY: as in `dealloc`.
            return unsafe { System.realloc(pointer, layout, size) };
        };
        if self.move_end(start + layout.size(), start + size) || size <= layout.size() {
            return pointer;
        }
        // SAFETY: the caller promises that the size, rounded up to this alignment, is no overflow.
        let wanted = unsafe { Layout::from_size_align_unchecked(size, layout.align()) };
        // SAFETY: `wanted` is not of size nothing, since it is larger than `layout`.
        let moved = unsafe { self.alloc(wanted) };
        if !moved.is_null() {
            // SAFETY: both are at least `layout.size()` long, and they do not overlap, as one is still handed out.
            unsafe { ptr::copy_nonoverlapping(pointer, moved, layout.size()) };
        }
        moved
    }
}

#[cfg(test)]
mod tests;
