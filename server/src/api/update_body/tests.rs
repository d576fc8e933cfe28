use proptest::prelude::*;
use serde_json::json;
use wharf::v1::{EngineJson, RestartPolicy};

use super::*;

fn engine(json: &(impl ToString + ?Sized)) -> Option<EngineJson> {
    Some(EngineJson { json: json.to_string(), api_version: String::new() })
}

fn policy(name: &str, maximum_retry_count: u32) -> Option<RestartPolicy> {
    Some(RestartPolicy { name: name.into(), maximum_retry_count })
}

fn fields(request: &UpdateContainersRequest) -> Vec<String> {
    let violations = update_body(request).unwrap_err();
    violations.into_iter().map(|violation| violation.field).collect()
}

#[test]
fn every_field_reaches_the_body() {
    let request = UpdateContainersRequest {
        restart_policy: policy("on-failure", 3),
        memory_bytes: Some(64 << 20),
        memory_swap_bytes: Some(-1),
        memory_reservation_bytes: Some(32 << 20),
        nano_cpus: Some(500_000_000),
        cpu_shares: Some(512),
        cpuset_cpus: "0,2-3".into(),
        pids_limit: Some(0),
        ..Default::default()
    };
    let expected = json!({
        "Memory": 64 << 20, "MemorySwap": -1, "MemoryReservation": 32 << 20,
        "NanoCpus": 500_000_000, "CpuShares": 512, "PidsLimit": 0, "CpusetCpus": "0,2-3",
        "RestartPolicy": {"Name": "on-failure", "MaximumRetryCount": 3},
    });
    assert_eq!(update_body(&request).unwrap(), expected);
}

#[test]
fn fields_win_over_the_body_and_the_rest_is_kept() {
    let request = UpdateContainersRequest {
        restart_policy: policy("no", 0),
        cpu_shares: Some(2),
        engine: engine(
            r#"{"x":[1.5],"cpushares":9,"restartpolicy":{"Name":"always"},"BlkioWeight":10}"#,
        ),
        ..Default::default()
    };
    let expected = r#"{"x":[1.5],"CpuShares":2,"RestartPolicy":{"Name":"no"},"BlkioWeight":10}"#;
    assert_eq!(update_body(&request).unwrap().to_string(), expected);
}

#[test]
fn a_memory_and_swap_limit_needs_no_memory_limit_here() {
    let request =
        UpdateContainersRequest { memory_swap_bytes: Some(64 << 20), ..Default::default() };
    assert_eq!(update_body(&request).unwrap(), json!({ "MemorySwap": 64 << 20 }));
}

#[test]
fn what_changes_nothing_is_refused() {
    assert_eq!(fields(&UpdateContainersRequest::default()), ["memory_bytes"]);
    let empty = UpdateContainersRequest { engine: engine("{}"), ..Default::default() };
    assert_eq!(fields(&empty), ["engine.json"]);
    let zeros = UpdateContainersRequest {
        memory_bytes: Some(0),
        memory_swap_bytes: Some(0),
        memory_reservation_bytes: Some(0),
        nano_cpus: Some(0),
        cpu_shares: Some(0),
        ..Default::default()
    };
    let expected = [
        "memory_bytes",
        "memory_swap_bytes",
        "memory_reservation_bytes",
        "nano_cpus",
        "cpu_shares",
    ];
    assert_eq!(fields(&zeros), expected);
}

#[test]
fn wrong_values_are_told_at_once() {
    let request = UpdateContainersRequest {
        restart_policy: policy("always", 2),
        memory_bytes: Some(1),
        nano_cpus: Some(1),
        cpuset_cpus: "x".into(),
        pids_limit: Some(-5),
        engine: engine("[1]"),
        ..Default::default()
    };
    let expected = [
        "engine.json",
        "memory_bytes",
        "nano_cpus",
        "pids_limit",
        "cpuset_cpus",
        "restart_policy.maximum_retry_count",
    ];
    assert_eq!(fields(&request), expected);
}

#[test]
fn limits_are_checked_together_with_the_body() {
    let request = UpdateContainersRequest {
        memory_reservation_bytes: Some(32 << 20),
        nano_cpus: Some(1_000_000_000),
        engine: engine(&json!({"memory": 16 << 20, "CpuPeriod": 1000})),
        ..Default::default()
    };
    assert_eq!(fields(&request), ["memory_reservation_bytes", "nano_cpus"]);
    let twice = UpdateContainersRequest {
        engine: engine(r#"{"Memory":1,"memory":2}"#),
        ..Default::default()
    };
    assert_eq!(fields(&twice), ["engine.json"]);
}

proptest! {
    #[test]
    fn nothing_panics(json in "\\PC{0,20}|\\{\"(Memory|x|memoryswap)\":-?[0-9]{1,20}\\}", memory: Option<i64>, swap: Option<i64>) {
        let request = UpdateContainersRequest {
            engine: engine(&json),
            memory_bytes: memory,
            memory_swap_bytes: swap,
            ..Default::default()
        };
        let _ = update_body(&request);
    }
}
