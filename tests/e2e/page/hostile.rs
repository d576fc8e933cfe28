//! An Engine whose errors would take over a careless page: markup, escape sequences of terminals, marks that
//! turn the direction of the text, and ten kilobytes of it.

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// The only container that there is.
pub const CONTAINER: &str = "victim";
/// Is in the beginning of each error.
pub const WORD: &str = "hostile-error";

/// The text of an error, with about so many bytes.
pub fn text(bytes: usize) -> String {
    let start = format!(
        "{WORD} <img src=x onerror=alert(1)><script>alert(2)</script>\u{1b}[31m\u{1b}]0;title\u{7} \
         \u{202e}gnp.exe\u{2066} a\u{301}\u{301}\u{301}\u{301}\u{301}\u{301}\u{301}\u{301}\r\n"
    );
    let line = "wide".repeat(bytes / 8);
    let tall = "\ntall".repeat((bytes / 2) / 5);
    format!("{start}{line}{tall}")
}

/// Starts an Engine and returns its address. With `knows` it has a container, and only what is done with that
/// one fails; without, everything does.
pub async fn engine(knows: bool) -> anyhow::Result<String> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = format!("tcp://{}", listener.local_addr()?);
    tokio::spawn(async move {
        while let Ok((connection, _)) = listener.accept().await {
            tokio::spawn(serve(connection, knows));
        }
    });
    Ok(address)
}

async fn serve(connection: TcpStream, knows: bool) -> std::io::Result<()> {
    let mut connection = BufReader::new(connection);
    loop {
        let (mut request, mut length) = (String::new(), 0);
        loop {
            let mut line = String::new();
            if connection.read_line(&mut line).await? == 0 {
                return Ok(());
            }
            if let Some((name, value)) = line.split_once(':')
                && name.eq_ignore_ascii_case("content-length")
            {
                length = value.trim().parse().unwrap_or(0);
            }
            if line.trim().is_empty() {
                break;
            }
            if request.is_empty() {
                request = line;
            }
        }
        connection.read_exact(&mut vec![0; length]).await?;
        let path = request.split(' ').nth(1).unwrap_or_default();
        if knows && path.contains("/events") {
            // Nothing ever happens there.
            let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n";
            connection.write_all(head.as_bytes()).await?;
            std::future::pending::<()>().await;
        }
        let (status, body) = answer(path, knows);
        let head = format!(
            "HTTP/1.1 {status} x\r\nApi-Version: 1.44\r\nServer: Docker/25.0.0 (linux)\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        connection.write_all(head.as_bytes()).await?;
        connection.write_all(body.as_bytes()).await?;
    }
}

fn answer(path: &str, knows: bool) -> (u16, String) {
    let call = path.split('?').next().unwrap_or_default();
    let found: Value = match call {
        _ if !knows && !call.ends_with("/_ping") => Value::Null,
        _ if call.ends_with("/_ping") => return (200, "OK".to_owned()),
        _ if call.ends_with("/version") => {
            json!({"Version": "25.0.0", "ApiVersion": "1.44", "MinAPIVersion": "1.24", "Os": "linux", "Arch": "amd64"})
        }
        _ if call.ends_with("/info") => {
            json!({"ID": "hostile", "Name": "hostile", "Containers": 1, "ContainersRunning": 1})
        }
        _ if call.ends_with("/containers/json") => json!([{
            "Id": "f".repeat(64), "Names": [format!("/{CONTAINER}")], "Image": "victim:v1",
            "ImageID": format!("sha256:{}", "e".repeat(64)), "State": "running", "Status": "Up 2 minutes",
            "Labels": {}, "Ports": [], "Created": 1_700_000_000, "Command": "victim",
        }]),
        _ => Value::Null,
    };
    if found.is_null() {
        return (500, json!({"message": text(10_000)}).to_string());
    }
    (200, found.to_string())
}
