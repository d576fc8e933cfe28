//! How large a message may be. gRPC clients take 4 MiB unless they are told otherwise, and one
//! message above that costs them the whole answer, other hosts' results included.

/// Bytes at which a message is full.
pub const FULL: usize = 1 << 20;

/// Bytes of the largest thing that is sent in a message of its own.
pub const LARGEST: usize = 3 << 20;

/// What the frame around each thing costs at most, in bytes.
pub const FRAME: usize = 8;

/// Cuts a list into parts that are not larger than [`FULL`], unless one thing alone is.
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
