use super::*;

fn fields(policy: &Policy, hosts: usize) -> Vec<String> {
    policy
        .check("spec.policy", hosts)
        .err()
        .unwrap_or_default()
        .into_iter()
        .map(|found| found.field)
        .collect()
}

fn refused(change: impl FnOnce(&mut Policy), field: &str) {
    let mut policy = Policy::default();
    change(&mut policy);
    assert_eq!(fields(&policy, 10), [format!("spec.policy.{field}")], "{policy:?}");
}

#[test]
fn the_defaults_are_right() {
    assert_eq!(Policy::default().check("spec.policy", 0), Ok(()));
    assert_eq!(Policy::default().check("spec.policy", 200), Ok(()));
}

#[test]
fn amounts_are_read_as_people_write_them() {
    for (text, amount) in [
        ("3", Amount::Count(3)),
        ("0", Amount::Count(0)),
        ("25%", Amount::Percent(25)),
        ("100%", Amount::Percent(100)),
    ] {
        assert_eq!(text.parse(), Ok(amount));
        assert_eq!(amount.to_string(), text);
    }
    for text in ["", "%", "101%", "-1", "+1", "1.5", "3 hosts", "10 %", "99999999999"] {
        let error = text.parse::<Amount>().unwrap_err().to_string();
        assert!(error.contains("use a number such as 3"), "{error}");
    }
}

#[test]
fn a_width_is_never_nothing_and_a_budget_may_be() {
    assert_eq!(Amount::Percent(10).width(5), 1);
    assert_eq!(Amount::Percent(10).budget(5), 0);
    assert_eq!(Amount::Percent(50).width(5), 2);
    assert_eq!(Amount::Count(7).width(5), 7);
}

#[test]
fn amounts_have_their_bounds() {
    let percent = Amount::Percent(101);
    refused(|policy| policy.max_parallel = percent, "max_parallel");
    refused(|policy| policy.max_parallel = Amount::Count(0), "max_parallel");
    refused(|policy| policy.max_unavailable = Some(percent), "max_unavailable");
    refused(|policy| policy.max_failures = percent, "max_failures");
    refused(|policy| policy.max_unreachable = percent, "max_unreachable");
    refused(|policy| policy.rollback_parallel = Some(Amount::Count(0)), "rollback_parallel");
    refused(|policy| policy.canary = Some(Amount::Percent(0)), "canary");
}

#[test]
fn batches_rise_to_the_whole() {
    let check = |batches: &[&str]| {
        let batches = batches.iter().map(|text| text.parse().unwrap()).collect();
        fields(&Policy { batches, ..Policy::default() }, 10)
    };
    assert_eq!(check(&["1", "10%", "50%", "100%"]), [""; 0]);
    assert_eq!(check(&["1", "3", "10"]), [""; 0]);
    assert_eq!(check(&["50%", "10%", "100%"]), ["spec.policy.batches[1]"]);
    assert_eq!(check(&["5", "20%", "100%"]), ["spec.policy.batches[1]"]);
    assert_eq!(check(&["1", "50%"]), ["spec.policy.batches"]);
    assert_eq!(check(&["0", "100%"]), ["spec.policy.batches[0]"]);
}

#[test]
fn a_canary_is_a_wave_of_its_own() {
    let canary = Some(Amount::Count(1));
    refused(
        |policy| {
            policy.canary = canary;
            policy.batches = vec![Amount::Percent(100)];
        },
        "canary",
    );
    refused(|policy| policy.promote = Promote::Manual, "promote");
}

#[test]
fn gates_are_complete() {
    let http = |port, path: &str, status| Gate::Http {
        port,
        path: path.to_owned(),
        status,
        body: String::new(),
        through: Through::PublishedPort,
    };
    refused(|policy| policy.gate = http(0, "/", None), "probe.port");
    refused(|policy| policy.gate = http(80, "up", None), "probe.path");
    refused(|policy| policy.gate = http(80, "/a b", None), "probe.path");
    refused(|policy| policy.gate = http(80, "/", Some(42)), "probe.status");
    refused(|policy| policy.gate = Gate::Tcp { port: 0 }, "probe.port");
    let command = Vec::new();
    refused(|policy| policy.gate = Gate::Exec { command }, "probe.command");
    refused(|policy| policy.drain = Some(vec![String::new()]), "drain");
    refused(|policy| policy.verify = Some(Vec::new()), "verify");
}

#[test]
fn times_leave_room_for_each_other() {
    let seconds = Duration::from_secs;
    refused(|policy| policy.min_healthy_time = seconds(300), "healthy_deadline");
    refused(|policy| policy.progress_deadline = seconds(330), "progress_deadline");
    refused(|policy| policy.monitor = seconds(100_000), "monitor");
    refused(|policy| policy.delay = seconds(900), "delay");
    refused(|policy| policy.pull_timeout = Duration::ZERO, "pull_timeout");
    refused(|policy| policy.stop_timeout = Some(Duration::from_millis(1_500)), "stop_timeout");
}
