//! What a Dockerfile tells before it is built: the registries of the images that it uses, for their
//! logins, and whether it has here-documents. Pure. A registry that cannot be told, because the name
//! comes from a variable without a value, is left out.

use std::collections::{BTreeMap, BTreeSet};

use crate::credentials::registry_of;

/// The registries of base images and of `COPY --from`. `build_args` replace the values of `ARG`.
pub fn registries(text: &str, build_args: &BTreeMap<String, String>) -> BTreeSet<String> {
    let mut values: BTreeMap<String, String> = BTreeMap::new();
    let (mut stages, mut found) = (BTreeSet::new(), BTreeSet::new());
    for line in logical_lines(text) {
        let mut words = line.split_whitespace();
        let instruction = words.next().unwrap_or_default().to_ascii_uppercase();
        let image = match &*instruction {
            "ARG" if stages.is_empty() => {
                for word in words {
                    let (name, default) = word.split_once('=').unwrap_or((word, ""));
                    let default = default.trim_matches(['"', '\'']);
                    let value = build_args.get(name).map_or(default, String::as_str);
                    values.insert(name.to_owned(), expanded(value, &values).unwrap_or_default());
                }
                continue;
            }
            "FROM" => {
                let mut words = words.skip_while(|word| word.starts_with("--"));
                let image = words.next();
                let name = words.nth(1).unwrap_or_default().to_lowercase();
                let image = image.filter(|image| !stages.contains(&image.to_lowercase()));
                // A stage without a name has a number, which is no image either.
                stages.insert(name);
                image
            }
            "COPY" => words.find_map(|word| word.strip_prefix("--from=")),
            _ => None,
        };
        let image = image.and_then(|image| expanded(image, &values));
        let is_image = |image: &String| {
            let number = image.bytes().all(|byte| byte.is_ascii_digit());
            !number && image != "scratch" && !stages.contains(&image.to_lowercase())
        };
        found.extend(image.filter(is_image).map(|image| registry_of(&image).to_owned()));
    }
    found
}

/// The first line with a here-document, such as `RUN <<EOF`. Docker's classic builder takes its lines
/// for instructions, so its error does not say what is wrong.
pub fn here_document(text: &str) -> Option<usize> {
    let begins = |word: &str| {
        let word = word.trim_start_matches(|c: char| c.is_ascii_digit());
        let name = word.strip_prefix("<<").map(|name| name.strip_prefix('-').unwrap_or(name));
        let name = name.map(|name| name.trim_matches(['"', '\'']));
        name.is_some_and(|name| {
            name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
                && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        })
    };
    let has_one = |line: &str| {
        let mut words = line.split_whitespace();
        let instruction = words.next().unwrap_or_default().to_ascii_uppercase();
        matches!(&*instruction, "RUN" | "COPY" | "ADD") && words.any(begins)
    };
    text.lines().position(has_one).map(|index| index + 1)
}

/// Instructions, each on one line, without comments.
fn logical_lines(text: &str) -> Vec<String> {
    let (mut lines, mut line) = (Vec::new(), String::new());
    for part in text.lines().filter(|part| !part.trim_start().starts_with('#')) {
        match part.trim_end().strip_suffix('\\') {
            Some(part) => line.push_str(part),
            None => {
                line.push_str(part);
                lines.push(std::mem::take(&mut line));
            }
        }
    }
    lines.push(line);
    lines
}

/// The text with the values of variables: `$NAME`, `${NAME}`, `${NAME:-default}`. None if one has no
/// value.
fn expanded(text: &str, values: &BTreeMap<String, String>) -> Option<String> {
    let (mut result, mut rest) = (String::new(), text);
    while let Some((before, after)) = rest.split_once('$') {
        result.push_str(before);
        let (name, default) = if let Some(braced) = after.strip_prefix('{') {
            let (inside, after) = braced.split_once('}')?;
            rest = after;
            inside.split_once(":-").map_or((inside, None), |(name, it)| (name, Some(it)))
        } else {
            let end = after.find(|c: char| !c.is_ascii_alphanumeric() && c != '_');
            let (name, after) = after.split_at(end.unwrap_or(after.len()));
            rest = after;
            (name, None)
        };
        let value = values.get(name).map(String::as_str).filter(|value| !value.is_empty());
        result.push_str(value.or(default)?);
    }
    result.push_str(rest);
    Some(result)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Vec<String> {
        let arguments = BTreeMap::from([("REGISTRY".to_owned(), "given.example".to_owned())]);
        registries(text, &arguments).into_iter().collect()
    }

    #[test]
    fn a_here_document_is_found_and_other_uses_of_its_sign_are_not() {
        for text in
            ["RUN <<EOF", "FROM x\nrun cat <<-'END' > /x", "FROM x\ncopy <<\"A\" /x", "RUN 3<<X a"]
        {
            assert_eq!(here_document(text), Some(text.lines().count()), "{text}");
        }
        for text in ["RUN echo $((1 << 2)) 1<<2", "RUN cat <<< x", "# RUN <<EOF", "CMD <<EOF"] {
            assert_eq!(here_document(text), None, "{text}");
        }
    }

    #[test]
    fn base_images_say_which_registries_are_used() {
        for (text, expected) in [
            ("FROM alpine", &["docker.io"][..]),
            ("from --platform=linux/arm64 r.example/a AS b\nFROM B\nFROM scratch", &["r.example"]),
            ("# FROM x.example/a\nFROM \\\n  r.example:5000/a@sha256:00", &["r.example:5000"]),
            ("ARG REGISTRY=a.example\nFROM $REGISTRY/app", &["given.example"]),
            ("ARG R=\"b.example\"\nARG I=${R}/x\nFROM ${I}:${V:-1}", &["b.example"]),
            ("ARG R\nFROM ${R}/app", &[]),
            (
                "FROM a.example/x\nCOPY --from=b.example/y /a /b\nCOPY --from=0 /c /",
                &["a.example", "b.example"],
            ),
            ("RUN echo FROM x.example/y", &[]),
            ("FROM", &[]),
            ("FROM ${", &[]),
        ] {
            assert_eq!(of(text), expected, "{text}");
        }
    }
}
