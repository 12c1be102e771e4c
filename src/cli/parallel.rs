//! Work on several nets at a time.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::engine::processors;

/// The stack of a thread: what the main one has, so that texts nest as deeply here as there.
const STACK: usize = 8 << 20;

/// The results of some work on each item, in the order of the items.
pub(super) fn each<T: Sync, R: Send>(items: &[T], work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let threads = processors().min(items.len());
    let results: Vec<Mutex<Option<R>>> = items.iter().map(|_| Mutex::new(None)).collect();
    let next = AtomicUsize::new(0);
    let run = || {
        while let Some(index) = take(&next, items.len()) {
            let result = work(&items[index]);
            *results[index].lock().expect("no other thread takes it") = Some(result);
        }
    };
    std::thread::scope(|scope| {
        for _ in 1..threads {
            // Without a thread more, this one does its work too.
            let _ = std::thread::Builder::new()
                .stack_size(STACK)
                .spawn_scoped(scope, run);
        }
        run();
    });
    results
        .into_iter()
        .filter_map(|result| result.into_inner().expect("all threads are done"))
        .collect()
}

/// The results of some work on each item, in the order of the items. The largest items are begun with.
pub(super) fn each_by_size<T: Send, R: Send>(
    items: Vec<T>,
    size: impl Fn(&T) -> usize,
    work: impl Fn(T) -> R + Sync,
) -> Vec<R> {
    let mut order: Vec<usize> = (0..items.len()).collect();
    order.sort_by_key(|&index| std::cmp::Reverse(size(&items[index])));
    let slots: Vec<Mutex<Option<T>>> = items
        .into_iter()
        .map(|item| Mutex::new(Some(item)))
        .collect();
    let results = each(&order, |&index| {
        let item = slots[index]
            .lock()
            .expect("no other thread takes it")
            .take();
        work(item.expect("each item is taken once"))
    });
    let mut placed: Vec<(usize, R)> = order.into_iter().zip(results).collect();
    placed.sort_unstable_by_key(|(index, _)| *index);
    placed.into_iter().map(|(_, result)| result).collect()
}

/// The next item that nobody has taken.
fn take(next: &AtomicUsize, items: usize) -> Option<usize> {
    let index = next.fetch_add(1, Ordering::Relaxed);
    (index < items).then_some(index)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_stand_in_the_order_of_the_items() {
        let items: Vec<usize> = (0..100).collect();
        assert_eq!(each(&items, |item| item * 2)[..3], [0, 2, 4]);
        assert_eq!(each(&items, |&item| item), items);
        assert!(each(&[] as &[usize], |&item| item).is_empty());
        assert_eq!(
            each_by_size(items.clone(), |item| item % 7, |item| item),
            items
        );
    }
}
