//! The cache of compiled plugins: sealed files, which are only loaded unchanged, with a total limit. Also the
//! one place where machine code is loaded.
//!
//! A file is the seal, the length of the facts in four bytes, the facts as JSON, and the machine code. Called by the plugin
//! host. Calls wasmtime and the file system.

use std::{
    collections::{BTreeMap, hash_map::DefaultHasher},
    fs,
    hash::{Hash as _, Hasher as _},
    io::Write as _,
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use boxoffice_engine::{PluginFacts, TenantId, ports::PluginRef};
use hmac::{Hmac, Mac as _};
use sha2::Sha256;
use wasmtime::{Engine, component::Component};

use super::settings::PluginCache;

/// Bytes of the seal, before the sealed data.
const SEAL_BYTES: usize = 32;
/// A file that is still being written after this time is abandoned.
const PART_LASTS_MAX: Duration = Duration::from_secs(3_600);

/// Machine code of known origin: just compiled by the child process, or read with a valid seal. With the facts about
/// of.
pub(super) struct TrustedCode {
    facts: PluginFacts,
    code: Vec<u8>,
}

impl TrustedCode {
    /// Takes the output of the compiling child.
    pub(super) fn compiled(facts: PluginFacts, code: Vec<u8>) -> Self {
        Self { facts, code }
    }

    /// The component's interface.
    pub(super) fn facts(&self) -> &PluginFacts {
        &self.facts
    }

    /// Bytes of machine code.
    pub(super) fn bytes(&self) -> u64 {
        self.code.len() as u64
    }

    /// Loads the component from its machine code.
    ///
    /// # Errors
    /// If another version or other settings of the compiler wrote it, or the pool has no room for such a component.
    #[expect(
        unsafe_code,
        reason = "machine code can do anything; only `TrustedCode` comes here"
    )]
    pub(super) fn load(&self, engine: &Engine) -> wasmtime::Result<Component> {
        // SAFETY: the bytes are what `Component::serialize` wrote, in our own child a moment ago or under a seal that
        // only holders of the key can make, and nobody has changed them since: they are owned here.
        unsafe { Component::deserialize(engine, &self.code) }
    }
}

/// Reads a plugin's code; `None` if it is missing or was changed.
pub(super) fn read(
    cache: &PluginCache,
    engine: &Engine,
    plugin: &PluginRef,
) -> Option<TrustedCode> {
    let name = name(engine, plugin);
    let path = cache.folder.join(&name);
    let mut bytes = fs::read(&path).ok()?;
    if bytes.len() < SEAL_BYTES + 4 {
        return None;
    }
    let mut sealed = bytes.split_off(SEAL_BYTES);
    if sealing(cache, &name, &[&sealed])
        .verify_slice(&bytes)
        .is_err()
    {
        tracing::warn!(path = %path.display(), "a cached plugin is damaged; compiling it again");
        return None;
    }
    let length = sealed.first_chunk::<4>()?;
    let begin = 4 + u32::from_le_bytes(*length) as usize;
    let facts = serde_json::from_slice(sealed.get(4..begin)?).ok()?;
    sealed.drain(..begin);
    // The least recently used files are removed.
    if let Ok(file) = fs::File::open(&path) {
        let _ = file.set_modified(SystemTime::now());
    }
    Some(TrustedCode {
        facts,
        code: sealed,
    })
}

/// Stores a plugin's code. If that fails, it is compiled again after the next start.
pub(super) fn write(cache: &PluginCache, engine: &Engine, plugin: &PluginRef, code: &TrustedCode) {
    let name = name(engine, plugin);
    let written = try_write(cache, &name, code).and_then(|()| make_room(cache, &name));
    if let Err(error) = written {
        tracing::warn!(folder = %cache.folder.display(), %error, "writing a compiled plugin to the cache failed");
    }
}

/// Removes all files of a plugin.
pub(super) fn remove(cache: &PluginCache, plugin: &PluginRef) {
    for file in files(&cache.folder).unwrap_or_default() {
        if file.plugin.as_ref() == Some(plugin) {
            let _ = fs::remove_file(&file.path);
        }
    }
}

/// Lists the plugins that have files.
pub(super) fn kept(cache: &PluginCache) -> Vec<PluginRef> {
    let files = files(&cache.folder).unwrap_or_default();
    files.into_iter().filter_map(|file| file.plugin).collect()
}

fn try_write(cache: &PluginCache, name: &str, code: &TrustedCode) -> std::io::Result<()> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&cache.folder)?;
    let part: PathBuf = cache
        .folder
        .join(format!("{name}.{:08x}.part", rand::random::<u32>()));
    let facts = serde_json::to_vec(&code.facts)?;
    let length = u32::try_from(facts.len()).map_err(std::io::Error::other)?;
    let pieces = [&length.to_le_bytes()[..], &facts, &code.code];
    let seal = sealing(cache, name, &pieces).finalize().into_bytes();
    let written = (|| {
        let mut file = fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&part)?;
        file.write_all(&seal)?;
        pieces.iter().try_for_each(|piece| file.write_all(piece))?;
        fs::rename(&part, cache.folder.join(name))
    })();
    if written.is_err() {
        let _ = fs::remove_file(&part);
    }
    written
}

/// Removes files until the folder is within its limit: each time the least recently used file of the tenant with most.
/// The file that was just written is kept.
fn make_room(cache: &PluginCache, just_written: &str) -> std::io::Result<()> {
    let mut by_tenant: BTreeMap<Option<TenantId>, Vec<File>> = BTreeMap::new();
    let mut total = 0;
    for file in files(&cache.folder)? {
        let age = file.modified.elapsed().unwrap_or_default();
        if file.plugin.is_none() && age > PART_LASTS_MAX {
            let _ = fs::remove_file(&file.path);
            continue;
        }
        total += file.bytes;
        if file.path.file_name().and_then(|name| name.to_str()) != Some(just_written) {
            let tenant = file.plugin.as_ref().map(|plugin| plugin.tenant.clone());
            by_tenant.entry(tenant).or_default().push(file);
        }
    }
    for own in by_tenant.values_mut() {
        own.sort_by_key(|file| std::cmp::Reverse(file.modified));
    }
    while total > cache.bytes_max {
        let sum = |own: &Vec<File>| own.iter().map(|file| file.bytes).sum::<u64>();
        let Some(file) = by_tenant
            .values_mut()
            .max_by_key(|own| sum(own))
            .and_then(Vec::pop)
        else {
            break;
        };
        let _ = fs::remove_file(&file.path);
        total -= file.bytes;
    }
    Ok(())
}

/// A file in the folder, with its plugin if the name has one.
struct File {
    path: PathBuf,
    plugin: Option<PluginRef>,
    bytes: u64,
    modified: SystemTime,
}

fn files(folder: &Path) -> std::io::Result<Vec<File>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        // Another process may have removed it meanwhile.
        let Ok(about) = entry.metadata() else {
            continue;
        };
        if about.is_file() {
            found.push(File {
                plugin: entry.file_name().to_str().and_then(plugin_of),
                path: entry.path(),
                bytes: about.len(),
                modified: about.modified()?,
            });
        }
    }
    Ok(found)
}

/// The seal covers the name, so one plugin's code is never used for another.
fn sealing(cache: &PluginCache, name: &str, pieces: &[&[u8]]) -> Hmac<Sha256> {
    let mut seal =
        Hmac::<Sha256>::new_from_slice(&cache.key).expect("HMAC takes keys of any length");
    seal.update(name.as_bytes());
    seal.update(&[0]);
    for piece in pieces {
        seal.update(piece);
    }
    seal
}

/// The name of a file: tenant, content, compiler and its settings.
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

/// The plugin of a file, from its name.
fn plugin_of(name: &str) -> Option<PluginRef> {
    let mut parts = name.split('.');
    let (tenant, hash, settings) = (parts.next()?, parts.next()?, parts.next()?);
    if settings.len() != 16 || parts.next().is_some() {
        return None;
    }
    Some(PluginRef {
        tenant: TenantId::parse(tenant).ok()?,
        hash: hash.parse().ok()?,
    })
}
