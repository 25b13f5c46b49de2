//! A process forks after it has opened a device: the child gets an error, and neither hangs nor crashes.
#![cfg(unix)]

use std::{
    num::NonZero,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use image::DynamicImage;
use nix::{
    libc,
    sys::{
        signal::{Signal, kill},
        wait::{WaitPidFlag, WaitStatus, waitpid},
    },
    unistd::{ForkResult, fork},
};
use residua::Classifier;

/// Runs `child` in a fork of this process, which must end soon, and returns its status. The fork ends without exit handlers: Mesa 25.0.7's
/// handler joins the threads of its queues, which a fork does not have, and crashes.
#[allow(unsafe_code, reason = "the child runs what is under test, and nothing after it")]
fn in_fork(child: impl FnOnce() -> i32) -> WaitStatus {
    // SAFETY: the child of a process with threads may do little; glibc and macOS let it allocate, and the rest is the subject of this test.
    match unsafe { fork() }.unwrap() {
        // SAFETY: nothing of this process is used afterwards.
        ForkResult::Child => unsafe { libc::_exit(child()) },
        ForkResult::Parent { child } => {
            let began = Instant::now();
            while began.elapsed() < Duration::from_secs(60) {
                match waitpid(child, Some(WaitPidFlag::WNOHANG)).unwrap() {
                    WaitStatus::StillAlive => thread::sleep(Duration::from_millis(10)),
                    status => return status,
                }
            }
            kill(child, Signal::SIGKILL).unwrap();
            waitpid(child, None).unwrap()
        }
    }
}

fn ends_with(status: WaitStatus, expected: i32) {
    assert!(matches!(status, WaitStatus::Exited(_, code) if code == expected), "{status:?}");
}

/// 0 if every call on `classifier` is refused with the right code, otherwise the number of the call that is not.
fn refused(classifier: Classifier, photo: &DynamicImage) -> i32 {
    let refused = |error: Option<residua::Error>| error.is_some_and(|error| error.code() == "gpu.forked");
    let outcomes = [
        classifier.infer(photo).err(),
        classifier.embed(photo).err(),
        classifier.explain(photo, None).err(),
        classifier.clone().infer_batch(&[photo.clone(), photo.clone()]).err(),
        classifier.profile(1, 1).err(),
    ];
    // This is the last handle in this process, but its buffers and its device belong to the parent.
    drop(classifier);
    outcomes.into_iter().position(|outcome| !refused(outcome)).map_or(0, |which| 1 + which as i32)
}

#[test]
fn a_fork_is_told_and_the_parent_goes_on() {
    let photo = DynamicImage::new_rgb8(32, 32);
    let classifier = Classifier::builder().device("0").open().unwrap();
    assert!(classifier.device().index.is_some(), "the GPU tests need an adapter");
    let expected = classifier.infer(&photo).unwrap();
    // The child has the only handle of this one.
    let other = Classifier::builder().device("0").open().unwrap();
    assert_eq!(other.infer(&photo).unwrap(), expected);
    let shown = photo.clone();
    ends_with(in_fork(move || refused(other, &shown)), 0);
    // While another thread holds the locks of sessions and driver.
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let busy = scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                assert_eq!(classifier.infer(&photo).unwrap(), expected);
            }
        });
        for _ in 0..10 {
            ends_with(in_fork(|| refused(classifier.clone(), &photo)), 0);
        }
        over.store(true, Ordering::Relaxed);
        busy.join().unwrap();
    });
    assert_eq!(classifier.infer(&photo).unwrap(), expected);
}

#[test]
fn a_fork_computes_on_the_cpu_without_its_parents_threads() {
    let photo = DynamicImage::new_rgb8(32, 32);
    let open = || Classifier::builder().device("cpu").threads(NonZero::new(2).unwrap()).open().unwrap();
    let classifier = open();
    let expected = classifier.infer(&photo).unwrap();
    let in_child = || {
        let inherited = classifier.infer(&photo).is_ok_and(|got| got == expected);
        let opened = open().infer(&photo).is_ok_and(|got| got == expected);
        i32::from(!inherited) + 2 * i32::from(!opened)
    };
    ends_with(in_fork(in_child), 0);
    assert_eq!(classifier.infer(&photo).unwrap(), expected);
}
