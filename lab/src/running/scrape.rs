//! What services tell of themselves at `/metrics`.

use std::collections::BTreeMap;

use url::Url;

use super::deployment::Deployment;
use crate::styles::Service;

/// One service's metrics, in Prometheus' text format.
pub struct Metrics(String);

/// Those of every service.
pub async fn all(deployment: &Deployment) -> anyhow::Result<BTreeMap<Service, Metrics>> {
    let http = reqwest::Client::builder().no_proxy().build()?;
    let mut all = BTreeMap::new();
    for &service in deployment.style.services {
        all.insert(service, of(&http, deployment.url(service)).await?);
    }
    Ok(all)
}

/// Those of the instance at `url`.
///
/// # Errors
/// When it does not answer.
pub async fn of(http: &reqwest::Client, url: &Url) -> anyhow::Result<Metrics> {
    let answer = http.get(url.join("metrics")?).send().await?;
    Ok(Metrics(answer.error_for_status()?.text().await?))
}

impl Metrics {
    /// The sum of a metric over all its labels; 0 if there is none yet.
    pub fn sum(&self, name: &str) -> f64 {
        self.sum_where(name, "")
    }

    /// The sum of a metric over the labels in whose text `part` is.
    pub fn sum_where(&self, name: &str, part: &str) -> f64 {
        let value = |line: &str| {
            let rest = line.strip_prefix(name).filter(|rest| rest.starts_with(['{', ' ']))?;
            let (labels, value) = rest.rsplit_once(' ')?;
            if labels.contains(part) { value.parse::<f64>().ok() } else { None }
        };
        self.0.lines().filter_map(value).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_metric_is_summed_up_over_its_labels_and_not_with_others_of_a_longer_name() {
        let text = "# TYPE a counter\na{b=\"c d\"} 1\na{b=\"e\"} 2.5\na_total{b=\"e\"} 4\n";
        assert!((Metrics(text.to_owned()).sum("a") - 3.5).abs() < 1e-9);
        assert!(Metrics(text.to_owned()).sum("b").abs() < 1e-9);
    }

    #[test]
    fn a_metric_can_be_summed_up_over_some_of_its_labels() {
        let text = "a{route=\"/x/{id}\"} 1\na{route=\"/x\"} 2\na{route=\"/y\"} 4\n";
        assert!((Metrics(text.to_owned()).sum_where("a", "route=\"/x") - 3.0).abs() < 1e-9);
        assert!(Metrics(text.to_owned()).sum_where("a", "/z").abs() < 1e-9);
    }
}
