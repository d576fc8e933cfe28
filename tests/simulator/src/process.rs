//! The process that calls Engines: it can be killed or frozen, with all of its calls in progress.

use tokio::sync::watch;

/// A process of a simulation. Clones are one process.
#[derive(Debug, Clone)]
pub struct Process(watch::Sender<Life>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Life {
    Runs,
    /// As under SIGSTOP.
    Frozen,
    /// As after SIGKILL.
    Dead,
}

impl Default for Process {
    fn default() -> Self {
        Self(watch::Sender::new(Life::Runs))
    }
}

impl Process {
    /// Ends it as SIGKILL does: what it waits for never comes, and what it asked for and did not
    /// get is given up.
    pub fn kill(&self) {
        self.0.send_replace(Life::Dead);
    }

    /// It does nothing until [`Process::thaw`]: answers that come meanwhile wait for it.
    pub fn freeze(&self) {
        self.change(Life::Runs, Life::Frozen);
    }

    /// It continues after [`Process::freeze`].
    pub fn thaw(&self) {
        self.change(Life::Frozen, Life::Runs);
    }

    /// Whether it was killed.
    pub fn is_dead(&self) -> bool {
        *self.0.borrow() == Life::Dead
    }

    /// Ends when it was killed.
    pub async fn died(&self) {
        self.reaches(Life::Dead).await;
    }

    /// Does something that the process waits for. Of a process that is killed this never ends, and
    /// `work` is dropped.
    pub async fn carry<T>(&self, work: impl Future<Output = T>) -> T {
        self.reaches(Life::Runs).await;
        let done = tokio::select! {
            biased;
            () = self.died() => None,
            done = work => Some(done),
        };
        match done {
            Some(done) => {
                self.reaches(Life::Runs).await;
                done
            }
            None => std::future::pending().await,
        }
    }

    fn change(&self, from: Life, to: Life) {
        self.0.send_if_modified(|life| {
            let changes = *life == from;
            if changes {
                *life = to;
            }
            changes
        });
    }

    async fn reaches(&self, wanted: Life) {
        // The sender lives as long as self, so the wait cannot fail.
        let _ = self.0.subscribe().wait_for(|life| *life == wanted).await;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_a_killed_process_waits_for_never_comes() {
        let process = Process::default();
        let other = process.clone();
        let work = tokio::spawn(async move {
            other.carry(tokio::time::sleep(Duration::from_secs(1))).await;
        });
        tokio::task::yield_now().await;
        process.kill();
        assert!(tokio::time::timeout(Duration::from_secs(9), work).await.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn a_frozen_process_hears_of_it_when_it_goes_on() {
        let process = Process::default();
        process.freeze();
        let begun = tokio::time::Instant::now();
        let thaws = async {
            tokio::time::sleep(Duration::from_secs(5)).await;
            process.thaw();
        };
        let ((), ()) = tokio::join!(process.carry(async {}), thaws);
        assert_eq!(begun.elapsed(), Duration::from_secs(5));
    }
}
