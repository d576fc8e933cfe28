//! `--mount type=…,source=…,target=…` and `-v`. Pure.
//!
//! The hosts are other machines: a path relative to this machine's working directory has no
//! meaning there and is refused.

use wharf::v1::Mount;

use super::values::bytes;

/// One `--mount`, in docker's comma-separated form; a value with commas needs quotes.
pub fn mount(text: &str) -> Result<Mount, String> {
    let invalid = |problem: String| format!("\"{text}\" is not a mount: {problem}");
    let mut mount = Mount { r#type: "volume".to_owned(), ..Mount::default() };
    for field in fields(text).map_err(invalid)? {
        set(&mut mount, &field).map_err(invalid)?;
    }
    check(&mount).map_err(|problem| invalid(problem.to_owned()))?;
    Ok(mount)
}

/// One `-v`: `/path` or `SOURCE:/path[:OPTIONS]`. Passed on unchanged.
pub fn volume(text: &str) -> Result<String, String> {
    let mut parts = text.splitn(3, ':');
    let (source, target) = (parts.next().unwrap_or_default(), parts.next());
    match target {
        None if source.starts_with('/') => Ok(text.to_owned()),
        None => {
            Err(format!("\"{text}\": an anonymous volume needs an absolute path in the container"))
        }
        Some(target) if !target.starts_with('/') => {
            Err(format!("\"{text}\": the path in the container must be absolute"))
        }
        Some(_) if source.is_empty() => Err(format!("\"{text}\": the source is empty")),
        Some(_)
            if source.starts_with(['.', '~'])
                || !source.starts_with('/') && source.contains('/') =>
        {
            Err(format!("\"{text}\": the source is on the host, so its path must be absolute"))
        }
        Some(_) => Ok(text.to_owned()),
    }
}

fn set(mount: &mut Mount, field: &str) -> Result<(), String> {
    let (key, value) = match field.split_once('=') {
        Some((key, value)) => (key, Some(value)),
        None => (field, None),
    };
    let key = key.trim().to_ascii_lowercase();
    let text = || value.map(str::to_owned).ok_or_else(|| format!("{key} needs a value"));
    let flag = || match value {
        None | Some("true" | "1") => Ok(true),
        Some("false" | "0") => Ok(false),
        Some(other) => Err(format!("{key} must be true or false, not \"{other}\"")),
    };
    let pair = || {
        let text = text()?;
        let (name, value) = text.split_once('=').unwrap_or((&text, ""));
        Ok::<_, String>((name.to_owned(), value.to_owned()))
    };
    match key.as_str() {
        "type" => mount.r#type = text()?.to_ascii_lowercase(),
        "source" | "src" => mount.source = text()?,
        "target" | "destination" | "dst" => mount.target = text()?,
        "readonly" | "ro" => mount.read_only = flag()?,
        "bind-propagation" => mount.propagation = text()?,
        "volume-nocopy" => mount.no_copy = flag()?,
        "volume-driver" => mount.driver = text()?,
        "volume-opt" => drop(pair().map(|(name, value)| mount.driver_options.insert(name, value))?),
        "volume-label" => drop(pair().map(|(name, value)| mount.labels.insert(name, value))?),
        "tmpfs-size" => mount.tmpfs_size_bytes = bytes(&text()?)?,
        "tmpfs-mode" => {
            let text = text()?;
            mount.tmpfs_mode = u32::from_str_radix(&text, 8)
                .map_err(|_| format!("tmpfs-mode \"{text}\" is not octal, such as 1777"))?;
        }
        // For docker on macOS; no effect elsewhere.
        "consistency" => {}
        other => {
            return Err(format!(
                "unknown option \"{other}\"; use -f body.json for settings without a flag"
            ));
        }
    }
    Ok(())
}

fn check(mount: &Mount) -> Result<(), &'static str> {
    let volume = mount.no_copy
        || !mount.driver.is_empty()
        || !mount.driver_options.is_empty()
        || !mount.labels.is_empty();
    let tmpfs = mount.tmpfs_size_bytes != 0 || mount.tmpfs_mode != 0;
    match mount.r#type.as_str() {
        "bind" | "volume" | "tmpfs" => {}
        _ => return Err("the type must be bind, volume, or tmpfs"),
    }
    match mount.r#type.as_str() {
        _ if !mount.target.starts_with('/') => Err("the target must be an absolute path"),
        "bind" if !mount.source.starts_with('/') => {
            Err("the source of a bind is on the host, so it must be an absolute path")
        }
        "tmpfs" if !mount.source.is_empty() => Err("a tmpfs has no source"),
        "bind" | "tmpfs" if volume => Err("volume-… options are only for volumes"),
        "bind" | "volume" if tmpfs => Err("tmpfs-… options are only for tmpfs"),
        "volume" | "tmpfs" if !mount.propagation.is_empty() => {
            Err("bind-propagation is only for binds")
        }
        _ => Ok(()),
    }
}

/// Splits at commas like CSV: a quoted field may contain commas, and two quotes are one.
pub(super) fn fields(text: &str) -> Result<Vec<String>, String> {
    let mut fields = Vec::new();
    let mut characters = text.chars().peekable();
    loop {
        let mut field = String::new();
        let quoted = characters.next_if_eq(&'"').is_some();
        let mut closed = !quoted;
        while let Some(character) = characters.next_if(|c| *c != ',' || !closed) {
            match character {
                '"' if quoted && !closed => {
                    if characters.next_if_eq(&'"').is_some() {
                        field.push('"');
                    } else {
                        closed = true;
                    }
                }
                _ if quoted && closed => {
                    return Err("expected a comma after a closing quote".to_owned());
                }
                other => field.push(other),
            }
        }
        if !closed {
            return Err("unclosed quote".to_owned());
        }
        if field.is_empty() {
            return Err("a field is empty".to_owned());
        }
        fields.push(field);
        if characters.next().is_none() {
            return Ok(fields);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dockers_mounts_are_understood() {
        let bind =
            mount("type=bind,source=/etc,target=/etc,readonly,bind-propagation=rslave").unwrap();
        assert_eq!(
            (bind.r#type.as_str(), bind.read_only, bind.propagation.as_str()),
            ("bind", true, "rslave")
        );
        let volume = mount(
            r#"src=data,dst=/data,volume-driver=local,"volume-opt=o=addr=1.2.3.4,rw",ro=false"#,
        )
        .unwrap();
        assert_eq!(
            (volume.r#type.as_str(), volume.source.as_str(), volume.read_only),
            ("volume", "data", false)
        );
        assert_eq!(volume.driver_options["o"], "addr=1.2.3.4,rw");
        let tmpfs = mount("type=tmpfs,destination=/t,tmpfs-size=64m,tmpfs-mode=1777").unwrap();
        assert_eq!((tmpfs.tmpfs_size_bytes, tmpfs.tmpfs_mode), (64 << 20, 0o1777));
    }

    #[test]
    fn what_is_wrong_with_a_mount_is_said() {
        for (text, problem) in [
            ("", "empty"),
            ("type=bind,source=x,target=/y", "absolute"),
            ("type=bind,source=/x", "target"),
            ("type=npipe,target=/y", "type"),
            ("target=/y,bind-nonrecursive", "unknown option"),
            ("target=/y,readonly=maybe", "true or false"),
            ("type=tmpfs,target=/y,source=/x", "no source"),
            ("type=bind,source=/x,target=/y,volume-nocopy", "only for volumes"),
            ("target=/y,tmpfs-mode=9", "octal"),
            ("target=/y,source", "needs a value"),
            ("\"target=/y", "unclosed"),
        ] {
            let error = mount(text).unwrap_err();
            assert!(error.contains(problem), "{text}: {error}");
        }
    }

    #[test]
    fn volumes_with_relative_sources_are_refused() {
        for text in ["/data", "data:/data", "/a:/b:ro", "/etc/localtime:/etc/localtime:ro,z"] {
            assert_eq!(volume(text).as_deref(), Ok(text));
        }
        for text in ["data", "./a:/b", "~/a:/b", "a/b:/c", "/a:b", ":/b"] {
            assert!(volume(text).is_err(), "{text}");
        }
    }
}
