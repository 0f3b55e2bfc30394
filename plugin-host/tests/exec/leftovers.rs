//! What a program leaves behind: it is ended with the call, or kept until the service is down.

use koi_plugin_api::{Hook, HookError, Outcome};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::guests::node::Ask;
use crate::probing::Probe;
use crate::sleeper::{FAR_AWAY, Sleeper, all_are_gone, brokers, runs, wait_until};

#[tokio::test]
async fn what_a_program_leaves_in_the_background_ends_with_the_call_wherever_it_went_and_is_named() {
    let Some(probe) = Probe::net() else { return };
    let sleeper = Sleeper::new(&format!("{FAR_AWAY}\necho started; exit 3"));
    let op = format!("exec:{}", sleeper.program().display());
    let exec = format!("exec = [\"{}\", \"/bin/true\"]", sleeper.program().display());
    let ask = Ask::new(&probe.open_as("leaves", &exec, &op));
    ask.hook(Hook::Start).await.unwrap();
    let lines = ask.log.lines();
    assert!(
        lines.contains(&"Info found: code Some(3) out \"started\\n\" err \"\" truncated false".to_owned()),
        "{lines:?}"
    );
    let ids = [sleeper.started().await, sleeper.far_away()].concat();
    assert_eq!(ids.len(), 5);
    assert!(!ids.iter().any(|id| runs(*id)), "nothing of it runs when the call has ended");
    let warnings: Vec<_> = lines.iter().filter(|line| line.contains("left running")).collect();
    let [warning] = warnings[..] else { panic!("{lines:?}") };
    for words in [
        &sleeper.program().display().to_string(),
        "sleep (",
        "which was killed at the end of start",
        "keep = true",
    ] {
        assert!(warning.starts_with("Warn ") && warning.contains(words), "{words}: {warning}");
    }
    // The next call has the same broker, and nothing to end.
    let other = ask.with_config(&[("op", &op), ("promote", "exec:/bin/true")]);
    let [broker] = brokers("leaves")[..] else { panic!("there is one") };
    other.hook(Hook::Promote).await.unwrap();
    assert_eq!(brokers("leaves"), [broker]);
    assert_eq!(ask.log.lines().iter().filter(|line| line.contains("left running")).count(), 1);
}

#[tokio::test]
async fn what_left_its_group_ends_with_the_time_of_a_program_and_with_a_call_that_is_dropped() {
    let Some(probe) = Probe::net() else { return };
    let sleeper = Sleeper::new(&format!("trap '' TERM\n{FAR_AWAY}\ntouch $0.ready\nwait"));
    let is_ready = || sleeper.program().with_extension("ready").exists();
    let op = format!("exec:~3000 {}", sleeper.program().display());
    let tried = probe.tries(&sleeper.grant(), &op).await;
    assert!(is_ready(), "it was there in time");
    assert_eq!(tried.result, Err("timed out".into()));
    let ids = [sleeper.started().await, sleeper.far_away()].concat();
    assert!(ids.len() == 5 && !ids.iter().any(|id| runs(*id)), "nothing of it runs once the guest is told");

    let sleeper = Sleeper::new(&format!("trap '' TERM\n{FAR_AWAY}\ntouch $0.ready\nwait"));
    let ready = sleeper.program().with_extension("ready");
    let handler = probe.open(&sleeper.grant(), &format!("exec:{}", sleeper.program().display())).unwrap();
    let call = Ask::new(&handler).hook(Hook::Start);
    tokio::select! {
        ended = call => panic!("{ended:?}"),
        () = wait_until("all of it runs", || ready.exists()) => {}
    }
    let ids = [sleeper.started().await, sleeper.far_away()].concat();
    assert_eq!(ids.len(), 5);
    all_are_gone(&ids).await;
}

#[tokio::test]
async fn a_broker_ends_all_that_it_has_started_at_sigterm_and_the_next_program_has_another() {
    let Some(probe) = Probe::net() else { return };
    let sleeper = Sleeper::new(&format!("{FAR_AWAY}\ntouch $0.ready\nwait"));
    let ready = sleeper.program().with_extension("ready");
    let op = format!("exec:{}", sleeper.program().display());
    let exec = format!("exec = [\"{}\", \"/bin/true\"]", sleeper.program().display());
    let ask = Ask::new(&probe.open_as("ends", &exec, &op));
    let (ended, ids) = tokio::join!(ask.hook(Hook::Start), async {
        wait_until("all of it runs", || ready.exists()).await;
        let [broker] = brokers("ends")[..] else { panic!("there is one") };
        kill(Pid::from_raw(broker), Signal::SIGTERM).unwrap();
        [sleeper.started().await, sleeper.far_away(), vec![broker]].concat()
    });
    let Err(HookError::Failed(why)) = ended else { panic!("{ended:?}") };
    assert!(why.contains("the process that runs its programs was lost"), "{why}");
    all_are_gone(&ids).await;
    let ask = ask.with_config(&[("op", &op), ("promote", "exec:/bin/true")]);
    ask.hook(Hook::Promote).await.unwrap();
    // A service that is down has none.
    assert_eq!(brokers("ends").len(), 1);
    ask.hook(Hook::Stop).await.unwrap();
    assert_eq!(brokers("ends"), [0; 0]);
}

#[tokio::test]
async fn what_is_kept_outlives_its_call_and_koid_and_ends_after_stop() {
    let Some(probe) = Probe::net() else { return };
    let sleeper = Sleeper::new(&format!("{FAR_AWAY}\necho started"));
    let op = format!("exec:{}", sleeper.program().display());
    let exec =
        format!("exec = [{{ run = \"{}\", keep = true }}, \"/bin/true\"]", sleeper.program().display());
    let ask = Ask::new(&probe.open_as("keeps", &exec, &op));
    ask.hook(Hook::Start).await.unwrap();
    let lines = ask.log.lines();
    assert!(!lines.iter().any(|line| line.contains("left running")), "{lines:?}");
    // Of the script itself nothing is left.
    let ids = [sleeper.started().await.split_off(1), sleeper.far_away()].concat();
    assert!(ids.len() == 4 && ids.iter().all(|id| runs(*id)));
    let Ok(Outcome::Status(seen)) = ask.hook(Hook::Status).await else { panic!("it has a status") };
    let shown = format!("{}, process ", sleeper.program().display());
    assert!(seen.details.iter().any(|(name, what)| name == "kept" && what.starts_with(&shown)), "{seen:?}");
    // Other programs of the service end as ever.
    ask.with_config(&[("op", &op), ("promote", "exec:/bin/true")]).hook(Hook::Promote).await.unwrap();

    // koid's end of all sockets closes.
    let brokers_before = brokers("keeps");
    assert_eq!(brokers_before.len(), 2, "the service's, and that of what is kept");
    drop(ask);
    wait_until("the service's broker is gone", || brokers("keeps").len() == 1).await;
    assert!(ids.iter().all(|id| runs(*id)), "it is kept");

    // Another koid takes the service down.
    let failing =
        Ask::new(&probe.open_as("keeps", &exec, &op)).with_config(&[("op", &op), ("stop", "exec:/bin/no")]);
    failing.hook(Hook::Stop).await.unwrap_err();
    assert!(ids.iter().all(|id| runs(*id)), "a stop that failed ends nothing");
    let ask = failing.with_config(&[("op", &op)]);
    ask.hook(Hook::Stop).await.unwrap();
    assert!(!ids.iter().any(|id| runs(*id)), "nothing of it runs once the service is down");
    assert!(!probe.node.host().dir.join("kept/keeps").exists());
    let lines = ask.log.lines();
    assert!(lines.iter().any(|line| line.contains("is ended: the service is down")), "{lines:?}");
}

#[tokio::test]
async fn a_program_that_keeps_and_does_not_end_by_itself_is_ended_with_all_it_has_started() {
    let Some(probe) = Probe::net() else { return };
    let sleeper = Sleeper::new(&format!("{FAR_AWAY}\ntouch $0.ready\nwait"));
    let op = format!("exec:~3000 {}", sleeper.program().display());
    let exec = format!("exec = [{{ run = \"{}\", keep = true }}]", sleeper.program().display());
    let ask = Ask::new(&probe.open_as("keeps-not", &exec, &op));
    let Err(HookError::Failed(why)) = ask.hook(Hook::Start).await else { panic!("it has not failed") };
    assert!(why == "timed out" && sleeper.program().with_extension("ready").exists(), "{why}");
    let ids = [sleeper.started().await, sleeper.far_away()].concat();
    assert!(ids.len() == 5 && !ids.iter().any(|id| runs(*id)));
    assert!(!probe.node.host().dir.join("kept/keeps-not").exists());
}
