//! The TLS sessions of the Engines with the same certificates, so that a connection that is opened
//! again costs no signature and no check of certificates on either side.
//!
//! rustls remembers 32 servers by default, and reserves memory for as many as it is told to. This
//! store has room for every Engine there is, takes memory only for those, and forgets those that are
//! gone ([`Sessions::retain`]). Like that of rustls, it knows servers by their names without ports: a
//! session that is offered to another Engine of the same machine is ignored there.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustls::NamedGroup;
use rustls::client::{ClientSessionStore, Tls12ClientSessionValue, Tls13ClientSessionValue};
use rustls::pki_types::ServerName;

/// Tickets to keep for each server. Each is good for one connection, which brings another one, and
/// connections to a host are opened one after the other. An Engine's ticket has about 2 KiB.
const MOST_TICKETS: usize = 2;

/// What is remembered of servers between connections.
#[derive(Default)]
pub(super) struct Sessions {
    servers: Mutex<HashMap<ServerName<'static>, Session>>,
}

#[derive(Default)]
struct Session {
    group: Option<NamedGroup>,
    /// TLS 1.2.
    reusable: Option<Box<Tls12ClientSessionValue>>,
    /// TLS 1.3, the newest last.
    tickets: VecDeque<Tls13ClientSessionValue>,
}

impl Sessions {
    /// Forgets the servers that `is_used` does not know.
    pub(super) fn retain(&self, is_used: impl Fn(&ServerName<'static>) -> bool) {
        self.servers().retain(|name, _| is_used(name));
    }

    fn servers(&self) -> MutexGuard<'_, HashMap<ServerName<'static>, Session>> {
        // Nothing that can panic runs under the lock.
        self.servers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn edit(&self, server: ServerName<'static>, edit: impl FnOnce(&mut Session)) {
        edit(self.servers().entry(server).or_default());
    }
}

impl ClientSessionStore for Sessions {
    fn set_kx_hint(&self, server: ServerName<'static>, group: NamedGroup) {
        self.edit(server, |session| session.group = Some(group));
    }

    fn kx_hint(&self, server: &ServerName<'_>) -> Option<NamedGroup> {
        self.servers().get(&server.to_owned())?.group
    }

    fn set_tls12_session(&self, server: ServerName<'static>, value: Tls12ClientSessionValue) {
        self.edit(server, |session| session.reusable = Some(Box::new(value)));
    }

    fn tls12_session(&self, server: &ServerName<'_>) -> Option<Tls12ClientSessionValue> {
        self.servers().get(&server.to_owned())?.reusable.as_deref().cloned()
    }

    fn remove_tls12_session(&self, server: &ServerName<'static>) {
        if let Some(session) = self.servers().get_mut(server) {
            session.reusable = None;
        }
    }

    fn insert_tls13_ticket(&self, server: ServerName<'static>, value: Tls13ClientSessionValue) {
        self.edit(server, |session| {
            if session.tickets.len() == MOST_TICKETS {
                session.tickets.pop_front();
            }
            session.tickets.push_back(value);
        });
    }

    fn take_tls13_ticket(&self, server: &ServerName<'static>) -> Option<Tls13ClientSessionValue> {
        self.servers().get_mut(server)?.tickets.pop_back()
    }
}

/// Without the sessions, which are secrets.
impl fmt::Debug for Sessions {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Sessions").finish_non_exhaustive()
    }
}
