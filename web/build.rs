//! Embeds the page again when its files change.
fn main() {
    println!("cargo:rerun-if-changed=dist");
}
