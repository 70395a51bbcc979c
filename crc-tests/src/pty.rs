//! A program on a pseudo-terminal, with keys that a test types and output that it waits for.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use rustix::fs::{Mode, OFlags, open};
use rustix::process::{Pid, Signal, WaitOptions, kill_process, kill_process_group, waitpid};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};

/// Time for each expected change.
const TIMEOUT: Duration = Duration::from_secs(60);

/// Interval between two looks at a state that sends no notice.
const POLL_INTERVAL: Duration = Duration::from_millis(5);

/// A program whose standard input, output and error are one terminal. Dropping it kills it.
///
/// The program leads a process group of its own, as a shell would start it, so that Ctrl-Z stops it
/// and not the test.
#[derive(Debug)]
pub struct PtyProgram {
    child: Child,
    keys: File,
    tty: OwnedFd,
    original_mode: Termios,
    chunks: Receiver<Vec<u8>>,
    unmatched: String,
}

impl PtyProgram {
    /// Starts `command`.
    ///
    /// # Panics
    /// The system offers no terminal, or the program does not start.
    #[must_use]
    pub fn start(command: &mut Command) -> Self {
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let master = openpt(flags).expect("a terminal");
        grantpt(&master).and_then(|()| unlockpt(&master)).expect("own terminal");
        let name = ptsname(&master, Vec::new()).expect("a name");
        let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
        let tty = open(&name, flags, Mode::empty()).expect("the other end");
        let original_mode = tcgetattr(&tty).expect("a terminal");
        let other_end = || Stdio::from(tty.try_clone().expect("a descriptor"));
        let child = command
            .env("TERM", "xterm")
            .stdin(other_end())
            .stdout(other_end())
            .stderr(other_end())
            .process_group(0)
            .spawn()
            .expect("the program starts");
        let keys = File::from(master);
        let mut output = keys.try_clone().expect("a descriptor");
        let (sender, chunks) = channel();
        thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(len @ 1..) = output.read(&mut buffer) {
                if sender.send(buffer[..len].to_vec()).is_err() {
                    return;
                }
            }
        });
        Self { child, keys, tty, original_mode, chunks, unmatched: String::new() }
    }

    /// Waits until the line editor reads the keys. Before, and between two lines, the terminal
    /// itself echoes them, and Ctrl-C and Ctrl-D have another meaning.
    #[track_caller]
    pub fn wait_for_editor(&self) {
        wait_until("the editor has the terminal", || {
            !self.local_modes().intersects(LocalModes::ICANON | LocalModes::ECHO)
        });
    }

    fn local_modes(&self) -> LocalModes {
        tcgetattr(&self.tty).expect("a terminal").local_modes
    }

    /// Types `keys`.
    pub fn type_keys(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).expect("the terminal takes keys");
    }

    /// Waits for a text and returns the output between it and the text before.
    #[track_caller]
    pub fn expect_text(&mut self, text: &str) -> String {
        let deadline = Instant::now() + TIMEOUT;
        loop {
            if let Some((before, after)) = self.unmatched.split_once(text) {
                let (before, after) = (before.to_owned(), after.to_owned());
                self.unmatched = after;
                return before;
            }
            let remaining = deadline.saturating_duration_since(Instant::now());
            let chunk = self.chunks.recv_timeout(remaining);
            let chunk = chunk.unwrap_or_else(|_| panic!("no {text:?} in {:?}", self.unmatched));
            self.unmatched.push_str(&String::from_utf8_lossy(&chunk));
        }
    }

    /// Returns the process id.
    #[must_use]
    pub fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    /// Sends a signal to the program alone.
    pub fn send_signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).expect("the program runs");
    }

    /// Waits until the program is stopped, then takes the terminal over as a shell does: sets its
    /// original mode and writes a prompt.
    #[track_caller]
    pub fn expect_stop(&mut self) {
        let pid = self.pid();
        let options = WaitOptions::UNTRACED | WaitOptions::NOHANG;
        wait_until("the program is stopped", || {
            let status = waitpid(Some(pid), options).expect("a child");
            status.is_some_and(|(_, status)| status.stopped())
        });
        tcsetattr(&self.tty, OptionalActions::Now, &self.original_mode).expect("a terminal");
        let mut tty = File::from(self.tty.try_clone().expect("a descriptor"));
        tty.write_all(b"\r\n[stopped] $ ").expect("the terminal takes output");
        self.expect_text("[stopped] $ ");
    }

    /// Continues the program, as `fg` does.
    pub fn resume(&self) {
        kill_process_group(self.pid(), Signal::CONT).expect("the program is stopped");
    }

    /// Waits until the program has exited with code 0 and the terminal has its original mode.
    #[track_caller]
    pub fn expect_exit(&mut self) {
        let mut code = None;
        wait_until("the program ends", || {
            code = self.child.try_wait().expect("a child").map(|status| status.code());
            code.is_some()
        });
        assert_eq!(code, Some(Some(0)));
        assert_eq!(self.local_modes(), self.original_mode.local_modes);
    }
}

impl Drop for PtyProgram {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[track_caller]
fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + TIMEOUT;
    while !condition() {
        assert!(Instant::now() < deadline, "not in time: {what}");
        thread::sleep(POLL_INTERVAL);
    }
}
