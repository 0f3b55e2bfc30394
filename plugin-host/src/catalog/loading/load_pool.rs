//! Loads plugins, several at a time, and tells of those that take long.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

/// What takes longer is announced: people should know what is waited for.
const LONG: Duration = Duration::from_millis(700);

/// Threads that load plugins; compiling one uses several cores by itself.
const WORKERS: usize = 4;

/// Is told what takes long, a sentence each.
pub type Progress = Arc<dyn Fn(&str) + Send + Sync>;

/// Does `work` for each job, some at a time; results come in the order of the jobs. `long` is called once for a job that takes
/// long, `done` with the time that such a job took.
pub(crate) fn run_all<J: Sync, R: Send>(
    jobs: &[J],
    work: impl Fn(&J) -> R + Sync,
    long: impl Fn(&J),
    done: impl Fn(&J, Duration),
) -> Vec<R> {
    let workers = thread::available_parallelism().map_or(1, usize::from).min(WORKERS).min(jobs.len());
    let results: Vec<Mutex<Option<R>>> = jobs.iter().map(|_| Mutex::new(None)).collect();
    let next = AtomicUsize::new(0);
    let (sender, turns) = channel();
    thread::scope(|scope| {
        for _ in 0..workers {
            let (sender, results, next, work) = (sender.clone(), &results, &next, &work);
            scope.spawn(move || {
                while let Some(n) = Some(next.fetch_add(1, Ordering::Relaxed)).filter(|n| *n < jobs.len()) {
                    // The receiver outlives all workers: sending cannot fail.
                    let _ = sender.send((n, false));
                    *lock(&results[n]) = Some(work(&jobs[n]));
                    let _ = sender.send((n, true));
                }
            });
        }
        drop(sender);
        let mut under_way: Vec<(usize, Instant, bool)> = Vec::new();
        loop {
            match turns.recv_timeout(LONG / 4) {
                Ok((n, false)) => under_way.push((n, Instant::now(), false)),
                Ok((n, true)) => {
                    let ended = under_way.iter().position(|(job, ..)| *job == n);
                    if let Some((_, since, true)) = ended.map(|at| under_way.swap_remove(at)) {
                        done(&jobs[n], since.elapsed());
                    }
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            for (n, since, announced) in &mut under_way {
                if !*announced && since.elapsed() > LONG {
                    *announced = true;
                    long(&jobs[*n]);
                }
            }
        }
    });
    let result =
        |slot: Mutex<Option<R>>| slot.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    results.into_iter().filter_map(result).collect()
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_come_in_order_and_what_takes_long_is_announced() {
        let jobs = [3, 1, 2];
        let (announced, ended) = (Mutex::new(Vec::new()), Mutex::new(Vec::new()));
        let work = |n: &i32| {
            while *n == 1 && announced.lock().unwrap().is_empty() {
                thread::sleep(Duration::from_millis(10));
            }
            n * 10
        };
        let long = |n: &i32| announced.lock().unwrap().push(*n);
        // A busy machine may make others long too.
        let done = |n: &i32, took: Duration| ended.lock().unwrap().push((*n, took > LONG));
        assert_eq!(run_all(&jobs, work, long, done), [30, 10, 20]);
        assert!(announced.lock().unwrap().contains(&1) && ended.lock().unwrap().contains(&(1, true)));
        assert!(run_all(&[] as &[i32], |n| *n, |_| {}, |_, _| {}).is_empty());
    }
}
