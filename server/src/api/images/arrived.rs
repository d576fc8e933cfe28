//! An image on a host, as responses describe it.

use wharf::v1;

use crate::engine::{Arrival, Delivered, Platform};

/// An image that was sent to a host of this platform.
pub(super) fn arrived(image: Delivered, host: &Platform) -> v1::LoadedImage {
    let mut warnings = Vec::new();
    if !host.runs(&image.platform) {
        warnings.push(format!("the image is for {}, and this host is {host}", image.platform));
    }
    v1::LoadedImage { warnings, ..loaded(image) }
}

/// An image that was sent to a host.
pub(super) fn loaded(image: Delivered) -> v1::LoadedImage {
    let arrival = match image.arrival {
        Arrival::Loaded => v1::ImageArrival::Loaded,
        Arrival::Tagged => v1::ImageArrival::Tagged,
        Arrival::Present => v1::ImageArrival::Present,
    };
    v1::LoadedImage {
        reference: image.name.map(|name| name.to_string()).unwrap_or_default(),
        id: image.id,
        arrival: arrival.into(),
        replaced_id: image.replaced.unwrap_or_default(),
        architecture: image.platform.architecture,
        os: image.platform.os,
        warnings: Vec::new(),
    }
}
