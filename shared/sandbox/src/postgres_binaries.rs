//! Finds the server binaries: Debian, for one, installs them outside `PATH`. Where there are none, they are fetched.

use std::{
    env, fs,
    iter::once_with,
    path::{Path, PathBuf},
    process::Command,
};

use crate::{SandboxError, postgres_fetch, setting};

/// Says that only the fetched PostgreSQL counts.
const ONLY_FETCHED: &str = "SANDBOX_POSTGRES";

/// A directory with `initdb` and `postgres`.
#[derive(Clone, Debug)]
pub(crate) struct PostgresBinaries(PathBuf);

impl PostgresBinaries {
    /// Takes `PG_BINDIR` if it is set, else the first complete directory among the usual places, else the one that is fetched.
    pub(crate) async fn find_or_fetch() -> Result<Self, SandboxError> {
        if let Some(found) = Self::find()? {
            return Ok(found);
        }
        let fetched = postgres_fetch::fetch().await;
        fetched.map(Self).map_err(|why| SandboxError::PostgresNotFound { source: why.into() })
    }

    /// What is there already.
    fn find() -> Result<Option<Self>, SandboxError> {
        let fetched = once_with(postgres_fetch::fetched_before).flatten();
        let only_fetched = match setting::read(ONLY_FETCHED)?.as_deref() {
            None => false,
            Some("fetched") => true,
            Some(other) => {
                let problem = format!("`{other}`, but can only be `fetched`");
                return Err(SandboxError::BadSetting { name: ONLY_FETCHED, problem });
            }
        };
        match env::var_os("PG_BINDIR") {
            _ if only_fetched => Ok(Self::first_of(fetched)),
            Some(directory) => Self::given(Path::new(&directory)).map(Some),
            None => Ok(Self::first_of(usual_places().chain(fetched))),
        }
    }

    /// A client program: beside the server's, or where `PATH` says, as where only clients are installed.
    pub(crate) fn find_program(name: &str) -> Option<PathBuf> {
        let beside = Self::find().ok().flatten().map(|binaries| binaries.program(name));
        let path = env::var_os("PATH").unwrap_or_default();
        let on_path: Vec<_> = env::split_paths(&path).map(|directory| directory.join(name)).collect();
        beside.into_iter().chain(on_path).find(|program| program.is_file())
    }

    fn given(directory: &Path) -> Result<Self, SandboxError> {
        Self::complete(directory).ok_or_else(|| SandboxError::BadSetting {
            name: "PG_BINDIR",
            problem: format!("{}, which does not hold both `initdb` and `postgres`", directory.display()),
        })
    }

    fn first_of(mut directories: impl Iterator<Item = PathBuf>) -> Option<Self> {
        directories.find_map(|directory| Self::complete(&directory))
    }

    /// Follows links, since `PATH` often has links to single programs while the rest of the installation is beside
    /// the originals.
    fn complete(directory: &Path) -> Option<Self> {
        let has_both =
            |directory: &Path| ["initdb", "postgres"].iter().all(|name| directory.join(name).is_file());
        let real = directory.join("initdb").canonicalize().ok()?.parent()?.to_owned();
        [real, directory.to_owned()].into_iter().find(|directory| has_both(directory)).map(Self)
    }

    /// The path of one program.
    pub(crate) fn program(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Whether the server could load the library `name`; `false` too if it is where nobody would look.
    pub(crate) fn has_library(&self, name: &str) -> bool {
        // The fetched server has no `pg_config`, but it has its libraries where those who build PostgreSQL have them.
        let directory = ask_pg_config(&self.program("pg_config"), "--pkglibdir")
            .unwrap_or_else(|| self.0.join("../lib/postgresql"));
        ["so", "dylib"].iter().any(|suffix| directory.join(name).with_extension(suffix).is_file())
    }
}

/// The order of preference; nothing is looked up before it is needed.
fn usual_places() -> impl Iterator<Item = PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let on_path: Vec<_> = env::split_paths(&path).collect();
    on_path
        .into_iter()
        .chain(once_with(|| ask_pg_config(Path::new("pg_config"), "--bindir")).flatten())
        .chain(once_with(|| newest_first(Path::new("/usr/lib/postgresql"), "")).flatten())
        .chain(once_with(|| newest_first(Path::new("/opt/homebrew/opt"), "postgresql")).flatten())
        .chain(once_with(|| newest_first(Path::new("/usr/local/opt"), "postgresql")).flatten())
}

fn ask_pg_config(program: &Path, option: &str) -> Option<PathBuf> {
    let output = Command::new(program).arg(option).output().ok().filter(|output| output.status.success())?;
    Some(PathBuf::from(String::from_utf8(output.stdout).ok()?.trim_end()))
}

/// `<parent>/<prefix>*/bin`, the highest version first.
fn newest_first(parent: &Path, prefix: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(parent).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|name| name.starts_with(prefix))
        .collect();
    names.sort_by_key(|name| std::cmp::Reverse(version(name)));
    names.into_iter().map(|name| parent.join(name).join("bin")).collect()
}

/// The numbers in a name: 9.6 is older than 15.
fn version(name: &str) -> Vec<u32> {
    name.split(|c: char| !c.is_ascii_digit()).filter_map(|part| part.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn install(directory: &Path, programs: &[&str]) -> PathBuf {
        fs::create_dir_all(directory).unwrap();
        for program in programs {
            fs::write(directory.join(program), "").unwrap();
        }
        directory.canonicalize().unwrap()
    }

    #[test]
    fn the_first_directory_with_both_programs_is_taken() {
        let root = tempfile::tempdir().unwrap();
        let client = install(&root.path().join("client"), &["initdb"]);
        let server = install(&root.path().join("server"), &["initdb", "postgres"]);
        let found =
            PostgresBinaries::first_of([client, root.path().join("missing"), server.clone()].into_iter());
        assert_eq!(found.unwrap().0, server);
    }

    #[test]
    fn a_directory_of_links_leads_to_the_installation() {
        let root = tempfile::tempdir().unwrap();
        let server = install(&root.path().join("server"), &["initdb", "postgres"]);
        let links = install(&root.path().join("links"), &[]);
        for program in ["initdb", "postgres"] {
            symlink(server.join(program), links.join(program)).unwrap();
        }
        assert_eq!(PostgresBinaries::given(&links).unwrap().0, server);
    }

    #[test]
    fn the_highest_version_comes_first() {
        let root = tempfile::tempdir().unwrap();
        for name in ["postgresql@9.6", "postgresql@17", "postgresql", "postgresql@16", "redis"] {
            install(&root.path().join(name), &[]);
        }
        let names = ["postgresql@17", "postgresql@16", "postgresql@9.6", "postgresql"];
        let expected: Vec<_> = names.iter().map(|name| root.path().join(name).join("bin")).collect();
        assert_eq!(newest_first(root.path(), "postgresql"), expected);
    }

    #[test]
    fn without_pg_config_libraries_are_looked_for_beside_the_programs() {
        let root = tempfile::tempdir().unwrap();
        let server = PostgresBinaries(install(&root.path().join("bin"), &["initdb", "postgres"]));
        install(&root.path().join("lib/postgresql"), &["pg_stat_statements.so"]);
        assert!(server.has_library("pg_stat_statements"));
        assert!(!server.has_library("auto_explain"));
    }

    #[test]
    fn without_any_server_one_line_says_what_to_do() {
        let message = SandboxError::PostgresNotFound { source: "offline".into() }.to_string();
        assert_eq!(message.lines().count(), 1);
        for remedy in ["`postgresql`", "PG_BINDIR", "DATABASE_URL"] {
            assert!(message.contains(remedy), "{message}");
        }
    }

    #[test]
    fn a_wrong_pg_bindir_is_named() {
        let message = PostgresBinaries::given(Path::new("/nowhere")).unwrap_err().to_string();
        assert_eq!(message, "PG_BINDIR is /nowhere, which does not hold both `initdb` and `postgres`");
    }
}
