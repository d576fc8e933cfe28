//! Calls about networks and volumes.

use serde_json::{Value, json};
use wharf_server::engine::ApiVersion;

use super::dispatch::{Extras, must_be_json};
use super::reply::Reply;
use super::route::Routed;
use crate::host::SimHost;
use crate::model::{Filters, Refusal, parse_json};
use crate::operation::Operation;

pub(super) fn networks(
    host: &SimHost,
    operation: Operation,
    routed: &Routed,
    extras: &Extras,
) -> Result<Reply, Refusal> {
    let name = routed.name.as_str();
    let filters = || Filters::parse(routed.text("filters"));
    let body = || {
        must_be_json(extras)?;
        parse_json(&extras.body)
    };
    let container = |body: &Value| body["Container"].as_str().unwrap_or_default().to_owned();
    match operation {
        Operation::InspectNetwork => {
            host.with(|model, _| model.inspect_network(name)).map(|json| Reply::Json(200, json))
        }
        Operation::CreateNetwork => {
            let body = body()?;
            let id = host.with(|model, now| model.create_network(now, &body))?;
            Ok(Reply::Json(201, json!({"Id": id, "Warning": ""})))
        }
        Operation::RemoveNetwork => {
            host.with(|model, _| model.delete_network(name)).map(|()| Reply::Status(204))
        }
        Operation::PruneNetworks => {
            let filters = filters()?;
            host.with(|model, _| model.prune_networks(&filters))
                .map(|names| Reply::Json(200, json!({"NetworksDeleted": names})))
        }
        Operation::ConnectNetwork => {
            let body = body()?;
            let endpoint = &body["EndpointConfig"];
            host.with(|model, _| model.connect_network(name, &container(&body), endpoint))
                .map(|()| Reply::Status(200))
        }
        Operation::DisconnectNetwork => {
            let body = body()?;
            host.with(|model, _| model.disconnect_network(name, &container(&body)))
                .map(|()| Reply::Status(200))
        }
        _ => {
            let filters = filters()?;
            host.with(|model, _| model.list_networks(&filters))
                .map(|items| Reply::Json(200, Value::Array(items)))
        }
    }
}

pub(super) fn volumes(
    host: &SimHost,
    version: ApiVersion,
    operation: Operation,
    routed: &Routed,
    extras: &Extras,
) -> Result<Reply, Refusal> {
    let name = routed.name.as_str();
    let filters = || Filters::parse(routed.text("filters"));
    match operation {
        Operation::InspectVolume => host
            .with(|model, _| model.inspect_volume(version, name))
            .map(|json| Reply::Json(200, json)),
        Operation::CreateVolume => {
            must_be_json(extras)?;
            let body = parse_json(&extras.body)?;
            host.with(|model, now| model.create_volume(now, version, &body))
                .map(|json| Reply::Json(201, json))
        }
        Operation::RemoveVolume => {
            let force = routed.flag("force");
            host.with(|model, _| model.remove_volume(name, force)).map(|()| Reply::Status(204))
        }
        Operation::PruneVolumes => {
            let filters = filters()?;
            host.with(|model, _| model.prune_volumes(version, &filters)).map(|names| {
                Reply::Json(200, json!({"VolumesDeleted": names, "SpaceReclaimed": 0}))
            })
        }
        _ => {
            let filters = filters()?;
            host.with(|model, _| model.list_volumes(version, &filters))
                .map(|items| Reply::Json(200, json!({"Volumes": items, "Warnings": null})))
        }
    }
}
