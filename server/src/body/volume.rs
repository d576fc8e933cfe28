//! Creates the body of `POST /volumes/create` from a request, and compares it with a volume that
//! exists. Called by the volume service.

use serde_json::{Map, Value};
use wharf::v1::CreateVolumeRequest;

use super::difference::Differences;
use super::network::{set, text_map};
use super::violation::Violations;
use crate::domain::VolumeName;

/// The name and the Engine's body; all problems go to `violations`. What the request leaves unset is
/// not in the body.
pub fn volume_body(
    request: &CreateVolumeRequest,
    violations: &mut Violations,
) -> Option<(VolumeName, Value)> {
    let name = violations.check("name", VolumeName::parse(&request.name));
    let mut body = Map::new();
    set(&mut body, "Name", &request.name);
    set(&mut body, "Driver", &request.driver);
    super::network::driver_name("driver", &request.driver, violations);
    for (key, field, entries) in
        [("DriverOpts", "options", &request.options), ("Labels", "labels", &request.labels)]
    {
        text_map(&mut body, key, field, entries, violations);
    }
    Some((name?, Value::Object(body)))
}

/// The differences between a requested body and the inspection of a volume.
pub fn volume_differences(asked: &Value, here: &Value) -> Vec<String> {
    let mut found = Differences::default();
    found.value("driver", &asked["Driver"], &here["Driver"]);
    found.entries("option", &asked["DriverOpts"], &here["Options"]);
    found.entries("label", &asked["Labels"], &here["Labels"]);
    found.into_lines()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn request() -> CreateVolumeRequest {
        CreateVolumeRequest {
            name: "data".into(),
            driver: "local".into(),
            options: [("type".into(), "tmpfs".into())].into(),
            labels: [("env".into(), "prod".into())].into(),
            ..Default::default()
        }
    }

    #[test]
    fn a_request_becomes_the_engines_body() {
        let mut violations = Violations::default();
        let (name, body) = volume_body(&request(), &mut violations).unwrap();
        assert_eq!((name.as_str(), violations.count()), ("data", 0));
        let expected = json!({"Name": "data", "Driver": "local", "DriverOpts": {"type": "tmpfs"},
                              "Labels": {"env": "prod"}});
        assert_eq!(body, expected);
        let bare = CreateVolumeRequest { name: "data".into(), ..Default::default() };
        let (_, body) = volume_body(&bare, &mut violations).unwrap();
        assert_eq!(body, json!({"Name": "data"}));
    }

    #[test]
    fn bad_fields_are_all_named() {
        let wrong = CreateVolumeRequest {
            name: "a/b".into(),
            driver: "lo cal".into(),
            labels: [(String::new(), "x".into())].into(),
            options: [("a\0".into(), "x".into())].into(),
            ..Default::default()
        };
        let mut violations = Violations::default();
        assert!(volume_body(&wrong, &mut violations).is_none());
        let found = violations.or(()).unwrap_err();
        let fields: Vec<&str> = found.iter().map(|it| it.field.as_str()).collect();
        assert_eq!(fields, ["name", "driver", "options", "labels"]);
    }

    #[test]
    fn a_volume_is_compared_in_what_was_asked_for() {
        let mut violations = Violations::default();
        let (_, asked) = volume_body(&request(), &mut violations).unwrap();
        let same = json!({"Name": "data", "Driver": "local", "Options": {"type": "tmpfs"},
                          "Labels": {"env": "prod", "more": "1"}, "Scope": "local"});
        assert!(volume_differences(&asked, &same).is_empty());
        let other =
            json!({"Name": "data", "Driver": "nfs", "Options": null, "Labels": {"env": "test"}});
        assert_eq!(
            volume_differences(&asked, &other),
            [
                "driver: here nfs, asked local",
                "option type: here unset, asked \"tmpfs\"",
                "label env: here \"test\", asked \"prod\"",
            ]
        );
        let bare = json!({"Name": "data"});
        assert!(volume_differences(&bare, &other).is_empty(), "nothing was asked for");
    }
}
