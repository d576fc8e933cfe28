//! The rules of a `.dockerignore` file: what of a directory belongs to the context. Pure.
//!
//! Later lines take precedence over earlier ones, and `!` makes an exception. A line that is for a
//! directory is for all that it has.

use super::pattern::{Malformed, Pattern, clean, literal};

/// The rules of a context.
#[derive(Debug, Clone, Default)]
pub struct Rules(Vec<Rule>);

#[derive(Debug, Clone)]
struct Rule {
    is_exception: bool,
    pattern: Pattern,
}

/// A line that is no rule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: \"{text}\" is not a pattern: {problem}")]
pub struct InvalidRule {
    line: usize,
    text: String,
    problem: String,
}

/// Which rules are for a directory, for what it has.
#[derive(Debug, Clone, Default)]
pub struct Inherited(Vec<bool>);

/// What the rules say of a path.
#[derive(Debug, Clone)]
pub struct Verdict {
    /// Whether it is left out.
    pub is_excluded: bool,
    /// For what it has, if it is a directory.
    pub inherited: Inherited,
}

impl Rules {
    /// Reads the text of the file.
    pub fn parse(text: &str) -> Result<Self, InvalidRule> {
        let mut rules = Vec::new();
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        for (index, written) in text.lines().enumerate() {
            if written.starts_with('#') {
                continue;
            }
            let trimmed = written.trim();
            let (is_exception, pattern) = match trimmed.strip_prefix('!') {
                Some(pattern) => (true, pattern.trim()),
                None => (false, trimmed),
            };
            let invalid = |problem: String| {
                let text = trimmed.escape_debug().to_string();
                InvalidRule { line: index + 1, text, problem }
            };
            if pattern.is_empty() {
                if is_exception {
                    return Err(invalid("! must precede a pattern".to_owned()));
                }
                continue;
            }
            let pattern = clean(pattern);
            // A slash in front means the same as none.
            let pattern = pattern.strip_prefix('/').filter(|it| !it.is_empty()).unwrap_or(&pattern);
            let pattern =
                Pattern::parse(pattern).map_err(|error: Malformed| invalid(error.to_string()))?;
            rules.push(Rule { is_exception, pattern });
        }
        Ok(Self(rules))
    }

    /// The same with an exception for this path.
    pub fn keeping(mut self, path: &str) -> Self {
        let pattern = Pattern::parse(&literal(path)).expect("a literal is a pattern");
        self.0.push(Rule { is_exception: true, pattern });
        self
    }

    /// What the rules say of a path in a directory for which `inherited` rules are. Like docker, a
    /// rule that would not change anything for the directory is not looked at for it.
    pub fn verdict(&self, path: &str, inherited: &Inherited) -> Verdict {
        let mut is_excluded = false;
        let mut matched = vec![false; self.0.len()];
        for (index, rule) in self.0.iter().enumerate() {
            let matches = inherited.0.get(index).copied().unwrap_or(false)
                || rule.is_exception == is_excluded && rule.pattern.matches(path);
            matched[index] = matches;
            if matches {
                is_excluded = !rule.is_exception;
            }
        }
        Verdict { is_excluded, inherited: Inherited(matched) }
    }

    /// Whether a path is left out, or a directory above it.
    pub fn exclude(&self, path: &str) -> bool {
        let mut inherited = Inherited::default();
        let ends = path.match_indices('/').map(|(end, _)| end).chain([path.len()]);
        let mut is_excluded = false;
        for end in ends {
            let verdict = self.verdict(&path[..end], &inherited);
            (is_excluded, inherited) = (verdict.is_excluded, verdict.inherited);
        }
        is_excluded
    }

    /// Whether an exception may be for something in a directory that is left out.
    pub fn has_exception_below(&self, directory: &str) -> bool {
        let mut exceptions = self.0.iter().filter(|rule| rule.is_exception);
        exceptions.any(|rule| rule.pattern.may_match_below(directory))
    }
}

/// The text of a `.dockerignore` file with which the Engine leaves out exactly those paths that are
/// to be left out: it needs the Dockerfile and the file itself, and takes them out of the context
/// before the build. Unchanged if its rules say so anyway.
pub fn for_engine(text: &str, paths: &[(&str, bool)]) -> String {
    let rules = Rules::parse(text).unwrap_or_default();
    let mut lines = text.to_owned();
    for (path, left_out) in paths.iter().filter(|(path, out)| rules.exclude(path) != *out) {
        if !lines.is_empty() && !lines.ends_with('\n') {
            lines.push('\n');
        }
        let mark = if *left_out { "" } else { "!" };
        lines.push_str(&format!("{mark}{}\n", literal(path)));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn left_out(text: &str, paths: &[&str]) -> Vec<bool> {
        let rules = Rules::parse(text).unwrap();
        paths.iter().map(|path| rules.exclude(path)).collect()
    }

    #[test]
    fn later_lines_take_precedence_and_directories_count_for_all_they_have() {
        let paths = ["a", "a/b", "a/keep", "c/d.md", "README.md"];
        let all = left_out("*", &paths);
        assert_eq!(all, [true; 5]);
        assert_eq!(left_out("*\n!a/keep", &paths), [true, true, false, true, true]);
        assert_eq!(left_out("!a/keep\n*", &paths), [true; 5]);
        assert_eq!(left_out("a\n!a\na/b", &paths), [false, true, false, false, false]);
        assert_eq!(left_out("**/*.md\n!README.md", &paths), [false, false, false, true, false]);
        assert_eq!(left_out("/a/\n", &paths), [true, true, true, false, false]);
        assert_eq!(left_out("./a/../c", &paths), [false, false, false, true, false]);
    }

    #[test]
    fn comments_spaces_and_marks_are_read_as_docker_reads_them() {
        let text = "\u{feff}# a\n  b  \r\n\n #c\n! d\n";
        assert_eq!(Rules::parse(text).unwrap().0.len(), 3);
        assert_eq!(left_out(text, &["a", "b", "#c"]), [false, true, true]);
        assert_eq!(left_out("b\n! b", &["b"]), [false]);
        for (text, line) in [("a\n!", 2), ("[", 1), ("x\\", 1)] {
            assert_eq!(Rules::parse(text).unwrap_err().line, line, "{text}");
        }
        let error = Rules::parse("a\n[b").unwrap_err().to_string();
        assert!(error.starts_with("line 2: \"[b\" is not a pattern: "), "{error}");
    }

    #[test]
    fn an_exception_may_be_below_a_directory_that_is_left_out() {
        let rules = Rules::parse("*\n!a/keep\n!**/x").unwrap();
        assert!(rules.has_exception_below("a") && rules.has_exception_below("b/c"));
        let rules = Rules::parse("*\n!a/keep").unwrap();
        assert!(!rules.has_exception_below("b") && !rules.has_exception_below("a/keep"));
        assert!(!rules.keeping("sub/Dockerfile").exclude("sub/Dockerfile"));
    }

    #[test]
    fn the_engine_removes_what_is_left_out() {
        let text = "Dockerfile\n.dockerignore\n";
        let (file, own) = ("Dockerfile", ".dockerignore");
        assert_eq!(for_engine(text, &[(file, true), (own, true)]), text);
        assert_eq!(for_engine("", &[(file, false), (own, true)]), ".dockerignore\n");
        assert_eq!(for_engine("*", &[("x[1]", true), (file, false)]), "*\n!Dockerfile\n");
        assert_eq!(for_engine("a", &[("b[1]", true)]), "a\nb\\[1]\n");
    }
}
