//! The program `boxoffice`. Everything is in the library's `cli`.

use std::process::ExitCode;

/// Bookings and mails are many short-lived strings and maps; ARCHITECTURE.md, "Figures", has the difference.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    boxoffice_host::cli::main()
}
