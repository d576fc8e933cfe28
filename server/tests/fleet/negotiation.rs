//! Engines of every age in one fleet.

use tonic::Code;
use wharf::v1;
use wharf_server::engine::ApiVersion;
use wharf_simulator::Operation;
use wharf_simulator::model::EngineOptions;

use crate::support::{Answer, Fleet, FleetOptions, IMAGE, all, list, name};

/// Highest and lowest API version of each host, and what is spoken with it.
const ENGINES: [(u16, u16, Option<u16>); 7] = [
    (24, 12, Some(24)),
    (35, 12, Some(35)),
    (41, 12, Some(41)),
    (44, 24, Some(44)),
    (44, 44, Some(44)),
    (51, 24, Some(51)),
    // Too new to be spoken with.
    (60, 56, None),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_engine_is_spoken_with_in_a_version_that_both_know() {
    let engines = ENGINES.iter().enumerate().map(|(place, &(max, min, _))| {
        EngineOptions::for_api(&name(place), ApiVersion::new(1, max))
            .with_min_api(ApiVersion::new(1, min))
    });
    let engines = engines.collect();
    let fleet = Fleet::with(FleetOptions { engines, ..FleetOptions::of(0) }).await;
    let spoken: Vec<_> = (0..ENGINES.len()).filter(|place| ENGINES[*place].2.is_some()).collect();
    let names: Vec<_> = spoken.iter().map(|&place| name(place)).collect();

    let spec = v1::ContainerSpec { image: IMAGE.to_owned(), ..Default::default() };
    let create = v1::CreateContainerRequest {
        targets: all(),
        name: "web".to_owned(),
        spec: Some(spec),
        start: true,
        ..Default::default()
    };
    let created = Answer::of(fleet.containers().create_container(create)).await;
    assert_eq!(created.succeeded(), names);
    assert_eq!(created.failure(), (Code::Aborted, "SOME_HOSTS_FAILED".to_owned()));
    for &place in &spoken {
        let running = fleet.host(place).host().with(|model, _| {
            model.container("web").is_some_and(|web| web.state.status.has_process())
        });
        assert!(running, "{}", name(place));
    }

    let listed = Answer::of(fleet.containers().list_containers(list(all()))).await;
    assert!(listed.status.is_ok(), "a read ends OK with failures counted");
    assert_eq!(listed.succeeded(), names);
    let refused = listed.refused(&name(6));
    assert_eq!((refused.code, &*refused.reason), (Code::Unimplemented, "ENGINE_API_VERSION"));
    assert!(refused.message.contains("1.56"), "it says what the Engine wants: {}", refused.message);
    for (host, event) in &listed.payloads {
        let v1::list_containers_response::Event::Batch(batch) = event else { panic!("{event:?}") };
        assert!(batch.containers.iter().any(|container| container.name == "web"), "{host}");
    }

    let inspect = v1::InspectContainersRequest {
        targets: all(),
        containers: vec!["web".to_owned()],
        ..Default::default()
    };
    let inspected = Answer::of(fleet.containers().inspect_containers(inspect)).await;
    assert_eq!(inspected.succeeded(), names);
    let mut seen = 0;
    for (host, event) in &inspected.payloads {
        let v1::inspect_containers_response::Event::Container(web) = event else { continue };
        let place = spoken.iter().find(|&&place| name(place) == *host).copied().unwrap();
        let expected = format!("1.{}", ENGINES[place].2.unwrap());
        assert_eq!(web.engine.as_ref().unwrap().api_version, expected, "{host}");
        assert_eq!(web.state, "running", "{host}");
        seen += 1;
    }
    assert_eq!(seen, spoken.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_engine_that_is_exchanged_is_negotiated_with_again() {
    let fleet = Fleet::new(1).await;
    fleet.warm().await;
    for (max, min) in [(24, 12), (52, 44), (41, 12)] {
        fleet.host(0).host().with(|model, _| {
            let options = model.options_mut();
            let name = options.name.clone();
            let (max, min) = (ApiVersion::new(1, max), ApiVersion::new(1, min));
            *options = EngineOptions::for_api(&name, max).with_min_api(min);
        });
        let listed = Answer::of(fleet.containers().list_containers(list(all()))).await;
        listed.all_succeeded();
    }
    assert!(fleet.host(0).counters.count(Operation::ListContainers) >= 4);
}
