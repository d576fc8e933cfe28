//! Creates a network, unless the host has one of the name: then says whether it is the same.

use serde_json::Value;
use wharf::v1;
use wharf::v1::create_network_response::Event;

use crate::api::edge::some;
use crate::api::in_use::differs;
use crate::api::views::parse;
use crate::body::network::network_differences;
use crate::domain::{NetworkRef, is_engine_id, quoted};
use crate::engine::{EngineError, ErrorKind, NetworkListing};
use crate::fleet::fanout::HostCall;
use crate::fleet::{Done, HostError};

const CREATE: &str = "POST /networks/create";
const INSPECT: &str = "GET /networks/{id}";

/// Does it on one host.
pub async fn create(
    call: &HostCall<Event>,
    name: &NetworkRef,
    body: &Value,
) -> Result<Done, HostError> {
    if let Some(id) = existing(call, name).await? {
        return agree(call, name, body, id).await;
    }
    let created = match call.engine.create_network(body).await {
        Ok(created) => created,
        // Someone else created it in the meantime.
        Err(error) if error.kind == ErrorKind::NameInUse => {
            return match existing(call, name).await? {
                Some(id) => agree(call, name, body, id).await,
                None => Err(error.into()),
            };
        }
        Err(error) => return Err(error.into()),
    };
    let mut warnings = created.warnings;
    // An Engine may drop settings, which makes the next call with the same request an error. Not
    // worth a failure if it cannot be checked.
    if let Ok(differences) = compare(call, body, &created.id).await {
        warnings
            .extend(differences.into_iter().map(|it| format!("not applied by the Engine: {it}")));
    }
    let network =
        v1::CreatedNetwork { name: name.to_string(), id: created.id, created: true, warnings };
    call.emit(Event::Network(network)).await;
    Ok(Done::CHANGED)
}

/// The ID of the network of exactly this name.
async fn existing(
    call: &HostCall<Event>,
    name: &NetworkRef,
) -> Result<Option<String>, EngineError> {
    // The Engine's filter matches anywhere in a name.
    let filters = [("name".to_owned(), vec![name.to_string()])].into();
    let listing = NetworkListing { filters, keep_json: false };
    let networks = call.engine.list_networks(&listing).await?.items;
    let ids: Vec<String> =
        networks.into_iter().filter(|it| it.name == name.as_str()).map(|it| it.id).collect();
    match &*ids {
        [] => Ok(None),
        [id] => Ok(Some(id.clone())),
        _ => {
            let short = |id: &String| match id.get(..12) {
                Some(short) if is_engine_id(short) => short.to_owned(),
                _ => quoted(id),
            };
            let message = format!(
                "the host has {} networks named {name}: {}; remove all but one by ID",
                ids.len(),
                some(ids.iter().map(short))
            );
            Err(EngineError::new(ErrorKind::NameInUse, CREATE, message))
        }
    }
}

/// Success without a change if the existing network has all that was requested.
async fn agree(
    call: &HostCall<Event>,
    name: &NetworkRef,
    body: &Value,
    id: String,
) -> Result<Done, HostError> {
    let differences = compare(call, body, &id).await?;
    if !differences.is_empty() {
        let what = format!("a network named {name} exists and differs");
        let way_out = "remove it, or choose another name";
        return Err(differs(ErrorKind::NameInUse, CREATE, &what, &differences, way_out));
    }
    let name = name.to_string();
    let network = v1::CreatedNetwork { name, id, created: false, warnings: Vec::new() };
    call.emit(Event::Network(network)).await;
    Ok(Done::UNCHANGED)
}

async fn compare(
    call: &HostCall<Event>,
    body: &Value,
    id: &str,
) -> Result<Vec<String>, EngineError> {
    let reference = NetworkRef::parse(id)
        .map_err(|error| EngineError::new(ErrorKind::BadAnswer, CREATE, error.to_string()))?;
    let document = call.engine.inspect_network(&reference).await?;
    Ok(network_differences(body, &parse(&document, INSPECT)?))
}
