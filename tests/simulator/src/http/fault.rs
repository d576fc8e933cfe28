//! Faults of responses over HTTP.

use std::time::Duration;

/// A scripted fault. Those that come before the effect leave the model as it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HttpFault {
    /// Before the effect: no answer comes.
    HangBeforeHeaders,
    /// Before the effect: an answer of any status, type and body instead: a proxy's page, 200
    /// with HTML, JSON that is cut off, no UTF-8.
    Answer {
        /// HTTP status.
        status: u16,
        /// Its `Content-Type`.
        content_type: &'static str,
        /// Its body.
        body: Vec<u8>,
    },
    /// Before the effect: the Engine's kind of error.
    Refuse {
        /// HTTP status.
        status: u16,
        /// What the JSON says.
        message: String,
    },
    /// Before the effect: these bytes and no HTTP, then the end of the connection.
    Garbage(Vec<u8>),
    /// Before the effect: a redirect to this place.
    Redirect(String),
    /// Before the effect: status 200, and a body that repeats this and never ends.
    Endless(Vec<u8>),
    /// Before the effect: the connection is reset and no byte comes.
    ResetBefore,
    /// After the effect: the connection is reset and no byte comes.
    LoseAnswer,
    /// After the effect: no answer comes.
    HangAfter,
    /// After the effect: the head, so many bytes of the body, then nothing.
    HangInBody {
        /// Bytes of the body.
        after: usize,
    },
    /// After the effect: the connection is reset after so many bytes of the answer, its head
    /// among them.
    ResetAt(u64),
    /// After the effect: the connection ends properly, but after so many bytes of the answer.
    CloseAt(u64),
    /// After the effect: the answer comes so many bytes at a time.
    Slow {
        /// At a time.
        bytes: usize,
        /// Between them.
        every: Duration,
    },
    /// After the effect: so many interim answers (102) come before the real one.
    Interim(usize),
    /// In a pull or push: after so many lines one says that it failed; nothing is done.
    StreamError {
        /// Lines before it.
        after_lines: usize,
        /// What it says.
        message: String,
    },
    /// In a pull or push: after so many lines the connection ends without the last chunk;
    /// nothing is done.
    CutStream {
        /// Lines before it.
        after_lines: usize,
    },
    /// In a pull or push: after so many lines nothing comes any longer.
    StallStream {
        /// Lines before it.
        after_lines: usize,
    },
    /// In a pull or push: progress lines without end.
    EndlessStream,
    /// In a pull or push: everything is said, nothing is done: the image is not there.
    LieStream,
}
