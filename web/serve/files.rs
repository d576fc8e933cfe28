//! The built files of the page.

use std::borrow::Cow;
use std::collections::HashMap;
use std::io::Write;
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::header::{
    ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG,
    IF_NONE_MATCH, REFERRER_POLICY, VARY, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use rust_embed::Embed;

/// What the page may do: run and show its own files, and call the server that it came from. No other page
/// may frame it, and no text becomes markup but through the templates of Svelte.
pub const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
     connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; \
     require-trusted-types-for 'script'; trusted-types svelte-trusted-html";

#[derive(Embed)]
#[folder = "dist"]
struct Built;

/// Compressed once, when first asked for: by path.
static COMPRESSED: Mutex<Option<HashMap<String, Bytes>>> = Mutex::new(None);

/// The answer to a request for a file of the page; `None` if there is none at its path, or if it is no GET
/// or HEAD.
pub fn answer<B>(request: &Request<B>) -> Option<Response<Bytes>> {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return None;
    }
    let path = match request.uri().path() {
        "/" => "index.html",
        path => path.strip_prefix('/')?,
    };
    let file = Built::get(path)?;
    let tag = format!("\"{}\"", hex(&file.metadata.sha256_hash()[..16]));
    let mut response = Response::new(Bytes::new());
    let headers = response.headers_mut();
    protect(headers);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind(path)));
    headers.insert(VARY, HeaderValue::from_static("accept-encoding"));
    // The names of files below assets/ have a hash of what is in them; the others may change at any time.
    let caching =
        if path.starts_with("assets/") { "max-age=31536000, immutable" } else { "no-cache" };
    headers.insert(CACHE_CONTROL, HeaderValue::from_static(caching));
    headers.insert(ETAG, HeaderValue::from_str(&tag).expect("hexadecimal digits"));
    if request.headers().get(IF_NONE_MATCH).is_some_and(|known| known.as_bytes() == tag.as_bytes())
    {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        return Some(response);
    }
    let content = if accepts_gzip(request.headers()) {
        response.headers_mut().insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        compressed(path, &file.data)
    } else {
        match file.data {
            Cow::Borrowed(data) => Bytes::from_static(data),
            Cow::Owned(data) => Bytes::from(data),
        }
    };
    if request.method() == Method::GET {
        *response.body_mut() = content;
    }
    Some(response)
}

/// Adds what every answer of the page has.
pub fn protect(headers: &mut HeaderMap) {
    let fixed: [(HeaderName, &'static str); 6] = [
        (CONTENT_SECURITY_POLICY, POLICY),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (X_FRAME_OPTIONS, "DENY"),
        (REFERRER_POLICY, "no-referrer"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ];
    for (name, value) in fixed {
        headers.insert(name, HeaderValue::from_static(value));
    }
}

fn kind(path: &str) -> &'static str {
    match path.rsplit_once('.').map(|(_, extension)| extension) {
        Some("html") => "text/html; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("svg") => "image/svg+xml",
        _ => "application/octet-stream",
    }
}

fn accepts_gzip(headers: &HeaderMap) -> bool {
    let accepted = headers.get_all(ACCEPT_ENCODING).iter().filter_map(|it| it.to_str().ok());
    accepted.flat_map(|it| it.split(',')).any(|it| it.trim() == "gzip")
}

fn compressed(path: &str, data: &[u8]) -> Bytes {
    let mut known = COMPRESSED.lock().unwrap_or_else(PoisonError::into_inner);
    let known = known.get_or_insert_with(HashMap::new);
    if let Some(content) = known.get(path) {
        return content.clone();
    }
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    let content = encoder.write_all(data).and_then(|()| encoder.finish());
    let content = Bytes::from(content.expect("memory takes everything"));
    known.insert(path.to_owned(), content.clone());
    content
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    fn get(path: &str, headers: &[(&str, &str)]) -> Option<Response<Bytes>> {
        let mut request = Request::get(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        answer(&request.body(()).unwrap())
    }

    /// The paths of the files that the page loads at once, and of all its scripts.
    fn scripts() -> Vec<String> {
        Built::iter().map(Cow::into_owned).filter(|path| path.ends_with(".js")).collect()
    }

    #[test]
    fn the_page_is_whole_and_every_answer_has_the_policy() {
        let index = get("/", &[]).unwrap();
        let text = std::str::from_utf8(index.body()).unwrap();
        let mut named = 0;
        for part in text.split('"').filter_map(|part| part.strip_prefix("./")) {
            let file = get(&format!("/{part}"), &[]).unwrap_or_else(|| panic!("{part}"));
            assert_eq!(file.headers()[CONTENT_SECURITY_POLICY], POLICY);
            assert!(!file.body().is_empty(), "{part}");
            named += 1;
        }
        assert!(named >= 3, "a script, a style, an icon: {text}");
        assert!(!text.contains("style=") && !text.contains("<style"), "{text}");
    }

    /// The script of terminals, which is loaded when one is opened, and needed by nobody else.
    fn is_of_terminals(path: &str) -> bool {
        path.starts_with("assets/screen-")
    }

    #[test]
    fn scripts_have_at_most_150_kb_compressed_and_that_of_terminals_100_kb() {
        let (mut sum, mut of_terminals) = (0, 0);
        for path in scripts() {
            let file = get(&format!("/{path}"), &[("accept-encoding", "br, gzip")]).unwrap();
            assert_eq!(file.headers()[CONTENT_ENCODING], "gzip");
            *(if is_of_terminals(&path) { &mut of_terminals } else { &mut sum }) +=
                file.body().len();
        }
        assert!(sum > 10_000 && sum <= 150_000, "{sum} bytes");
        assert!(of_terminals > 10_000 && of_terminals <= 100_000, "{of_terminals} bytes");
    }

    #[test]
    fn the_script_of_terminals_is_loaded_only_when_one_is_opened() {
        let path = scripts().into_iter().find(|path| is_of_terminals(path)).unwrap();
        let name = path.strip_prefix("assets/").unwrap();
        for other in Built::iter().filter(|other| **other != *path && !other.ends_with(".svg")) {
            let file = get(&format!("/{other}"), &[]).unwrap();
            let text = String::from_utf8_lossy(file.body());
            for (place, _) in text.match_indices(name) {
                // `from"./screen.js"`, and not `import("./screen.js")` or the list of what that loads.
                let before = text[..place].trim_end_matches("./");
                let is_at_once = other.ends_with(".html")
                    || ["from\"", "import\""].iter().any(|word| before.ends_with(word));
                assert!(!is_at_once, "{other} loads it at once");
            }
        }
    }

    #[test]
    fn compressed_files_are_the_same_files() {
        let path = format!("/{}", scripts()[0]);
        let plain = get(&path, &[]).unwrap();
        let small = get(&path, &[("accept-encoding", "gzip")]).unwrap();
        let mut text = Vec::new();
        flate2::read::GzDecoder::new(&small.body()[..]).read_to_end(&mut text).unwrap();
        assert_eq!(text[..], plain.body()[..]);
    }

    #[test]
    fn a_browser_that_has_a_file_is_told_so() {
        let first = get("/", &[]).unwrap();
        let tag = first.headers()[ETAG].to_str().unwrap();
        assert_eq!(first.headers()[CACHE_CONTROL], "no-cache");
        let second = get("/", &[("if-none-match", tag)]).unwrap();
        assert_eq!((second.status(), second.body().len()), (StatusCode::NOT_MODIFIED, 0));
    }

    #[test]
    fn there_is_nothing_but_the_files() {
        for path in ["/index.html/", "/../Cargo.toml", "/assets/", "/src/main.ts", "//etc/passwd"] {
            assert!(get(path, &[]).is_none(), "{path}");
        }
        let post = Request::post("/").body(()).unwrap();
        assert!(answer(&post).is_none());
    }
}
