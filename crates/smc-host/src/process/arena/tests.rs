use super::*;

const SIZE: usize = 128 * 1024;

fn layout(size: usize, align: usize) -> Layout {
    Layout::from_size_align(size, align).unwrap()
}

/// Asks, writes all of it, and returns it.
fn asked(arena: &Arena<SIZE>, layout: Layout) -> *mut u8 {
    // SAFETY: no test asks for nothing.
    let pointer = unsafe { arena.alloc(layout) };
    assert!(!pointer.is_null() && pointer.addr().is_multiple_of(layout.align()));
    // SAFETY: that much was handed out.
    unsafe { pointer.write_bytes(7, layout.size()) };
    pointer
}

fn resized(arena: &Arena<SIZE>, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
    // SAFETY: every test passes what was handed out with that layout, and a size that is no overflow.
    unsafe { arena.realloc(pointer, layout, size) }
}

fn given_back(arena: &Arena<SIZE>, pointer: *mut u8, layout: Layout) {
    // SAFETY: every test passes what was handed out with that layout.
    unsafe { arena.dealloc(pointer, layout) }
}

/// Whether the first bytes are those that [`asked`] wrote.
fn is_kept(pointer: *mut u8, length: usize) -> bool {
    // SAFETY: every test passes what was handed out and written to.
    unsafe { std::slice::from_raw_parts(pointer, length) }.iter().all(|byte| *byte == 7)
}

#[test]
fn parts_are_aligned_and_do_not_overlap() {
    let arena = Arena::<SIZE>::new();
    let mut end = 0;
    for (size, align) in [(1, 1), (8, 8), (3, 1), (64, 64), (4096, 4096), (5, 2)] {
        let start = asked(&arena, layout(size, align)).addr();
        assert!(start >= end, "{size} {align}");
        end = start + size;
    }
}

#[test]
fn only_what_was_handed_out_last_grows_in_place_and_is_taken_back() {
    let arena = Arena::<SIZE>::new();
    let eight = layout(8, 8);
    let (first, second) = (asked(&arena, eight), asked(&arena, eight));
    assert_eq!(resized(&arena, second, eight, 800), second);
    let moved = resized(&arena, first, eight, 9);
    assert!(moved.addr() >= second.addr() + 800 && is_kept(moved, 8));
    assert_eq!(resized(&arena, moved, layout(9, 8), 4), moved);
    given_back(&arena, moved, layout(4, 8));
    assert_eq!(asked(&arena, layout(4, 8)), moved);
    given_back(&arena, second, layout(800, 8));
    assert!(asked(&arena, layout(4, 1)).addr() > moved.addr());
}

#[test]
fn what_does_not_fit_comes_from_the_system_and_goes_back_to_it() {
    let arena = Arena::<SIZE>::new();
    let (all, more) = (layout(SIZE - 16, 1), layout(64, 16));
    let (ours, theirs) = (asked(&arena, all), asked(&arena, more));
    assert!(arena.offset(ours).is_some() && arena.offset(theirs).is_none());
    let grown = resized(&arena, theirs, more, 1 << 20);
    assert!(arena.offset(grown).is_none() && is_kept(grown, 64));
    given_back(&arena, grown, layout(1 << 20, 16));
    let moved = resized(&arena, ours, all, SIZE + 1);
    assert!(arena.offset(moved).is_none() && is_kept(moved, SIZE - 16));
    given_back(&arena, moved, layout(SIZE + 1, 1));
}

#[test]
fn threads_never_get_the_same_part() {
    let arena: &'static Arena<SIZE> = Box::leak(Box::default());
    let ask = || (0..500).map(|_| asked(arena, layout(40, 8)).addr()).collect::<Vec<_>>();
    let threads: Vec<_> = (0..4).map(|_| std::thread::spawn(ask)).collect();
    let mut starts: Vec<_> = threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect();
    starts.sort_unstable();
    assert!(starts.windows(2).all(|pair| pair[1] - pair[0] >= 40));
}
