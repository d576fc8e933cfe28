//! Which image runs where, as tables.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use wharf::v1::image_difference::Subject;
use wharf::v1::{ImageDifference, ImageUser, ReferenceCheck, RegistryComparison, UsedImage};

use super::short_id;
use crate::table::Column;

/// Columns of the images.
pub const COLUMNS: &[Column] = &[
    Column::new("IMAGE"),
    Column::new("REFERENCE").shrinks(),
    Column::new("CONTAINER"),
    Column::new("HOSTS").shrinks(),
    Column::new("NOTE"),
    Column::new("DIGEST").wide(),
    Column::new("IMAGE ID").wide(),
];

/// Columns of the references.
pub const REFERENCE_COLUMNS: &[Column] = &[
    Column::new("REFERENCE").shrinks(),
    Column::new("REGISTRY"),
    Column::new("CONTAINERS").number(),
    Column::new("NEWER").number(),
    Column::new("ASKED BY").wide(),
];

/// Columns of what could be upgraded.
pub const UPGRADE_COLUMNS: &[Column] = &[
    Column::new("CONTAINER"),
    Column::new("REFERENCE").shrinks(),
    Column::new("RUNS"),
    Column::new("REGISTRY"),
    Column::new("HOSTS").shrinks(),
    Column::new("PULLED").shrinks(),
];

/// Maximum number of hosts that a line names for each image; the others are counted.
const MOST_NAMES: usize = 6;

/// Containers of one name that run one image, although their tag names another one in the registry.
pub struct Upgrade {
    container: String,
    reference: String,
    image: String,
    registry_digest: String,
    /// The hosts, and whether each is cordoned.
    hosts: Vec<(String, bool)>,
    /// Those that have the image of the registry already.
    pulled: Vec<String>,
}

/// The digest of an image, or else its ID.
pub fn key(image: &UsedImage) -> &str {
    match (image.digest.as_str(), image.image_ids.first()) {
        ("", Some(id)) => id,
        (digest, _) => digest,
    }
}

/// A row for all containers of one name with the same image, reference, and note.
pub fn rows(images: &[UsedImage], differences: &[ImageDifference]) -> Vec<Vec<String>> {
    let mut rows = Vec::new();
    for image in images {
        let mut hosts: BTreeMap<[String; 3], Vec<String>> = BTreeMap::new();
        for user in &image.users {
            let note = note(image, user, differences);
            let row = [user.reference.clone(), user.container.clone(), note];
            hosts.entry(row).or_default().push(host(&user.host, user.cordoned));
        }
        for ([reference, container, note], hosts) in hosts {
            let hosts = hosts.join(", ");
            let reference = without_digits(&reference);
            let (digest, ids) = (image.digest.clone(), image.image_ids.join(","));
            rows.push(vec![short_id(key(image)), reference, container, hosts, note, digest, ids]);
        }
    }
    rows
}

/// `HOST/CONTAINER` of the containers that match, sorted.
pub fn places(images: &[UsedImage], matches: impl Fn(&ImageUser) -> bool) -> Vec<String> {
    let users = images.iter().flat_map(|image| &image.users).filter(|user| matches(user));
    let mut places: Vec<_> = users.map(|it| format!("{}/{}", it.host, it.container)).collect();
    places.sort();
    places
}

/// Whether the registry has another image.
pub fn is_newer(user: &ImageUser) -> bool {
    user.comparison() == RegistryComparison::Newer
}

/// Hosts that do not agree, on one line.
pub fn difference(it: &ImageDifference) -> String {
    let subject = match &it.subject {
        Some(Subject::Container(name)) => format!("container {name}"),
        Some(Subject::Reference(reference)) => reference.clone(),
        None => String::new(),
    };
    let variants = it.variants.iter().map(|variant| {
        let majority = if variant.image == it.majority { " (majority)" } else { "" };
        format!("{}{majority} on {}", short_id(&variant.image), some(&variant.hosts))
    });
    format!("{subject} differs: {}", variants.collect::<Vec<_>>().join("; "))
}

/// The row of a reference.
pub fn reference_row(check: &ReferenceCheck) -> Vec<String> {
    let digest = match check.digest.as_str() {
        "" => "unknown".to_owned(),
        digest => short_id(digest),
    };
    let (containers, newer) = (check.containers.to_string(), check.newer.to_string());
    vec![check.reference.clone(), digest, containers, newer, check.asked_host.clone()]
}

/// What could be upgraded, by container and reference.
pub fn upgrades(images: &[UsedImage], references: &[ReferenceCheck]) -> Vec<Upgrade> {
    let mut found: BTreeMap<(&str, &str, &str), Upgrade> = BTreeMap::new();
    for image in images {
        for user in image.users.iter().filter(|user| is_newer(user)) {
            let check = references.iter().find(|check| check.reference == user.reference);
            let registry_digest = check.map(|check| check.digest.clone()).unwrap_or_default();
            let place = (user.container.as_str(), user.reference.as_str(), key(image));
            let upgrade = found.entry(place).or_insert_with(|| Upgrade {
                container: user.container.clone(),
                reference: user.reference.clone(),
                image: key(image).to_owned(),
                registry_digest,
                hosts: Vec::new(),
                pulled: Vec::new(),
            });
            upgrade.hosts.push((user.host.clone(), user.cordoned));
            if !user.pulled_digest.is_empty() && user.pulled_digest == upgrade.registry_digest {
                upgrade.pulled.push(user.host.clone());
            }
        }
    }
    found.into_values().collect()
}

/// How many containers could not be compared, by reason; `None` if all were.
pub fn not_compared(images: &[UsedImage]) -> Option<String> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for user in images.iter().flat_map(|image| &image.users) {
        let is_compared =
            matches!(user.comparison(), RegistryComparison::Current | RegistryComparison::Newer);
        if !is_compared {
            *counts.entry(comparison(user.comparison())).or_default() += 1;
        }
    }
    let counts: Vec<_> = counts.iter().map(|(reason, count)| format!("{count} {reason}")).collect();
    (!counts.is_empty()).then(|| counts.join(", "))
}

impl Upgrade {
    /// The row in a table.
    pub fn row(&self) -> Vec<String> {
        let hosts: Vec<_> =
            self.hosts.iter().map(|(name, cordoned)| host(name, *cordoned)).collect();
        let pulled = match self.pulled.len() {
            0 => String::new(),
            all if all == self.hosts.len() => "everywhere".to_owned(),
            _ => self.pulled.join(", "),
        };
        vec![
            self.container.clone(),
            self.reference.clone(),
            short_id(&self.image),
            short_id(&self.registry_digest),
            hosts.join(", "),
            pulled,
        ]
    }

    /// For programs.
    pub fn json(&self) -> Value {
        let names = |cordoned: bool| -> Vec<&str> {
            let hosts = self.hosts.iter().filter(|(_, is)| *is || !cordoned);
            hosts.map(|(name, _)| name.as_str()).collect()
        };
        json!({
            "type": "upgrade",
            "container": self.container,
            "reference": self.reference,
            "image": self.image,
            "registryDigest": self.registry_digest,
            "hosts": names(false),
            "cordonedHosts": names(true),
            "pulledHosts": self.pulled,
        })
    }

    /// The command that upgrades them.
    pub fn command(&self) -> String {
        let hosts: Vec<_> = self.hosts.iter().filter(|(_, cordoned)| !cordoned).collect();
        let hosts = match hosts.len() {
            0 => "HOST,…".to_owned(),
            1..=MOST_NAMES => {
                hosts.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(",")
            }
            _ => format!("{},…", hosts[0].0),
        };
        format!("wharf rollout restart {} --pull-policy always -H {hosts}", self.container)
    }
}

/// What is to be known of a container, in one word each.
fn note(image: &UsedImage, user: &ImageUser, differences: &[ImageDifference]) -> String {
    let differs = differences.iter().any(|it| {
        let is_about = match &it.subject {
            Some(Subject::Container(name)) => *name == user.container,
            Some(Subject::Reference(reference)) => *reference == user.reference,
            None => false,
        };
        is_about && it.majority != key(image)
    });
    let local = RegistryComparison::Local;
    let is_local = image.digest.is_empty() && user.comparison() == RegistryComparison::Unspecified;
    let notes = [
        (differs, "differs"),
        (!user.pulled_image_id.is_empty(), "pulled"),
        (is_local, comparison(local)),
        (true, comparison(user.comparison())),
    ];
    let notes = notes.iter().filter(|(is, text)| *is && !text.is_empty());
    notes.map(|(_, text)| *text).collect::<Vec<_>>().join(", ")
}

fn comparison(comparison: RegistryComparison) -> &'static str {
    match comparison {
        RegistryComparison::Unspecified => "",
        RegistryComparison::Current => "current",
        RegistryComparison::Newer => "newer",
        RegistryComparison::Incomparable => "incomparable",
        RegistryComparison::Local => "local",
        RegistryComparison::Pinned => "pinned",
        RegistryComparison::NoReference => "ID",
        RegistryComparison::Failed => "unknown",
    }
}

fn host(name: &str, cordoned: bool) -> String {
    if cordoned { format!("{name} (cordoned)") } else { name.to_owned() }
}

/// A reference with at most twelve digits of its digest, or of the ID that it is.
fn without_digits(reference: &str) -> String {
    match reference.split_once("@sha256:") {
        Some((name, digits)) => format!("{name}@{}", short_id(digits)),
        None if reference.starts_with("sha256:") => short_id(reference),
        None => reference.to_owned(),
    }
}

/// The first of many names, and the number of others.
fn some(names: &[String]) -> String {
    let shown = names.iter().take(MOST_NAMES).map(String::as_str).collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(MOST_NAMES) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

#[cfg(test)]
mod tests {
    use wharf::v1::ImageVariant;

    use super::*;
    use crate::table::render;

    const OLD: &str = "sha256:1111111111111111";
    const NEW: &str = "sha256:2222222222222222";

    fn user(host: &str, comparison: RegistryComparison) -> ImageUser {
        ImageUser {
            host: host.to_owned(),
            container: "web".to_owned(),
            reference: "registry.example.com/team/app:v1".to_owned(),
            cordoned: host == "web3",
            comparison: comparison.into(),
            ..ImageUser::default()
        }
    }

    fn images() -> Vec<UsedImage> {
        let image = |digest: &str, users| UsedImage {
            digest: digest.to_owned(),
            image_ids: vec!["sha256:77".to_owned()],
            users,
            ..UsedImage::default()
        };
        let newer = RegistryComparison::Newer;
        let pulled = ImageUser {
            pulled_image_id: "sha256:88".to_owned(),
            pulled_digest: NEW.to_owned(),
            ..user("web4", newer)
        };
        vec![
            image(OLD, vec![user("web1", newer), user("web3", newer), pulled]),
            image(NEW, vec![user("web2", RegistryComparison::Current)]),
            image("", vec![user("web5", RegistryComparison::Local)]),
        ]
    }

    fn differences() -> Vec<ImageDifference> {
        let variant = |image: &str, hosts: &[&str]| ImageVariant {
            image: image.to_owned(),
            hosts: hosts.iter().map(|&host| host.to_owned()).collect(),
        };
        vec![ImageDifference {
            subject: Some(Subject::Container("web".to_owned())),
            majority: OLD.to_owned(),
            variants: vec![variant(OLD, &["web1", "web3", "web4"]), variant(NEW, &["web2"])],
        }]
    }

    fn references() -> Vec<ReferenceCheck> {
        let reference = "registry.example.com/team/app:v1".to_owned();
        vec![ReferenceCheck { reference, digest: NEW.to_owned(), ..ReferenceCheck::default() }]
    }

    #[test]
    fn containers_with_the_same_image_and_the_same_notes_share_a_row() {
        assert_eq!(
            render(COLUMNS, &rows(&images(), &differences()), false, None),
            [
                "IMAGE          REFERENCE                          CONTAINER   HOSTS                   NOTE",
                "111111111111   registry.example.com/team/app:v1   web         web1, web3 (cordoned)   newer",
                "111111111111   registry.example.com/team/app:v1   web         web4                    pulled, newer",
                "222222222222   registry.example.com/team/app:v1   web         web2                    differs, current",
                "77             registry.example.com/team/app:v1   web         web5                    differs, local",
            ]
        );
    }

    #[test]
    fn a_narrow_terminal_keeps_images_containers_and_notes() {
        let lines = render(COLUMNS, &rows(&images(), &differences()), false, Some(72));
        assert!(lines.iter().all(|line| line.chars().count() <= 72), "{lines:#?}");
        assert!(lines[3].starts_with("222222222222 "), "{lines:#?}");
        assert!(lines[3].ends_with("differs, current") && lines[3].contains(" web "), "{lines:#?}");
    }

    #[test]
    fn hosts_that_differ_are_named_after_the_majority() {
        let line = difference(&differences()[0]);
        let expected = "container web differs: 111111111111 (majority) on web1, web3, web4; \
                        222222222222 on web2";
        assert_eq!(line, expected);
        let names: Vec<_> = (1..=8).map(|number| format!("h{number}")).collect();
        assert_eq!(some(&names), "h1, h2, h3, h4, h5, h6 and 2 more");
    }

    #[test]
    fn what_could_be_upgraded_is_listed_with_the_command_that_does_it() {
        let upgrades = upgrades(&images(), &references());
        assert_eq!(upgrades.len(), 1);
        let row = upgrades[0].row();
        assert_eq!(row[2..4], ["111111111111", "222222222222"]);
        assert_eq!(row[4..], ["web1, web3 (cordoned), web4", "web4"]);
        let command = "wharf rollout restart web --pull-policy always -H web1,web4";
        assert_eq!(upgrades[0].command(), command);
        let json = upgrades[0].json();
        assert_eq!(json["cordonedHosts"], json!(["web3"]));
        assert_eq!(
            (&json["registryDigest"], &json["pulledHosts"]),
            (&json!(NEW), &json!(["web4"]))
        );
        assert_eq!(not_compared(&images()).as_deref(), Some("1 local"));
        assert_eq!(places(&images(), is_newer), ["web1/web", "web3/web", "web4/web"]);
    }

    #[test]
    fn digests_and_ids_are_shortened() {
        let digits = "4d".repeat(32);
        assert_eq!(
            without_digits(&format!("r.test/app:v1@sha256:{digits}")),
            "r.test/app:v1@4d4d4d4d4d4d"
        );
        assert_eq!(without_digits(&format!("sha256:{digits}")), "4d4d4d4d4d4d");
        assert_eq!(without_digits("app:v1"), "app:v1");
    }
}
