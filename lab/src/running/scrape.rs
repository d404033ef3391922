//! What services tell of themselves at `/metrics`.

use std::collections::BTreeMap;

use super::deployment::Deployment;
use crate::styles::Service;

/// One service's metrics, in Prometheus' text format.
pub struct Metrics(String);

/// Those of every service.
pub async fn all(deployment: &Deployment) -> anyhow::Result<BTreeMap<Service, Metrics>> {
    let http = reqwest::Client::builder().no_proxy().build()?;
    let mut all = BTreeMap::new();
    for &service in deployment.style.services {
        let answer = http.get(deployment.url(service).join("metrics")?).send().await?;
        all.insert(service, Metrics(answer.error_for_status()?.text().await?));
    }
    Ok(all)
}

impl Metrics {
    /// The sum of a metric over all its labels; 0 if there is none yet.
    pub fn sum(&self, name: &str) -> f64 {
        let value = |line: &str| {
            let rest = line.strip_prefix(name)?;
            if rest.starts_with(['{', ' ']) { rest.rsplit(' ').next()?.parse::<f64>().ok() } else { None }
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
}
