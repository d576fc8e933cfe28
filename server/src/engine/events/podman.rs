//! Podman's events in the words of a Docker Engine. Pure.
//!
//! Events that only Podman has, such as the `init` and `cleanup` of a container, stay as they are.
//! Podman 4 reports no creation and no removal of a network.

use super::EngineEvent;

/// Podman's words for actions and Docker's, by kind of object.
const ACTIONS: [(&str, &str, &str); 7] = [
    ("container", "remove", "destroy"),
    ("container", "died", "die"),
    ("container", "exec", "exec_start"),
    ("container", "exec_died", "exec_die"),
    ("network", "remove", "destroy"),
    ("volume", "remove", "destroy"),
    ("image", "remove", "delete"),
];
/// Attributes that Podman has in every event, whether or not there is anything to say.
const FILLERS: [&str; 4] = ["image", "name", "network", "podId"];

/// Puts an event of Podman into Docker's words. `health`: the result of a health check.
pub(super) fn translated(mut event: EngineEvent, health: &str) -> EngineEvent {
    let found =
        ACTIONS.iter().find(|(kind, action, _)| *kind == event.kind && *action == event.action);
    if let Some((_, _, action)) = found {
        (*action).clone_into(&mut event.action);
    }
    let attributes = &mut event.attributes;
    for key in FILLERS {
        if attributes.get(key).is_some_and(String::is_empty) {
            attributes.remove(key);
        }
    }
    let code = attributes.remove("containerExitCode");
    match (event.kind.as_str(), event.action.as_str()) {
        ("container", "die" | "exec_die") => {
            if let Some(code) = code {
                attributes.insert("exitCode".to_owned(), code);
            }
        }
        ("container", "health_status") if !health.is_empty() => {
            event.action = format!("health_status: {health}");
        }
        // Podman names the container where Docker has the network.
        ("network", "connect" | "disconnect") => {
            let container = std::mem::take(&mut event.actor);
            attributes.insert("container".to_owned(), container);
            match attributes.remove("network") {
                Some(network) => {
                    event.actor.clone_from(&network);
                    attributes.insert("name".to_owned(), network);
                }
                None => drop(attributes.remove("name")),
            }
        }
        ("network", _) => {
            for (theirs, docker) in [("network", "name"), ("driver", "type")] {
                if let Some(value) = attributes.remove(theirs) {
                    attributes.insert(docker.to_owned(), value);
                }
            }
        }
        ("volume", _) => {
            if let Some(name) = attributes.remove("name") {
                event.actor = name;
            }
        }
        ("system", _) => "daemon".clone_into(&mut event.kind),
        _ => {}
    }
    let key = if event.kind == "image" { "name" } else { "image" };
    if let Some(image) = attributes.get_mut(key)
        && let Some(short) = image.strip_prefix("docker.io/")
    {
        *image = short.strip_prefix("library/").unwrap_or(short).to_owned();
    }
    event
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> (String, String, String, String) {
        let event = EngineEvent::of_line(line.as_bytes(), true).unwrap();
        let attributes = event.attributes.iter().map(|(key, value)| format!("{key}={value}"));
        let attributes = attributes.collect::<Vec<_>>().join(" ");
        (event.kind, event.action, event.actor, attributes)
    }

    fn said(
        kind: &str,
        action: &str,
        actor: &str,
        attributes: &str,
    ) -> (String, String, String, String) {
        (kind.to_owned(), action.to_owned(), actor.to_owned(), attributes.to_owned())
    }

    /// As Podman 4.3 and 5.4 write them.
    #[test]
    fn events_of_podman_are_put_into_words_of_docker() {
        assert_eq!(
            read(
                r#"{"Type":"container","Action":"remove","Actor":{"ID":"486f","Attributes":{"colour":"red","containerExitCode":"0","image":"docker.io/library/app:v1","name":"web2","podId":""}}}"#
            ),
            said("container", "destroy", "486f", "colour=red image=app:v1 name=web2")
        );
        assert_eq!(
            read(
                r#"{"Type":"container","Action":"die","Actor":{"ID":"486f","Attributes":{"containerExitCode":"137","exitCode":"137","image":"quay.io/app:v1","name":"web2","podId":""}}}"#
            ),
            said("container", "die", "486f", "exitCode=137 image=quay.io/app:v1 name=web2")
        );
        assert_eq!(
            read(
                r#"{"Type":"container","Action":"health_status","Actor":{"ID":"5a","Attributes":{"image":"docker.io/me/app:v1","name":"hc","podId":""}},"HealthStatus":"healthy"}"#
            ),
            said("container", "health_status: healthy", "5a", "image=me/app:v1 name=hc")
        );
        assert_eq!(
            read(
                r#"{"Type":"network","Action":"create","Actor":{"ID":"1624","Attributes":{"driver":"bridge","image":"","name":"","network":"evnet","podId":""}}}"#
            ),
            said("network", "create", "1624", "name=evnet type=bridge")
        );
        assert_eq!(
            read(
                r#"{"Type":"network","Action":"connect","Actor":{"ID":"4190","Attributes":{"image":"","name":"nc","network":"evnet2","podId":""}}}"#
            ),
            said("network", "connect", "evnet2", "container=4190 name=evnet2")
        );
        assert_eq!(
            read(
                r#"{"Type":"volume","Action":"remove","Actor":{"ID":"","Attributes":{"containerExitCode":"0","image":"","name":"evvol","podId":""}}}"#
            ),
            said("volume", "destroy", "evvol", "")
        );
        assert_eq!(
            read(
                r#"{"Type":"image","Action":"untag","Actor":{"ID":"5237","Attributes":{"containerExitCode":"0","image":"","name":"docker.io/library/app:v2","podId":""}}}"#
            ),
            said("image", "untag", "5237", "name=app:v2")
        );
        assert_eq!(
            read(
                r#"{"Type":"system","Action":"refresh","Actor":{"ID":"","Attributes":{"image":"","name":"","podId":""}}}"#
            ),
            said("daemon", "refresh", "", "")
        );
    }
}
