//! Fuzz targets: whatever an Engine sends is decoded without a panic, and what comes out keeps
//! its promises. `cargo test` runs each for a moment, `scripts/fuzz` for as long as one likes.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bolero::check;
use wharf_fuzz::{edited, edited_text};

use super::archive::PathStat;
use super::build::{BuildReader, BuildStep};
use super::classify::{Complaint, classify, classify_line, one_line};
use super::container_row::ContainerRow;
use super::error::shortened;
use super::events::EngineEvent;
use super::frames::{last_frames, without_frames};
use super::image_archive::tests::{DIGEST, archive_of};
use super::image_archive::{image_ids, is_archive};
use super::lines::{LineDecoder, LineTooLong};
use super::list::{KeptItems, ListDecoder, parse_list};
use super::logs::decoder::LogDecoder;
use super::operation::{self, Operation};
use super::progress::{Progress, Step};
use super::registry_auth;
use super::version::{choose_version, needs_minimum};
use super::wire::{self, parse};
use super::{
    ApiVersion, ContainerSummary, EngineDocument, FileChange, ImageSummary, LogBatch,
    NetworkSummary, StatsSample,
};
use crate::domain::{RegistryHost, RegistryLogin, Secret};

#[test]
fn fuzz_frames() {
    let frames = "\u{1}\0\0\0\0\0\0\u{5}line\n\u{2}\0\0\0\0\0\0\u{3}no\n";
    check!().for_each(|bytes: &[u8]| {
        let (keep, bytes) = bytes.split_first().map_or((0, bytes), |(keep, rest)| (*keep, rest));
        let keep = usize::from(keep);
        let bytes = edited(bytes, &[frames]);
        assert!(without_frames(&bytes).len() <= bytes.len());
        let end = last_frames(&bytes, keep);
        assert!(end.len() <= keep + 8, "{} bytes of {keep}", end.len());
        // In pieces, as they arrive.
        let mut kept = Vec::new();
        for piece in bytes.chunks(7) {
            kept.extend_from_slice(piece);
            kept = last_frames(&kept, keep);
            assert!(kept.len() <= keep + 8, "{} bytes of {keep}", kept.len());
        }
    });
}

#[test]
fn fuzz_logs() {
    let time = "2026-01-01T00:00:01.000000001Z";
    let frames = format!("\u{1}\0\0\0\0\0\0\u{24}{time} line\n\u{2}\0\0\0\0\0\0\u{22}{time} no\n");
    let lines = format!("{time} line\r\n{time} a long{time} one\n2026-01-01T00:00:00+02:00 x");
    check!().for_each(|bytes: &[u8]| {
        let (size, bytes) = bytes.split_first().map_or((1, bytes), |(size, rest)| (*size, rest));
        let bytes = edited(bytes, &[&frames, &lines]);
        let decode = |pieces: &mut dyn Iterator<Item = &[u8]>| {
            let (mut decoder, mut batch) = (LogDecoder::default(), LogBatch::default());
            for piece in pieces {
                let before = batch.entries().count();
                if let Err(problem) = decoder.push(piece, &mut batch) {
                    return (batch, Some(problem.to_string()));
                }
                assert!(batch.entries().count() >= before);
            }
            let cut_off = !decoder.finish(&mut batch);
            (batch, if cut_off { Some("cut off".to_owned()) } else { None })
        };
        let (whole, problem) = decode(&mut std::iter::once(&bytes[..]));
        assert!(whole.entries().map(|(_, _, bytes)| bytes.len()).sum::<usize>() <= bytes.len());
        let (pieces, same) = decode(&mut bytes.chunks(usize::from(size).max(1)));
        assert_eq!((whole, problem), (pieces, same), "the pieces that arrive are not entries");
    });
}

#[test]
fn fuzz_image_archives() {
    let list = format!(r#"[{{"Config":"blobs/sha256/{DIGEST}","RepoTags":["app:v1"]}}]"#);
    let index = format!(r#"{{"manifests":[{{"digest":"sha256:{DIGEST}"}}]}}"#);
    let whole = archive_of(&[("index.json", &index), ("x", "layer"), ("manifest.json", &list)]);
    let whole = String::from_utf8(whole).unwrap();
    check!().for_each(|bytes: &[u8]| {
        let bytes = edited(bytes, &[&whole]);
        let _ = is_archive(&bytes);
        if let Ok(ids) = image_ids(std::io::Cursor::new(&bytes)) {
            assert!(!ids.is_empty(), "{ids:?}");
            assert!(ids.iter().all(|id| id.starts_with("sha256:")), "{ids:?}");
        }
    });
}

#[test]
fn fuzz_stats() {
    let seeds = [
        r#"{"read":"2026-01-01T00:00:02Z","cpu_stats":{"cpu_usage":{"total_usage":5},"system_cpu_usage":9,"online_cpus":2},"precpu_stats":{"cpu_usage":{"total_usage":1},"system_cpu_usage":2},"memory_stats":{"usage":9,"limit":99,"stats":{"inactive_file":3}}}"#,
        r#"{"cpu_stats":{"cpu_usage":{"percpu_usage":[1,2]}},"networks":{"a":{"rx_bytes":1,"tx_bytes":2}},"blkio_stats":{"io_service_bytes_recursive":[{"op":"Read","value":1},{"op":"","value":2}]},"pids_stats":{"current":3}}"#,
    ];
    check!().for_each(|bytes: &[u8]| {
        let mut previous = None;
        for line in edited(bytes, &seeds).split(|byte| *byte == b'\n') {
            let Ok(sample) = StatsSample::read(line, previous.as_ref()) else { continue };
            assert!(sample.cpu_percent.is_none_or(|it| it.is_finite() && it >= 0.0), "{sample:?}");
            previous = Some(sample);
        }
    });
}

#[test]
fn fuzz_json_lines() {
    check!().for_each(|bytes: &[u8]| {
        let (size, bytes) = bytes.split_first().map_or((1, bytes), |(size, rest)| (*size, rest));
        let bytes = edited(bytes, &["{\"status\":\"a\"}\r\n{\"id\":\"b\"}\n\n{}"]);
        let decode = |pieces: &mut dyn Iterator<Item = &[u8]>| {
            let (mut decoder, mut lines) = (LineDecoder::new(20), Vec::new());
            let mut take = |line: &[u8]| {
                assert!(!line.is_empty() && line.len() <= 21 && !line.contains(&b'\n'));
                lines.push(line.to_vec());
                Ok::<(), LineTooLong>(())
            };
            for piece in pieces {
                if decoder.push(piece, &mut take).is_err() {
                    return None;
                }
            }
            decoder.finish(&mut take).is_ok().then_some(lines)
        };
        let whole = decode(&mut std::iter::once(&bytes[..]));
        let pieces = decode(&mut bytes.chunks(usize::from(size).max(1)));
        assert_eq!(whole, pieces, "the pieces that arrive are not lines");
    });
}

#[test]
fn fuzz_events() {
    let seeds = [
        r#"{"status":"die","id":"a","from":"app","Type":"container","Action":"die","Actor":{"ID":"a","Attributes":{"exitCode":"1","name":"web"}},"scope":"local","time":1767225600,"timeNano":1767225600000000001}"#,
        r#"{"Type":"image","Action":"remove","Actor":{"ID":"b","Attributes":null},"time":-1,"timeNano":null}"#,
    ];
    check!().for_each(|bytes: &[u8]| {
        let line = edited(bytes, &seeds);
        for is_podman in [false, true] {
            let Ok(event) = EngineEvent::of_line(&line, is_podman) else { continue };
            assert_eq!(event.mark(), event.clone().mark());
            assert!(event.time.nanos < 1_000_000_000);
        }
    });
}

#[test]
fn fuzz_progress() {
    let seeds = [
        "{\"status\":\"Pulling from library/app\",\"id\":\"v1\"}\n{\"status\":\"Downloading\",\"progressDetail\":{\"current\":5,\"total\":9},\"id\":\"a1\"}\n{\"status\":\"Pull complete\",\"id\":\"a1\"}\n{\"status\":\"Digest: sha256:0\"}\n{\"status\":\"Status: Downloaded newer image for app:v1\"}",
        "{\"errorDetail\":{\"code\":1,\"message\":\"no matching manifest\"},\"error\":\"no\"}",
        "{\"aux\":{\"Tag\":\"v1\",\"Digest\":\"sha256:0\",\"Size\":5}}\n{\"status\":\"Pushing\",\"id\":\"a\",\"progressDetail\":{}}",
    ];
    check!().for_each(|bytes: &[u8]| {
        let mut progress = Progress::default();
        for line in edited(bytes, &seeds).split(|byte| *byte == b'\n') {
            if let Ok(Step::Failed(message)) = progress.read(line) {
                check_line(&message);
                classify_line(&operation::PULL_IMAGE, &message);
                classify_line(&operation::PUSH_IMAGE, &message);
            }
            let transfer = progress.transfer();
            assert!(transfer.layers_done <= transfer.layers_total && transfer.layers_total <= 1024);
            assert!(transfer.bytes_done <= transfer.bytes_total);
            assert!(transfer.status.chars().count() <= 200);
            check_line(&transfer.status);
        }
        let _ = (progress.digest(), progress.pushed_size(), progress.newer());
    });
}

#[test]
fn fuzz_build_lines() {
    let seeds = [
        r#"{"stream":"Step 1/2 : RUN make\n"}
{"stream":" ---> Running in 0123456789ab\n"}
{"stream":"\u001b[91mno rule\u001b[0m\n"}
{"errorDetail":{"code":7,"message":"returned a non-zero code: 7"},"error":"x"}"#,
        r#"{"status":"Downloading","progressDetail":{"current":1,"total":2},"id":"0123456789ab"}
{"aux":{"ID":"sha256:01"}}
{"stream":"Successfully built 0123456789ab\n"}"#,
        r#"{"error":"while running runtime: exit status 7"}"#,
    ];
    check!().for_each(|bytes: &[u8]| {
        let mut reader = BuildReader::default();
        for line in edited(bytes, &seeds).split(|byte| *byte == b'\n') {
            match reader.read(line) {
                Ok(BuildStep::Output(text)) => assert!(!text.is_empty()),
                Ok(_) => {}
                Err(error) => {
                    check_line(&error.message);
                    assert!(error.exit_code != Some(0), "{error:?}");
                }
            }
        }
        assert!(reader.id().is_none_or(|id| id.len() <= bytes.len() + 1000));
    });
}

const CONTAINERS: [&str; 2] = [
    r#"[{"Id":"4bc1a0f5e2d34bc1a0f5e2d34bc1a0f5e2d34bc1a0f5e2d34bc1a0f5e2d3ffff","Names":["/web","/db/link"],"Image":"app:v1","ImageID":"sha256:11","Command":"sh","Created":1700000000,"State":"running","Status":"Up 5 minutes","Ports":[{"PrivatePort":80,"PublicPort":8080,"Type":"tcp","IP":"::"}],"Labels":{"a":"b"},"NetworkSettings":{"Networks":{"front":{}}},"SizeRw":1,"SizeRootFs":2}]"#,
    r#"[{"Id":"aa","Names":null,"Created":-62135596800,"Ports":null,"Labels":null,"NetworkSettings":null}]"#,
];

#[test]
fn fuzz_container_list() {
    check!().for_each(|bytes: &[u8]| {
        let text = edited_text(bytes, &CONTAINERS);
        let plain = parse_list::<ContainerSummary>(&text, false);
        let kept = parse_list::<ContainerSummary>(&text, true);
        let (Ok(plain), Ok(kept)) = (&plain, &kept) else {
            assert_eq!(plain.is_err(), kept.is_err(), "{plain:?} {kept:?}");
            return;
        };
        assert_eq!(plain.len(), kept.len());
        for (plain, kept) in plain.iter().zip(kept) {
            assert!(kept.json.is_some());
            assert_eq!(*plain, ContainerSummary { json: None, ..kept.clone() });
            assert!(is_hex(&plain.id), "{}", plain.id);
            assert!(plain.created.is_none_or(is_a_time), "{:?}", plain.created);
        }
    });
}

/// A list is read item by item as it comes in, and that is the same as reading it at once.
#[test]
fn fuzz_lists_in_pieces() {
    check!().for_each(|bytes: &[u8]| {
        let (size, bytes) = bytes.split_first().map_or((1, bytes), |(size, rest)| (*size, rest));
        let bytes = edited(bytes, &CONTAINERS);
        let decode = |size: usize| {
            let mut decoder = ListDecoder::new(KeptItems::<ContainerSummary>::new(false));
            bytes.chunks(size).try_for_each(|piece| decoder.push(piece)).ok()?;
            decoder.finish().ok().map(KeptItems::into_items)
        };
        let whole = std::str::from_utf8(&bytes)
            .ok()
            .and_then(|text| parse::<Option<Vec<ContainerRow<'_>>>>(text).ok())
            .map(|items| items.into_iter().flatten().map(ContainerSummary::from).collect());
        assert_eq!(decode(bytes.len().max(1)), whole);
        assert_eq!(decode(usize::from(size).max(1)), whole);
    });
}

#[test]
fn fuzz_image_list() {
    let seeds = [
        r#"[{"Id":"sha256:1111111111111111111111111111111111111111111111111111111111111111","RepoTags":["app:v1","<none>:<none>"],"RepoDigests":["app@sha256:22"],"Created":1700000000,"Size":5,"Labels":{"a":"b"},"Containers":-1}]"#,
        r#"[{"Id":"sha256:1","Created":null,"RepoTags":null}]"#,
    ];
    check!().for_each(|bytes: &[u8]| {
        let text = edited_text(bytes, &seeds);
        let Ok(images) = parse_list::<ImageSummary>(&text, true) else { return };
        for image in images {
            assert!(image.created.is_none_or(is_a_time), "{:?}", image.created);
            assert!(image.containers >= -1);
        }
    });
}

#[test]
fn fuzz_small_answers() {
    let seeds = [
        r#"{"Id":"4bc1a0f5e2d3","Warnings":["none"]}"#,
        r#"{"StatusCode":137,"Error":{"Message":"gone"}}"#,
        r#"{"Titles":["PID","CMD"],"Processes":[["1","sh"]]}"#,
        r#"[{"Path":"/etc","Kind":0},{"Path":"/etc/x","Kind":1}]"#,
        r#"[{"Id":"<missing>","Created":1700000000,"CreatedBy":"RUN","Size":5,"Comment":"","Tags":null}]"#,
        r#"[{"Untagged":"app:v1"},{"Deleted":"sha256:1"}]"#,
        r#"{"ImagesDeleted":[{"Deleted":"sha256:1"}],"SpaceReclaimed":5}"#,
        r#"{"ContainersDeleted":["4bc1"],"SpaceReclaimed":5}"#,
        r#"{"Status":"Login Succeeded","IdentityToken":"t"}"#,
        r#"[{"Id":"aa","Name":"front","Driver":"bridge","Scope":"local"}]"#,
        r#"{"Descriptor":{"digest":"sha256:1"},"Platforms":[{"os":"linux","architecture":"amd64"}]}"#,
        r#"{"ApiVersion":"1.41","MinAPIVersion":"1.12"}"#,
        r#"{"Id":"aa","Name":"/web","State":{"Running":true,"Paused":false}}"#,
        r#"{"Id":"sha256:1","RepoTags":["app:v1"],"RepoDigests":null,"Os":"linux","Architecture":"amd64"}"#,
    ];
    check!().for_each(|bytes: &[u8]| {
        let text = edited_text(bytes, &seeds);
        let _ = wire::check_object(&text);
        if let Ok(answer) = parse::<wire::Creation>(&text) {
            assert!(is_hex(&super::Created::from(answer).id));
        }
        let _ = parse::<wire::Update>(&text);
        let _ = parse::<wire::Wait>(&text).map(super::ContainerExit::from);
        let _ = parse::<wire::Top>(&text).map(super::ProcessTable::from);
        let _ = parse_list::<FileChange>(&text, false);
        if let Ok(layers) = parse::<Vec<wire::HistoryItem>>(&text) {
            for layer in layers.into_iter().map(super::HistoryLayer::from) {
                assert!(layer.created.is_none_or(is_a_time), "{:?}", layer.created);
            }
        }
        let _ = parse(&text).map(wire::removal);
        let _ = parse::<wire::ImagePrune>(&text).map(super::PrunedImages::from);
        let _ = parse::<wire::ContainerPrune>(&text).map(super::PrunedContainers::from);
        let _ = parse::<wire::Login>(&text).map(super::LoginAnswer::from);
        let _ = parse_list::<NetworkSummary>(&text, false);
        let _ = parse::<wire::Distribution>(&text);
        let _ = parse::<wire::Versions>(&text);
        let _ = parse::<wire::Identified>(&text);
        let document = EngineDocument { json: text, api_version: ApiVersion::new(1, 41) };
        let _ = document.parse::<wire::ImageFacts>();
        let _ = super::Inspection::read(&document);
    });
}

#[test]
fn fuzz_networks_and_volumes() {
    let seeds = [
        r#"{"Id":"aa","Name":"front","Driver":"bridge","Internal":true,"Labels":{"a":"b"},"IPAM":{"Driver":"default","Config":[{"Subnet":"10.1.0.0/16","Gateway":"10.1.0.1","AuxiliaryAddresses":{"r":"10.1.0.2"}}]},"Containers":{"bb":{"Name":"web","IPv4Address":"10.1.0.3/16"}},"Options":null}"#,
        r#"{"Volumes":[{"Name":"data","Driver":"local","Options":null,"Labels":{"a":"b"}},{"Name":"x"}],"Warnings":null}"#,
        r#"{"Name":"data","Driver":"local","Mountpoint":"/x","Scope":"local","CreatedAt":"2024-01-01T00:00:00Z"}"#,
        r#"{"NetworksDeleted":["front"]}"#,
        r#"{"VolumesDeleted":["data"],"SpaceReclaimed":-5}"#,
        r#"{"Id":"aa","Warning":["one",""]}"#,
    ];
    check!().for_each(|bytes: &[u8]| {
        let text = edited_text(bytes, &seeds);
        let version = ApiVersion::new(1, 41);
        let plain = super::volumes_of(&text, version, false).ok();
        let kept = super::volumes_of(&text, version, true).ok();
        assert_eq!(plain.is_some(), kept.is_some());
        for volume in kept.iter().flat_map(|list| &list.volumes.items) {
            let json = volume.json.clone().expect("it is kept");
            let again = EngineDocument { json: json.clone(), api_version: version };
            let again = super::volume_of(&again).expect("it was read before");
            assert_eq!(*volume, super::VolumeSummary { json: Some(json), ..again });
        }
        if let Ok(created) = parse::<wire::NetworkCreation>(&text) {
            let created = super::Created::from(created);
            assert!(is_hex(&created.id) && created.warnings.iter().all(|it| !it.is_empty()));
        }
        let _ = parse::<wire::NetworkPrune>(&text);
        let _ = parse::<wire::VolumePrune>(&text).map(super::PrunedVolumes::from);
        let _ = super::network_of(&EngineDocument { json: text, api_version: version });
    });
}

#[test]
fn fuzz_classification() {
    let seeds = [
        r#"{"message":"No such container: web"}"#,
        r#"{"cause":"no such image","message":"","response":404}"#,
        "<html><body><h1>502 Bad Gateway</h1></body></html>",
        r#"{"message":"client version 1.42 is too new. Maximum supported API version is 1.41"}"#,
        r#"{"message":"toomanyrequests: You have reached your pull rate limit"}"#,
        r#"{"message":"no matching manifest for linux/arm64 in the manifest list entries"}"#,
    ];
    let operations: [Operation; 6] = [
        operation::PULL_IMAGE,
        operation::START_CONTAINER,
        operation::CREATE_CONTAINER,
        operation::LIST_CONTAINERS,
        operation::LOGIN,
        operation::REMOVE_IMAGE,
    ];
    check!().for_each(|bytes: &[u8]| {
        let Some((&[high, low], bytes)) = bytes.split_first_chunk() else { return };
        let status = 300 + u16::from_be_bytes([high, low]) % 300;
        let complaint = Complaint::read(status, &edited(bytes, &seeds));
        assert!(!complaint.message.is_empty() && complaint.message.chars().count() <= 2001);
        check_line(&complaint.message);
        for operation in &operations {
            let _ = classify(operation, status, &complaint).reason();
        }
    });
}

#[test]
fn fuzz_versions() {
    check!().for_each(|bytes: &[u8]| {
        let text = edited_text(bytes, &["1.41", "1.41/1.12"]);
        let mut found = text.split('/').map(|text| text.parse::<ApiVersion>().ok());
        let (max, min) = (found.next().flatten(), found.next().flatten());
        if let Some(max) = max {
            assert_eq!(max.to_string().parse(), Ok(max));
        }
        needs_minimum(max);
        if let Ok(chosen) = choose_version(max, min) {
            assert!(chosen >= super::CLIENT_MIN && chosen <= super::CLIENT_MAX);
            assert!(min.is_none_or(|min| chosen >= min));
        }
    });
}

#[test]
fn fuzz_secrets_in_messages() {
    check!().for_each(|bytes: &[u8]| {
        let text = edited_text(bytes, &["denied: password hunter2 is wrong for ann"]);
        let secret = &text[..text.ceil_char_boundary(text.len() / 3)];
        let registry = RegistryHost::parse("r.io").unwrap();
        let login =
            RegistryLogin::new(registry, "ann", Secret::new(secret.to_owned()), Secret::new(""));
        let Ok(login) = login else { return };
        assert!(registry_auth::header(Some(&login)).is_sensitive());
        serde_json::from_str::<serde_json::Value>(&registry_auth::body(&login)).unwrap();
        let shown = registry_auth::redact(text.clone(), Some(&login));
        // Between the marks: a secret such as "]x" appears again where one ends.
        let mut pieces = shown.split("[redacted]");
        assert!(secret.len() < 4 || pieces.all(|piece| !piece.contains(secret)), "{shown:?}");
        check_line(&one_line(&text));
        assert!(shortened(&text, 10).chars().count() <= 11);
    });
}

fn is_hex(id: &str) -> bool {
    (1..=64).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn is_a_time(seconds: i64) -> bool {
    (1..253_402_300_800).contains(&seconds)
}

/// One line that does nothing to a terminal.
fn check_line(text: &str) {
    assert!(!text.chars().any(crate::domain::is_invisible), "{text:?}");
}

#[test]
fn fuzz_path_stat() {
    let seeds = [
        r#"{"name":"a","size":5,"mode":134218239,"mtime":"2026-11-27T16:39:39Z","linkTarget":"/b"}"#,
        r#"{"name":".","size":4096,"mode":2147484013,"mtime":"","isDir":true,"linkTarget":"/."}"#,
    ];
    check!().for_each(|bytes: &[u8]| {
        let header = STANDARD.encode(edited(bytes, &seeds));
        for header in [header.as_bytes(), bytes] {
            match PathStat::read(header) {
                Ok(stat) => assert!(stat.size >= 0 && stat.mode <= 0o7777, "{stat:?}"),
                Err(problem) => assert!(!problem.is_empty()),
            }
        }
    });
}
