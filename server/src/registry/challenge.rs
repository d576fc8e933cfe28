//! `WWW-Authenticate`: what a registry asks for. Pure.

/// One challenge of several.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Challenge {
    /// In lowercase: `bearer`, `basic`.
    pub scheme: String,
    parameters: Vec<(String, String)>,
}

impl Challenge {
    /// The value of a parameter, by its name in lowercase.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }
}

/// The challenges of a header; what cannot be read ends them.
pub(super) fn parse(header: &str) -> Vec<Challenge> {
    let mut found: Vec<Challenge> = Vec::new();
    let mut rest = header.trim_start_matches([' ', ',', '\t']);
    while !rest.is_empty() {
        let end = rest.find([' ', '=', ',', '\t']).unwrap_or(rest.len());
        let (name, after) = rest.split_at(end);
        let value = after.trim_start().strip_prefix('=').filter(|_| !found.is_empty());
        match (value, found.last_mut()) {
            _ if name.is_empty() => break,
            (Some(value), Some(challenge)) => {
                let Some((value, after)) = parameter(value.trim_start()) else { break };
                challenge.parameters.push((name.to_ascii_lowercase(), value));
                rest = after;
            }
            _ => {
                found.push(Challenge { scheme: name.to_ascii_lowercase(), parameters: Vec::new() });
                rest = after;
            }
        }
        rest = rest.trim_start_matches([' ', ',', '\t']);
    }
    found
}

/// A token or a quoted text at the beginning, and what follows.
fn parameter(text: &str) -> Option<(String, &str)> {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find([',', ' ', '\t']).unwrap_or(text.len());
        return Some((text[..end].to_owned(), &text[end..]));
    };
    let (mut value, mut letters) = (String::new(), quoted.char_indices());
    while let Some((place, letter)) = letters.next() {
        match letter {
            '"' => return Some((value, &quoted[place + 1..])),
            '\\' => value.push(letters.next()?.1),
            _ => value.push(letter),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn challenges_of_registries_are_read() {
        let header =
            r#"Bearer realm="https://auth.example/token?a=1,2",service="say \"hi\"",scope=x"#;
        let found = parse(header);
        let [bearer] = &found[..] else { panic!() };
        assert_eq!(bearer.scheme, "bearer");
        assert_eq!(bearer.parameter("realm"), Some("https://auth.example/token?a=1,2"));
        assert_eq!(bearer.parameter("service"), Some("say \"hi\""));
        assert_eq!(bearer.parameter("scope"), Some("x"));
        let both = parse(r#"Basic Realm="a b", BEARER realm=https://b"#);
        let schemes: Vec<_> = both.iter().map(|it| it.scheme.as_str()).collect();
        assert_eq!(schemes, ["basic", "bearer"]);
        assert_eq!(both[0].parameter("realm"), Some("a b"));
        assert_eq!(both[1].parameter("realm"), Some("https://b"));
    }

    #[test]
    fn what_is_no_challenge_ends_the_header() {
        for broken in
            ["", "=", ",,", "Bearer realm=\"no end", "Bearer realm=\"\\", "= =", "\u{e9}="]
        {
            for challenge in parse(broken) {
                assert_eq!(challenge.parameter("realm"), None, "{broken}");
            }
        }
    }
}
