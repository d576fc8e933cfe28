//! What a session is to be connected to: its first message, checked.

use wharf::v1;

use super::attach::AttachOrder;
use super::command;
use crate::api::problem::{Finish, Problem};
use crate::body::violation::Violations;
use crate::domain::{ContainerRef, HostName, quoted};
use crate::engine::{ExecSpec, TerminalSize};

/// What a session is connected to, and where.
#[derive(Debug)]
pub(super) struct Order {
    pub host: HostName,
    pub container: ContainerRef,
    pub what: What,
}

/// What a session is connected to.
#[derive(Debug)]
pub(super) enum What {
    Run(ExecSpec),
    Attach(AttachOrder),
}

impl Order {
    /// What the audit log says of a session: the program, but not its arguments, which may have
    /// secrets.
    pub fn subject(&self) -> String {
        let place = format!("host={} container={}", self.host, quoted(self.container.as_str()));
        let what = match &self.what {
            What::Run(spec) => format!(
                "program={}{}",
                quoted(spec.command.first().map_or("", String::as_str)),
                spec.user
                    .as_ref()
                    .map(|user| format!(" user={}", quoted(user)))
                    .unwrap_or_default()
            ),
            What::Attach(_) => "attach".to_owned(),
        };
        format!("{place} {what}")
    }

    /// The order of a command to run.
    pub fn run(start: &v1::ExecStart) -> Result<Self, Problem> {
        let mut violations = Violations::default();
        let host = violations.check("start.host", HostName::parse(&start.host));
        let container = violations.check("start.container", ContainerRef::parse(&start.container));
        let spec = command(&mut violations, "start.command", start.command.as_ref());
        let size = size(&mut violations, "start.size", start.size);
        if start.size.is_some() && !start.tty {
            violations.add("start.size", "requires `tty`");
        }
        violations.finish()?;
        let order = host.zip(container).zip(spec).map(|((host, container), spec)| Self {
            host,
            container,
            what: What::Run(ExecSpec { stdin: start.stdin, tty: start.tty, size, ..spec }),
        });
        order.ok_or_else(|| Problem::invalid_field("start", "must be complete"))
    }

    /// The order of a container to attach to.
    pub fn attach(attach: &v1::AttachStart) -> Result<Self, Problem> {
        let mut violations = Violations::default();
        let host = violations.check("attach.host", HostName::parse(&attach.host));
        let container =
            violations.check("attach.container", ContainerRef::parse(&attach.container));
        let size = size(&mut violations, "attach.size", attach.size);
        violations.finish()?;
        let (stdin, before_start) = (attach.stdin, attach.before_start);
        let what = What::Attach(AttachOrder { stdin, before_start, size });
        let order = host.zip(container).map(|(host, container)| Self { host, container, what });
        order.ok_or_else(|| Problem::invalid_field("attach", "must be complete"))
    }
}

/// The size of a terminal in the first message.
fn size(
    violations: &mut Violations,
    field: &str,
    size: Option<v1::TerminalSize>,
) -> Option<TerminalSize> {
    match size.map(terminal_size).transpose() {
        Ok(size) => size,
        Err(text) => {
            violations.add(field, text);
            None
        }
    }
}

/// The size of a terminal, or what is wrong with it.
pub(super) fn terminal_size(size: v1::TerminalSize) -> Result<TerminalSize, &'static str> {
    match (u16::try_from(size.columns), u16::try_from(size.rows)) {
        (Ok(columns @ 1..), Ok(rows @ 1..)) => Ok(TerminalSize { columns, rows }),
        _ => Err("`columns` and `rows` must be from 1 to 65535"),
    }
}
