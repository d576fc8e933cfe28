//! Conditions and annotations of a new rollout.

use std::collections::BTreeMap;

use crate::exit::Failure;

/// Flags of `start`, `restart` and `undo`.
#[derive(Debug, Clone, Default, clap::Args)]
#[command(next_help_heading = "Conditions and annotations")]
pub struct TermFlags {
    /// Start only if the plan still has this fingerprint, which `plan` shows
    #[arg(long, value_name = "FINGERPRINT", default_value = "", hide_default_value = true)]
    pub expect_plan: String,
    /// Annotation to store with the rollout, such as commit=4f2a1c; can be repeated
    #[arg(long = "annotation", value_name = "KEY=VALUE")]
    annotations: Vec<String>,
}

impl TermFlags {
    /// The annotations by key. The server checks them; this function only splits them.
    pub fn annotations(&self) -> Result<BTreeMap<String, String>, Failure> {
        let mut annotations = BTreeMap::new();
        for text in &self.annotations {
            let shown = text.escape_debug();
            let Some((key, value)) = text.split_once('=') else {
                let problem = format!("\"{shown}\" is not an annotation; write KEY=VALUE");
                return Err(Failure::Usage(problem));
            };
            if annotations.insert(key.to_owned(), value.to_owned()).is_some() {
                let key = key.escape_debug();
                return Err(Failure::Usage(format!("the annotation {key} is given twice")));
            }
        }
        Ok(annotations)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_has_a_key_and_any_value() {
        let of = |annotations: &[&str]| {
            let annotations = annotations.iter().map(|&text| text.to_owned()).collect();
            TermFlags { annotations, ..TermFlags::default() }.annotations()
        };
        let found = of(&["commit=4f2a1c", "job=https://ci.test/?a=b", "empty="]).unwrap();
        assert_eq!((found["job"].as_str(), found["empty"].as_str()), ("https://ci.test/?a=b", ""));
        assert!(of(&["commit"]).is_err() && of(&["a=1", "a=2"]).is_err());
    }
}
