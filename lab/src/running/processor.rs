//! Time of a processor that each part of the system has taken, as Linux tells it in `/proc`; nothing elsewhere.

use std::collections::BTreeMap;

use sandbox::Postgres;

use super::deployment::Deployment;

/// Seconds of a processor since each process began, by process: the services by their names, `postgres` (every process of a
/// private cluster) and `broker and client`, which are threads of this one.
pub type ProcessorTime = BTreeMap<&'static str, f64>;

/// What has been taken so far. What is not to be seen from here is missing.
pub fn taken(deployment: &Deployment, postgres: &Postgres) -> ProcessorTime {
    let processes = all();
    let mut taken = ProcessorTime::new();
    for (service, id) in deployment.process_ids() {
        let own = processes.iter().find(|process| process.id == id);
        taken.extend(own.map(|process| (service.name(), process.own_s)));
    }
    if let Some(server) = postgres.process_id() {
        let of_server = processes.iter().filter(|process| process.id == server || process.parent == server);
        // Of sessions that have ended the server itself keeps account.
        let sum =
            of_server.map(|it| it.own_s + if it.id == server { it.ended_children_s } else { 0.0 }).sum();
        taken.insert("postgres", sum);
    }
    let this = processes.iter().find(|process| process.id == std::process::id());
    taken.extend(this.map(|process| ("broker and client", process.own_s)));
    taken
}

/// What was taken between two looks, in seconds.
pub fn between(before: &ProcessorTime, after: &ProcessorTime) -> ProcessorTime {
    after.iter().filter_map(|(&who, taken)| Some((who, taken - before.get(who)?))).collect()
}

struct Process {
    id: u32,
    parent: u32,
    own_s: f64,
    ended_children_s: f64,
}

#[cfg(target_os = "linux")]
fn all() -> Vec<Process> {
    #[allow(clippy::cast_precision_loss, reason = "no process runs for 2^52 ticks")]
    let seconds = |ticks: u64| ticks as f64 / procfs::ticks_per_second() as f64;
    let Ok(processes) = procfs::process::all_processes() else { return Vec::new() };
    // One that has ended meanwhile has no more to tell.
    let stats = processes.flatten().filter_map(|process| process.stat().ok());
    stats
        .map(|stat| Process {
            id: stat.pid.unsigned_abs(),
            parent: stat.ppid.unsigned_abs(),
            own_s: seconds(stat.utime + stat.stime),
            ended_children_s: seconds((stat.cutime + stat.cstime).unsigned_abs()),
        })
        .collect()
}

#[cfg(not(target_os = "linux"))]
fn all() -> Vec<Process> {
    Vec::new()
}
