//! Programs that generate their code from the contract as described in docs/api.md, with packages
//! of Debian, PyPI, and npm: each lists, is refused, and sees one of four hosts fail.

use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use serde_json::{Value, json};
use testbed::tools;
use tokio::process::Command;

use super::{Open, output, program};
use crate::support::{HOSTS, on_hosts};

/// Where the distribution's packages put Go's sources.
const GO_PACKAGES: &str = "/usr/share/gocode";

/// A server with a fourth host that nobody listens for, and a folder for what is generated.
struct Generated {
    open: Open,
    folder: tempfile::TempDir,
}

impl Generated {
    async fn start() -> anyhow::Result<Generated> {
        let open = Open::start().await?;
        let gone = format!("tcp://127.0.0.1:{}", tools::free_port()?);
        open.server.add("gone", &gone).await?;
        Ok(Generated { open, folder: tempfile::tempdir()? })
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Runs a compiler of `.proto` files on the contract alone.
    async fn compile(&self, compiler: Command, out: &[&str]) -> anyhow::Result<()> {
        self.compile_with(compiler, out, &[]).await
    }

    async fn compile_with(
        &self,
        mut compiler: Command,
        out: &[&str],
        others: &[&str],
    ) -> anyhow::Result<()> {
        let contract = root("proto");
        let mut files: Vec<PathBuf> = Vec::new();
        for entry in std::fs::read_dir(contract.join("wharf/v1"))? {
            files.push(entry?.path());
        }
        let third_party = root("third_party/proto");
        files.extend(others.iter().map(|file| third_party.join(file)));
        compiler.arg("-I").arg(&contract).arg("-I").arg(&third_party).args(out).args(files);
        compiler.current_dir(self.path());
        output(compiler).await?;
        Ok(())
    }

    /// What a program must have seen.
    fn check(&self, said: &str) -> anyhow::Result<()> {
        let said: Value = serde_json::from_str(said).with_context(|| said.to_owned())?;
        let mut listed: Vec<&str> = said["listed"]
            .as_array()
            .context("a list")?
            .iter()
            .filter_map(Value::as_str)
            .filter(|listed| listed.ends_with(&self.open.container))
            .collect();
        listed.sort_unstable();
        assert_eq!(listed, on_hosts(&self.open.container), "{said}");
        let refusal = |code: tonic::Code, reason: &str| json!({"code": code as i32, "domain": wharf::ERROR_DOMAIN, "reason": reason});
        assert_eq!(said["refused"], refusal(tonic::Code::InvalidArgument, "INVALID_FIELD"));
        assert_eq!(said["partial"], refusal(tonic::Code::Aborted, "SOME_HOSTS_FAILED"));
        let mut hosts = json!({"gone": "HOST_UNREACHABLE"});
        for host in HOSTS {
            hosts[host] = "OK".into();
        }
        assert_eq!(said["hosts"], hosts);
        Ok(())
    }
}

fn root(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

fn client(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("e2e/clients").join(file)
}

#[tokio::test]
async fn python_beside_googles_packages() -> anyhow::Result<()> {
    let world = Generated::start().await?;
    let python = program("WHARF_PYTHON")?;
    let mut compiler = Command::new(&python);
    compiler.args(["-m", "grpc_tools.protoc"]);
    world.compile(compiler, &["--python_out=.", "--grpc_python_out=."]).await?;
    let mut command = Command::new(&python);
    command.arg(client("client.py")).args([&world.open.authority, &world.open.container]);
    command.env("PYTHONPATH", world.path());
    world.check(&output(command).await?)
}

#[tokio::test]
async fn go_with_the_packages_of_the_distribution() -> anyhow::Result<()> {
    let world = Generated::start().await?;
    let source = world.path().join("src");
    std::fs::create_dir_all(source.join("client"))?;
    std::fs::copy(client("client.go"), source.join("client/main.go"))?;
    let compiler = Command::new(program("WHARF_PROTOC")?);
    world.compile(compiler, &["--go_out=src", "--go-grpc_out=src"]).await?;
    ensure!(source.join("wharf/v1/common.pb.go").is_file(), "`go_package` is not wharf/v1");
    let mut go = Command::new(program("WHARF_GO")?);
    go.args(["build", "-o", "program", "client"]).current_dir(world.path());
    let path = format!("{}:{GO_PACKAGES}", world.path().display());
    go.envs([("GO111MODULE", "off"), ("GOFLAGS", ""), ("GOPATH", &path)]);
    output(go).await?;
    let mut command = Command::new(world.path().join("program"));
    command.args([&world.open.authority, &world.open.container]);
    world.check(&output(command).await?)
}

#[tokio::test]
async fn node_that_loads_the_contract() -> anyhow::Result<()> {
    let world = Generated::start().await?;
    let mut command = node(&world, "grpc_js.mjs")?;
    command.args([&world.open.authority, &world.open.container]);
    command.args([root("proto"), root("third_party/proto")]);
    world.check(&output(command).await?)
}

#[tokio::test]
async fn connect_web_as_in_a_browser() -> anyhow::Result<()> {
    let world = Generated::start().await?;
    std::fs::create_dir(world.path().join("gen"))?;
    let mut compiler = Command::new(program("WHARF_PROTOC")?);
    let plugin = program("WHARF_NODE_MODULES")?.join(".bin/protoc-gen-es");
    compiler.arg(format!("--plugin=protoc-gen-es={}", plugin.display()));
    let others = ["google/rpc/status.proto", "google/rpc/error_details.proto"];
    let out = ["--es_out=gen", "--es_opt=target=js,import_extension=js"];
    world.compile_with(compiler, &out, &others).await?;
    let mut command = node(&world, "connect_web.mjs")?;
    command.args([&format!("http://{}", world.open.authority), &world.open.container]);
    world.check(&output(command).await?)
}

/// Node.js with a program in the folder of what is generated, where it finds the packages.
fn node(world: &Generated, program_file: &str) -> anyhow::Result<Command> {
    let packages = world.path().join("node_modules");
    std::os::unix::fs::symlink(program("WHARF_NODE_MODULES")?, packages)?;
    std::fs::write(world.path().join("package.json"), r#"{"private": true, "type": "module"}"#)?;
    std::fs::copy(client(program_file), world.path().join(program_file))?;
    let mut command = Command::new("node");
    command.arg(world.path().join(program_file)).current_dir(world.path());
    Ok(command)
}
