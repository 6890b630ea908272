//! Does things at the same time, so many at once, and hears of each as it ends.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread;

/// Does `work` on every item, at most `jobs` at the same time, in the items' order; `ended` hears of each in the order they end.
pub fn each<Item: Sync, Value: Send>(
    items: &[Item],
    jobs: usize,
    work: impl Fn(&Item) -> Value + Sync,
    mut ended: impl FnMut(&Item, Value),
) {
    let next = AtomicUsize::new(0);
    let (sender, receiver) = mpsc::channel();
    thread::scope(|scope| {
        for _ in 0..jobs.min(items.len()) {
            let (sender, next, work) = (sender.clone(), &next, &work);
            scope.spawn(move || {
                while let Some(item) = items.get(next.fetch_add(1, Ordering::Relaxed)) {
                    if sender.send((item, work(item))).is_err() {
                        break;
                    }
                }
            });
        }
        drop(sender);
        for (item, value) in receiver {
            ended(item, value);
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_is_done_once_whatever_the_number_at_a_time() {
        let items: Vec<usize> = (0..20).collect();
        for jobs in [1, 3, 100] {
            let mut seen = Vec::new();
            each(&items, jobs, |item| item * item, |item, square| seen.push((*item, square)));
            seen.sort_unstable();
            assert_eq!(seen, items.iter().map(|item| (*item, item * item)).collect::<Vec<_>>());
        }
    }

    #[test]
    fn so_many_are_at_work_at_the_same_time() {
        let (now, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let barrier = std::sync::Barrier::new(2);
        let work = |_: &u8| {
            most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            barrier.wait();
            now.fetch_sub(1, Ordering::SeqCst);
            barrier.wait();
        };
        each(&[0; 8], 2, work, |_, ()| {});
        assert_eq!(most.into_inner(), 2);
    }
}
