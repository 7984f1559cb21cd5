//! The program `boxoffice`. Everything is in the library's `cli`.

use std::process::ExitCode;

fn main() -> ExitCode {
    boxoffice_host::cli::main()
}
