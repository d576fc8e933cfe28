//! Throttles repeated refusals, and limits their lines in the log.
//!
//! Only refusals are delayed: a caller with a valid certificate is never delayed, and one with a
//! valid token only while its address has too many refused calls waiting. The table of addresses is
//! bounded, so that a flood from many addresses uses no memory.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Addresses that are remembered.
const MOST_SOURCES: usize = 1024;
/// A source is forgotten after this time without a refusal.
const MEMORY: Duration = Duration::from_secs(60);
/// Number of refusals that are answered immediately: a program with an old token fails fast.
const FREE: u32 = 5;
/// The wait before the first answer that is held back; it doubles with each refusal.
const FIRST_DELAY: Duration = Duration::from_millis(100);
/// The longest wait.
const LONGEST_DELAY: Duration = Duration::from_secs(3);
/// Refused calls of one source that may wait at the same time.
const MOST_WAITING: usize = 32;
/// Lines of the log in each [`WINDOW`]: of one source, and of all.
const LINES_OF_SOURCE: u32 = 10;
const LINES_OF_ALL: u32 = 50;
const WINDOW: Duration = Duration::from_secs(10);

/// Whose refusals are counted together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Source {
    /// An address; of IPv6 the first 64 bits, which one machine may choose from.
    Address(IpAddr),
    /// All callers over a unix socket.
    Local,
}

/// Counts refusals.
#[derive(Debug, Default)]
pub struct Throttle(Mutex<State>);

/// The decision about a refusal.
#[derive(Debug)]
pub struct Held {
    /// How long its answer waits.
    pub delay: Duration,
    throttle: Arc<Throttle>,
    source: Source,
}

#[derive(Debug, Default)]
struct State {
    sources: HashMap<Source, Refusals>,
    lines: Option<Lines>,
    /// Suppressed lines since the last written one.
    suppressed: u64,
}

#[derive(Debug)]
struct Refusals {
    count: u32,
    last: Instant,
    waiting: usize,
    lines: Option<Lines>,
}

#[derive(Debug, Clone, Copy)]
struct Lines {
    since: Instant,
    count: u32,
}

impl Source {
    /// That of an address.
    pub fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => Self::Address(address.into()),
            IpAddr::V6(address) => {
                let network = u128::from(address) & !u128::from(u64::MAX);
                Self::Address(std::net::Ipv6Addr::from(network).into())
            }
        }
    }
}

impl Throttle {
    /// Whether so many refused calls of the source are waiting that another one is not checked.
    pub fn is_full(&self, source: Source) -> bool {
        self.state().sources.get(&source).is_some_and(|it| it.waiting >= MOST_WAITING)
    }

    /// Counts credentials that were refused.
    pub fn refuse(self: &Arc<Self>, source: Source, now: Instant) -> Held {
        let mut state = self.state();
        let refusals = state.source(source, now);
        refusals.count = refusals.count.saturating_add(1);
        refusals.last = now;
        refusals.waiting += 1;
        let delay = match refusals.count.checked_sub(FREE + 1) {
            None => Duration::ZERO,
            Some(doublings) => {
                (FIRST_DELAY * 2_u32.saturating_pow(doublings.min(10))).min(LONGEST_DELAY)
            }
        };
        Held { delay, throttle: Arc::clone(self), source }
    }

    /// Whether to log a refusal; if so, with the number of suppressed ones before it.
    pub fn line(&self, source: Source, now: Instant) -> Option<u64> {
        let mut state = self.state();
        let of_source = count(&mut state.source(source, now).lines, now);
        let of_all = count(&mut state.lines, now);
        if of_source > LINES_OF_SOURCE || of_all > LINES_OF_ALL {
            state.suppressed += 1;
            return None;
        }
        Some(std::mem::take(&mut state.suppressed))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn source(&mut self, source: Source, now: Instant) -> &mut Refusals {
        if self.sources.len() >= MOST_SOURCES && !self.sources.contains_key(&source) {
            self.sources.retain(|_, it| it.waiting > 0 || now.duration_since(it.last) < MEMORY);
            let idle = self.sources.iter().filter(|(_, it)| it.waiting == 0);
            let oldest = idle.min_by_key(|(_, it)| it.last).map(|(source, _)| *source);
            if self.sources.len() >= MOST_SOURCES
                && let Some(oldest) = oldest.or_else(|| self.sources.keys().next().copied())
            {
                self.sources.remove(&oldest);
            }
        }
        let fresh = || Refusals { count: 0, last: now, waiting: 0, lines: None };
        let refusals = self.sources.entry(source).or_insert_with(fresh);
        if now.duration_since(refusals.last) >= MEMORY {
            refusals.count = 0;
        }
        refusals
    }
}

/// Counts a line and returns the count in this window.
fn count(lines: &mut Option<Lines>, now: Instant) -> u32 {
    let fresh = Lines { since: now, count: 0 };
    let lines = lines.get_or_insert(fresh);
    if now.duration_since(lines.since) >= WINDOW {
        *lines = fresh;
    }
    lines.count = lines.count.saturating_add(1);
    lines.count
}

impl Drop for Held {
    fn drop(&mut self) {
        if let Some(refusals) = self.throttle.state().sources.get_mut(&self.source) {
            refusals.waiting = refusals.waiting.saturating_sub(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(number: u32) -> Source {
        Source::of(IpAddr::from(number.to_be_bytes()))
    }

    #[tokio::test(start_paused = true)]
    async fn refusals_of_an_address_wait_longer_and_longer() {
        let throttle = Arc::new(Throttle::default());
        let now = Instant::now();
        let delays: Vec<_> =
            (0..12).map(|_| throttle.refuse(source(1), now).delay.as_millis()).collect();
        assert_eq!(delays, [0, 0, 0, 0, 0, 100, 200, 400, 800, 1600, 3000, 3000]);
        assert_eq!(throttle.refuse(source(2), now).delay, Duration::ZERO, "another address");
        let later = now + MEMORY;
        assert_eq!(throttle.refuse(source(1), later).delay, Duration::ZERO, "forgotten");
    }

    #[tokio::test(start_paused = true)]
    async fn so_many_wait_at_once_and_no_more() {
        let throttle = Arc::new(Throttle::default());
        let now = Instant::now();
        let mut held: Vec<_> = (0..MOST_WAITING).map(|_| throttle.refuse(source(1), now)).collect();
        assert!(throttle.is_full(source(1)) && !throttle.is_full(source(2)));
        held.pop();
        assert!(!throttle.is_full(source(1)));
    }

    #[tokio::test(start_paused = true)]
    async fn the_table_is_bounded() {
        let throttle = Arc::new(Throttle::default());
        let now = Instant::now();
        for number in 0..5000 {
            drop(throttle.refuse(source(number), now + Duration::from_millis(number.into())));
        }
        assert_eq!(throttle.state().sources.len(), MOST_SOURCES);
        let held: Vec<_> = (0..2000).map(|number| throttle.refuse(source(number), now)).collect();
        assert_eq!(throttle.state().sources.len(), MOST_SOURCES);
        drop(held);
    }

    #[tokio::test(start_paused = true)]
    async fn the_log_is_short_and_counts_what_it_leaves_out() {
        let throttle = Throttle::default();
        let now = Instant::now();
        let written = (0..1000).filter(|_| throttle.line(source(1), now).is_some()).count();
        assert_eq!(written, 10);
        let written = (0..1000).filter(|&it| throttle.line(source(it), now).is_some()).count();
        assert!(written < 50, "{written}");
        let left_out = throttle.line(source(7), now + WINDOW).unwrap();
        assert_eq!(left_out, 2000 - 10 - u64::try_from(written).unwrap());
        assert_eq!(throttle.line(source(7), now + WINDOW), Some(0));
    }

    #[test]
    fn a_machine_with_many_addresses_is_one_source() {
        let of = |text: &str| Source::of(text.parse().unwrap());
        assert_eq!(of("2001:db8::1"), of("2001:db8::ffff:1"));
        assert_ne!(of("2001:db8::1"), of("2001:db8:0:1::1"));
        assert_eq!(of("::ffff:10.0.0.1"), of("10.0.0.1"));
    }
}
