//! Compiles `proto/` with protox (no `protoc` to install) into the types of this crate and
//! into a descriptor set that keeps comments and custom options.

use std::path::{Path, PathBuf};
use std::{env, fs};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo:rerun-if-changed=proto");
    let out = PathBuf::from(env::var("OUT_DIR")?);

    let mut files = vec![PathBuf::from("google/rpc/error_details.proto")];
    for entry in fs::read_dir("proto/wharf/v1")? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "proto") {
            files.push(path.strip_prefix(Path::new("proto"))?.to_path_buf());
        }
    }
    files.sort();

    let mut compiler = protox::Compiler::new(["proto"])?;
    compiler.include_source_info(true).include_imports(true).open_files(&files)?;
    // Not through prost_types, which would drop the custom options.
    fs::write(out.join("wharf.bin"), compiler.encode_file_descriptor_set())?;

    let mut prost = tonic_prost_build::Config::new();
    prost.enable_type_names();
    // Sorted: one message has one encoding, and the server knows a repeated request by it.
    prost.btree_map(["."]);
    // Their Debug would print secrets; src/redact.rs has one that does not.
    prost.skip_debug([".wharf.v1.RegistryCredentials", ".wharf.v1.TlsMaterial"]);
    tonic_prost_build::configure()
        .build_transport(env::var_os("CARGO_FEATURE_CLIENT").is_some())
        .extern_path(".google.rpc", "::tonic_types::pb")
        .compile_fds_with_config(compiler.file_descriptor_set(), prost)?;
    Ok(())
}
