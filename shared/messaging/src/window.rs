//! How many messages the relay hands over at once: as many as Kafka has shown to take, and a few more.

/// The size of the next batch. It begins at its most. After an error it is one: were the first message refused for good, those behind
/// it would be published again and again. Then it doubles up to half of what failed, and grows slowly from there, so that a limit of
/// the brokers is met seldom (as TCP does it: RFC 5681, slow start and congestion avoidance).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Window {
    size: usize,
    /// Up to here it doubles.
    threshold: usize,
    max: usize,
    /// Batches that were taken since the size has changed.
    taken: usize,
}

/// So many batches are taken before one message more is tried.
const TAKEN_BEFORE_MORE: usize = 8;

impl Window {
    /// At most `max` messages.
    pub(crate) fn new(max: usize) -> Self {
        Self { size: max, threshold: max, max, taken: 0 }
    }

    /// How many messages may be handed over.
    pub(crate) fn size(self) -> usize {
        self.size
    }

    /// After `messages` of them were handed over, and not all were taken.
    pub(crate) fn after_failure(self, messages: usize) -> Self {
        // What failed alone does not tell how many are too many.
        let threshold = if messages > 1 { messages / 2 } else { self.threshold };
        Self { size: 1, threshold, taken: 0, ..self }
    }

    /// After all were taken.
    pub(crate) fn after_success(self) -> Self {
        let size = if self.size < self.threshold {
            (2 * self.size).min(self.threshold)
        } else if self.taken + 1 < TAKEN_BEFORE_MORE {
            return Self { taken: self.taken + 1, ..self };
        } else {
            self.size + 1
        };
        Self { size: size.min(self.max), taken: 0, ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many batches fail, and how many messages go through, in `rounds` tries at brokers that take no more than `limit` at once.
    fn tried(mut window: Window, limit: usize, rounds: usize) -> (usize, usize) {
        let (mut failures, mut messages) = (0, 0);
        for _ in 0..rounds {
            if window.size() > limit {
                failures += 1;
                window = window.after_failure(window.size());
            } else {
                messages += window.size();
                window = window.after_success();
            }
        }
        (failures, messages)
    }

    #[test]
    fn brokers_that_take_all_get_the_most_each_time() {
        assert_eq!(tried(Window::new(500), 500, 100), (0, 50_000));
    }

    #[test]
    fn a_limit_of_the_brokers_is_met_seldom_and_nearly_used_up() {
        for limit in [1, 2, 3, 10, 100, 400] {
            let (failures, messages) = tried(Window::new(500), limit, 1000);
            assert!(failures <= 1000 / 8, "{failures} of 1000 tries fail at {limit}");
            assert!(messages >= limit * 600, "{messages} messages go through at {limit}");
        }
    }

    #[test]
    fn after_an_error_one_goes_first_and_brokers_that_were_away_soon_get_much_again() {
        let mut window = Window::new(500).after_failure(500);
        assert_eq!(window.size(), 1);
        // They are away for long: that tells nothing of sizes.
        for _ in 0..100 {
            window = window.after_failure(1);
        }
        let sizes: Vec<usize> = (0..17)
            .map(|_| {
                window = window.after_success();
                window.size()
            })
            .collect();
        assert_eq!(sizes[..9], [2, 4, 8, 16, 32, 64, 128, 250, 250]);
        assert_eq!(sizes[16], 251);
    }
}
