use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::process::Child;
use std::time::SystemTime;

use koi_plugin_api::NamedProcess::{self, Id};
use koi_testkit::PATIENCE;
use tokio::sync::mpsc::Receiver;
use tokio::time::timeout;

use super::*;

/// A process that ends when a test wants it to.
struct Sleeper(Child);

impl Sleeper {
    fn start() -> Sleeper {
        Sleeper(koi_child::command("/bin/sleep").arg("600").spawn().expect("sleep is there"))
    }

    fn id(&self) -> u32 {
        self.0.id()
    }

    fn name(&self) -> NamedProcess {
        Id(self.id().to_string())
    }

    fn kill(&mut self) {
        self.0.kill().expect("it runs");
        self.0.wait().expect("it was killed");
    }
}

impl Drop for Sleeper {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What is watched of a service that lies in a folder of its own.
struct Room {
    folder: tempfile::TempDir,
    processes: Processes,
    ends: Receiver<String>,
}

impl Room {
    fn new() -> Room {
        let (processes, ends) = Processes::new();
        Room { folder: tempfile::tempdir().expect("a folder"), processes, ends }
    }

    /// Names these, and waits until they were looked at.
    async fn name(&self, names: &[NamedProcess]) -> Watched {
        self.name_beside(names, &[]).await
    }

    async fn name_beside(&self, names: &[NamedProcess], own: &[i32]) -> Watched {
        let home = self.folder.path().to_owned();
        self.processes.named("web", Naming { names: names.to_vec(), home, own: own.to_vec() });
        let looks = || self.processes.lock().get("web").is_some_and(|known| known.looks.is_some());
        timeout(PATIENCE, async {
            while looks() {
                tokio::task::yield_now().await;
            }
        })
        .await
        .expect("a look ends");
        self.watched()
    }

    fn watched(&self) -> Watched {
        self.processes.for_service("web")
    }

    async fn is_told(&mut self) {
        let told = timeout(PATIENCE, self.ends.recv()).await.expect("it should be told");
        assert_eq!(told.as_deref(), Some("web"));
    }

    /// Nothing was told so far. Whatever is to be told of is over when this is asked.
    fn is_silent(&mut self) -> bool {
        self.ends.try_recv().is_err()
    }

    fn write(&self, file: &str, text: impl AsRef<[u8]>) -> NamedProcess {
        fs::write(self.folder.path().join(file), text).expect("it can be written");
        NamedProcess::File(file.to_owned())
    }

    /// What is wrong with this name. Nothing is watched because of it, and nothing told.
    async fn problem(&mut self, name: NamedProcess) -> String {
        let watched = self.name(&[name]).await;
        assert!(watched.ids.is_empty() && self.is_silent(), "{watched:?}");
        watched.problem.expect("something is wrong with it")
    }
}

#[tokio::test]
async fn an_end_is_told_once_and_named_again_it_is_no_news() {
    let (mut room, mut sleeper) = (Room::new(), Sleeper::start());
    let watched = room.name(&[sleeper.name()]).await;
    assert_eq!(watched, Watched { ids: vec![sleeper.id()], problem: None });
    sleeper.kill();
    room.is_told().await;
    assert_eq!(room.watched(), Watched::default());
    let problem = room.problem(sleeper.name()).await;
    assert!(problem.contains(&format!("pid={0}: process {0} has ended; let `status` look", sleeper.id())));
}

#[tokio::test]
async fn a_zombie_has_ended_and_is_told_of_again_when_its_number_is_free() {
    let (mut room, mut sleeper) = (Room::new(), Sleeper::start());
    room.name(&[sleeper.name()]).await;
    sleeper.0.kill().expect("it runs");
    room.is_told().await;
    let problem = room.problem(sleeper.name()).await;
    assert!(problem.contains("has ended, and its parent has not taken note"), "{problem}");
    sleeper.0.wait().expect("it was killed");
    room.is_told().await;
}

#[tokio::test]
async fn one_that_was_gone_before_it_was_looked_at_has_ended_too() {
    let (mut room, mut sleeper) = (Room::new(), Sleeper::start());
    sleeper.kill();
    assert_eq!(room.name(&[sleeper.name()]).await, Watched::default());
    room.is_told().await;
    assert!(room.problem(sleeper.name()).await.contains("has ended"));
}

#[tokio::test]
async fn what_is_named_now_is_watched_and_what_was_named_before_is_not() {
    let (mut room, mut old, mut new) = (Room::new(), Sleeper::start(), Sleeper::start());
    room.name(&[old.name()]).await;
    assert_eq!(room.name(&[new.name()]).await.ids, [new.id()]);
    old.kill();
    room.name(&[new.name()]).await;
    assert!(room.is_silent());
    new.kill();
    room.is_told().await;
}

#[tokio::test]
async fn who_says_nothing_of_processes_changes_nothing() {
    let (room, sleeper) = (Room::new(), Sleeper::start());
    room.name(&[sleeper.name()]).await;
    assert_eq!(room.name(&[]).await.ids, [sleeper.id()]);
}

#[tokio::test]
async fn what_is_forgotten_ends_on_purpose() {
    let (mut room, mut sleeper, mut other) = (Room::new(), Sleeper::start(), Sleeper::start());
    room.name(&[sleeper.name()]).await;
    room.processes.forget("web");
    assert_eq!(room.watched(), Watched::default());
    sleeper.kill();
    room.name(&[other.name()]).await;
    room.processes.keep_only(|name| name != "web");
    other.kill();
    room.name(&[Sleeper::start().name()]).await;
    // Both would have been told of before the third, whose end is.
    room.is_told().await;
    assert!(room.is_silent());
}

#[tokio::test]
async fn several_are_watched_and_too_many_are_said_to_be() {
    let mut room = Room::new();
    let mut sleepers: Vec<Sleeper> = (0..10).map(|_| Sleeper::start()).collect();
    let names: Vec<NamedProcess> = sleepers.iter().map(Sleeper::name).collect();
    let watched = room.name(&names).await;
    let ids: Vec<u32> = sleepers.iter().take(8).map(Sleeper::id).collect();
    assert_eq!(watched.ids, ids);
    assert!(watched.problem.is_some_and(|problem| problem.contains("more than 8 processes")));
    sleepers[7].kill();
    room.is_told().await;
    assert_eq!(room.watched().ids, ids[..7]);
}

#[tokio::test]
async fn a_word_that_is_no_process_of_a_service_is_refused_with_a_remedy() {
    let mut room = Room::new();
    for text in ["", "abc", "-5", "0", "1", "+7", "4711x", "99999999999999999999", "٣"] {
        let problem = room.problem(Id(text.to_owned())).await;
        let expected = format!("pid={text}: it is no process id; it should be a whole number from 2 on");
        assert!(problem.starts_with(&expected), "{problem}");
    }
    let own = room.problem(Id(std::process::id().to_string())).await;
    assert!(own.contains("that is koid itself; name the process that"), "{own}");
    let sleeper = Sleeper::start();
    let watched = room.name_beside(&[sleeper.name()], &[sleeper.id() as i32]).await;
    assert!(watched.ids.is_empty());
    assert!(watched.problem.is_some_and(|problem| problem.contains("that is the hook itself")));
}

#[tokio::test]
async fn a_thread_is_no_process() {
    let mut room = Room::new();
    let (tell, told) = std::sync::mpsc::channel();
    let (end, ended) = std::sync::mpsc::channel::<()>();
    let thread = std::thread::spawn(move || {
        let _ = tell.send(nix::unistd::gettid().as_raw());
        let _ = ended.recv();
    });
    let id = told.recv().expect("it says its id");
    let problem = room.problem(Id(id.to_string())).await;
    assert!(problem.contains(&format!("{id} is a thread; name the process that it belongs to")), "{problem}");
    drop(end);
    thread.join().expect("it ends");
}

#[tokio::test]
async fn a_pidfile_says_it_on_its_first_line_and_further_lines_do_not_matter() {
    let (mut room, mut sleeper) = (Room::new(), Sleeper::start());
    let name = room.write("web.pid", format!("  {} \n/var/lib/db\n5432\n", sleeper.id()));
    assert_eq!(
        room.name(std::slice::from_ref(&name)).await,
        Watched { ids: vec![sleeper.id()], problem: None }
    );
    sleeper.kill();
    room.is_told().await;
    let problem = room.problem(name).await;
    assert!(problem.contains("web.pid:1: process"), "{problem}");
}

#[tokio::test]
async fn a_pidfile_that_is_none_is_refused_and_nothing_waits_for_it() {
    let mut room = Room::new();
    let folder = room.folder.path().to_owned();
    let file = |name: &str| NamedProcess::File(name.to_owned());
    let missing = room.problem(file("none.pid")).await;
    let path = folder.join("none.pid");
    assert_eq!(
        missing,
        format!(
            "{}: there is no such file; name the file that holds the service's process id, once it is written",
            path.display()
        )
    );
    nix::unistd::mkfifo(&folder.join("fifo"), nix::sys::stat::Mode::S_IRWXU).expect("a FIFO");
    assert!(room.problem(file("fifo")).await.contains("fifo: it is no regular file"));
    let _socket = std::os::unix::net::UnixListener::bind(folder.join("socket")).expect("a socket");
    assert!(room.problem(file("socket")).await.contains("socket: it is no regular file"));
    assert!(room.problem(file(".")).await.contains("it is no regular file"));
    assert!(room.problem(file("/dev/zero")).await.contains("/dev/zero: it is no regular file"));
    let sleeper = Sleeper::start();
    room.write("real.pid", sleeper.id().to_string());
    symlink(folder.join("real.pid"), folder.join("link")).expect("a link");
    assert!(room.problem(file("link")).await.contains("it is a symbolic link, which koid does not follow"));
    File::create(folder.join("huge")).and_then(|file| file.set_len(1 << 40)).expect("a sparse file");
    let huge = room.problem(file("huge")).await;
    assert!(huge.contains("it has 1099511627776 bytes, and a pidfile at most 4096"), "{huge}");
    for text in [&b""[..], b"\n", b"\xff\xfe", b"secret words\n", b"4711 4712\n", b"-1\n"] {
        let name = room.write("text.pid", text);
        let problem = room.problem(name).await;
        assert!(problem.contains("text.pid:1: it is no process id; it should be"), "{problem}");
        assert!(!problem.contains("secret"), "what koid may read is not for everybody");
    }
}

#[tokio::test]
async fn a_process_that_is_younger_than_its_file_only_has_the_number() {
    let (mut room, sleeper) = (Room::new(), Sleeper::start());
    let name = room.write("web.pid", sleeper.id().to_string());
    let file = File::options().write(true).open(room.folder.path().join("web.pid")).expect("it is there");
    let hour = Duration::from_secs(3600);
    file.set_modified(SystemTime::now() - hour).expect("it is ours");
    let problem = room.problem(name.clone()).await;
    let expected =
        format!("web.pid:1: process {} (sleep) was started after the file was written", sleeper.id());
    assert!(problem.contains(&expected), "{problem}");
    file.set_modified(SystemTime::now()).expect("it is ours");
    assert_eq!(room.name(std::slice::from_ref(&name)).await.ids, [sleeper.id()]);
    // What is watched is the same as long as it runs, whatever a clock says.
    file.set_modified(SystemTime::now() - hour).expect("it is ours");
    assert_eq!(room.name(&[name]).await, Watched { ids: vec![sleeper.id()], problem: None });
}

/// A file below a folder, as a component may name one.
fn within(room: &Room, path: &str) -> NamedProcess {
    let folder = room.folder.path().canonicalize().expect("the folder is there");
    NamedProcess::FileWithin { folder: folder.display().to_string(), path: path.to_owned() }
}

#[tokio::test]
async fn a_pidfile_below_a_folder_is_read_there() {
    let (mut room, mut sleeper) = (Room::new(), Sleeper::start());
    fs::create_dir_all(room.folder.path().join("run/db")).expect("folders can be made");
    room.write("run/db/db.pid", sleeper.id().to_string());
    room.write("db.pid", sleeper.id().to_string());
    let watched = room.name(&[within(&room, "run/db/db.pid"), within(&room, "db.pid")]).await;
    assert_eq!(watched, Watched { ids: vec![sleeper.id()], problem: None });
    sleeper.kill();
    room.is_told().await;
}

#[tokio::test]
async fn no_link_leads_out_of_the_folder() {
    let (mut room, sleeper) = (Room::new(), Sleeper::start());
    let elsewhere = tempfile::tempdir().expect("a folder");
    fs::write(elsewhere.path().join("db.pid"), sleeper.id().to_string()).expect("it can be written");
    symlink(elsewhere.path(), room.folder.path().join("way")).expect("a link can be made");
    symlink(elsewhere.path().join("db.pid"), room.folder.path().join("link.pid"))
        .expect("a link can be made");
    room.write("file", "");
    for (path, remedy) in [
        ("way/db.pid", "/way: it is a symbolic link, which koid does not follow"),
        ("link.pid", "/link.pid: it is a symbolic link"),
        ("../db.pid", "there is no such file"),
        ("file/db.pid", "there is no such file"),
        ("gone/db.pid", "there is no such file"),
    ] {
        let problem = room.problem(within(&room, path)).await;
        assert!(problem.contains(remedy), "{path}: {problem}");
    }
}
