//! Compiles `proto/` with protox (so `protoc` need not be installed) to the types of this crate and
//! to a descriptor set that keeps comments and custom options, and lists what the contract has
//! (`src/contract.rs`), so that a new method stands in no list that somebody keeps.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::{env, fs};

use prost_reflect::{
    DescriptorPool, EnumValueDescriptor, Kind, MessageDescriptor, MethodDescriptor, Value,
};

type Error = Box<dyn std::error::Error>;

fn main() -> Result<(), Error> {
    println!("cargo:rerun-if-changed=proto");
    println!("cargo:rerun-if-changed=third_party/proto");
    let out = PathBuf::from(env::var("OUT_DIR")?);

    // Included for programs that render the details of an error; nothing imports it.
    let mut files = vec![PathBuf::from("google/rpc/error_details.proto")];
    for entry in fs::read_dir("proto/wharf/v1")? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "proto") {
            files.push(path.strip_prefix(Path::new("proto"))?.to_path_buf());
        }
    }
    files.sort();

    let mut compiler = protox::Compiler::new(["proto", "third_party/proto"])?;
    compiler.include_source_info(true).include_imports(true).open_files(&files)?;
    // Not through prost_types, which would drop the custom options.
    fs::write(out.join("wharf.bin"), compiler.encode_file_descriptor_set())?;
    fs::write(out.join("contract.rs"), contract(&compiler.descriptor_pool())?)?;

    let mut prost = tonic_prost_build::Config::new();
    prost.enable_type_names();
    // Sorted: one message has one encoding, by which the server recognizes a repeated request.
    prost.btree_map(["."]);
    // Their derived Debug would print secrets; src/redact.rs has one that does not, and without it
    // this crate does not compile.
    prost.skip_debug(messages_with_secrets(&compiler)?);
    tonic_prost_build::configure()
        .build_transport(env::var_os("CARGO_FEATURE_CLIENT").is_some())
        .extern_path(".google.rpc", "::tonic_types::pb")
        // Also carries containers that are encoded already.
        .extern_path(".wharf.v1.ContainerBatch", "crate::batch::ContainerBatch")
        .compile_fds_with_config(compiler.file_descriptor_set(), prost)?;
    Ok(())
}

/// The messages that have a field with the option `sensitive`, as `.wharf.v1.Name`.
fn messages_with_secrets(compiler: &protox::Compiler) -> Result<Vec<String>, String> {
    let pool = compiler.descriptor_pool();
    let sensitive = pool
        .get_extension_by_name("wharf.v1.sensitive")
        .ok_or("proto/wharf/v1/options.proto has no field option `sensitive`")?;
    let has_secret = |message: &prost_reflect::MessageDescriptor| {
        message.fields().any(|field| {
            field.options().get_extension(&sensitive).as_bool().is_some_and(|secret| secret)
        })
    };
    let names: Vec<String> = pool
        .all_messages()
        .filter(has_secret)
        .map(|message| format!(".{}", message.full_name()))
        .collect();
    if names.is_empty() { Err("no field is marked as sensitive".to_owned()) } else { Ok(names) }
}

/// The lists that `src/contract.rs` includes: services, methods, and what their messages have.
fn contract(pool: &DescriptorPool) -> Result<String, Error> {
    let (mut services, mut methods) = (String::new(), String::new());
    let mut messages = String::new();
    for service in pool.services().filter(|service| service.package_name() == "wharf.v1") {
        write!(services, "{:?}, ", service.full_name())?;
        for method in service.methods() {
            let (request, response) = (method.input(), method.output());
            write!(methods, "<v1::{} as Request>::METHOD, ", request.name())?;
            messages.push_str(&of_method(&method)?);
            if has(&request, "fanout", "FanoutOptions") {
                writeln!(messages, "fanout_request! {{ {} }}", request.name())?;
            }
            let chunk = request.get_field_by_name("chunk");
            if method.is_client_streaming() && chunk.is_some_and(|it| it.kind() == Kind::Bytes) {
                writeln!(messages, "upload_request! {{ {} }}", request.name())?;
            }
            for (field, kind, list) in [
                ("started", "FanoutStarted", "fanout_response"),
                ("item", "ItemResult", "item_event"),
            ] {
                if has(&response, field, kind) {
                    let (name, module) = (response.name(), module(response.name()));
                    writeln!(messages, "{list}! {{ {name} {module} }}")?;
                }
            }
        }
    }
    Ok(format!(
        "/// The services of the contract.\npub const SERVICES: &[&str] = &[{services}];\n\
         /// The methods of the contract.\npub const METHODS: &[Method] = &[{methods}];\n{messages}"
    ))
}

/// The trait `Request` for the request of a method.
fn of_method(method: &MethodDescriptor) -> Result<String, Error> {
    let (pool, options) = (method.parent_pool(), method.options());
    let option = |name: &str| {
        let option = pool.get_extension_by_name(&format!("wharf.v1.{name}"));
        let option = option.ok_or_else(|| format!("options.proto has no method option {name}"))?;
        Ok::<_, String>(options.get_extension(&option).into_owned())
    };
    let roles = pool.get_enum_by_name("wharf.v1.Role").ok_or("no enum Role")?;
    let role = option("required_role")?.as_enum_number().and_then(|role| roles.get_value(role));
    let role = match role.as_ref().map(EnumValueDescriptor::name) {
        Some("ROLE_READER") => "Reader",
        Some("ROLE_OPERATOR") => "Operator",
        Some("ROLE_ADMIN") => "Admin",
        _ => return Err(format!("{} has no required_role", method.full_name()).into()),
    };
    let mutates = option("mutates")?.as_bool() == Some(true);
    let level = options.get_field_by_name("idempotency_level");
    // IDEMPOTENCY_UNKNOWN, its default, is 0.
    let repeatable = matches!(level.as_deref(), Some(Value::EnumNumber(level)) if *level != 0);
    let (request, response) = (method.input(), method.output());
    let id = request.get_field_by_name("request_id").map_or("\"\"", |_| "&self.request_id");
    Ok(format!(
        "impl Request for v1::{name} {{\n    type Response = v1::{response};\n    \
         const METHOD: Method = Method {{ path: {path:?}, request: {full:?}, role: v1::Role::{role}, \
         mutates: {mutates}, repeatable: {repeatable}, streamed: {streamed} }};\n    \
         fn request_id(&self) -> &str {{ {id} }}\n}}\n",
        name = request.name(),
        response = response.name(),
        path = format!("/{}/{}", method.parent_service().full_name(), method.name()),
        full = request.full_name(),
        streamed = method.is_client_streaming(),
    ))
}

/// Whether a message has a field of that name, which is a message of that kind.
fn has(message: &MessageDescriptor, field: &str, kind: &str) -> bool {
    let found = message.get_field_by_name(field).map(|field| field.kind());
    found.as_ref().and_then(|found| found.as_message()).is_some_and(|it| it.name() == kind)
}

/// The module that prost makes for what is within a message.
fn module(name: &str) -> String {
    let mut module = String::new();
    for letter in name.chars() {
        if letter.is_ascii_uppercase() && !module.is_empty() {
            module.push('_');
        }
        module.push(letter.to_ascii_lowercase());
    }
    module
}
