//! A call to the model, with the parameters of a request. Knows nothing about HTTP except statuses.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use serde_json::{Value, json};
use wharf_server::engine::{ApiVersion, Change, ErrorKind, WaitCondition};

use super::reply::{Reply, frame};
use super::resources::{networks, volumes};
use super::route::Routed;
use crate::follow::{EventStream, Following};
use crate::host::SimHost;
use crate::model::{
    BuildQuery, Filters, ListQuery, LogQuery, Refusal, RegistryAuth, log_time, parse_json,
};
use crate::operation::Operation;
use crate::sampling::Sampling;

/// What of a request matters besides its path.
#[derive(Debug, Default)]
pub(super) struct Extras {
    pub content_type: String,
    pub registry_auth: Option<String>,
    pub body: Vec<u8>,
    /// The body came in chunks, of unknown length.
    pub chunked: bool,
}

/// Does what is asked.
pub(super) async fn dispatch(
    host: &Arc<SimHost>,
    version: ApiVersion,
    operation: Operation,
    routed: &Routed,
    extras: &Extras,
) -> Result<Reply, Refusal> {
    let name = routed.name.as_str();
    let filters = || Filters::parse(routed.text("filters"));
    let changed = |change: Change| Reply::Status(if change == Change::Already { 304 } else { 204 });
    let ok = |value: Value| Reply::Json(200, value);
    let auth = || extras.registry_auth.as_deref().and_then(registry_auth);
    let done = |()| Reply::Status(204);
    match operation {
        Operation::Ping => Ok(Reply::Text(200, "OK".to_owned())),
        Operation::Version => Ok(ok(host.with(|model, _| model.version()))),
        Operation::Info => Ok(ok(host.with(|model, _| model.info()))),
        Operation::DiskUsage => Ok(ok(host.with(|model, _| model.disk_usage(version)))),
        Operation::Events => {
            let since = log_time(routed.text("since"))?;
            let until = log_time(routed.text("until"))?;
            Ok(Reply::Events(Box::new(EventStream::new(Arc::clone(host), since, until))))
        }
        Operation::Login => {
            let body = parse_json(&extras.body)?;
            host.with(|model, _| model.login(&auth_of(&body))).map(ok)
        }
        Operation::ListImages => {
            let filters = filters()?;
            host.with(|model, _| model.list_images(version, &filters))
                .map(|items| ok(Value::Array(items)))
        }
        Operation::InspectImage => host.with(|model, _| model.inspect_image(version, name)).map(ok),
        Operation::ImageHistory => host.with(|model, _| model.image_history(name)).map(ok),
        Operation::Pull => pull(host, routed, auth().as_ref()),
        Operation::Push => {
            // Tolerated from Engine 28.3.3 on.
            let needed = host.with(|model, _| model.options().api_version.minor < 51);
            if needed && extras.registry_auth.is_none() {
                let message = "Bad parameters and missing X-Registry-Auth: EOF";
                return Err(Refusal::bad_request(message));
            }
            let (tag, auth) = (routed.text("tag"), auth());
            host.with(|model, _| model.begin_push(name, tag, auth.as_ref()))
                .map(|plan| Reply::Push(Box::new(plan)))
        }
        Operation::SaveImages => {
            let names = routed.texts("names");
            host.with(|model, _| model.save_images(&names)).map(Reply::Archive)
        }
        Operation::LoadImages => {
            let plan = host.with(|model, _| model.begin_load(&extras.body));
            Ok(Reply::Load(Box::new(plan)))
        }
        Operation::Build => {
            let query = BuildQuery {
                tags: routed.texts("t"),
                dockerfile: routed.text("dockerfile").to_owned(),
                labels: routed.text("labels").to_owned(),
            };
            host.with(|model, _| model.begin_build(&query, &extras.body))
                .map(|plan| Reply::Build(Box::new(plan)))
        }
        Operation::Tag => {
            let (repository, tag) = (routed.text("repo"), routed.text("tag"));
            host.with(|model, now| model.tag_image(now, name, repository, tag))
                .map(|()| Reply::Status(201))
        }
        Operation::RemoveImage => {
            let force = routed.flag("force");
            host.with(|model, _| model.remove_image(name, force)).map(ok)
        }
        Operation::PruneImages => {
            let filters = filters()?;
            host.with(|model, _| model.prune_images(&filters)).map(ok)
        }
        Operation::ListContainers => {
            let query = ListQuery {
                all: routed.flag("all"),
                limit: usize::try_from(integer(routed, "limit")?.unwrap_or(0)).unwrap_or(0),
                size: routed.flag("size"),
                filters: filters()?,
            };
            host.with(|model, _| model.list(version, &query)).map(|items| ok(Value::Array(items)))
        }
        Operation::Create => {
            must_be_json(extras)?;
            let body = parse_json(&extras.body)?;
            let (name, platform) = (routed.text("name"), routed.text("platform"));
            let (id, warnings) = host
                .with(|model, now| model.create(now, version, Some(name), Some(platform), &body))?;
            Ok(Reply::Json(201, json!({"Id": id, "Warnings": warnings})))
        }
        Operation::Inspect => {
            let size = routed.flag("size");
            host.with(|model, _| model.inspect(version, name, size)).map(ok)
        }
        Operation::Start if extras.chunked || extras.body.len() > 7 => Err(Refusal::bad_request(
            "starting container with non-empty request body was deprecated since API v1.22 and removed in v1.24",
        )),
        Operation::Start => host.with(|model, now| model.start(now, name)).map(changed),
        Operation::Stop => host.stop(name, integer(routed, "t")?).await.map(changed),
        Operation::Restart => host.restart(name, integer(routed, "t")?).await.map(done),
        Operation::Kill => {
            let signal = Some(routed.text("signal"));
            host.with(|model, now| model.kill(now, name, signal)).map(done)
        }
        Operation::Pause => host.with(|model, now| model.pause(now, name)).map(done),
        Operation::Unpause => host.with(|model, now| model.unpause(now, name)).map(done),
        Operation::Rename => {
            let new_name = routed.text("name");
            host.with(|model, _| model.rename(name, new_name)).map(done)
        }
        Operation::Update => {
            must_be_json(extras)?;
            let body = parse_json(&extras.body)?;
            host.with(|model, _| model.update(name, &body)).map(ok)
        }
        Operation::Wait => {
            let condition = match routed.text("condition") {
                "next-exit" if version.minor >= 30 => WaitCondition::NextExit,
                "removed" if version.minor >= 30 => WaitCondition::Removed,
                _ => WaitCondition::NotRunning,
            };
            if version.minor < 30 {
                return host.wait(name, condition).await.map(ok);
            }
            // The head of the answer comes at once: it says that the Engine waits.
            let (wait, host) = (host.begin_wait(name)?, Arc::clone(host));
            Ok(Reply::Later(Box::pin(async move { host.end_wait(wait, condition).await })))
        }
        Operation::Top => {
            let ps_args = routed.text("ps_args");
            host.with(|model, _| model.top(name, ps_args)).map(ok)
        }
        Operation::Changes => host.with(|model, _| model.changes(name)).map(ok),
        Operation::Remove => {
            let (force, volumes) = (routed.flag("force"), routed.flag("v"));
            host.remove(name, force, volumes).await.map(done)
        }
        Operation::ListNetworks
        | Operation::InspectNetwork
        | Operation::CreateNetwork
        | Operation::RemoveNetwork
        | Operation::PruneNetworks
        | Operation::ConnectNetwork
        | Operation::DisconnectNetwork => networks(host, operation, routed, extras),
        Operation::ListVolumes
        | Operation::InspectVolume
        | Operation::CreateVolume
        | Operation::RemoveVolume
        | Operation::PruneVolumes => volumes(host, version, operation, routed, extras),
        Operation::PruneContainers => {
            let filters = filters()?;
            host.with(|model, _| model.prune_containers(&filters)).map(ok)
        }
        Operation::Exec => {
            must_be_json(extras)?;
            let body = parse_json(&extras.body)?;
            let command = crate::answers::texts(&body["Cmd"]);
            let tty = body["Tty"] == true;
            let id = host.with(|model, _| model.create_exec(name, &command, tty))?;
            Ok(Reply::Json(201, json!({"Id": id})))
        }
        Operation::StartExec => {
            must_be_json(extras)?;
            if let Some(command) = host.with(|model, _| model.interactive(name)) {
                return Ok(Reply::Session(command));
            }
            let output = host.with(|model, _| model.start_exec(name))?;
            Ok(Reply::Frames(frame(output.as_bytes())))
        }
        Operation::ResizeExec => {
            let size = (routed.text("w").to_owned(), routed.text("h").to_owned());
            host.with(|model, _| model.resize_exec(name, size))?;
            Ok(Reply::Status(201))
        }
        Operation::InspectExec => host.with(|model, _| model.inspect_exec(name)).map(ok),
        Operation::Logs if routed.flag("timestamps") => {
            let query = LogQuery {
                since: log_time(routed.text("since"))?,
                until: log_time(routed.text("until"))?,
                // The Engine takes a text that is no number as all.
                tail: routed.text("tail").parse().ok(),
                stdout: routed.flag("stdout"),
                stderr: routed.flag("stderr"),
            };
            Following::new(Arc::clone(host), name, query, routed.flag("follow"))
                .map(|log| Reply::Log(Box::new(log)))
        }
        Operation::Logs => {
            let tail = integer(routed, "tail").ok().flatten().unwrap_or(i64::MAX);
            let lines = host.with(|model, _| model.log_tail(name))?;
            let surplus = lines.len().saturating_sub(usize::try_from(tail).unwrap_or(usize::MAX));
            let frames =
                lines[surplus..].iter().flat_map(|line| frame(format!("{line}\n").as_bytes()));
            Ok(Reply::Frames(frames.collect()))
        }
        Operation::Stats => {
            Sampling::new(Arc::clone(host), name).map(|samples| Reply::Stats(Box::new(samples)))
        }
        Operation::StatPath | Operation::DownloadArchive => {
            let path = routed.text("path");
            let (stat, archive) = host.with(|model, _| model.archive(name, path))?;
            Ok(Reply::Files(STANDARD.encode(stat.to_string()), archive))
        }
        Operation::UploadArchive => {
            let path = routed.text("path");
            host.with(|model, _| model.extract(name, path, &extras.body))
                .map(|()| Reply::Status(200))
        }
        Operation::Distribution => {
            let digest = host.with(|model, _| model.resolve_digest(name, "", auth().as_ref()))?;
            Ok(ok(json!({"Descriptor": {"digest": digest}, "Platforms": []})))
        }
    }
}

fn pull(host: &SimHost, routed: &Routed, auth: Option<&RegistryAuth>) -> Result<Reply, Refusal> {
    let from_image = routed.text("fromImage");
    if from_image.is_empty() {
        // Without it the Engine takes the call for an import.
        let message = "Get \"http:\": http: no Host in request URL";
        return Err(Refusal::new(500, ErrorKind::BadRequest, message));
    }
    let (tag, platform) = (routed.text("tag"), routed.text("platform"));
    host.with(|model, _| model.begin_pull(from_image, tag, Some(platform), auth)).map(Reply::Pull)
}

fn integer(routed: &Routed, key: &str) -> Result<Option<i64>, Refusal> {
    match routed.text(key) {
        "" => Ok(None),
        text => text.parse().map(Some).map_err(|_| {
            let message = format!("strconv.Atoi: parsing \"{text}\": invalid syntax");
            Refusal::bad_request_500(message)
        }),
    }
}

pub(super) fn must_be_json(extras: &Extras) -> Result<(), Refusal> {
    let content_type = &extras.content_type;
    if content_type.split(';').next().is_some_and(|kind| kind.trim() == "application/json") {
        return Ok(());
    }
    Err(Refusal::bad_request(format!(
        "Content-Type specified ({content_type}) must be 'application/json'"
    )))
}

/// Reads the header as the Engine does: base64url with padding, or nobody.
fn registry_auth(header: &str) -> Option<RegistryAuth> {
    let bytes = URL_SAFE.decode(header).ok()?;
    let body: Value = serde_json::from_slice(&bytes).ok()?;
    Some(auth_of(&body))
}

fn auth_of(body: &Value) -> RegistryAuth {
    let text = |key: &str| body[key].as_str().unwrap_or_default().to_owned();
    RegistryAuth {
        username: text("username"),
        password: text("password"),
        identity_token: text("identitytoken"),
        server_address: text("serveraddress"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;

    #[test]
    fn only_padded_base64url_is_somebody() {
        let json = r#"{"username":"ann","password":"~~~???>>>","serveraddress":"r:50"}"#;
        let read = registry_auth(&URL_SAFE.encode(json)).unwrap();
        assert_eq!((read.username.as_str(), read.server_address.as_str()), ("ann", "r:50"));
        assert_ne!(json.len() % 3, 0, "the test needs padding");
        assert_eq!(registry_auth(&URL_SAFE_NO_PAD.encode(json)), None);
        let standard = STANDARD.encode(json);
        assert!(standard.contains(['+', '/']), "the test needs an odd character: {standard}");
        assert_eq!(registry_auth(&standard), None);
        assert_eq!(registry_auth("garbage"), None);
        assert_eq!(registry_auth("e30="), Some(RegistryAuth::default()));
    }
}
