//! Fetching from a server of our own, which counts, and which cuts or spoils what it serves.

use std::{
    env,
    io::{BufRead as _, BufReader, Write as _},
    net::TcpListener,
    process::Command,
    sync::atomic::{AtomicUsize, Ordering},
};

use tempfile::TempDir;

use super::*;

/// As the real one is made: a JAR, in it a `.txz`, in that `bin/initdb`, `bin/postgres`, a link to it, and
/// `share/postgresql/sample`, without entries for the directories.
const ARCHIVE: &[u8] = include_bytes!("tiny.jar");

/// Set in the process with a strict umask.
const STRICT: &str = "SANDBOX_TEST_STRICT_UMASK";

/// How an answer differs from a good one.
#[derive(Clone, Copy)]
enum Fault {
    None,
    /// The connection ends after half of what was announced.
    Cut,
    /// A byte is another one.
    Spoilt,
    Missing,
}

/// Serves the archive, each time with the next of some faults and then without, and counts.
struct Server {
    url: String,
    asked: Arc<AtomicUsize>,
}

impl Server {
    fn start(faults: &'static [Fault]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/postgres.jar", listener.local_addr().unwrap());
        let asked = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&asked);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let head = BufReader::new(stream.try_clone().unwrap()).lines();
                head.map(Result::unwrap).take_while(|line| !line.is_empty()).for_each(drop);
                let fault = faults.get(count.fetch_add(1, Ordering::SeqCst)).copied().unwrap_or(Fault::None);
                stream.write_all(&answer(fault)).unwrap();
            }
        });
        Self { url, asked }
    }

    fn package(&self) -> Package {
        let sha256 = hex::encode(Sha256::digest(ARCHIVE));
        let (name, title) = ("postgresql-1.0".to_owned(), "PostgreSQL 1".to_owned());
        Package { name, title, url: self.url.clone(), sha256 }
    }
}

fn answer(fault: Fault) -> Vec<u8> {
    let mut body = ARCHIVE.to_vec();
    let mut status = "200 OK";
    let length = body.len();
    match fault {
        Fault::None => {}
        Fault::Cut => body.truncate(length / 2),
        Fault::Spoilt => body[length / 2] ^= 1,
        Fault::Missing => status = "404 Not Found",
    }
    let head = format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n");
    [head.into_bytes(), body].concat()
}

/// What is in the cache beside the lock.
fn kept(cache: &TempDir) -> Vec<String> {
    let names = fs::read_dir(cache).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| Path::new(name).extension().is_none_or(|it| it != "lock")).collect()
}

#[test]
fn what_was_fetched_can_be_run_by_everybody_and_is_fetched_once() {
    // A umask is the whole process's, so this is a process of its own: with one that lets nobody else in.
    if env::var_os(STRICT).is_none() {
        let this = "postgres_fetch::tests::what_was_fetched_can_be_run_by_everybody_and_is_fetched_once";
        let mut strict = Command::new("sh");
        strict.args(["-c", r#"umask 077; exec "$0" "$@""#]).arg(env::current_exe().unwrap());
        let output = strict.args(["--exact", this]).env(STRICT, "1").output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
        return;
    }
    let (server, cache) = (Server::start(&[]), tempfile::tempdir().unwrap());
    let package = server.package();
    let unreadable = package.place(cache.path()).with_added_extension("part").join("share");
    fs::create_dir_all(&unreadable).unwrap();
    for _ in 0..2 {
        let programs = provide(&package, cache.path()).unwrap();
        for (program, says) in [("initdb", "initdb\n"), ("postmaster", "postgres\n")] {
            assert_eq!(Command::new(programs.join(program)).output().unwrap().stdout, says.as_bytes());
        }
    }
    assert_eq!(server.asked.load(Ordering::SeqCst), 1);
    let place = package.place(cache.path());
    for path in ["", "bin", "bin/initdb", "share", "share/postgresql"] {
        let mode = fs::metadata(place.join(path)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o755, "{path}");
    }
    assert_eq!(kept(&cache), ["postgresql-1.0"]);
}

#[test]
fn a_cut_or_spoilt_download_is_not_kept_and_the_next_run_fetches_it_again() {
    let server = Server::start(&[Fault::Cut, Fault::Spoilt, Fault::Missing]);
    let (package, cache) = (server.package(), tempfile::tempdir().unwrap());
    for problem in ["fetching", "is not the archive that was expected", "fetching"] {
        let error = provide(&package, cache.path()).unwrap_err().to_string();
        assert!(error.contains(problem) && error.contains(&server.url), "{error}");
        assert!(kept(&cache).is_empty(), "{:?}", kept(&cache));
    }
    provide(&package, cache.path()).unwrap();
    assert_eq!(server.asked.load(Ordering::SeqCst), 4);
}

#[test]
fn what_cannot_be_unpacked_is_not_kept() {
    let cache = tempfile::tempdir().unwrap();
    // The end of a ZIP tells what is in it, so the damage is found on the way.
    let mut archive = ARCHIVE.to_vec();
    let middle = archive.len() / 2;
    archive[middle..middle + 8].fill(0xff);
    unpack(archive, cache.path(), &cache.path().join("it")).unwrap_err();
    assert!(kept(&cache).is_empty(), "{:?}", kept(&cache));
}

#[test]
fn runs_at_the_same_time_fetch_once() {
    let (server, cache) = (Server::start(&[]), tempfile::tempdir().unwrap());
    let package = server.package();
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| assert!(provide(&package, cache.path()).unwrap().join("postgres").is_file()));
        }
    });
    assert_eq!(server.asked.load(Ordering::SeqCst), 1);
    assert_eq!(kept(&cache), ["postgresql-1.0"]);
}

#[test]
fn what_another_run_left_unfinished_is_replaced() {
    let (server, cache) = (Server::start(&[]), tempfile::tempdir().unwrap());
    let package = server.package();
    let unfinished = package.place(cache.path()).with_added_extension("part");
    fs::create_dir_all(unfinished.join("bin/initdb")).unwrap();
    assert!(provide(&package, cache.path()).unwrap().join("initdb").is_file());
    assert_eq!(kept(&cache), ["postgresql-1.0"]);
}
