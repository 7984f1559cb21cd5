//! The program `boxoffice`. Everything is in the library's `cli`.

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: boxoffice_host::Allocator = boxoffice_host::Allocator;

fn main() -> ExitCode {
    boxoffice_host::cli::main()
}
