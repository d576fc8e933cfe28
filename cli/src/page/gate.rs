//! Who may use the page: requests that know it by its own name, come from the page itself, and have the
//! session that the address was exchanged for, once.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use http::{HeaderMap, HeaderValue, Method, Request};
use wharf_page::origin;
use wharf_page::session::{Cookie, KEY_HEADER, Sessions, digest, secret};

/// A session ends with this program, or after this time: a working day.
const LIFETIME: Duration = Duration::from_secs(12 * 3600);

/// Why a request is refused; for people.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refused(pub &'static str);

/// The gate of one page.
#[derive(Debug)]
pub struct Gate {
    port: u16,
    cookie: Cookie,
    state: Mutex<State>,
}

/// What a browser gets for the secret.
#[derive(Debug)]
pub struct Opened {
    /// The header that sets its cookie.
    pub cookie: HeaderValue,
    /// What its calls must also have.
    pub key: String,
}

#[derive(Debug)]
struct State {
    /// Of the secret in the address; `None` once it was used.
    secret: Option<[u8; 32]>,
    /// Behind each cookie, the digest of its key.
    sessions: Sessions<[u8; 32]>,
}

impl Gate {
    /// The gate of a page on `port` of a loopback address that `secret` opens once.
    pub fn new(port: u16, secret: &str) -> Self {
        let state = State { secret: Some(digest(secret)), sessions: Sessions::new(LIFETIME) };
        let cookie = Cookie::of_loopback("wharf", port, LIFETIME);
        Self { port, cookie, state: Mutex::new(state) }
    }

    /// Whether a request knows the page by a loopback name, and does not come from another page.
    pub fn admits<B>(&self, request: &Request<B>) -> Result<(), Refused> {
        let Some(authority) = origin::authority(request) else {
            return Err(Refused("the request has no host name, or two"));
        };
        let own = ["127.0.0.1", "localhost"].map(|name| format!("{name}:{}", self.port));
        if !own.contains(&authority) {
            return Err(Refused("this is not the name of the page; use the address of wharf ui"));
        }
        let reads = matches!(*request.method(), Method::GET | Method::HEAD);
        let says_nothing = !request.headers().contains_key(http::header::ORIGIN);
        if !(reads && says_nothing || origin::is_own(request.headers(), "http", &authority)) {
            return Err(Refused("other web pages may not call this one"));
        }
        Ok(())
    }

    /// Exchanges the secret of the address for a session. Only the first one that has it gets one.
    pub fn open(&self, given: &str) -> Result<Opened, Refused> {
        let mut state = self.state();
        match state.secret {
            None => Err(Refused("this address was used already; run wharf ui again")),
            Some(secret) if secret == digest(given) => {
                state.secret = None;
                let key = self::secret();
                let value = state.sessions.begin(digest(&key), Instant::now());
                Ok(Opened { cookie: self.cookie.set(&value), key })
            }
            Some(_) => Err(Refused("this is not the address that wharf ui printed")),
        }
    }

    /// Whether a request has a session.
    pub fn is_open_to(&self, headers: &HeaderMap) -> bool {
        let Some(value) = self.cookie.of(headers) else { return false };
        let key = headers.get(KEY_HEADER).and_then(|key| key.to_str().ok()).unwrap_or_default();
        self.state().sessions.get(value, Instant::now()).is_some_and(|known| *known == digest(key))
    }

    /// Ends the session of a request, and returns the header that removes its cookie.
    pub fn close(&self, headers: &HeaderMap) -> HeaderValue {
        if self.is_open_to(headers)
            && let Some(value) = self.cookie.of(headers)
        {
            self.state().sessions.end(value);
        }
        self.cookie.clear()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admitted(method: &str, headers: &[(&str, &str)]) -> bool {
        let mut request = Request::builder().method(method).uri("/");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        Gate::new(7000, "secret").admits(&request.body(()).unwrap()).is_ok()
    }

    #[test]
    fn only_the_page_itself_under_its_own_name_is_admitted() {
        for host in ["127.0.0.1:7000", "localhost:7000", "LOCALHOST:7000"] {
            assert!(admitted("GET", &[("host", host)]), "{host}");
        }
        for host in ["evil.example:7000", "127.0.0.1:7001", "127.0.0.1", "", "127.0.0.1.evil:7000"]
        {
            assert!(!admitted("GET", &[("host", host)]), "{host}");
        }
        let host = ("host", "127.0.0.1:7000");
        assert!(admitted("POST", &[host, ("origin", "http://127.0.0.1:7000")]));
        assert!(!admitted("POST", &[host]), "browsers say where a POST comes from");
        for origin in
            ["http://localhost:7000", "http://127.0.0.1:8000", "https://evil.example", "null"]
        {
            assert!(!admitted("POST", &[host, ("origin", origin)]), "{origin}");
            assert!(!admitted("GET", &[host, ("origin", origin)]), "{origin}");
        }
    }

    #[test]
    fn the_secret_opens_once() {
        let gate = Gate::new(7000, "secret");
        assert!(gate.open("guess").is_err());
        let opened = gate.open("secret").unwrap();
        assert!(gate.open("secret").unwrap_err().0.contains("used already"));
        let cookie = opened.cookie.to_str().unwrap().split(';').next().unwrap().to_owned();
        let request = |cookie: &str, key: &str| {
            let mut headers = HeaderMap::new();
            headers.insert("cookie", cookie.parse().unwrap());
            headers.insert(KEY_HEADER, key.parse().unwrap());
            headers
        };
        assert!(gate.is_open_to(&request(&cookie, &opened.key)));
        assert!(!gate.is_open_to(&request(&cookie, "")), "another port saw the cookie");
        assert!(!gate.is_open_to(&request("wharf-7000=x", &opened.key)));
        gate.close(&request(&cookie, "x"));
        assert!(
            gate.is_open_to(&request(&cookie, &opened.key)),
            "whoever has no session ends none"
        );
        gate.close(&request(&cookie, &opened.key));
        assert!(!gate.is_open_to(&request(&cookie, &opened.key)));
    }
}
