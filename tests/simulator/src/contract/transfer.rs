//! Pulls and pushes, with and without a password.

use serde_json::{Value, json};
use wharf_server::domain::RegistryLogin;
use wharf_server::engine::{ErrorKind, Pulled, Pushed, Result};

use super::world::{World, failure, image_name, image_reference, kind, progress};

super::cases![
    what_is_pushed_is_pulled_with_the_same_digest,
    a_pull_without_a_tag_pulls_latest_and_no_other,
    a_pull_by_digest_gets_the_tag_it_names,
    what_the_registry_does_not_have_is_not_found,
    what_the_host_does_not_have_cannot_be_pushed,
    a_registry_that_is_not_there_is_unavailable,
    a_locked_registry_wants_the_right_password,
];

async fn what_is_pushed_is_pulled_with_the_same_digest(world: &World<'_>) {
    let image = world.image().await;
    let remote = remote(world, &world.fixture.open_registry, &image, "v1").await;
    let sink = progress();
    let pushed = world.engine.push_image(&image_reference(&remote), None, &sink).await.unwrap();
    let digest = pushed.digest.expect("the Engine says the digest");
    assert!(digest.starts_with("sha256:") && pushed.size > 0, "{digest} {}", pushed.size);
    assert!(sink.borrow().layers_total > 0, "{:?}", sink.borrow());
    assert_eq!(push(world, &remote, None).await.unwrap().digest.as_ref(), Some(&digest), "again");

    world.clean_images(&[&image, &remote]).await;
    let sink = progress();
    let pulled =
        world.engine.pull_image(&image_reference(&remote), None, None, &sink).await.unwrap();
    assert_eq!((pulled.digest.as_ref(), pulled.newer), (Some(&digest), Some(true)));
    let end = sink.borrow().clone();
    assert!(end.layers_total > 0 && end.layers_done == end.layers_total, "{end:?}");
    let found: Value = pulled.image.parse().unwrap();
    assert_eq!(found["RepoTags"], json!([remote]));
    let (repository, _) = remote.rsplit_once(':').unwrap();
    assert_eq!(found["RepoDigests"], json!([format!("{repository}@{digest}")]));
    assert_eq!(found["Config"]["Env"], json!(["COLOUR=blue"]));
    let again = pull(world, &remote, None).await.unwrap();
    assert_eq!((again.digest, again.newer), (Some(digest), Some(false)));
    world.clean_images(&[&remote]).await;
}

async fn a_pull_without_a_tag_pulls_latest_and_no_other(world: &World<'_>) {
    let image = world.image().await;
    let latest = remote(world, &world.fixture.open_registry, &image, "latest").await;
    let other = remote(world, &world.fixture.open_registry, &image, "other").await;
    push(world, &latest, None).await.unwrap();
    push(world, &other, None).await.unwrap();
    world.clean_images(&[&image, &other, &latest]).await;
    let (repository, _) = latest.rsplit_once(':').unwrap();
    let pulled = pull(world, repository, None).await.unwrap();
    let found: Value = pulled.image.parse().unwrap();
    assert_eq!(found["RepoTags"], json!([latest]));
    world.clean_images(&[&latest]).await;
}

async fn a_pull_by_digest_gets_the_tag_it_names(world: &World<'_>) {
    let image = world.image().await;
    let remote = remote(world, &world.fixture.open_registry, &image, "v1").await;
    let digest = push(world, &remote, None).await.unwrap().digest.unwrap();
    world.clean_images(&[&image, &remote]).await;
    let (repository, _) = remote.rsplit_once(':').unwrap();
    let by_digest = format!("{repository}@{digest}");
    let pulled = pull(world, &by_digest, None).await.unwrap();
    let found: Value = pulled.image.parse().unwrap();
    assert!(found["RepoTags"].as_array().is_none_or(Vec::is_empty), "{found}");
    assert_eq!(found["RepoDigests"], json!([by_digest]));
    let both = pull(world, &format!("{remote}@{digest}"), None).await.unwrap();
    let found: Value = both.image.parse().unwrap();
    assert_eq!(found["RepoTags"], json!([remote]));
    world.clean_images(&[&remote, &by_digest]).await;
}

async fn what_the_registry_does_not_have_is_not_found(world: &World<'_>) {
    let registry = &world.fixture.open_registry;
    let nothing = format!("{registry}/{}:v1", world.name("nothing"));
    let refused = failure(pull(world, &nothing, None).await);
    assert_eq!(refused.kind, ErrorKind::ImageNotFound, "{refused}");
    let digest = format!("sha256:{}", "0".repeat(64));
    let nothing = format!("{registry}/{}@{digest}", world.name("nothing"));
    assert_eq!(kind(pull(world, &nothing, None).await), ErrorKind::ImageNotFound);
}

async fn what_the_host_does_not_have_cannot_be_pushed(world: &World<'_>) {
    let registry = &world.fixture.open_registry;
    let nothing = format!("{registry}/{}:v1", world.name("nothing"));
    assert_eq!(kind(push(world, &nothing, None).await), ErrorKind::ImageNotFound);
    let image = world.image().await;
    let remote = remote(world, registry, &image, "v1").await;
    let (repository, _) = remote.rsplit_once(':').unwrap();
    let other_tag = format!("{repository}:v2");
    assert_eq!(kind(push(world, &other_tag, None).await), ErrorKind::ImageNotFound);
    world.clean_images(&[&image, &remote]).await;
}

async fn a_registry_that_is_not_there_is_unavailable(world: &World<'_>) {
    let image = world.image().await;
    let nowhere = remote(world, "127.0.0.1:1", &image, "v1").await;
    let refused = failure(push(world, &nowhere, None).await);
    assert_eq!(refused.kind, ErrorKind::RegistryUnavailable, "{refused}");
    let refused = failure(pull(world, &nowhere, None).await);
    assert_eq!(refused.kind, ErrorKind::RegistryUnavailable, "{refused}");
    world.clean_images(&[&image, &nowhere]).await;
}

async fn a_locked_registry_wants_the_right_password(world: &World<'_>) {
    let image = world.image().await;
    let remote = remote(world, &world.fixture.locked_registry, &image, "v1").await;
    let (right, wrong) = (world.login(&world.fixture.password), world.login("wrong"));
    for login in [None, Some(&wrong)] {
        let refused = failure(push(world, &remote, login).await);
        assert_eq!(refused.kind, ErrorKind::RegistryAuthRequired, "{refused}");
    }
    push(world, &remote, Some(&right)).await.unwrap();
    world.clean_images(&[&image, &remote]).await;
    for login in [None, Some(&wrong)] {
        let refused = failure(pull(world, &remote, login).await);
        assert_eq!(refused.kind, ErrorKind::RegistryAuthRequired, "{refused}");
        assert!(!refused.to_string().contains("wrong"), "{refused}");
        let there = world.engine.inspect_image(&image_name(&remote)).await;
        assert_eq!(kind(there), ErrorKind::ImageNotFound);
    }
    pull(world, &remote, Some(&right)).await.unwrap();
    world.clean_images(&[&remote]).await;
}

/// Gives an image a name in a registry, of a repository that only this case uses.
async fn remote(world: &World<'_>, registry: &str, image: &str, tag: &str) -> String {
    let name = format!("{registry}/{}:{tag}", world.name("app"));
    world.engine.tag_image(&image_name(image), &image_reference(&name)).await.unwrap();
    name
}

async fn push(world: &World<'_>, image: &str, login: Option<&RegistryLogin>) -> Result<Pushed> {
    world.engine.push_image(&image_reference(image), login, &progress()).await
}

async fn pull(world: &World<'_>, image: &str, login: Option<&RegistryLogin>) -> Result<Pulled> {
    world.engine.pull_image(&image_reference(image), None, login, &progress()).await
}
