//! A limit on how often something may be done: a burst at once, then one at a time.

use std::time::{Duration, Instant};

/// The limit. Time is an argument.
#[derive(Debug, Clone)]
pub(super) struct TokenBucket {
    burst: u32,
    every: Duration,
    tokens: u32,
    /// Up to when time was turned into tokens; `None` while the bucket is full.
    filled: Option<Instant>,
}

impl TokenBucket {
    /// Lets `burst` through at once, and one more every `every`.
    pub(super) fn new(burst: u32, every: Duration) -> Self {
        Self { burst, every, tokens: burst, filled: None }
    }

    /// Takes one token.
    ///
    /// # Errors
    /// How long to wait before asking again when there is none.
    pub(super) fn take(&mut self, now: Instant) -> Result<(), Duration> {
        self.fill(now);
        if self.tokens == 0 {
            let since = self.filled.map_or(Duration::ZERO, |filled| now.saturating_duration_since(filled));
            return Err(self.every.saturating_sub(since).max(Duration::from_millis(1)));
        }
        self.filled.get_or_insert(now);
        self.tokens -= 1;
        Ok(())
    }

    fn fill(&mut self, now: Instant) {
        while let Some(filled) = self.filled.filter(|filled| *filled + self.every <= now) {
            self.tokens += 1;
            self.filled = (self.tokens < self.burst).then_some(filled + self.every);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_burst_goes_through_and_then_one_per_interval() {
        let (mut bucket, start) = (TokenBucket::new(3, SECOND), Instant::now());
        for _ in 0..3 {
            assert_eq!(bucket.take(start), Ok(()));
        }
        assert_eq!(bucket.take(start), Err(SECOND));
        assert_eq!(bucket.take(start + SECOND / 4), Err(SECOND * 3 / 4));
        assert_eq!(bucket.take(start + SECOND), Ok(()));
        assert!(bucket.take(start + SECOND).is_err());
    }

    #[test]
    fn whoever_waits_as_long_as_told_gets_a_token_and_never_more_than_the_rate() {
        let (mut bucket, start) = (TokenBucket::new(5, SECOND), Instant::now());
        let (mut now, mut taken) = (start, 0);
        while now < start + SECOND * 100 {
            match bucket.take(now) {
                Ok(()) => taken += 1,
                Err(wait) => now += wait,
            }
        }
        assert_eq!(taken, 5 + 99);
    }

    #[test]
    fn a_long_rest_saves_up_no_more_than_the_burst() {
        let (mut bucket, start) = (TokenBucket::new(2, SECOND), Instant::now());
        assert!(bucket.take(start).is_ok());
        let later = start + SECOND * 1_000_000;
        assert!(bucket.take(later).is_ok() && bucket.take(later).is_ok());
        assert!(bucket.take(later).is_err());
    }
}
