//! Which version of the Engine API to speak with an Engine. Pure; called by the negotiation.

use super::ApiVersion;

/// The highest version this client speaks. Only in its own version does an Engine show and take
/// everything that a container can have. Up to 1.51 it is tried on real Engines; what 1.52 to 1.55
/// change is in the Engine's API changelog, and none of it is lost here.
pub const CLIENT_MAX: ApiVersion = ApiVersion::new(1, 55);

/// The lowest version this client speaks, and what an Engine that names none is taken to
/// speak, as Docker's own client does it.
pub const CLIENT_MIN: ApiVersion = ApiVersion::new(1, 24);

/// An Engine and this client that share no version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum NoCommonVersion {
    /// The Engine is older than any that is supported.
    #[error(
        "the Engine supports API versions up to {max}, but Wharf requires {CLIENT_MIN} to {CLIENT_MAX}; upgrade the Engine"
    )]
    TooOld { max: ApiVersion },
    /// The Engine no longer takes what this client speaks.
    #[error(
        "the Engine supports API versions from {min}, but Wharf supports {CLIENT_MIN} to {CLIENT_MAX}; upgrade Wharf, or lower the Engine's min-api-version"
    )]
    TooNew { min: ApiVersion },
}

/// The version to speak with an Engine that speaks `min` to `max`, as far as it says so.
pub(super) fn choose_version(
    max: Option<ApiVersion>,
    min: Option<ApiVersion>,
) -> Result<ApiVersion, NoCommonVersion> {
    let max = max.unwrap_or(CLIENT_MIN);
    if max < CLIENT_MIN {
        return Err(NoCommonVersion::TooOld { max });
    }
    let chosen = max.min(CLIENT_MAX);
    match min {
        Some(min) if chosen < min => Err(NoCommonVersion::TooNew { min }),
        _ => Ok(chosen),
    }
}

/// Whether the Engine's lowest version can decide anything: below ours it cannot be above its
/// own highest, so there is no need to ask for it.
pub(super) fn needs_minimum(max: Option<ApiVersion>) -> bool {
    max.is_some_and(|max| max > CLIENT_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(text: &str) -> ApiVersion {
        text.parse().unwrap()
    }

    #[test]
    fn every_released_engine_is_spoken_with() {
        for (engine, max, min, expected) in [
            ("17.12", "1.35", "1.12", "1.35"),
            ("18.03", "1.37", "1.12", "1.37"),
            ("18.06", "1.38", "1.12", "1.38"),
            ("18.09", "1.39", "1.12", "1.39"),
            ("19.03", "1.40", "1.12", "1.40"),
            ("20.10", "1.41", "1.12", "1.41"),
            ("23.0", "1.42", "1.12", "1.42"),
            ("24.0", "1.43", "1.12", "1.43"),
            ("25.0", "1.44", "1.24", "1.44"),
            ("26.1", "1.45", "1.24", "1.45"),
            ("27.0", "1.46", "1.24", "1.46"),
            ("27.5", "1.47", "1.24", "1.47"),
            ("28.0", "1.48", "1.24", "1.48"),
            ("28.1", "1.49", "1.24", "1.49"),
            ("28.2", "1.50", "1.24", "1.50"),
            ("28.5", "1.51", "1.24", "1.51"),
            ("29.0", "1.52", "1.44", "1.52"),
            ("29.2", "1.53", "1.44", "1.53"),
            ("29.5", "1.54", "1.40", "1.54"),
            ("29.7", "1.55", "1.40", "1.55"),
            ("later", "1.60", "1.44", "1.55"),
        ] {
            assert_eq!(
                choose_version(Some(version(max)), Some(version(min))),
                Ok(version(expected)),
                "Engine {engine}"
            );
        }
    }

    #[test]
    fn engines_out_of_reach_are_named() {
        let too_old = choose_version(Some(version("1.23")), None).unwrap_err();
        assert_eq!(too_old, NoCommonVersion::TooOld { max: version("1.23") });
        assert!(too_old.to_string().contains("up to 1.23"), "{too_old}");
        let too_new = choose_version(Some(version("1.70")), Some(version("1.60"))).unwrap_err();
        assert_eq!(too_new, NoCommonVersion::TooNew { min: version("1.60") });
        assert!(too_new.to_string().contains("from 1.60"), "{too_new}");
    }

    #[test]
    fn an_engine_that_names_no_version_is_taken_for_the_oldest() {
        assert_eq!(choose_version(None, None), Ok(CLIENT_MIN));
        assert_eq!(choose_version(Some(CLIENT_MIN), None), Ok(CLIENT_MIN));
    }

    #[test]
    fn the_minimum_is_asked_for_only_where_it_can_decide() {
        assert!(!needs_minimum(None));
        assert!(!needs_minimum(Some(CLIENT_MAX)));
        assert!(needs_minimum(Some(version("1.56"))));
    }

    #[test]
    fn versions_are_ordered_by_number() {
        assert!(version("1.9") < version("1.10"));
        for text in ["", "1", "v1.41", "1.41.0", "1.x", "-1.4", "1.-4"] {
            assert!(text.parse::<ApiVersion>().is_err(), "{text}");
        }
    }
}
