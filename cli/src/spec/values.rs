//! Single values: sizes, CPUs, limits, policies. Pure; used as clap's value parsers.

use wharf::v1::{DeviceRequest, RestartPolicy, Ulimit};

use super::mounts::fields;

/// `512m`, `1.5g`, `1024`: bytes with docker's binary units b, k, m, g, t, p.
pub fn bytes(text: &str) -> Result<i64, String> {
    let invalid = || format!("\"{text}\" is not a size; write 1024, 512m or 1.5g");
    let lower = text.trim().to_ascii_lowercase();
    let digits = lower.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(lower.len());
    let number: f64 = lower[..digits].parse().map_err(|_| invalid())?;
    let unit = lower[digits..].trim_start();
    let unit = unit.strip_suffix("ib").or_else(|| unit.strip_suffix('b')).unwrap_or(unit);
    let exponent = match unit {
        "" => 0,
        "k" => 1,
        "m" => 2,
        "g" => 3,
        "t" => 4,
        "p" => 5,
        _ => return Err(invalid()),
    };
    let value = number * 1024f64.powi(exponent);
    // Above 2^53 a size is no longer exact, and no machine has that much.
    if value.is_finite() && value <= 9_007_199_254_740_992.0 {
        Ok(value as i64)
    } else {
        Err(invalid())
    }
}

/// Like [`bytes`], or -1 for unlimited.
pub fn bytes_or_unlimited(text: &str) -> Result<i64, String> {
    if text == "-1" { Ok(-1) } else { bytes(text) }
}

/// `1.5` CPUs as 1500000000; exact, with at most nine decimal places.
pub fn nano_cpus(text: &str) -> Result<i64, String> {
    let invalid = || format!("\"{text}\" is not a number of CPUs; write 2 or 0.5");
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let only_digits = |part: &str| part.chars().all(|c| c.is_ascii_digit());
    if !only_digits(whole) || !only_digits(fraction) || fraction.len() > 9 || whole.len() > 6 {
        return Err(invalid());
    }
    if whole.is_empty() && fraction.is_empty() {
        return Err(invalid());
    }
    let nanos: i64 = format!("{whole}{fraction:0<9}").parse().map_err(|_| invalid())?;
    if nanos == 0 { Err("must be greater than 0".to_owned()) } else { Ok(nanos) }
}

/// `no`, `always`, `unless-stopped`, `on-failure[:MAXIMUM]`.
pub fn restart_policy(text: &str) -> Result<RestartPolicy, String> {
    let (name, maximum) = match text.split_once(':') {
        Some((name, maximum)) => (name, Some(maximum)),
        None => (text, None),
    };
    if !["no", "always", "unless-stopped", "on-failure"].contains(&name) {
        return Err(format!(
            "\"{text}\" is not a restart policy; use no, always, unless-stopped, or on-failure[:MAXIMUM]"
        ));
    }
    let maximum_retry_count = match maximum {
        None => 0,
        Some(_) if name != "on-failure" => {
            return Err("only on-failure takes a maximum".to_owned());
        }
        Some(maximum) => {
            maximum.parse().map_err(|_| format!("\"{maximum}\" is not a number of restarts"))?
        }
    };
    Ok(RestartPolicy { name: name.to_owned(), maximum_retry_count })
}

/// `nofile=1024:2048`; one number sets both limits, -1 is unlimited.
pub fn ulimit(text: &str) -> Result<Ulimit, String> {
    let invalid =
        || format!("\"{text}\" is not a limit; write NAME=SOFT[:HARD], such as nofile=1024:2048");
    let (name, limits) =
        text.split_once('=').filter(|(name, _)| !name.is_empty()).ok_or_else(invalid)?;
    let (soft, hard) = limits.split_once(':').unwrap_or((limits, limits));
    let number = |text: &str| text.parse::<i64>().ok().filter(|n| *n >= -1).ok_or_else(invalid);
    let (soft, hard) = (number(soft)?, number(hard)?);
    if hard != -1 && (soft > hard || soft == -1) {
        return Err(format!("\"{text}\": the soft limit is above the hard one"));
    }
    Ok(Ulimit { name: name.to_owned(), soft, hard })
}

/// `KEY` or `KEY=VALUE`, as docker has it for labels and options of drivers.
pub fn key_and_value(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').unwrap_or((text, ""));
    if key.is_empty() {
        return Err(format!("\"{text}\" is not KEY or KEY=VALUE"));
    }
    Ok((key.to_owned(), value.to_owned()))
}

/// `KEY=VALUE` with a key.
pub fn key_value(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err(format!("\"{text}\" is not KEY=VALUE")),
    }
}

/// `NAME:ADDRESS` or `NAME=ADDRESS`, a line of /etc/hosts.
pub fn extra_host(text: &str) -> Result<String, String> {
    let at = text.find(['=', ':']).filter(|at| *at > 0 && *at + 1 < text.len());
    let at = at.ok_or_else(|| format!("\"{text}\" is not NAME:ADDRESS"))?;
    let address = &text[at + 1..];
    let bare = address.strip_prefix('[').and_then(|address| address.strip_suffix(']'));
    Ok(format!("{}:{}", &text[..at], bare.unwrap_or(address)))
}

/// `all`, a number, or `driver=…,count=…,device=…,capabilities=…`, as docker's `--gpus`.
pub fn gpus(text: &str) -> Result<DeviceRequest, String> {
    let invalid = |problem: String| format!("\"{text}\" are not GPUs: {problem}");
    let count = |text: &str| match text {
        "all" => Ok(-1),
        text => text.parse().map_err(|_| invalid(format!("\"{text}\" is not all or a number"))),
    };
    let list = |text: &str| text.split(',').map(str::to_owned).collect::<Vec<_>>();
    let mut request = DeviceRequest::default();
    for field in fields(text).map_err(invalid)? {
        match field.split_once('=') {
            None => request.count = count(&field)?,
            Some(("count", value)) => request.count = count(value)?,
            Some(("driver", value)) => request.driver = value.to_owned(),
            Some(("device", value)) => request.device_ids = list(value),
            Some(("capabilities", value)) => request.capabilities = list(value),
            Some(("options", value)) => {
                for option in value.split(',') {
                    let (key, value) = option.split_once('=').unwrap_or((option, ""));
                    request.options.insert(key.to_owned(), value.to_owned());
                }
            }
            Some((other, _)) => return Err(invalid(format!("\"{other}\" is not understood"))),
        }
    }
    if request.count == 0 && request.device_ids.is_empty() {
        request.count = 1;
    }
    if !request.capabilities.iter().any(|capability| capability == "gpu") {
        request.capabilities.push("gpu".to_owned());
    }
    Ok(request)
}

/// `/run[:rw,size=64m]`.
pub fn tmpfs(text: &str) -> Result<(String, String), String> {
    let (path, options) = text.split_once(':').unwrap_or((text, ""));
    if !path.starts_with('/') {
        return Err(format!("\"{text}\": the path in the container must be absolute"));
    }
    Ok((path.to_owned(), options.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_binary_units() {
        for (text, value) in [
            ("0", 0),
            ("1024", 1024),
            ("512m", 512 << 20),
            ("1.5G", 3 << 29),
            ("2kb", 2048),
            ("1KiB", 1024),
            ("7b", 7),
        ] {
            assert_eq!(bytes(text), Ok(value), "{text}");
        }
        for text in ["", "m", "-5", "5x", "1.2.3", "99999999999p"] {
            assert!(bytes(text).is_err(), "{text}");
        }
        assert_eq!(bytes_or_unlimited("-1"), Ok(-1));
        assert!(bytes_or_unlimited("-2").is_err());
    }

    #[test]
    fn processors_are_exact() {
        for (text, value) in
            [("1.5", 1_500_000_000), ("2", 2_000_000_000), (".25", 250_000_000), ("0.000000001", 1)]
        {
            assert_eq!(nano_cpus(text), Ok(value), "{text}");
        }
        for text in ["", ".", "0", "-1", "1.0000000001", "1e3", "two"] {
            assert!(nano_cpus(text).is_err(), "{text}");
        }
    }

    #[test]
    fn restart_policies() {
        let policy = |name: &str, maximum_retry_count| RestartPolicy {
            name: name.into(),
            maximum_retry_count,
        };
        assert_eq!(restart_policy("on-failure:3"), Ok(policy("on-failure", 3)));
        assert_eq!(restart_policy("unless-stopped"), Ok(policy("unless-stopped", 0)));
        for text in ["", "sometimes", "always:3", "on-failure:x", "on-failure:-1"] {
            assert!(restart_policy(text).is_err(), "{text}");
        }
    }

    #[test]
    fn ulimits() {
        let limit = |soft, hard| Ulimit { name: "nofile".into(), soft, hard };
        assert_eq!(ulimit("nofile=1024:2048"), Ok(limit(1024, 2048)));
        assert_eq!(ulimit("nofile=5"), Ok(limit(5, 5)));
        assert_eq!(ulimit("nofile=5:-1"), Ok(limit(5, -1)));
        for text in ["nofile", "=5", "nofile=", "nofile=6:5", "nofile=-1:5", "nofile=a"] {
            assert!(ulimit(text).is_err(), "{text}");
        }
    }

    #[test]
    fn pairs_hosts_and_tmpfs() {
        assert_eq!(key_value("a=b=c"), Ok(("a".into(), "b=c".into())));
        assert!(key_value("=b").is_err() && key_value("a").is_err());
        assert_eq!(key_and_value("a=b=c"), Ok(("a".into(), "b=c".into())));
        assert_eq!(key_and_value("a"), Ok(("a".into(), String::new())));
        assert!(key_and_value("=b").is_err() && key_and_value("").is_err());
        assert_eq!(extra_host("db=10.0.0.1").as_deref(), Ok("db:10.0.0.1"));
        assert_eq!(extra_host("db:::1").as_deref(), Ok("db:::1"));
        assert_eq!(extra_host("db:[::1]").as_deref(), Ok("db:::1"));
        assert!(extra_host("db").is_err() && extra_host("db:").is_err());
        assert_eq!(tmpfs("/run:rw,size=64m"), Ok(("/run".into(), "rw,size=64m".into())));
        assert!(tmpfs("run").is_err());
    }

    #[test]
    fn gpus_as_docker_writes_them() {
        let gpu = || vec!["gpu".to_owned()];
        let all = DeviceRequest { count: -1, capabilities: gpu(), ..DeviceRequest::default() };
        assert_eq!(gpus("all"), Ok(all));
        let two = gpus("driver=nvidia,\"device=0,2\",\"capabilities=compute,utility\"").unwrap();
        assert_eq!((two.driver.as_str(), two.count), ("nvidia", 0));
        assert_eq!(two.device_ids, ["0", "2"]);
        assert_eq!(two.capabilities, ["compute", "utility", "gpu"]);
        assert_eq!(gpus("driver=nvidia").unwrap().count, 1);
        for text in ["", "some", "count=x", "speed=1"] {
            assert!(gpus(text).is_err(), "{text}");
        }
    }
}
