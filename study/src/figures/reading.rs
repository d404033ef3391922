//! What is asked of the figures in more than one place: medians, totals, shares, and who plays which part.

use lab::styles::{Features, Service, Style};

use crate::figures::units::whole;
use crate::figures::{
    ChosenBy, DiscoveryFigures, IdleFigures, LatencyFigures, Limit, Load, OutageFigures, Report,
    StyleFigures, ThroughputFigures,
};

/// The middle value; of an even number of them the mean of the two in the middle. `None` without any.
pub(crate) fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => None,
        odd if odd % 2 == 1 => Some(sorted[middle]),
        _ => Some(f64::midpoint(sorted[middle - 1], sorted[middle])),
    }
}

/// The least and the most; `None` without any.
pub(crate) fn spread(values: &[f64]) -> Option<(f64, f64)> {
    let least = values.iter().copied().min_by(f64::total_cmp)?;
    Some((least, values.iter().copied().max_by(f64::total_cmp)?))
}

impl Report {
    /// The styles of which the registry says so.
    pub(crate) fn styles_that(&self, have: impl Fn(&Features) -> bool) -> Vec<&StyleFigures> {
        self.styles.iter().filter(|style| style.features().is_some_and(&have)).collect()
    }

    /// The parts that were taken away, in the order in which they were.
    pub(crate) fn parts_taken_away(&self) -> Vec<&str> {
        let mut parts: Vec<&str> = Vec::new();
        for outage in self.styles.iter().flat_map(|style| &style.availability) {
            if !parts.contains(&outage.part.as_str()) {
                parts.push(&outage.part);
            }
        }
        parts
    }

    /// Whether throughput was held against `pgbench` in every style, so that the ratio can be compared.
    pub(crate) fn has_ratios(&self) -> bool {
        self.limit.is_some()
            && self.styles.iter().flat_map(|style| &style.throughput).all(|run| !run.ratio.is_empty())
    }
}

impl Limit {
    /// Orders per second.
    pub(crate) fn rate(&self) -> Option<f64> {
        median(&self.orders_per_s)
    }
}

impl StyleFigures {
    /// How the style differs from others; `None` if this program does not know it.
    pub(crate) fn features(&self) -> Option<&'static Features> {
        Style::find(&self.style).map(|style| &style.features)
    }

    /// How long an order takes with so many clients at a time.
    pub(crate) fn latency_at(&self, clients: usize) -> Option<&LatencyFigures> {
        self.latency.iter().find(|latency| latency.load == Load::Closed { in_flight: clients })
    }

    /// The number in flight at which most orders per second come through.
    pub(crate) fn best_throughput(&self) -> Option<&ThroughputFigures> {
        let measured = self.throughput.iter().filter(|run| run.rate().is_some());
        measured.max_by(|a, b| a.rate().unwrap_or(0.0).total_cmp(&b.rate().unwrap_or(0.0)))
    }

    /// With so many in flight.
    pub(crate) fn throughput_at(&self, in_flight: usize) -> Option<&ThroughputFigures> {
        self.throughput.iter().find(|run| run.in_flight == in_flight)
    }

    /// What happened while each of its services was away: those behind the gateway, without which there is nobody to ask.
    pub(crate) fn service_outages(&self) -> impl Iterator<Item = &OutageFigures> {
        let is_service = |part: &str| Service::named(part).is_some();
        self.availability.iter().filter(move |outage| is_service(&outage.part))
    }

    /// What happened while `part` was away.
    pub(crate) fn outage(&self, part: &str) -> Option<&OutageFigures> {
        self.availability.iter().find(|outage| outage.part == part)
    }

    /// What two instances make of it where `chosen_by` chooses between them.
    pub(crate) fn discovery_by(&self, chosen_by: ChosenBy) -> Option<&DiscoveryFigures> {
        self.discovery.iter().find(|it| it.chosen_by == chosen_by)
    }

    /// Over all outages of services: how many orders were placed, and how many of these were refused. `None` if none was measured.
    pub(crate) fn refused_without_services(&self) -> Option<(u64, u64)> {
        let (placed, refused) = self
            .service_outages()
            .fold((0, 0), |(placed, refused), it| (placed + it.placed, refused + it.refused));
        (placed > 0).then_some((placed, refused))
    }

    /// Whether the cost of its orders was counted.
    pub(crate) fn is_counted(&self) -> bool {
        self.cost.orders > 0
    }

    /// SQL statements of all services for one order; `None` where they were not counted.
    pub(crate) fn sql_statements(&self) -> Option<f64> {
        let counted: Vec<f64> = self.cost.services.values().filter_map(|it| it.sql_statements).collect();
        (!counted.is_empty()).then(|| counted.iter().sum())
    }

    /// Requests, calls and messages between services for one order, at most.
    pub(crate) fn interactions(&self) -> usize {
        self.cost.http_requests.1 + self.cost.rpcs.1 + self.cost.messages.1
    }

    /// Orders that outages did harm to: lost, or charged twice. An email that comes twice is not meant: SMTP cannot exclude it.
    pub(crate) fn harmed(&self) -> u64 {
        self.availability.iter().map(|it| it.lost + it.charged_twice).sum()
    }
}

impl ThroughputFigures {
    /// Orders per second.
    pub(crate) fn rate(&self) -> Option<f64> {
        median(&self.orders_per_s)
    }

    /// The same as a part of the limit.
    pub(crate) fn of_limit(&self) -> Option<f64> {
        median(&self.ratio)
    }

    /// Processor time that one order takes, in all processes.
    pub(crate) fn cpu_ms(&self) -> f64 {
        self.cpu_ms_per_order.values().sum()
    }
}

impl OutageFigures {
    /// The part of the orders that was refused; `None` if none was placed.
    pub(crate) fn refused_share(&self) -> Option<f64> {
        (self.placed > 0).then(|| whole(self.refused) / whole(self.placed))
    }
}

impl IdleFigures {
    /// Processor time of all processes, in milliseconds per second.
    pub(crate) fn cpu(&self) -> f64 {
        self.cpu_ms_per_s.values().sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_nothing_is_nothing() {
        assert_eq!(median(&[]), None);
        assert_eq!(median(&[3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), Some(2.5));
    }
}
