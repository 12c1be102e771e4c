//! Which factor of a multiply-add had better be the first.

use crate::kernel::{Item, Op};

/// For each item of a list, whether it is a multiply-add whose first factor is read again in the list
/// before it is written, but whose second is not.
pub(super) fn outlived(items: &[Item], registers: usize) -> Vec<bool> {
    let mut read_later = vec![false; registers];
    let mut outlived = vec![false; items.len()];
    for (item, outlived) in items.iter().zip(&mut outlived).rev() {
        if let Item::Set { dst, op } = item {
            read_later[dst.0 as usize] = false;
            if let Op::Fma(a, b, _) = op {
                *outlived = read_later[a.0 as usize] && !read_later[b.0 as usize];
            }
        }
        mark_reads(item, &mut read_later);
    }
    outlived
}

fn mark_reads(item: &Item, read: &mut [bool]) {
    match item {
        Item::Set { op, .. } => op.visit_reads(|reg, _| read[reg.0 as usize] = true),
        Item::Store { src, .. } => read[src.0 as usize] = true,
        Item::Loop { items, .. } | Item::Tail { items, .. } => {
            for item in items {
                mark_reads(item, read);
            }
        }
        Item::Prefetch { .. } | Item::Advance { .. } | Item::SetPtr { .. } => {}
    }
}
