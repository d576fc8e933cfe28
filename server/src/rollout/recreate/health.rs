//! Whether a container has a health check: its own, or that of its image.

use serde_json::Value;

use super::json::items;

/// Whether a container from `body` and `image` (both the Engine's JSON; for an existing container,
/// its `Config`, which already includes the image's) has a health check. `None` if that depends on
/// an unknown image.
#[must_use]
pub fn has_health_check(body: &Value, image: Option<&Value>) -> Option<bool> {
    let own = of(&body["Healthcheck"]["Test"]);
    own.or_else(|| image.map(|image| of(&image["Config"]["Healthcheck"]["Test"]) == Some(true)))
}

/// What a `Test` means: yes, no, or nothing.
fn of(test: &Value) -> Option<bool> {
    items(test).next().map(|first| first != "NONE")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_container_s_own_wins_over_that_of_its_image() {
        let body = |test: Value| json!({"Healthcheck": {"Test": test, "Retries": 3}});
        let image = |test: Value| json!({"Config": {"Healthcheck": {"Test": test}}});
        let (check, off) = (json!(["CMD-SHELL", "true"]), json!(["NONE"]));
        for (own, of_image, expected) in [
            (check.clone(), None, Some(true)),
            (check.clone(), Some(image(off.clone())), Some(true)),
            (off.clone(), Some(image(check.clone())), Some(false)),
            (off.clone(), None, Some(false)),
            // Without a test of its own, the rest of it is mixed with the image's.
            (json!([]), Some(image(check.clone())), Some(true)),
            (json!(null), Some(image(check.clone())), Some(true)),
            (json!(null), Some(image(off)), Some(false)),
            (json!(null), Some(json!({"Config": {}})), Some(false)),
            (json!([]), None, None),
        ] {
            let found = has_health_check(&body(own.clone()), of_image.as_ref());
            assert_eq!(found, expected, "{own} {of_image:?}");
        }
        assert_eq!(has_health_check(&json!({}), Some(&image(check))), Some(true));
        assert_eq!(has_health_check(&json!({}), None), None);
    }
}
