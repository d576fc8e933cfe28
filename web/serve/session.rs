//! Signed-in browsers. Each has a cookie that scripts cannot read and that other sites cannot have sent;
//! what stands behind it stays in the memory of the program, so its end signs everybody out.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use http::HeaderMap;
use http::header::{self, HeaderName, HeaderValue};
use sha2::{Digest, Sha256};
use uuid::Uuid;

/// The header with the second half of a session of `wharf ui`. Cookies of 127.0.0.1 go to every port, so
/// that another program of the machine may come to see them; what a page has stored does not.
pub const KEY_HEADER: HeaderName = HeaderName::from_static("x-wharf-key");

/// Sessions of one program at the same time; the oldest gives way.
const MOST: usize = 1000;

/// A cookie by which a browser is known.
#[derive(Debug, Clone)]
pub struct Cookie {
    name: String,
    secure: bool,
    lifetime: Duration,
}

/// What stands behind cookies.
#[derive(Debug)]
pub struct Sessions<T> {
    open: HashMap<[u8; 32], (Instant, T)>,
    lifetime: Duration,
}

/// A secret of 244 random bits that can stand in an address.
pub fn secret() -> String {
    format!("{}{}", Uuid::new_v4().simple(), Uuid::new_v4().simple())
}

/// What is kept of a secret, to recognize it.
pub fn digest(secret: &str) -> [u8; 32] {
    Sha256::digest(secret).into()
}

impl Cookie {
    /// One for `https`, which only its own host can set.
    pub fn of_https(name: &str, lifetime: Duration) -> Self {
        Self { name: format!("__Host-{name}"), secure: true, lifetime }
    }

    /// One for a loopback address; its name has the port, because all ports share their cookies.
    pub fn of_loopback(name: &str, port: u16, lifetime: Duration) -> Self {
        Self { name: format!("{name}-{port}"), secure: false, lifetime }
    }

    /// The value that a request has for it.
    pub fn of<'a>(&self, headers: &'a HeaderMap) -> Option<&'a str> {
        let cookies = headers.get_all(header::COOKIE).iter().filter_map(|it| it.to_str().ok());
        cookies.flat_map(|it| it.split(';')).find_map(|pair| {
            let (name, value) = pair.trim().split_once('=')?;
            (name == self.name).then_some(value)
        })
    }

    /// The header that sets it.
    pub fn set(&self, value: &str) -> HeaderValue {
        self.header(value, self.lifetime.as_secs())
    }

    /// The header that removes it.
    pub fn clear(&self) -> HeaderValue {
        self.header("", 0)
    }

    fn header(&self, value: &str, seconds: u64) -> HeaderValue {
        let secure = if self.secure { "; Secure" } else { "" };
        let text = format!(
            "{}={value}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Strict{secure}",
            self.name
        );
        HeaderValue::from_str(&text).expect("a name and hexadecimal digits")
    }
}

impl<T> Sessions<T> {
    /// Sessions that end after `lifetime`.
    pub fn new(lifetime: Duration) -> Self {
        Self { open: HashMap::new(), lifetime }
    }

    /// Begins a session, and returns the value of its cookie.
    pub fn begin(&mut self, behind: T, now: Instant) -> String {
        self.open.retain(|_, (begun, _)| now.duration_since(*begun) < self.lifetime);
        if self.open.len() >= MOST {
            let oldest = self.open.iter().min_by_key(|(_, (begun, _))| *begun).map(|(id, _)| *id);
            oldest.map(|oldest| self.open.remove(&oldest));
        }
        let value = secret();
        self.open.insert(digest(&value), (now, behind));
        value
    }

    /// What stands behind the value of a cookie.
    pub fn get(&self, value: &str, now: Instant) -> Option<&T> {
        let (begun, behind) = self.open.get(&digest(value))?;
        (now.duration_since(*begun) < self.lifetime).then_some(behind)
    }

    /// Ends a session.
    pub fn end(&mut self, value: &str) {
        self.open.remove(&digest(value));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_ends_with_its_time_or_by_request() {
        let (now, hour) = (Instant::now(), Duration::from_secs(3600));
        let mut sessions = Sessions::new(hour);
        let (ann, bob) = (sessions.begin("ann", now), sessions.begin("bob", now));
        assert_ne!(ann, bob);
        assert_eq!(sessions.get(&ann, now), Some(&"ann"));
        assert_eq!(sessions.get(&ann, now + hour), None);
        assert_eq!(sessions.get("", now), None);
        sessions.end(&ann);
        assert_eq!((sessions.get(&ann, now), sessions.get(&bob, now)), (None, Some(&"bob")));
    }

    #[test]
    fn the_oldest_session_gives_way() {
        let now = Instant::now();
        let mut sessions = Sessions::new(Duration::from_secs(3600));
        let at = |second: usize| now + Duration::from_secs(second as u64);
        let all: Vec<_> = (0..=MOST).map(|second| sessions.begin(second, at(second))).collect();
        assert_eq!(sessions.open.len(), MOST);
        assert_eq!(sessions.get(&all[0], at(MOST)), None);
        assert!(sessions.get(&all[1], at(MOST)).is_some());
    }

    #[test]
    fn cookies_are_out_of_reach_of_scripts_and_other_sites() {
        let hour = Duration::from_secs(3600);
        let cookie = Cookie::of_https("wharf", hour);
        assert_eq!(
            cookie.set("abc"),
            "__Host-wharf=abc; Path=/; Max-Age=3600; HttpOnly; SameSite=Strict; Secure"
        );
        assert!(cookie.clear().to_str().unwrap().contains("=; Path=/; Max-Age=0;"));
        let mut headers = HeaderMap::new();
        headers.append("cookie", "a=1; __Host-wharf=abc".parse().unwrap());
        headers.append("cookie", "wharf-7000=def".parse().unwrap());
        assert_eq!(cookie.of(&headers), Some("abc"));
        assert_eq!(Cookie::of_loopback("wharf", 7000, hour).of(&headers), Some("def"));
        assert_eq!(Cookie::of_loopback("wharf", 7001, hour).of(&headers), None);
    }
}
