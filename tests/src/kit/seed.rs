//! The seed of a test that draws at random.

use rand::{Rng as _, SeedableRng as _, rngs::StdRng};

/// The seed that `BOXOFFICE_SEED` gives, or a new one. Printed, so that a failure can be repeated.
///
/// # Panics
/// When the variable is no whole number.
pub fn seed() -> u64 {
    let seed = match std::env::var("BOXOFFICE_SEED") {
        Ok(text) => text.parse().expect("BOXOFFICE_SEED must be a whole number"),
        Err(_) => rand::rng().random(),
    };
    println!("BOXOFFICE_SEED={seed}");
    seed
}

/// Random numbers from [`seed`].
pub fn seeded() -> StdRng {
    StdRng::seed_from_u64(seed())
}
