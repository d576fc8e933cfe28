//! The size of messages. gRPC clients accept 4 MiB by default, and one larger message costs them
//! the whole response, including the results of other hosts.

/// Bytes at which a message is full.
pub const FULL: usize = 1 << 20;

/// Bytes of the largest item in its own message.
pub const LARGEST: usize = 3 << 20;

/// Maximum overhead of each item, in bytes.
pub const FRAME: usize = 8;

/// Splits a list into parts of at most [`FULL`], unless one item alone is larger.
pub fn batches<T>(items: Vec<T>, size: impl Fn(&T) -> usize) -> impl Iterator<Item = Vec<T>> {
    let mut items = items.into_iter().peekable();
    std::iter::from_fn(move || {
        let mut batch = vec![items.next()?];
        let mut full = size(&batch[0]) + FRAME;
        while let Some(item) = items.next_if(|item| full + size(item) + FRAME <= FULL) {
            full += size(&item) + FRAME;
            batch.push(item);
        }
        Some(batch)
    })
}

/// The same, with one empty part for an empty list: for answers in which "nothing" is said.
pub fn batches_or_none<T>(items: Vec<T>, size: impl Fn(&T) -> usize) -> Vec<Vec<T>> {
    let mut parts: Vec<_> = batches(items, size).collect();
    parts.resize_with(parts.len().max(1), Vec::new);
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_cut_by_bytes_and_nothing_is_lost() {
        let sizes = vec![10, FULL / 2, FULL / 2, FULL * 2, 1, FULL - FRAME, 5, 5];
        let parts: Vec<_> = batches(sizes.clone(), |size| *size).collect();
        assert_eq!(
            parts,
            [
                vec![10, FULL / 2],
                vec![FULL / 2],
                vec![FULL * 2],
                vec![1],
                vec![FULL - FRAME],
                vec![5, 5]
            ]
        );
        assert_eq!(parts.concat(), sizes);
        assert_eq!(batches(Vec::<usize>::new(), |size| *size).count(), 0);
    }
}
