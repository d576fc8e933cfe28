//! Images in a listing: one row for every name.

use jiff::Timestamp;
use serde_json::{Value, json};
use wharf::v1::Image;

use super::{labels, short_id, units};
use crate::report::listing::View;
use crate::table::Column;

/// What docker shows for a missing name.
const NONE: &str = "<none>";

impl View for Image {
    const COLUMNS: &'static [Column] = &[
        Column::new("REPOSITORY"),
        Column::new("TAG"),
        Column::new("IMAGE ID"),
        Column::new("CREATED").shrinks(),
        Column::new("SIZE").number(),
        Column::new("DIGEST").wide(),
        Column::new("CONTAINERS").wide().number(),
        Column::new("LABELS").wide().shrinks(),
    ];

    const ID: Option<(usize, fn(&Self) -> &str)> = Some((2, |item| &item.id));

    const FIELDS: &'static [&'static str] = &[
        "Repository",
        "Tag",
        "ID",
        "CreatedSince",
        "Size",
        "Digest",
        "Containers",
        "Labels",
        "CreatedAt",
        "Label",
    ];

    fn more(&self) -> Vec<Value> {
        vec![units::rfc3339(self.created_at.as_ref()).into(), json!(self.labels)]
    }

    fn rows(&self, now: Timestamp) -> Vec<Vec<String>> {
        let mut names: Vec<(String, String)> = self
            .repo_tags
            .iter()
            .filter_map(|name| name.rsplit_once(':'))
            .map(|(repository, tag)| (repository.to_owned(), tag.to_owned()))
            .collect();
        if names.is_empty() {
            let repository = self.repo_digests.first().and_then(|name| name.split_once('@'));
            names.push((repository.map_or(NONE, |(name, _)| name).to_owned(), NONE.to_owned()));
        }
        let digest = |repository: &str| {
            let of = |name: &String| {
                name.split_once('@')
                    .filter(|(name, _)| *name == repository)
                    .map(|(_, d)| d.to_owned())
            };
            self.repo_digests.iter().find_map(of).unwrap_or_else(|| NONE.to_owned())
        };
        let row = |(repository, tag): (String, String)| {
            let digest = digest(&repository);
            vec![
                repository,
                tag,
                short_id(&self.id),
                units::ago(self.created_at.as_ref(), now),
                units::size(self.size_bytes as f64),
                digest,
                if self.containers < 0 { String::new() } else { self.containers.to_string() },
                labels(&self.labels),
            ]
        };
        names.into_iter().map(row).collect()
    }

    fn names(&self) -> Vec<String> {
        if self.repo_tags.is_empty() { vec![self.id.clone()] } else { self.repo_tags.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_has_a_row_for_each_of_its_names() {
        let now = Timestamp::from_second(100).unwrap();
        let image = Image {
            id: "sha256:0123456789abcdef".into(),
            repo_tags: vec!["r:5000/a:v1".into(), "b:v2".into()],
            repo_digests: vec!["r:5000/a@sha256:77".into()],
            size_bytes: 1_234_567,
            containers: -1,
            ..Image::default()
        };
        let rows = image.rows(now);
        assert_eq!(rows[0][..6], ["r:5000/a", "v1", "0123456789ab", "", "1.23MB", "sha256:77"]);
        assert_eq!(rows[1][..6], ["b", "v2", "0123456789ab", "", "1.23MB", "<none>"]);
        assert_eq!(rows[0].len(), Image::COLUMNS.len());
    }

    #[test]
    fn an_image_without_a_name_has_a_row_too() {
        let now = Timestamp::from_second(100).unwrap();
        let image = Image { repo_digests: vec!["a@sha256:77".into()], ..Image::default() };
        assert_eq!(image.rows(now)[0][..2], ["a", "<none>"]);
        assert_eq!(Image::default().rows(now)[0][..2], ["<none>", "<none>"]);
    }
}
