//! Samples as Engines send them, shortened by what nothing reads.

use serde_json::{Value, json};

use super::*;

/// Docker on cgroup v2: the second sample of a container that burns half a processor.
const DOCKER_V2: &str = r#"{"name":"/burn","id":"6ad9e4","read":"2026-01-15T10:01:02.500000001Z",
"preread":"2026-01-15T10:01:01.5Z","pids_stats":{"current":3,"limit":18446744073709551615},
"blkio_stats":{"io_service_bytes_recursive":[{"major":254,"minor":0,"op":"read","value":4096},
{"major":254,"minor":0,"op":"write","value":8192},{"major":254,"minor":16,"op":"read","value":1000}],
"io_serviced_recursive":null},"num_procs":0,"storage_stats":{},
"cpu_stats":{"cpu_usage":{"total_usage":1500000000,"usage_in_kernelmode":10,"usage_in_usermode":20},
"system_cpu_usage":104000000000,"online_cpus":4,"throttling_data":{"periods":20,"throttled_periods":10}},
"precpu_stats":{"cpu_usage":{"total_usage":1000000000,"usage_in_kernelmode":5,"usage_in_usermode":10},
"system_cpu_usage":100000000000,"online_cpus":4,"throttling_data":{}},
"memory_stats":{"usage":12582912,"stats":{"anon":1000,"file":5000,"inactive_file":2097152,"active_file":7},
"limit":8200000000},
"networks":{"eth0":{"rx_bytes":1000,"rx_packets":9,"tx_bytes":500},"eth1":{"rx_bytes":24,"tx_bytes":12}}}"#;

/// Docker 28.5 on cgroup v1: the same, on a machine that is busy.
const DOCKER_V1: &str = r#"{"name":"/burn","id":"6e95ae","read":"2026-11-27T17:40:07.496539793Z",
"preread":"2026-11-27T17:40:06.477210616Z","pids_stats":{"current":1},
"blkio_stats":{"io_service_bytes_recursive":[],"io_serviced_recursive":[]},"num_procs":0,"storage_stats":{},
"cpu_stats":{"cpu_usage":{"total_usage":476872550,"percpu_usage":[224550055,252322495]},
"system_cpu_usage":9088840000000,"online_cpus":2,"throttling_data":{"periods":120}},
"precpu_stats":{"cpu_usage":{"total_usage":441615560,"percpu_usage":[217279763,224335797]},
"system_cpu_usage":9086850000000,"online_cpus":2,"throttling_data":{"periods":111}},
"memory_stats":{"usage":33976320,"max_usage":34189312,"stats":{"cache":33554432,"inactive_anon":33611776,
"inactive_file":0,"rss":61440,"total_cache":33554432,"total_inactive_file":0},"limit":134217728}}"#;

/// Podman 4.3: the first two samples of a stream, five seconds apart.
const PODMAN: [&str; 2] = [
    r#"{"read":"2026-11-27T17:40:06.627904778Z","preread":"2026-11-27T17:40:06.495532873Z",
"pids_stats":{"current":1},"blkio_stats":{"io_service_bytes_recursive":[],"io_serviced_recursive":null},
"cpu_stats":{"cpu_usage":{"total_usage":430087396,"percpu_usage":[185781481,244305915]},
"system_cpu_usage":8450400022156,"online_cpus":2,"cpu":0,"throttling_data":{"periods":0}},
"precpu_stats":{"cpu_usage":{"total_usage":430087396,"percpu_usage":[185781481,244305915]},
"system_cpu_usage":8450155443734,"cpu":6.05514675065248,"throttling_data":{"periods":0}},
"memory_stats":{"usage":33976320,"limit":134217728},"name":"burn","Id":"56140c",
"networks":{"network":{"rx_bytes":7,"rx_packets":0,"tx_bytes":0}}}"#,
    r#"{"read":"2026-11-27T17:40:11.633739911Z","preread":"2026-11-27T17:40:06.627904778Z",
"pids_stats":{"current":1},"blkio_stats":{"io_service_bytes_recursive":[],"io_serviced_recursive":null},
"cpu_stats":{"cpu_usage":{"total_usage":631087906,"percpu_usage":[244578687,386509219]},
"system_cpu_usage":8460381602820,"online_cpus":2,"cpu":3.9303973641304752,"throttling_data":{"periods":0}},
"precpu_stats":{"cpu_usage":{"total_usage":430087396,"percpu_usage":[185781481,244305915]},
"system_cpu_usage":8450400022156,"online_cpus":2,"cpu":0,"throttling_data":{"periods":0}},
"memory_stats":{"usage":33976320,"limit":134217728},"name":"burn","Id":"56140c",
"networks":{"network":{"rx_bytes":7,"rx_packets":0,"tx_bytes":0}}}"#,
];

fn sample(json: &Value) -> StatsSample {
    StatsSample::read(json.to_string().as_bytes(), None).unwrap()
}

#[test]
fn a_sample_of_docker_on_cgroup_v2() {
    let read = StatsSample::read(DOCKER_V2.as_bytes(), None).unwrap();
    assert_eq!(read.time, LogTime::parse(b"2026-01-15T10:01:02.500000001Z"));
    // 0.5 s of the container in 4 s of all processors, which are 4.
    assert_eq!(read.cpu_percent, Some(50.0));
    assert_eq!((read.memory, read.memory_limit), (10 << 20, 8_200_000_000));
    assert_eq!((read.received, read.sent), (1024, 512));
    assert_eq!((read.read, read.written, read.pids), (5096, 8192, 3));
}

#[test]
fn a_sample_of_docker_on_cgroup_v1() {
    let read = StatsSample::read(DOCKER_V1.as_bytes(), None).unwrap();
    // 35,256,990 ns of 1.99 s of two processors.
    let percent = read.cpu_percent.unwrap();
    assert!((percent - 3.5434).abs() < 0.0001, "{percent}");
    // Shared memory counts as cache, but cannot be freed.
    assert_eq!((read.memory, read.memory_limit, read.pids), (33_976_320, 134_217_728, 1));
    assert_eq!((read.received, read.sent, read.read, read.written), (0, 0, 0, 0));
}

#[test]
fn memory_is_without_the_cache_that_can_be_freed() {
    let memory = |stats: Value| {
        let usage = json!({"usage": 1000, "limit": 5000, "stats": stats});
        sample(&json!({"memory_stats": usage})).memory
    };
    // cgroup v1 has both.
    assert_eq!(
        memory(json!({"total_inactive_file": 300, "inactive_file": 100, "cache": 500})),
        700
    );
    assert_eq!(memory(json!({"inactive_file": 100, "file": 500})), 900);
    assert_eq!(memory(json!({"cache": 500, "rss": 500})), 500);
    // One that is of another moment.
    assert_eq!(memory(json!({"total_inactive_file": 1000})), 1000);
    assert_eq!(memory(Value::Null), 1000);
    let text = json!({"hierarchical_memory_limit": "9999999999999999999999", "inactive_file": 1});
    assert_eq!(memory(text), 999);
}

#[test]
fn the_share_of_the_processors_needs_two_samples() {
    let at = |container: u64, host: u64, before: Value| {
        json!({
            "read": "2026-01-15T10:01:02Z",
            "cpu_stats": {
                "cpu_usage": {"total_usage": container, "percpu_usage": [1, 2]},
                "system_cpu_usage": host,
            },
            "precpu_stats": before,
        })
    };
    // The first one of a stream.
    let none = json!({"cpu_usage": {"total_usage": 0}, "throttling_data": {}});
    let first = sample(&at(1000, 10_000, none.clone()));
    assert_eq!(first.cpu_percent, None);
    // An Engine that does not repeat the sample before; and one without `online_cpus`.
    let second = at(2000, 20_000, none).to_string();
    let second = StatsSample::read(second.as_bytes(), Some(&first)).unwrap();
    assert_eq!(second.cpu_percent, Some(20.0));
    // A restart counts from zero again.
    let before = json!({"cpu_usage": {"total_usage": 5000}, "system_cpu_usage": 20_000});
    assert_eq!(sample(&at(100, 30_000, before.clone())).cpu_percent, Some(0.0));
    assert_eq!(sample(&at(6000, 20_000, before)).cpu_percent, Some(0.0));
}

/// Of the time of the host, podman counts only that in which its processors were busy; the time on
/// the wall is counted here. What it sends of the sample before is a moment old in the first one.
#[test]
fn podman_is_measured_by_the_time_on_the_wall() {
    let [first, second] = PODMAN;
    let first = StatsSample::read(first.as_bytes(), None).unwrap();
    assert_eq!((first.cpu_percent, first.memory, first.received), (None, 33_976_320, 7));
    let second = StatsSample::read(second.as_bytes(), Some(&first)).unwrap();
    // 201,000,510 ns in 5.0058 s.
    let percent = second.cpu_percent.unwrap();
    assert!((percent - 4.0153).abs() < 0.0001, "{percent}");
}

#[test]
fn a_container_that_does_not_run_has_no_time() {
    let stopped = json!({
        "read": "0001-01-01T00:00:00Z", "preread": "0001-01-01T00:00:00Z", "pids_stats": {},
        "blkio_stats": {"io_service_bytes_recursive": null}, "memory_stats": {}, "networks": null,
        "cpu_stats": {"cpu_usage": {"total_usage": 0}}, "precpu_stats": null,
    });
    assert_eq!(sample(&stopped), StatsSample::default());
}

#[test]
fn numbers_may_be_fractions_and_too_large() {
    let networks = json!({"a": {"rx_bytes": u64::MAX}, "b": {"rx_bytes": 7, "tx_bytes": -1}});
    let odd = sample(&json!({"memory_stats": {"usage": 1.5, "limit": 1e30}, "networks": networks}));
    assert_eq!((odd.memory, odd.memory_limit), (1, u64::MAX));
    assert_eq!((odd.received, odd.sent), (u64::MAX, 0));
    assert!(StatsSample::read(b"{\"read\":", None).is_err());
    assert!(StatsSample::read(b"7", None).is_err());
}
