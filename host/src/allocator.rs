//! The program's allocator: mimalloc for small and short-lived blocks, the system's allocator for large ones.
//!
//! Bookings and mails need many small strings and maps, for which mimalloc needs a quarter less time. But it must wipe
//! memory that it reuses: the embedded store asks for a zeroed gigabyte at every opening, of which it touches little, and
//! a second opening in one process would make all of it resident. The system takes such a block directly from the
//! kernel, zeroed when it is touched.

#![allow(unsafe_code)] // An allocator cannot be written without.

use std::alloc::{GlobalAlloc, Layout, System};

use mimalloc::MiMalloc;

/// From this size on the system's allocator is used: far above any request, mail or plugin, far below the store's blocks.
const HUGE_BYTES: usize = 32 * 1024 * 1024;

/// See the module. For `#[global_allocator]` of a program.
#[derive(Debug, Clone, Copy)]
pub struct Allocator;

const fn is_huge(bytes: usize) -> bool {
    bytes >= HUGE_BYTES
}

// SAFETY: each block belongs to the allocator that its layout's size names, in all four functions; what callers
// promise to us we promise on, unchanged.
unsafe impl GlobalAlloc for Allocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promises.
        unsafe {
            match is_huge(layout.size()) {
                true => System.alloc(layout),
                false => MiMalloc.alloc(layout),
            }
        }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the caller's promises; `layout` is the one it was allocated with.
        unsafe {
            match is_huge(layout.size()) {
                true => System.dealloc(block, layout),
                false => MiMalloc.dealloc(block, layout),
            }
        }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promises.
        unsafe {
            match is_huge(layout.size()) {
                true => System.alloc_zeroed(layout),
                false => MiMalloc.alloc_zeroed(layout),
            }
        }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        // SAFETY: the caller's promises; a block that crosses the border is copied from one allocator to the other,
        // no further than both sizes reach, and given back where it came from.
        unsafe {
            match (is_huge(layout.size()), is_huge(new_size)) {
                (false, false) => MiMalloc.realloc(block, layout, new_size),
                (true, true) => System.realloc(block, layout, new_size),
                _ => {
                    let moved =
                        self.alloc(Layout::from_size_align_unchecked(new_size, layout.align()));
                    if !moved.is_null() {
                        moved.copy_from_nonoverlapping(block, layout.size().min(new_size));
                        self.dealloc(block, layout);
                    }
                    moved
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_keeps_what_is_in_it_across_the_border_and_back() {
        let small = Layout::from_size_align(1_000, 64).expect("a layout");
        let huge = Layout::from_size_align(HUGE_BYTES, 64).expect("a layout");
        // SAFETY: layouts of a size above zero, blocks used within them and given back once.
        unsafe {
            let block = Allocator.alloc(small);
            assert!(!block.is_null());
            block.write_bytes(7, 1_000);
            let block = Allocator.realloc(block, small, HUGE_BYTES);
            assert_eq!(std::slice::from_raw_parts(block, 1_000), [7; 1_000]);
            block.add(HUGE_BYTES - 1).write(9);
            let block = Allocator.realloc(block, huge, 1_000);
            assert_eq!(std::slice::from_raw_parts(block, 1_000), [7; 1_000]);
            assert_eq!(block as usize % 64, 0);
            Allocator.dealloc(block, small);
        }
    }

    #[test]
    fn zeroed_memory_is_zero_on_both_sides_of_the_border_when_it_is_used_again() {
        for bytes in [100_000, HUGE_BYTES] {
            let layout = Layout::from_size_align(bytes, 16).expect("a layout");
            for _ in 0..3 {
                // SAFETY: as above.
                unsafe {
                    let block = Allocator.alloc_zeroed(layout);
                    assert!(!block.is_null());
                    let all = std::slice::from_raw_parts(block, bytes);
                    assert!(all.iter().all(|byte| *byte == 0));
                    block.write_bytes(1, bytes);
                    Allocator.dealloc(block, layout);
                }
            }
        }
    }
}
