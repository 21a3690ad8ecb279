//! The bench with an allocator that counts: the servers of the runs in which allocations are
//! counted, and of no others.

use std::{alloc::System, process::ExitCode};

use portcullis_bench::Allocated;
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

fn allocated() -> Allocated {
    let stats = ALLOCATOR.stats();
    let count = stats.allocations + stats.reallocations;
    let bytes = stats
        .bytes_allocated
        .saturating_add_signed(stats.bytes_reallocated);
    Allocated { count, bytes }
}

fn main() -> ExitCode {
    portcullis_bench::run(Some(allocated))
}
