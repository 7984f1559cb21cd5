//! The program `boxoffice`. Everything is in the library's `cli`.

use std::process::ExitCode;

/// Bookings and mails are many short-lived strings and maps: see the measured difference in ARCHITECTURE.md, "Figures".
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    boxoffice_host::cli::main()
}
