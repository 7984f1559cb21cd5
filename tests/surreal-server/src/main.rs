//! A SurrealDB server for tests: the real one, as a program, because no registry has it as a package.
//!
//! Started by the kit's `SurrealServer` and the load figures; takes the arguments of `surreal`. It ends when
//! its standard input does if `BOXOFFICE_END_WITH_STDIN` is set, so that it never outlives a killed test.

// Optimised builds lay out the database's deep futures.
#![recursion_limit = "256"]

use std::{io::Read as _, process::ExitCode};

fn main() -> ExitCode {
    if std::env::var_os("BOXOFFICE_END_WITH_STDIN").is_some() {
        std::thread::spawn(|| {
            let mut rest = Vec::new();
            // Whether reading ends or fails, whoever started this is gone.
            let _ = std::io::stdin().read_to_end(&mut rest);
            std::process::exit(0);
        });
    }
    // The workspace switches on both of the token crate's crypto providers; the server wants one chosen.
    let _ = jsonwebtoken::crypto::aws_lc::DEFAULT_PROVIDER.install_default();
    surrealdb_server::init(surrealdb_server::core::CommunityComposer())
}
