//! Grading: the scenario's steps against an implementation at any address, ours or somebody else's.

use anyhow::Context as _;
use lab::driving::Api;
use lab::driving::scenario::{self, Step};
use url::Url;

/// Runs the scenario against the gateway at `address`, below `prefix`, says of every step whether it held, and if not why.
///
/// # Errors
/// When the address is none, or nobody answers there.
pub(crate) async fn grade(address: &str, prefix: Option<&str>) -> anyhow::Result<bool> {
    let base = base(address, prefix)?;
    println!("{base}");
    let steps = scenario::run(&Api::new(base.clone()), None, print).await;
    let steps = steps.with_context(|| format!("the scenario cannot be run to its end at {base}"))?;
    let passed = steps.iter().filter(|step| step.failure.is_none()).count();
    println!("{passed} of {} steps held", steps.len());
    Ok(passed == steps.len())
}

/// `host`, `host:port` or a URL; a path in it is a prefix, too.
fn base(address: &str, prefix: Option<&str>) -> anyhow::Result<Url> {
    let address = if address.contains("://") { address.to_owned() } else { format!("http://{address}") };
    let mut base: Url = address
        .parse()
        .with_context(|| format!("{address} is not an address: give `host`, `host:port` or a URL"))?;
    let path = [base.path(), prefix.unwrap_or_default()];
    let parts = path.iter().flat_map(|path| path.split('/')).filter(|part| !part.is_empty());
    let path: String = parts.fold(String::from("/"), |path, part| path + part + "/");
    base.set_path(&path);
    Ok(base)
}

fn print(step: &Step) {
    let Step { name, request, answer, failure, .. } = step;
    let held = if failure.is_none() { "ok  " } else { "FAIL" };
    println!("  {held} {name}\n         {request}\n         {answer}");
    if let Some(why) = failure {
        println!("         {why}");
    }
}

#[cfg(test)]
mod tests {
    use super::base;

    #[test]
    fn addresses_have_a_scheme_and_end_with_their_prefix() {
        let of = |address, prefix| base(address, prefix).map(|base| base.to_string()).ok();
        assert_eq!(of("arch.homework", None).as_deref(), Some("http://arch.homework/"));
        assert_eq!(of("localhost:8080", Some("/ann")).as_deref(), Some("http://localhost:8080/ann/"));
        assert_eq!(of("https://a.b/c", Some("d/e/")).as_deref(), Some("https://a.b/c/d/e/"));
        assert_eq!(of("http://", None), None);
    }
}
