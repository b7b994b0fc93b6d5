//! The socket.

use std::os::unix::fs::PermissionsExt as _;

use convoke_core::runner_protocol::{
    Control, DaemonMessage, RunnerMessage, SignalName, Stream, encode_line,
};
use serde_json::json;

use crate::kit::{Daemon, Plan, Run};

fn listening() -> Run {
    let script = json!([{"do":"read_line"}, {"do":"read_line"}, {"do":"read_line"},
        {"do":"wait_file","path":"gate"}]);
    Plan::new(script)
        .with(|spec| spec.stdin.keep_stdin_open = true)
        .start()
}

fn stdin(id: u64, data: &str, close: bool) -> DaemonMessage {
    DaemonMessage::Stdin {
        id,
        data: data.to_owned(),
        close,
    }
}

fn greeted(run: &Run) -> (Daemon, u64) {
    let mut daemon = run.connect();
    match daemon.next() {
        Some(RunnerMessage::Hello { last_command, .. }) => (daemon, last_command),
        other => panic!("{other:?}"),
    }
}

#[test]
fn commands_act_once_and_are_journaled_first() {
    let mut run = listening();
    let (mut daemon, last) = greeted(&run);
    assert_eq!(last, 0);
    let mode = std::fs::metadata(&run.spec.socket).unwrap().permissions();
    assert_eq!(mode.mode() & 0o777, 0o600);
    daemon.send(&stdin(1, "one\n", false));
    daemon.send(&stdin(1, "one again\n", false));
    assert_eq!(daemon.answer(), Some(RunnerMessage::Done { id: 1 }));
    assert_eq!(daemon.answer(), Some(RunnerMessage::Done { id: 1 }));
    let (mut daemon, last) = greeted(&run);
    assert_eq!(last, 1);
    daemon.send(&stdin(1, "one more\n", false));
    daemon.send(&stdin(7, "seven\n", true));
    daemon.send(&stdin(8, "too late\n", false));
    assert_eq!(daemon.answer(), Some(RunnerMessage::Done { id: 1 }));
    assert_eq!(daemon.answer(), Some(RunnerMessage::Done { id: 7 }));
    match daemon.answer() {
        Some(RunnerMessage::Refused { id: 8, .. }) => {}
        other => panic!("{other:?}"),
    }
    run.open_gate("gate");
    let mut last = None;
    while let Some(message) = daemon.next() {
        last = Some(message);
    }
    assert_eq!(last, Some(RunnerMessage::Exited {}));
    assert_eq!(run.finish().last_command, 8);
    assert_eq!(run.stdout(), ["line one", "line seven", "line-end"]);
    let story: Vec<String> = run
        .records()
        .iter()
        .filter_map(|record| match record.header.stream {
            Stream::In => Some(String::from_utf8_lossy(&record.data).into_owned()),
            Stream::Ctl => match serde_json::from_slice(&record.data).unwrap() {
                Control::Command { id, .. } => Some(format!("command {id}")),
                Control::CommandDone { id } => Some(format!("done {id}")),
                _ => None,
            },
            _ => None,
        })
        .collect();
    let expected = [
        "command 1",
        "one\n",
        "done 1",
        "command 7",
        "seven\n",
        "done 7",
        "command 8",
    ];
    assert_eq!(story, expected);
}

#[test]
fn a_new_hello_ends_the_older_connection() {
    let run = listening();
    let (mut old, _) = greeted(&run);
    let (mut new, _) = greeted(&run);
    while old.next().is_some() {}
    new.send(&stdin(1, "x\n", false));
    assert_eq!(new.answer(), Some(RunnerMessage::Done { id: 1 }));
}

#[test]
fn commands_before_hello_and_nonsense_are_refused() {
    use std::io::Write as _;
    let run = listening();
    let (mut daemon, _) = greeted(&run);
    daemon.stream.write_all(b"{\"type\":\"dance\"}\n").unwrap();
    match daemon.answer() {
        Some(RunnerMessage::Refused { id: 0, .. }) => {}
        other => panic!("{other:?}"),
    }
    let mut raw = std::os::unix::net::UnixStream::connect(&run.spec.socket).unwrap();
    raw.write_all(&encode_line(&stdin(5, "x", false))).unwrap();
    let mut line = String::new();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(raw), &mut line).unwrap();
    assert!(line.contains("refused"), "{line}");
}

#[test]
fn a_daemon_that_does_not_read_blocks_nothing() {
    let script = json!([{"do":"out","text":"x","repeat":200_000}, {"do":"out","text":"end"},
        {"do":"wait_file","path":"gate"}]);
    let mut run = Plan::new(script).start();
    let (mut daemon, _) = greeted(&run);
    run.wait_line("end");
    run.open_gate("gate");
    let record = run.finish();
    let mut told = 0;
    while let Some(message) = daemon.next() {
        if let RunnerMessage::Len { journal_len } = message {
            assert!(journal_len >= told);
            told = journal_len;
        }
    }
    // What did not fit is not waited for: the files tell.
    assert!((1..=record.journal_len).contains(&told));
}

#[test]
fn an_agent_that_does_not_read_blocks_nothing() {
    let mut run = Plan::new(json!([{"do":"stall"}]))
        .with(|spec| {
            spec.stdin.keep_stdin_open = true;
        })
        .start();
    let (mut daemon, _) = greeted(&run);
    daemon.send(&stdin(1, &"x".repeat(1_000_000), false));
    daemon.send(&DaemonMessage::Signal {
        id: 2,
        signal: SignalName::Kill,
    });
    assert_eq!(daemon.answer(), Some(RunnerMessage::Done { id: 2 }));
    match daemon.answer() {
        Some(RunnerMessage::Refused { id: 1, .. }) => {}
        other => panic!("{other:?}"),
    }
    assert_eq!(run.finish().signal, Some(9));
}
