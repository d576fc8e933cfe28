//! Containers of lists as `wharf.v1.Container`, written from the Engine's answer at once: a list of many
//! hosts consists of nothing else. Pure.

use std::collections::BTreeMap;

use bytes::Bytes;
use prost::Message;
use wharf::v1;

use super::encoder::Encoder;
use super::views::check_size;
use crate::engine::{
    ApiVersion, ContainerRow, ContainerSummary, ContainerWriter, EngineError, PortRow, Text,
};
use crate::fleet::view::Form;

/// The form of containers.
#[derive(Debug, Clone, Copy)]
pub struct ContainerForm;

impl ContainerWriter for ContainerForm {
    fn write(
        &self,
        container: &ContainerRow<'_>,
        version: ApiVersion,
        written: &mut Vec<u8>,
    ) -> Result<(), EngineError> {
        let start = written.len();
        write(container, version, &mut Encoder(written));
        check_size(written.len() - start, "GET /containers/json", "container", || name(container))
    }
}

impl Form for ContainerForm {
    fn write(&self, container: &ContainerSummary) -> Result<Bytes, EngineError> {
        // Without the Engine's JSON, which alone has the version.
        let row = ContainerRow { status: Text::default(), json: None, ..container.row() };
        let mut written = Vec::new();
        ContainerWriter::write(self, &row, ApiVersion::new(1, 0), &mut written)?;
        // Without what it could still grow by: it is kept.
        Ok(written.into_boxed_slice().into())
    }

    fn labels(&self, form: &[u8]) -> BTreeMap<String, String> {
        // Written above, so it can be read.
        v1::Container::decode(form).map(|container| container.labels).unwrap_or_default()
    }
}

fn name<'r>(container: &'r ContainerRow<'_>) -> &'r str {
    container.names.first().map_or("", |name| name)
}

/// Writes a `wharf.v1.Container`; the numbers are those of its fields.
fn write(container: &ContainerRow<'_>, version: ApiVersion, encoder: &mut Encoder<'_>) {
    encoder.text(1, &container.id);
    encoder.text(2, name(container));
    encoder.text(3, &container.image);
    encoder.text(4, &container.image_id);
    encoder.text(5, &container.command);
    if let Some(created) = container.created {
        encoder.message(6, |timestamp| timestamp.int64(1, created));
    }
    encoder.text(7, &container.state);
    encoder.text(8, &container.status);
    for port in &container.ports {
        encoder.message(9, |encoder| write_port(port, encoder));
    }
    for (key, value) in &container.labels.0 {
        encoder.message(10, |entry| {
            entry.text(1, key);
            entry.text(2, value);
        });
    }
    for network in &container.networks {
        encoder.element(11, network);
    }
    encoder.int64(12, container.size_rw);
    encoder.int64(13, container.size_root_fs);
    if let Some(json) = container.json {
        encoder.message(15, |engine| {
            engine.text(1, json);
            engine.text(2, &version.to_string());
        });
    }
}

/// Writes a `wharf.v1.ContainerPort`.
fn write_port(port: &PortRow<'_>, encoder: &mut Encoder<'_>) {
    encoder.int64(1, port.private.into());
    encoder.int64(2, port.public.into());
    encoder.text(3, &port.protocol);
    encoder.text(4, &port.ip);
}

#[cfg(test)]
mod tests {
    use super::*;

    const VERSION: ApiVersion = ApiVersion::new(1, 41);

    fn written(json: &str) -> Vec<u8> {
        let mut row: ContainerRow<'_> = serde_json::from_str(json).unwrap();
        row.json = Some(json);
        let mut written = Vec::new();
        ContainerWriter::write(&ContainerForm, &row, VERSION, &mut written).unwrap();
        written
    }

    #[test]
    fn a_container_is_written_as_the_generated_code_writes_it() {
        let label = "x".repeat(300);
        let json = format!(
            r#"{{"Id":"4bc","Names":["/front/db","/web"],"Image":"app:v1","ImageID":"sha256:1",
            "Command":"pm2 \"a\"","Created":1700000000,"State":"running","Status":"Up 5 minutes",
            "Ports":[{{"PrivatePort":80,"Type":"tcp"}},
                {{"IP":"0.0.0.0","PrivatePort":443,"PublicPort":8443,"Type":"tcp"}}],
            "Labels":{{"a":"{label}","b":"","":"c"}},"NetworkSettings":{{"Networks":{{"z":{{}},"a":null}}}},
            "SizeRw":-1,"SizeRootFs":9007199254740993}}"#
        );
        let port = |private_port, public_port, host_ip: &str| v1::ContainerPort {
            private_port,
            public_port,
            protocol: "tcp".to_owned(),
            host_ip: host_ip.to_owned(),
        };
        let text = str::to_owned;
        let container = v1::Container {
            id: text("4bc"),
            name: text("web"),
            image: text("app:v1"),
            image_id: text("sha256:1"),
            command: text("pm2 \"a\""),
            created_at: Some(prost_types::Timestamp { seconds: 1_700_000_000, nanos: 0 }),
            state: text("running"),
            status: text("Up 5 minutes"),
            ports: vec![port(80, 0, ""), port(443, 8443, "0.0.0.0")],
            labels: [("", "c"), ("a", label.as_str()), ("b", "")]
                .map(|(key, value)| (text(key), text(value)))
                .into(),
            networks: vec![text("a"), text("z")],
            size_bytes: -1,
            root_size_bytes: 9_007_199_254_740_993,
            engine: Some(v1::EngineJson { json: json.clone(), api_version: text("1.41") }),
        };
        assert_eq!(v1::Container::decode(&*written(&json)).unwrap(), container);
        assert_eq!(written(&json), container.encode_to_vec());
    }

    #[test]
    fn a_container_of_which_nothing_is_known_is_its_id() {
        let row = ContainerRow { id: Text::from("4bc"), ..ContainerRow::default() };
        let mut written = Vec::new();
        ContainerWriter::write(&ContainerForm, &row, VERSION, &mut written).unwrap();
        let container = v1::Container { id: "4bc".to_owned(), ..Default::default() };
        assert_eq!(written, container.encode_to_vec());
    }

    #[test]
    fn a_view_has_the_container_without_its_status_and_knows_its_labels() {
        let container = ContainerSummary {
            id: "4bc".to_owned(),
            status: "Up 5 minutes".to_owned(),
            labels: [("a".to_owned(), "b".to_owned())].into(),
            ..Default::default()
        };
        let form = Form::write(&ContainerForm, &container).unwrap();
        assert_eq!(ContainerForm.labels(&form), container.labels);
        assert_eq!(v1::Container::decode(form).unwrap().status, "");
    }
}
