//! The image of a rollout as the host shows it that gives it to the others. Pure.

use serde_json::Value;

use crate::domain::{HostName, Reason};
use crate::engine::{ImageIdentity, Platform};
use crate::rollout::model::Trouble;

/// The image of the source, which identifies it on the other hosts.
pub(super) struct Given {
    /// The source.
    pub host: HostName,
    /// What it is.
    pub identity: ImageIdentity,
    /// Its inspection there.
    pub document: Value,
}

impl Given {
    /// Why a host of this platform cannot get the image.
    pub(super) fn unfit(&self, reference: &str, host: &Platform) -> Option<Trouble> {
        let platform = self.identity.platform();
        if host.runs(&platform) {
            return None;
        }
        let message = format!(
            "{reference} on {} is for {platform}, not for {host}: name a host that has it for that \
             platform, or, if this host can emulate it, put it there first",
            self.host
        );
        Some(Trouble::new(Reason::ImagePlatform, message))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_host_of_another_platform_cannot_get_the_image() {
        let document = json!({"Id": "sha256:1", "Os": "linux", "Architecture": "arm64"});
        let identity = ImageIdentity::read(&document).unwrap();
        let given = Given { host: "build1".parse().unwrap(), identity, document };
        let of = |os: &str, architecture: &str| {
            let host = Platform { os: os.to_owned(), architecture: architecture.to_owned() };
            given.unfit("app:v2", &host).map(|trouble| (trouble.reason, trouble.message))
        };
        assert_eq!(of("linux", "arm64"), None);
        assert_eq!(of("", ""), None, "it does not say");
        let (reason, message) = of("linux", "amd64").unwrap();
        assert_eq!(reason, Reason::ImagePlatform);
        assert!(message.starts_with("app:v2 on build1 is for linux/arm64, not for linux/amd64"));
    }
}
