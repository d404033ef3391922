//! Puts the steps of a flow into rows, and finds out from when to when each service is busy.

use lab::Service;

use super::flows::{Flow, Step};

/// In which row each step is, counted from 1, and when which service is busy.
pub struct Rows {
    pub steps: Vec<(usize, Step)>,
    /// From which row to which.
    pub busy: Vec<(Service, usize, usize)>,
    pub last: usize,
}

impl Rows {
    pub fn of(flow: &Flow) -> Self {
        let mut rows = Self { steps: Vec::new(), busy: Vec::new(), last: 0 };
        let mut since: Vec<(Service, usize)> = Vec::new();
        let mut beside = false;
        for &step in flow.steps {
            match step {
                Step::Beside => beside = true,
                Step::Done(service) => {
                    let at = since.iter().position(|busy| busy.0 == service).expect("a service that is busy");
                    rows.busy.push((service, since.swap_remove(at).1, rows.last));
                }
                _ => {
                    rows.last += usize::from(!std::mem::take(&mut beside));
                    rows.steps.push((rows.last, step));
                    for &service in called(&step) {
                        if since.iter().all(|busy| busy.0 != service) {
                            since.push((service, rows.last));
                        }
                    }
                }
            }
        }
        assert!(since.is_empty(), "{}: somebody is never done", flow.style);
        rows
    }
}

/// Who has something to do because of a step.
fn called(step: &Step) -> &[Service] {
    match step {
        Step::Asks => &[Service::Gateway],
        Step::Http(_, to, _) | Step::Rpc(_, to, _) => std::slice::from_ref(to),
        Step::Message(_, readers, _) => readers,
        _ => &[],
    }
}
