//! The CPU time of a call: the thread's CPU clock while the call is polled. Waiting, mainly for a core,
//! is not the plugin's time. There is also a generous limit of wall-clock time.
//!
//! Called by the plugin host around each call. Calls the system's clocks.

use std::{
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
    time::{Duration, Instant},
};

use futures::task::AtomicWaker;
use rustix::time::{ClockId, clock_gettime};

/// How often a plugin may yield by itself. A pure function has nothing to wait for; some toolchains yield
/// once or twice at their start.
const WAITS_MAX: u32 = 64;
/// How long a plugin may wait each time for something that is due at once. A busy machine needs some time.
const WAIT_MAX: Duration = Duration::from_millis(250);
/// How long a plugin may wait in all.
const WAITED_MAX: Duration = Duration::from_secs(1);
/// A call may last this multiple of its CPU time: as with some forty threads on one core.
const WALL_FACTOR: u32 = 40;
/// A call may last at least this long. Customers do not wait longer, and working machines do not need more.
const WALL_MIN: Duration = Duration::from_secs(5);

/// Why a call was interrupted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cut {
    /// It used all its CPU time.
    Time,
    /// It did not get its CPU time within the limit of wall-clock time.
    Wall,
    /// It waited for something.
    Waited,
}

/// Polls a call and adds up its CPU time.
pub(super) struct Metered<F> {
    inner: Pin<Box<F>>,
    used: Duration,
    limit: Duration,
    /// When the call began, and how long it may last.
    begun: Instant,
    wall: Duration,
    waits: u32,
    waited: Duration,
    woken: Arc<Woken>,
    patience: Option<Patience>,
}

/// A call that waits for something.
struct Patience {
    since: Instant,
    timer: Pin<Box<tokio::time::Sleep>>,
}

/// Records whether the call yielded or waits for something.
#[derive(Default)]
struct Woken {
    is_so: AtomicBool,
    outer: AtomicWaker,
}

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.is_so.store(true, Ordering::SeqCst);
        self.outer.wake();
    }
}

impl<F: Future> Metered<F> {
    /// Limits a call to this CPU time.
    pub(super) fn new(inner: Pin<Box<F>>, limit: Duration) -> Self {
        Self {
            inner,
            used: Duration::ZERO,
            limit,
            begun: Instant::now(),
            wall: limit.saturating_mul(WALL_FACTOR).max(WALL_MIN),
            waits: 0,
            waited: Duration::ZERO,
            woken: Arc::default(),
            patience: None,
        }
    }

    /// The CPU time that the call has used.
    pub(super) fn used(&self) -> Duration {
        self.used
    }
}

impl<F: Future> Future for Metered<F> {
    type Output = Result<F::Output, Cut>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        this.woken.outer.register(context.waker());
        if let Some(patience) = &mut this.patience {
            if !this.woken.is_so.load(Ordering::SeqCst) {
                return match patience.timer.as_mut().poll(context) {
                    Poll::Ready(()) => Poll::Ready(Err(Cut::Waited)),
                    Poll::Pending => Poll::Pending,
                };
            }
            this.waited += patience.since.elapsed();
            this.patience = None;
            if this.waited > WAITED_MAX {
                return Poll::Ready(Err(Cut::Waited));
            }
        }
        this.woken.is_so.store(false, Ordering::SeqCst);
        let waker = Waker::from(this.woken.clone());
        let begun = thread_time();
        let polled = this.inner.as_mut().poll(&mut Context::from_waker(&waker));
        this.used += thread_time().saturating_sub(begun);
        if let Poll::Ready(output) = polled {
            return Poll::Ready(Ok(output));
        }
        if this.used > this.limit {
            return Poll::Ready(Err(Cut::Time));
        }
        if this.begun.elapsed() > this.wall {
            return Poll::Ready(Err(Cut::Wall));
        }
        if !this.woken.is_so.load(Ordering::SeqCst) {
            this.waits += 1;
            if this.waits > WAITS_MAX {
                return Poll::Ready(Err(Cut::Waited));
            }
            let mut timer = Box::pin(tokio::time::sleep(WAIT_MAX));
            // Registers the timer, which cannot have elapsed yet.
            let _ = timer.as_mut().poll(context);
            this.patience = Some(Patience {
                since: Instant::now(),
                timer,
            });
        }
        Poll::Pending
    }
}

/// The CPU time of the current thread. A poll never changes threads, so the difference
/// around it is the poll's.
fn thread_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    Duration::new(seconds, u32::try_from(time.tv_nsec).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives way this often, and asks the thread to do nothing for a while each time.
    async fn sleeping(times: u32, each: Duration) {
        for _ in 0..times {
            std::thread::sleep(each);
            tokio::task::yield_now().await;
        }
    }

    /// Works without end, giving way each millisecond or so.
    async fn working() {
        loop {
            let begun = Instant::now();
            while begun.elapsed() < Duration::from_millis(1) {
                std::hint::spin_loop();
            }
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn a_thread_that_is_put_aside_costs_a_call_nothing() {
        let call = Box::pin(sleeping(10, Duration::from_millis(20)));
        let mut metered = Metered::new(call, Duration::from_millis(50));
        assert_eq!((&mut metered).await, Ok(()));
        assert!(
            metered.used() < Duration::from_millis(50),
            "{:?}",
            metered.used()
        );
    }

    #[tokio::test]
    async fn a_call_that_works_on_ends_at_its_cpu_time() {
        let limit = Duration::from_millis(30);
        let mut metered = Metered::new(Box::pin(working()), limit);
        assert_eq!((&mut metered).await, Err(Cut::Time));
        assert!(metered.used() >= limit);
    }

    #[tokio::test]
    async fn a_call_that_never_gets_its_time_ends_at_the_wall() {
        let call = Box::pin(sleeping(u32::MAX, Duration::from_millis(5)));
        let mut metered = Metered::new(call, Duration::from_secs(5));
        metered.wall = Duration::from_millis(50);
        assert_eq!((&mut metered).await, Err(Cut::Wall));
    }

    #[tokio::test]
    async fn a_call_that_waits_has_nothing_to_wait_for() {
        let call = Box::pin(std::future::pending::<()>());
        let mut metered = Metered::new(call, Duration::from_secs(5));
        assert_eq!((&mut metered).await, Err(Cut::Waited));
    }
}
