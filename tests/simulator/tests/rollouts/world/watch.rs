//! Checks every write to an Engine, and decides what happens to it.

use std::sync::{Arc, Mutex, PoisonError};

use wharf_server::domain::HostName;
use wharf_server::rollout::model::{Phase, Step, Work};
use wharf_simulator::{Call, Fault, Operation, Plan};

use crate::recorder::{Recorder, Side};

/// A write that reached an Engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Write {
    pub host: HostName,
    pub operation: Operation,
    pub subject: String,
}

/// What happens to a chosen write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    /// The process is killed around it.
    Kill(Side),
    /// The Engine crashes around it.
    Crash(Side),
    /// Its answer is lost; it took place, or did not.
    Lose(Side),
}

/// What happens to a call, if anything.
pub type Chaos = Box<dyn FnMut(&HostName, &Call) -> Option<Plan> + Send>;

/// What is seen of all Engines, and what is to happen to them.
#[derive(Default)]
pub struct Watch {
    pub writes: Vec<Write>,
    pub errors: Vec<String>,
    pub(super) cut: Option<(usize, Cut)>,
    /// Decides on calls that are not cut.
    pub chaos: Option<Chaos>,
    pub(super) watching: bool,
}

/// Looks at every call on an Engine before it is done.
pub(super) fn decide(
    host: HostName,
    watch: Arc<Mutex<Watch>>,
    recorder: Recorder,
) -> impl FnMut(&Call) -> Option<Plan> + Send {
    move |call| {
        let mut watch = watch.lock().unwrap_or_else(PoisonError::into_inner);
        if !watch.watching {
            return None;
        }
        if call.operation.is_write() {
            if let Some(error) = wrong(&host, call, &recorder) {
                watch.errors.push(error);
            }
            let number = watch.writes.len();
            let (operation, subject) = (call.operation, call.subject.clone());
            watch.writes.push(Write { host: host.clone(), operation, subject });
            if let Some((_, cut)) = watch.cut.filter(|(at, _)| *at == number) {
                let fault = match cut {
                    Cut::Kill(Side::Before) => Fault::HangBefore,
                    Cut::Kill(Side::After) => Fault::HangAfter,
                    Cut::Crash(Side::Before) => Fault::CrashBefore,
                    Cut::Crash(Side::After) => Fault::CrashAfter,
                    Cut::Lose(Side::Before) => Fault::LoseRequest,
                    Cut::Lose(Side::After) => Fault::LoseAnswer,
                };
                return Some(Plan { fault: Some(fault), ..Plan::default() });
            }
        }
        watch.chaos.as_mut().and_then(|chaos| chaos(&host, call))
    }
}

/// What must never be asked of an Engine.
fn wrong(host: &HostName, call: &Call, recorder: &Recorder) -> Option<String> {
    use Operation as O;
    let seen = recorder.seen();
    let what = format!("{host}: {:?} {}", call.operation, call.subject);
    if seen.phase().is_some_and(Phase::is_terminal) {
        return Some(format!("{what}: the rollout has ended"));
    }
    let full = call.subject.len() == 64 && call.subject.bytes().all(|it| it.is_ascii_hexdigit());
    if !full && !matches!(call.operation, O::Create | O::Pull | O::LoadImages | O::Tag) {
        return Some(format!("{what}: not by its full ID"));
    }
    let (step, work) = seen.doing(host);
    let legal: &[O] = match (step, work) {
        (_, Some(Work::Pull)) => &[O::Pull, O::LoadImages, O::Tag],
        (Some(Step::Create | Step::CreateTwin), _) => &[O::Create, O::ConnectNetwork],
        (Some(Step::Drain | Step::Verify | Step::Gate | Step::Monitor), _) => &[O::Exec],
        (Some(Step::StopOld | Step::StopNew), _) => &[O::Stop],
        (Some(Step::FenceOld | Step::UnfenceOld | Step::FenceNew | Step::UnfenceNew), _) => {
            &[O::Update]
        }
        (Some(Step::RenameOld | Step::RenameNew | Step::RenameBack | Step::RenameBad), _) => {
            &[O::Rename]
        }
        (Some(Step::StartNew | Step::StartOld), _) => &[O::Start],
        (Some(Step::RemoveNew | Step::RemoveTwin | Step::RemoveOld), _) => &[O::Remove],
        (Some(Step::GateOld | Step::Compare) | None, _) => &[],
    };
    (!legal.contains(&call.operation))
        .then(|| format!("{what}: the journal says {step:?} of {work:?}"))
}
