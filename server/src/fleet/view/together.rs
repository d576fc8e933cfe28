//! One question for all who want the answer at the same time.

use std::future::Future;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use tokio::sync::Mutex;

/// Shares the answers to a question.
///
/// A caller gets an answer to a question that was asked after the caller came, so it knows everything that
/// was true before. Of many callers, the first one asks, all who come meanwhile wait for it, and one of
/// them asks for all: however many there are, an Engine has one question at a time.
#[derive(Debug)]
pub(super) struct Together<T> {
    /// Questions so far.
    asked: AtomicU64,
    waiting: AtomicUsize,
    /// The number of the last question that was answered, with the answer, while somebody waits.
    last: Mutex<Option<(u64, T)>>,
}

/// Counts a caller that waits, also if it leaves.
struct Waiting<'a>(&'a AtomicUsize);

impl<T> Default for Together<T> {
    fn default() -> Self {
        Self { asked: AtomicU64::new(0), waiting: AtomicUsize::new(0), last: Mutex::default() }
    }
}

impl<T: Clone> Together<T> {
    /// Asks, or waits for the answer to a question that somebody else asks after this call.
    pub(super) async fn ask(&self, question: impl Future<Output = T>) -> T {
        let before = self.asked.load(Ordering::Acquire);
        let waiting = Waiting::of(&self.waiting);
        let mut last = self.last.lock().await;
        drop(waiting);
        if let Some((number, answer)) = &*last
            && *number > before
        {
            let answer = answer.clone();
            if !self.is_awaited() {
                *last = None;
            }
            return answer;
        }
        let number = self.asked.fetch_add(1, Ordering::AcqRel) + 1;
        let answer = question.await;
        *last = self.is_awaited().then(|| (number, answer.clone()));
        answer
    }

    /// Whether anybody waits for the answer to a question of somebody else.
    fn is_awaited(&self) -> bool {
        self.waiting.load(Ordering::Acquire) > 0
    }
}

impl<'a> Waiting<'a> {
    fn of(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::AcqRel);
        Self(count)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use tokio::task::JoinSet;
    use tokio::time::sleep;

    use super::*;

    /// A question that takes a second, and whose answer is how many came before it.
    async fn question(count: &AtomicUsize) -> usize {
        let number = count.fetch_add(1, Ordering::SeqCst);
        sleep(Duration::from_secs(1)).await;
        number
    }

    #[tokio::test(start_paused = true)]
    async fn many_callers_at_once_cost_two_questions() {
        let (together, count) = (Arc::new(Together::default()), Arc::new(AtomicUsize::new(0)));
        let mut callers = JoinSet::new();
        for _ in 0..100 {
            let (together, count) = (Arc::clone(&together), Arc::clone(&count));
            callers.spawn(async move { together.ask(question(&count)).await });
        }
        let mut answers = callers.join_all().await;
        answers.sort_unstable();
        assert_eq!(count.load(Ordering::SeqCst), 2);
        assert_eq!((answers[0], answers[1], answers[99]), (0, 1, 1));
        assert!(together.last.lock().await.is_none(), "nobody waits, and nothing is kept");
    }

    #[tokio::test(start_paused = true)]
    async fn who_comes_during_a_question_does_not_get_its_answer() {
        let (together, count) = (Arc::new(Together::default()), Arc::new(AtomicUsize::new(0)));
        let first = {
            let (together, count) = (Arc::clone(&together), Arc::clone(&count));
            tokio::spawn(async move { together.ask(question(&count)).await })
        };
        sleep(Duration::from_millis(500)).await;
        assert_eq!(together.ask(question(&count)).await, 1);
        assert_eq!(first.await.unwrap(), 0);
        assert_eq!(together.ask(question(&count)).await, 2, "an old answer is no answer");
    }

    #[tokio::test(start_paused = true)]
    async fn the_next_one_asks_when_who_asked_leaves() {
        let (together, count) = (Arc::new(Together::default()), Arc::new(AtomicUsize::new(0)));
        let first = {
            let (together, count) = (Arc::clone(&together), Arc::clone(&count));
            tokio::spawn(async move { together.ask(question(&count)).await })
        };
        sleep(Duration::from_millis(500)).await;
        first.abort();
        assert_eq!(together.ask(question(&count)).await, 1);
        assert_eq!(together.waiting.load(Ordering::SeqCst), 0);
    }
}
