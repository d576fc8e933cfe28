//! What may be asked of a rollout, by where it stands: the one table of it. The driver, the fold of
//! the journal and the gRPC edge read it.
//!
//! Pure.

use super::model::{Control, PauseCause, Phase};

/// What a [`Control`] does to a rollout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// It changes the phase.
    Changes,
    /// It is so already.
    Nothing,
}

/// Why it may not be asked now, and what may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// It has ended.
    #[error("the rollout has ended")]
    Ended,
    /// Only what has ended is undone.
    #[error("the rollout has not ended; abort it before you undo it, or let it roll back")]
    NotEnded,
    /// It is being aborted.
    #[error("the rollout is being aborted, and ends when the hosts in progress finish")]
    Aborting,
    /// It is being rolled back.
    #[error("the rollout is being rolled back; pause it, or start another when it has ended")]
    RollingBack,
    /// Its canary waits.
    #[error("the canary succeeded; promote the rollout, or abort it")]
    AwaitsPromotion,
    /// No canary waits.
    #[error("the rollout is not waiting for promotion")]
    NoPromotion,
    /// Its journal cannot be read or written.
    #[error("the rollout cannot continue at the moment; see the wharfd log")]
    Stuck,
}

/// The effect of a command on a rollout in `phase`.
pub fn effect(phase: &Phase, control: Control) -> Result<Effect, Refused> {
    use Effect::{Changes, Nothing};
    let promotes = matches!(phase, Phase::Paused { cause: PauseCause::Promotion, .. });
    match (control, phase) {
        (_, Phase::Succeeded | Phase::Failed | Phase::RolledBack | Phase::Aborted) => {
            Err(Refused::Ended)
        }
        (Control::Abort, Phase::Aborting) => Ok(Nothing),
        (Control::Abort, _) => Ok(Changes),
        (Control::Promote, _) => {
            if promotes {
                Ok(Changes)
            } else {
                Err(Refused::NoPromotion)
            }
        }
        (Control::Pause | Control::Resume { .. }, Phase::Aborting) => Err(Refused::Aborting),
        (Control::Pause, Phase::Paused { .. }) => Ok(Nothing),
        (Control::Pause, _) => Ok(Changes),
        (Control::Resume { .. }, Phase::RollingBack) => Err(Refused::RollingBack),
        (Control::Resume { .. }, Phase::Paused { .. }) if promotes => Err(Refused::AwaitsPromotion),
        (Control::Resume { .. }, Phase::Paused { .. }) => Ok(Changes),
        (Control::Resume { .. }, Phase::Pulling | Phase::Running { .. } | Phase::Baking { .. }) => {
            Ok(Nothing)
        }
    }
}

/// Whether a rollout that stands at `phase` may be undone.
pub fn check_undo(phase: &Phase) -> Result<(), Refused> {
    if phase.is_terminal() { Ok(()) } else { Err(Refused::NotEnded) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rollout::model::Millis;

    const RUNNING: Phase = Phase::Running { wave: 0 };
    const RESUME: Control = Control::Resume { retry_failed: false };

    fn paused(cause: PauseCause) -> Phase {
        Phase::Paused { cause, resume_to: Box::new(RUNNING), since: Millis(0) }
    }

    #[test]
    fn nothing_can_be_asked_of_what_has_ended() {
        for phase in [Phase::Succeeded, Phase::Failed, Phase::RolledBack, Phase::Aborted] {
            for control in [Control::Pause, RESUME, Control::Promote, Control::Abort] {
                let effect = effect(&phase, control);
                assert!(matches!(effect, Err(Refused::Ended)), "{phase:?} {control:?}");
            }
        }
    }

    #[test]
    fn what_is_so_already_is_no_error() {
        let nothing = [
            (paused(PauseCause::Budget), Control::Pause),
            (RUNNING, RESUME),
            (Phase::Pulling, RESUME),
            (Phase::Aborting, Control::Abort),
        ];
        for (phase, control) in nothing {
            assert_eq!(effect(&phase, control).unwrap(), Effect::Nothing, "{phase:?}");
        }
    }

    #[test]
    fn a_canary_is_promoted_and_not_resumed() {
        let waiting = paused(PauseCause::Promotion);
        assert_eq!(effect(&waiting, Control::Promote).unwrap(), Effect::Changes);
        assert_eq!(effect(&waiting, RESUME), Err(Refused::AwaitsPromotion));
        for phase in [RUNNING, paused(PauseCause::User), Phase::RollingBack] {
            let promoted = effect(&phase, Control::Promote);
            assert!(matches!(promoted, Err(Refused::NoPromotion)), "{phase:?}");
        }
    }
}
