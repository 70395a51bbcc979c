//! The histogram of the turns of a server's loop, from its metrics.

/// Numbers of turns by their time.
#[derive(Clone, Debug, Default, PartialEq)]
pub(in crate::load) struct Turns {
    /// Upper bounds in seconds (infinite for the last), and the turns of each bucket alone.
    pub(in crate::load) buckets: Vec<(f64, u64)>,
}

impl Turns {
    /// Parses the text of `/metrics`.
    pub(super) fn parse(metrics: &str) -> Self {
        let mut buckets = Vec::new();
        let mut count_before = 0;
        for line in metrics.lines() {
            let Some(rest) = line.strip_prefix("crc_loop_turn_seconds_bucket{le=\"") else {
                continue;
            };
            let Some((bound, count)) = rest.split_once("\"} ") else { continue };
            let bound = if bound == "+Inf" { Some(f64::INFINITY) } else { bound.parse().ok() };
            let (Some(bound), Ok(count)) = (bound, count.parse::<u64>()) else { continue };
            buckets.push((bound, count.saturating_sub(count_before)));
            count_before = count;
        }
        Self { buckets }
    }

    /// Returns the turns since `earlier`.
    pub(super) fn since(&self, earlier: &Self) -> Self {
        let pairs = self.buckets.iter().zip(&earlier.buckets);
        let buckets = pairs.map(|(&(bound, now), &(_, then))| (bound, now - then)).collect();
        Self { buckets }
    }

    /// Returns the number of turns.
    pub(in crate::load) fn count(&self) -> u64 {
        self.buckets.iter().map(|(_, count)| count).sum()
    }

    /// Returns the number of turns that took longer than a bucket's bound.
    pub(in crate::load) fn longer_than(&self, seconds: f64) -> u64 {
        let longer = self.buckets.iter().filter(|(bound, _)| *bound > seconds);
        longer.map(|(_, count)| count).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn turns_are_counted_by_bucket() {
        let metrics = |counts: [u64; 3]| {
            let [one, two, all] = counts;
            format!(
                "# TYPE crc_loop_turn_seconds histogram\n\
                 crc_loop_turn_seconds_bucket{{le=\"0.001\"}} {one}\n\
                 crc_loop_turn_seconds_bucket{{le=\"0.002\"}} {two}\n\
                 crc_loop_turn_seconds_bucket{{le=\"+Inf\"}} {all}\n\
                 crc_loop_turn_seconds_count {all}\n"
            )
        };
        let earlier = Turns::parse(&metrics([1, 1, 1]));
        let turns = Turns::parse(&metrics([10, 15, 16])).since(&earlier);
        assert_eq!(turns.buckets, [(0.001, 9), (0.002, 5), (f64::INFINITY, 1)]);
        assert_eq!((turns.count(), turns.longer_than(0.002)), (15, 1));
    }
}
