//! What an event says of the list of containers of its host. Pure.

use super::state::Expected;
use crate::engine::EngineEvent;

/// What may have changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect<'a> {
    /// Nothing that a list shows.
    Nothing,
    /// The container with this ID.
    One(&'a str),
    /// Any container.
    All,
}

/// What happens to containers without a change of what a list shows.
const UNSEEN: [&str; 12] = [
    "archive-path",
    "attach",
    "commit",
    "copy",
    "detach",
    "exec_create",
    "exec_detach",
    "exec_die",
    "exec_start",
    "export",
    "extract-to-dir",
    "resize",
];

/// What an event invalidates.
pub fn effect(event: &EngineEvent) -> Effect<'_> {
    // `exec_start: sh -c true` is an `exec_start`.
    let action = event.action.split(": ").next().unwrap_or_default();
    match event.kind.as_str() {
        "container" if UNSEEN.contains(&action) || action == "top" => Effect::Nothing,
        "container" => one(&event.actor),
        "network" if matches!(action, "connect" | "disconnect") => {
            event.attributes.get("container").map_or(Effect::All, |id| one(id))
        }
        // A container of an image whose name moves on is listed with the ID of the image.
        "image" if !matches!(action, "push" | "save") => Effect::All,
        // The pod of a container of Podman.
        "pod" => Effect::All,
        _ => Effect::Nothing,
    }
}

/// What an event tells of the state of its container; `None` if nothing.
pub fn expected(event: &EngineEvent) -> Option<Expected> {
    match event.action.as_str() {
        // Such as a network that is disconnected, which follows the end of a container.
        _ if event.kind != "container" => None,
        "start" => Some(Expected::Started),
        "die" => Some(Expected::Ended),
        "pause" => Some(Expected::Paused),
        "unpause" => Some(Expected::Unpaused),
        _ => None,
    }
}

fn one(id: &str) -> Effect<'_> {
    let is_id = id.len() == 64 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
    if is_id { Effect::One(id) } else { Effect::All }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(kind: &str, action: &str, actor: &str) -> EngineEvent {
        EngineEvent {
            kind: kind.to_owned(),
            action: action.to_owned(),
            actor: actor.to_owned(),
            ..EngineEvent::default()
        }
    }

    #[test]
    fn changes_of_containers_count_and_commands_in_them_do_not() {
        let id = "ab".repeat(32);
        for action in ["create", "start", "die", "rename", "health_status: healthy", "destroy"] {
            assert_eq!(effect(&event("container", action, &id)), Effect::One(&id), "{action}");
        }
        for action in ["exec_create: sh -c 'x: y'", "exec_die", "attach", "resize", "top"] {
            assert_eq!(effect(&event("container", action, &id)), Effect::Nothing, "{action}");
        }
        // What is not understood must not be missed.
        assert_eq!(effect(&event("container", "start", "c0")), Effect::All);
        assert_eq!(effect(&event("container", "brandnew", &id)), Effect::One(&id));
        assert_eq!(effect(&event("image", "tag", "app:v1")), Effect::All);
        assert_eq!(effect(&event("volume", "create", "data")), Effect::Nothing);
        let mut connect = event("network", "connect", "n");
        assert_eq!(effect(&connect), Effect::All);
        connect.attributes.insert("container".to_owned(), id.clone());
        assert_eq!(effect(&connect), Effect::One(&id));
        assert_eq!(effect(&event("network", "create", "n")), Effect::Nothing);
    }

    #[test]
    fn only_events_of_its_own_tell_the_state_of_a_container() {
        for (action, told) in [
            ("start", Some(Expected::Started)),
            ("die", Some(Expected::Ended)),
            ("pause", Some(Expected::Paused)),
            ("unpause", Some(Expected::Unpaused)),
            ("kill", None),
            ("rename", None),
        ] {
            assert_eq!(expected(&event("container", action, "a")), told, "{action}");
        }
        assert_eq!(expected(&event("network", "disconnect", "n")), None);
        assert_eq!(expected(&event("pod", "start", "p")), None);
    }
}
