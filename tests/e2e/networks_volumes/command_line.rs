//! The same with the command line, compared with what docker's own says.

use testbed::Image;

use super::attached;
use super::mine::{Mine, docker};
use crate::support::{HOSTS, World, on_hosts, sorted};

#[tokio::test]
async fn networks_and_volumes_on_three_engines_by_command_line() -> anyhow::Result<()> {
    let world = World::start().await?;
    let mine = Mine::new(world.engines());
    let (front, data, web) = (mine.called("front"), mine.called("data"), mine.called("web"));
    let (subnet, label) = (mine.subnet(), format!("mine={}", mine.name));
    let cli = &world.cli;

    let create =
        ["network", "create", "--subnet", &subnet, "--label", &label, "--internal", &front];
    world.act(&create, true).await?;
    world.act(&create, false).await?;
    let differs =
        cli.run(&["network", "create", "-A", "--driver", "macvlan", &front]).await?.expect(1)?;
    assert_eq!(
        differs.stderr.matches("driver: here bridge, asked macvlan").count(),
        3,
        "{differs:?}"
    );
    for engine in world.engines() {
        let format = "{{.Internal}} {{(index .IPAM.Config 0).Subnet}} {{.Labels.mine}}";
        let shown = docker(engine, &["network", "inspect", "-f", format, &front])?;
        assert_eq!(shown, format!("true {subnet} {}", mine.name));
    }
    let filter = format!("label={label}");
    let listed = cli.run(&["network", "ls", "-f", &filter, "-o", "name"]).await?.expect(0)?;
    assert_eq!(sorted(&listed), on_hosts(&front));
    let format = ["--format", "{{.Host}} {{.Name}} {{.Subnets}}"];
    let listed =
        cli.run(&[&["network", "ls", "-H", "beta", "-f", &filter], &format[..]].concat()).await?;
    assert_eq!(listed.expect(0)?.stdout, format!("beta {front} {subnet}\n"));
    let ids = cli.run(&["network", "ls", "-q", "-H", "beta", "-f", &filter]).await?.expect(0)?;
    let id = docker(&world.engines()[1], &["network", "ls", "-q", "-f", &filter])?;
    assert_eq!(ids.stdout.trim(), id);

    let create = ["volume", "create", "--label", &label, &data];
    world.act(&create, true).await?;
    world.act(&create, false).await?;
    let listed = cli.run(&["volume", "ls", "-f", &filter, "-q", "-H", "alpha"]).await?.expect(0)?;
    assert_eq!(
        listed.stdout.trim(),
        docker(&world.engines()[0], &["volume", "ls", "-q", "-f", &filter])?
    );
    let at = format!("gamma/{data}");
    let inspected = cli.run(&["volume", "inspect", "-f", "{{.Host}} {{.Mountpoint}}", &at]).await?;
    let mountpoint =
        docker(&world.engines()[2], &["volume", "inspect", "-f", "{{.Mountpoint}}", &data])?;
    assert_eq!(inspected.expect(0)?.stdout, format!("gamma {mountpoint}\n"));
    let inspected = cli.run(&["inspect", "--type", "network", "-A", "-o", "name", &front]).await?;
    assert_eq!(sorted(&inspected.expect(0)?), on_hosts(&front));

    let image = world.image(&Image::new("v1")).await?;
    let volume = format!("{data}:/data");
    let run = ["run", "-d", "-A", "--name", &web, "--network", &front, "-v", &volume, &image];
    cli.run(&run).await?.expect(0)?;
    let refused = cli.run(&["network", "rm", "-A", &front]).await?.expect(1)?;
    for host in HOSTS {
        let way_out = format!("wharf network disconnect {host}/{front} {web}");
        assert!(refused.stderr.contains(&way_out), "{refused:?}");
    }
    let refused = cli.run(&["volume", "rm", "-A", "-f", &data]).await?.expect(1)?;
    assert_eq!(
        refused.stderr.matches(&format!("used by {web}; remove these")).count(),
        3,
        "{refused:?}"
    );

    // As the error says it.
    let at = format!("alpha/{front}");
    cli.run(&["network", "disconnect", &at, &web]).await?.expect(0)?;
    assert_eq!(attached(&world, &web, &front).await?, [false, true, true]);
    let at = format!("alpha/{web}");
    cli.run(&["network", "connect", "--alias", "www", &front, &at]).await?.expect(0)?;
    assert_eq!(attached(&world, &web, &front).await?, [true; 3]);
    world.act(&["network", "disconnect", &front, &web], true).await?;
    world.act(&["network", "disconnect", &front, &web], false).await?;
    world.act(&["network", "rm", &front], true).await?;
    world.act(&["network", "rm", "--allow-missing", &front], false).await?;
    let predefined = cli.run(&["network", "rm", "-A", "host"]).await?.expect(2)?;
    assert!(predefined.stderr.contains("predefined network"), "{predefined:?}");

    cli.run(&["rm", "-A", "-f", &web]).await?.expect(0)?;
    let pruned = cli.run(&["volume", "prune", "-A", "--filter", &filter, "-o", "name"]).await?;
    assert_eq!(pruned.expect(0)?.stdout, "", "it has a name");
    let prune = ["volume", "prune", "-A", "--all", "--filter", &filter, "-o", "name"];
    assert_eq!(sorted(&cli.run(&prune).await?.expect(0)?), on_hosts(&data));
    cli.run(&["network", "create", "-A", "--subnet", &subnet, "--label", &label, &front])
        .await?
        .expect(0)?;
    let prune = ["network", "prune", "-A", "-f", "--filter", &filter, "-o", "name"];
    assert_eq!(sorted(&cli.run(&prune).await?.expect(0)?), on_hosts(&front));
    Ok(())
}
