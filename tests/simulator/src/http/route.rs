//! Maps method and path to a call, like the Engine's router. Pure.

use percent_encoding::percent_decode_str;
use wharf_server::engine::ApiVersion;

use crate::operation::Operation;

/// What a request asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Routed {
    /// The version in the path.
    pub version: Option<ApiVersion>,
    /// The call; `None` where there is no such path.
    pub operation: Option<Operation>,
    /// The container or image in the path.
    pub name: String,
    /// Where a path that is not clean is sent on to.
    pub moved: Option<String>,
    query: Vec<(String, String)>,
}

impl Routed {
    /// A parameter; empty where it is not there.
    pub(super) fn text(&self, key: &str) -> &str {
        let found = self.query.iter().find(|(name, _)| name == key);
        found.map_or("", |(_, value)| value)
    }

    /// All values of a parameter.
    pub(super) fn texts(&self, key: &str) -> Vec<String> {
        let all = self.query.iter().filter(|(name, _)| name == key);
        all.map(|(_, value)| value.clone()).collect()
    }

    /// A boolean, by the Engine's rule of what is false.
    pub(super) fn flag(&self, key: &str) -> bool {
        let text = self.text(key).trim().to_ascii_lowercase();
        !matches!(text.as_str(), "" | "0" | "no" | "false" | "none")
    }

    /// What it is about: a name in path or query.
    pub(super) fn subject(&self) -> &str {
        match self.operation {
            Some(Operation::Pull) => self.text("fromImage"),
            Some(Operation::Create) => self.text("name"),
            Some(Operation::Build) => self.text("t"),
            _ => &self.name,
        }
    }
}

/// Finds out what a request asks for.
pub(super) fn route(method: &str, path: &str, query: Option<&str>) -> Routed {
    let decoded = percent_decode_str(path).decode_utf8_lossy().into_owned();
    let query = url::form_urlencoded::parse(query.unwrap_or_default().as_bytes());
    let mut routed = Routed {
        version: None,
        operation: None,
        name: String::new(),
        moved: None,
        query: query.into_owned().collect(),
    };
    let segments: Vec<&str> = decoded.split('/').skip(1).collect();
    if segments.iter().any(|segment| matches!(*segment, "" | "." | "..")) && decoded != "/" {
        routed.moved = Some(clean(&segments));
        return routed;
    }
    let version = segments
        .first()
        .and_then(|first| first.strip_prefix('v'))
        .and_then(|text| text.parse().ok());
    let segments = if version.is_some() { &segments[1..] } else { &segments[..] };
    routed.version = version;
    if let Some((operation, name)) = find(method, segments) {
        routed.operation = Some(operation);
        routed.name = name;
    }
    routed
}

/// The API version that brought a call; older Engines do not have it.
pub(super) fn since(operation: Operation) -> ApiVersion {
    match operation {
        Operation::DiskUsage
        | Operation::PruneImages
        | Operation::PruneContainers
        | Operation::PruneNetworks
        | Operation::PruneVolumes => ApiVersion::new(1, 25),
        Operation::Distribution => ApiVersion::new(1, 30),
        _ => ApiVersion::new(1, 0),
    }
}

fn find(method: &str, segments: &[&str]) -> Option<(Operation, String)> {
    use Operation as O;
    let plain = |operation| Some((operation, String::new()));
    let named = |operation, name: &[&str]| Some((operation, name.join("/")));
    match (method, segments) {
        ("POST", ["networks", name, "connect"]) => named(O::ConnectNetwork, &[name]),
        ("POST", ["networks", name, "disconnect"]) => named(O::DisconnectNetwork, &[name]),
        ("POST", ["networks", "create"]) => plain(O::CreateNetwork),
        ("POST", ["networks", "prune"]) => plain(O::PruneNetworks),
        ("GET", ["networks", name]) => named(O::InspectNetwork, &[name]),
        ("DELETE", ["networks", name]) => named(O::RemoveNetwork, &[name]),
        ("GET", ["volumes"]) => plain(O::ListVolumes),
        ("POST", ["volumes", "create"]) => plain(O::CreateVolume),
        ("POST", ["volumes", "prune"]) => plain(O::PruneVolumes),
        ("GET", ["volumes", name]) => named(O::InspectVolume, &[name]),
        ("DELETE", ["volumes", name]) => named(O::RemoveVolume, &[name]),
        ("POST", ["exec", id, "start"]) => named(O::StartExec, &[id]),
        ("POST", ["exec", id, "resize"]) => named(O::ResizeExec, &[id]),
        ("GET", ["exec", id, "json"]) => named(O::InspectExec, &[id]),
        ("GET", ["distribution", name @ .., "json"]) => named(O::Distribution, name),
        ("GET" | "HEAD", ["_ping"]) => plain(O::Ping),
        ("GET", ["version"]) => plain(O::Version),
        ("GET", ["info"]) => plain(O::Info),
        ("GET", ["system", "df"]) => plain(O::DiskUsage),
        ("GET", ["events"]) => plain(O::Events),
        ("POST", ["auth"]) => plain(O::Login),
        ("POST", ["build"]) => plain(O::Build),
        ("GET", ["images", "json"]) => plain(O::ListImages),
        ("GET", ["images", "get"]) => plain(O::SaveImages),
        ("POST", ["images", "load"]) => plain(O::LoadImages),
        ("POST", ["images", "create"]) => plain(O::Pull),
        ("POST", ["images", "prune"]) => plain(O::PruneImages),
        ("GET", ["images", name @ .., "json"]) => named(O::InspectImage, name),
        ("GET", ["images", name @ .., "history"]) => named(O::ImageHistory, name),
        ("POST", ["images", name @ .., "push"]) => named(O::Push, name),
        ("POST", ["images", name @ .., "tag"]) => named(O::Tag, name),
        ("DELETE", ["images", name @ ..]) if !name.is_empty() => named(O::RemoveImage, name),
        ("GET", ["networks"]) => plain(O::ListNetworks),
        ("GET", ["containers", "json"]) => plain(O::ListContainers),
        ("POST", ["containers", "create"]) => plain(O::Create),
        ("POST", ["containers", "prune"]) => plain(O::PruneContainers),
        ("DELETE", ["containers", name]) => named(O::Remove, &[name]),
        ("GET", ["containers", name, "json"]) => named(O::Inspect, &[name]),
        ("HEAD", ["containers", name, "archive"]) => named(O::StatPath, &[name]),
        ("GET", ["containers", name, "archive"]) => named(O::DownloadArchive, &[name]),
        ("PUT", ["containers", name, "archive"]) => named(O::UploadArchive, &[name]),
        ("GET", ["containers", name, "top"]) => named(O::Top, &[name]),
        ("GET", ["containers", name, "logs"]) => named(O::Logs, &[name]),
        ("GET", ["containers", name, "stats"]) => named(O::Stats, &[name]),
        ("GET", ["containers", name, "changes"]) => named(O::Changes, &[name]),
        ("POST", ["containers", name, verb]) => {
            let operation = match *verb {
                "start" => O::Start,
                "stop" => O::Stop,
                "restart" => O::Restart,
                "kill" => O::Kill,
                "pause" => O::Pause,
                "unpause" => O::Unpause,
                "rename" => O::Rename,
                "update" => O::Update,
                "wait" => O::Wait,
                "exec" => O::Exec,
                _ => return None,
            };
            named(operation, &[name])
        }
        _ => None,
    }
}

/// The path as Go's router sends it on: without empty segments, `.` and `..`.
fn clean(segments: &[&str]) -> String {
    let mut kept: Vec<&str> = Vec::new();
    for segment in segments {
        match *segment {
            "" | "." => {}
            ".." => {
                kept.pop();
            }
            segment => kept.push(segment),
        }
    }
    format!("/{}", kept.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_read_as_the_engine_does() {
        let routed = route("GET", "/v1.41/images/127.0.0.1:5000/a%2Fb%3Av1/json", None);
        assert_eq!(routed.operation, Some(Operation::InspectImage));
        assert_eq!(routed.name, "127.0.0.1:5000/a/b:v1");
        assert_eq!(routed.version, Some(ApiVersion::new(1, 41)));
        let routed = route("POST", "/containers/web/stop", Some("t=5&x=%7B"));
        assert_eq!((routed.operation, routed.text("t")), (Some(Operation::Stop), "5"));
        assert_eq!(route("GET", "/v1.41/containers/web/stop", None).operation, None);
        assert_eq!(route("GET", "/v1.x/info", None).operation, None);
    }

    #[test]
    fn unclean_paths_are_sent_on() {
        let moved = |path: &str| route("POST", path, None).moved;
        assert_eq!(moved("/v1.41/containers//json").as_deref(), Some("/v1.41/containers/json"));
        assert_eq!(moved("/v1.41/images/%2e%2e").as_deref(), Some("/v1.41"));
        assert_eq!(moved("/v1.41/containers/web/stop"), None);
    }

    #[test]
    fn only_five_texts_are_false() {
        let routed = route("GET", "/info", Some("a=0&b=False&c=none&d=&e=no&f=true&g=x"));
        for key in ["a", "b", "c", "d", "e", "missing"] {
            assert!(!routed.flag(key), "{key}");
        }
        assert!(routed.flag("f") && routed.flag("g"));
    }
}
