//! Tags as real registries have them, without and with a password.

use testbed::{Image, unique};
use tonic::Code;
use wharf::v1::ListTagsRequest;

use crate::support::{World, reason};

#[tokio::test]
async fn tags_come_from_the_registry_with_stored_credentials() -> anyhow::Result<()> {
    let world = World::start().await?;
    let cli = &world.cli;
    let [alpha, ..] = world.engines();
    for registry in [&world.fleet.open_registry, &world.fleet.locked_registry] {
        let name = unique("tagged");
        let repository = registry.reference(&name);
        for tag in ["v1.9", "v1.10", "v1.10-rc1", "latest"] {
            let reference = format!("{repository}:{tag}");
            alpha.import(&reference, &Image::new("one")).await?;
            alpha.push(&reference, registry.auth().as_deref()).await?;
        }
        let tags = ["image", "tags", &repository];
        if registry.auth().is_some() {
            let refused = cli.run(&tags).await?.expect(1)?;
            assert!(refused.stderr.contains("REGISTRY_AUTH_REQUIRED"), "{refused:?}");
            assert!(refused.stderr.contains("wharf login"), "{refused:?}");
            let (user, password) = registry.login().expect("a login");
            let login = ["login", registry.address(), "-u", user, "--password-stdin"];
            cli.run_with_input(&login, password).await?.expect(0)?;
        }
        let listed = cli.run(&tags).await?.expect(0)?;
        assert_eq!(listed.stdout, "v1.10\nv1.10-rc1\nv1.9\nlatest\n");
        let first =
            cli.run(&[&tags[..], &["--limit", "1", "-o", "name"]].concat()).await?.expect(0)?;
        assert_eq!(first.stdout, format!("{repository}:v1.10\n"));
        assert!(first.stderr.contains("3 more tags"), "{first:?}");
        let none =
            cli.run(&["image", "tags", &registry.reference(&unique("none"))]).await?.expect(1)?;
        assert!(none.stderr.contains("IMAGE_NOT_FOUND"), "{none:?}");
    }
    // Nothing is sent where no registry is, whatever the spelling.
    let mut registries = world.server.registries();
    for repository in ["169.254.169.254/latest", "[::ffff:169.254.169.254]:80/latest", "app:v1", ""]
    {
        let request = ListTagsRequest { repository: repository.to_owned(), limit: 0 };
        let refused = registries.list_tags(request).await.expect_err(repository);
        assert_eq!((refused.code(), &*reason(&refused)), (Code::InvalidArgument, "INVALID_FIELD"));
    }
    for limit in [-1, 10_001] {
        let request = ListTagsRequest { repository: "app".to_owned(), limit };
        assert_eq!(
            registries.list_tags(request).await.expect_err("a limit").code(),
            Code::InvalidArgument
        );
    }
    Ok(())
}
