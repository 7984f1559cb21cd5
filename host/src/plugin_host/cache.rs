//! Compiled plugins kept over a restart: sealed files that only come back as they were written. And the one place
//! where machine code is loaded.
//!
//! Called by the plugin host. Calls wasmtime and the file system.

use std::{
    collections::hash_map::DefaultHasher,
    fs,
    hash::{Hash as _, Hasher as _},
    io::Write as _,
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::PathBuf,
};

use boxoffice_engine::ports::PluginRef;
use hmac::{Hmac, Mac as _};
use sha2::Sha256;
use wasmtime::{Engine, component::Component};

use super::settings::PluginCache;

/// Bytes of the seal in front of the machine code.
const SEAL_BYTES: usize = 32;

/// Machine code whose origin is known: compiled by our own child just now, or read back under its seal.
pub(super) struct TrustedCode(Vec<u8>);

impl TrustedCode {
    /// Takes what our own compiler wrote.
    pub(super) fn compiled(code: Vec<u8>) -> Self {
        Self(code)
    }

    /// Makes the component that the code was compiled from.
    ///
    /// # Errors
    /// When another version or other settings of the compiler wrote it.
    #[expect(
        unsafe_code,
        reason = "machine code can do anything; only `TrustedCode` comes here"
    )]
    pub(super) fn load(&self, engine: &Engine) -> wasmtime::Result<Component> {
        // SAFETY: the bytes are what `Component::serialize` wrote, in our own child a moment ago or under a seal that
        // only holders of the key can make, and nobody has changed them since: they are owned here.
        unsafe { Component::deserialize(engine, &self.0) }
    }
}

/// Reads a plugin's code back; none if it is not there, or not as it was written.
pub(super) fn read(
    cache: &PluginCache,
    engine: &Engine,
    plugin: &PluginRef,
) -> Option<TrustedCode> {
    let name = name(engine, plugin);
    let path = cache.folder.join(&name);
    let mut bytes = fs::read(&path).ok()?;
    if bytes.len() < SEAL_BYTES {
        return None;
    }
    let code = bytes.split_off(SEAL_BYTES);
    if sealing(cache, &name, &code).verify_slice(&bytes).is_err() {
        tracing::warn!(path = %path.display(), "a compiled plugin is not as it was written; it is made anew");
        return None;
    }
    Some(TrustedCode(code))
}

/// Keeps a plugin's code. One that cannot be kept is compiled again after the next start.
pub(super) fn write(cache: &PluginCache, engine: &Engine, plugin: &PluginRef, code: &TrustedCode) {
    let name = name(engine, plugin);
    if let Err(error) = try_write(cache, &name, &code.0) {
        tracing::warn!(folder = %cache.folder.display(), %error, "a compiled plugin could not be kept");
    }
}

fn try_write(cache: &PluginCache, name: &str, code: &[u8]) -> std::io::Result<()> {
    let mut folder = fs::DirBuilder::new();
    folder.recursive(true).mode(0o700).create(&cache.folder)?;
    let part: PathBuf = cache
        .folder
        .join(format!("{name}.{:08x}.part", rand::random::<u32>()));
    let seal = sealing(cache, name, code).finalize().into_bytes();
    let written = (|| {
        let mut file = fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&part)?;
        file.write_all(&seal)?;
        file.write_all(code)?;
        fs::rename(&part, cache.folder.join(name))
    })();
    if written.is_err() {
        let _ = fs::remove_file(&part);
    }
    written
}

/// The seal covers the name, too: one plugin's code never stands in for another's.
fn sealing(cache: &PluginCache, name: &str, code: &[u8]) -> Hmac<Sha256> {
    let mut seal =
        Hmac::<Sha256>::new_from_slice(&cache.key).expect("HMAC takes keys of any length");
    seal.update(name.as_bytes());
    seal.update(&[0]);
    seal.update(code);
    seal
}

/// Names a file by tenant, content, compiler and its settings.
fn name(engine: &Engine, plugin: &PluginRef) -> String {
    let mut settings = DefaultHasher::new();
    engine.precompile_compatibility_hash().hash(&mut settings);
    format!(
        "{}.{}.{:016x}",
        plugin.tenant,
        plugin.hash,
        settings.finish()
    )
}
