//! By which names and from which web pages `wharfd` may be called. Made by `check`, used by the
//! composition root.

use http::Uri;

use super::ConfigError;
use super::settings::Given;
use crate::domain::{TcpHost, quoted};

/// What browsers may send; all in lower case.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Web {
    /// Names that callers of plain TCP may use besides loopback addresses and `localhost`.
    pub hosts: Vec<String>,
    /// Origins of web pages that may call, such as `https://ui.example.com`.
    pub origins: Vec<String>,
}

impl Web {
    /// Checks the names and the origins.
    pub(super) fn check(
        hosts: Option<&Given<Vec<String>>>,
        origins: Option<&Given<Vec<String>>>,
    ) -> Result<Self, ConfigError> {
        Ok(Self { hosts: each(hosts, host)?, origins: each(origins, origin)? })
    }
}

fn each(
    given: Option<&Given<Vec<String>>>,
    check: impl Fn(&str) -> Result<String, String>,
) -> Result<Vec<String>, ConfigError> {
    let Some(Given { value, by }) = given else { return Ok(Vec::new()) };
    let checked = value.iter().map(|text| check(text));
    checked.collect::<Result<_, _>>().map_err(|problem| ConfigError::value(by, problem))
}

fn host(text: &str) -> Result<String, String> {
    match TcpHost::parse(text) {
        Some(host) => {
            let host = host.to_string().to_ascii_lowercase();
            Ok(host.trim_matches(['[', ']']).to_owned())
        }
        None => Err(format!(
            "{} is not a name of this server: write a host name or an IP address, without \
             scheme and port",
            quoted(text)
        )),
    }
}

/// An origin as browsers write it: in lower case, without the port that the scheme has anyway.
fn origin(text: &str) -> Result<String, String> {
    let problem = || {
        format!(
            "{} is not an origin: write https://HOST or http://HOST:PORT, without a path",
            quoted(text)
        )
    };
    let uri: Uri = text.parse().map_err(|_| problem())?;
    let (scheme, authority) = uri.scheme_str().zip(uri.authority()).ok_or_else(problem)?;
    let bare = format!("{scheme}://{authority}");
    let usual = match scheme {
        "http" => ":80",
        "https" => ":443",
        _ => return Err(problem()),
    };
    if !text.eq_ignore_ascii_case(&bare) || authority.as_str().contains('@') {
        return Err(problem());
    }
    let bare = bare.to_ascii_lowercase();
    Ok(bare.strip_suffix(usual).unwrap_or(&bare).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_are_as_browsers_write_them() {
        assert_eq!(origin("https://UI.example.com:443").unwrap(), "https://ui.example.com");
        assert_eq!(origin("http://localhost:5173").unwrap(), "http://localhost:5173");
        for wrong in ["*", "null", "ui.example.com", "https://a/b", "https://a/", "ftp://a", ""] {
            assert!(origin(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn hosts_are_names_without_ports() {
        assert_eq!(host("Wharf.LAN").unwrap(), "wharf.lan");
        assert_eq!(host("[fd00::1]").unwrap(), "fd00::1");
        for wrong in ["", "*", "a:80", "http://a", "a b"] {
            assert!(host(wrong).is_err(), "{wrong}");
        }
    }
}
