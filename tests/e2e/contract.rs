//! The contract of the trait `Engine`, for the client on a real Engine. A case that fails here but
//! not in the simulator's own tests shows a difference between the model and Docker.

use testbed::{Fleet, Image, unique, until_it_can_stop};
use wharf_server::domain::{HostAddress, Transport};
use wharf_server::engine::http::{ConnectorSettings, HttpConnector};
use wharf_simulator::contract::{Fixture, Work, run_all};

#[tokio::test]
async fn the_client_on_a_real_engine_keeps_the_contract() -> anyhow::Result<()> {
    let fleet = Fleet::shared().await?;
    let real = &fleet.engines[0];
    let (user, password) = fleet.locked_registry.login().expect("the locked one has a password");
    let address = HostAddress::parse(real.address(), Transport::Plain)?;
    let import = move |reference: String, salt: String| {
        Box::pin(async move {
            let image = Image::new(&salt).env("COLOUR", "blue").label("origin", "image");
            real.import(&reference, &image).await.expect("the image is imported");
        }) as Work<'static>
    };
    let fixture = Fixture {
        engine: HttpConnector::new(ConnectorSettings::default()).engine(&address, None)?,
        import: Box::new(import),
        ready: Box::new(|pid| {
            Box::pin(async move { until_it_can_stop(pid).await.expect("it handles SIGTERM") })
        }),
        open_registry: fleet.open_registry.address().to_owned(),
        locked_registry: fleet.locked_registry.address().to_owned(),
        user: user.to_owned(),
        password: password.to_owned(),
        prefix: unique("contract"),
    };
    run_all(&fixture).await;
    Ok(())
}
