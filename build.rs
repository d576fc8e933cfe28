//! Compiles `proto/` with protox (so `protoc` need not be installed) to the types of this crate and
//! to a descriptor set that keeps comments and custom options.

use std::path::{Path, PathBuf};
use std::{env, fs};

fn main() -> Result<(), Box<dyn std::error::Error>> {
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
