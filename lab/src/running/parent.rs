//! What a service owes to the process that started it: it ends with it, and keeps nothing of what was open there.

use std::io::Read as _;

/// Set by whoever wants the service to end with it: the service then ends when its standard input does.
pub(super) const END_WITH_PARENT: &str = "STUDY_END_WITH_PARENT";

/// Closes what a service inherited beside its standard streams. To be called before anything is opened.
///
/// librdkafka's in-memory broker does not open its connections close-on-exec, as the standard library does. A service that was
/// started while clients are connected would keep the broker's end of their connections open when the broker closes them, and
/// those clients would wait for answers that nobody gives.
pub fn close_inherited_files() {
    if !ends_with_parent() {
        return;
    }
    let Ok(entries) = std::fs::read_dir("/dev/fd") else { return };
    let numbers = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let inherited: Vec<i32> = numbers.filter(|number| *number > 2).collect();
    for file in inherited {
        // The directory was among them, and is closed already.
        let _ = nix::unistd::close(file);
    }
}

/// Whether whoever started this process wants it to end with its parent.
pub(super) fn ends_with_parent() -> bool {
    std::env::var_os(END_WITH_PARENT).is_some()
}

/// The parent holds the other end of standard input; when it dies, however it dies, reading comes to an end.
pub(super) fn end_with_parent() {
    std::thread::spawn(|| {
        let mut nothing = [0; 1];
        while std::io::stdin().read(&mut nothing).is_ok_and(|bytes| bytes > 0) {}
        std::process::exit(0);
    });
}
