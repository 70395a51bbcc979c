//! Job control: the terminal's mode across a stop and a continuation of the process.
//!
//! The shell changes the mode while the process is stopped, and a process cannot notice SIGSTOP.
//! A thread therefore sets the editor's mode and redraws the line after each SIGCONT.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

use nix::sys::signal::{SigSet, Signal};
use rustix::termios::{
    ControlModes, InputModes, LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr,
    tcsetattr,
};
use signal_hook::consts::SIGCONT;
use signal_hook::iterator::{Handle, Signals};

use super::printer::Printer;

/// Makes the terminal send pasted text between markers, so that a line end in it is no Enter.
const BRACKETED_PASTE_ON: &[u8] = b"\x1b[?2004h";

/// A thread that restores the editor's terminal mode after SIGCONT, until it is dropped.
#[derive(Debug)]
pub(super) struct ResumeWatcher {
    handle: Handle,
    thread: Option<JoinHandle<()>>,
}

impl ResumeWatcher {
    /// Starts the thread. It acts only while `is_editing` is set.
    pub(super) fn start(printer: Printer, is_editing: Arc<AtomicBool>) -> io::Result<Self> {
        let mut signals = Signals::new([SIGCONT])?;
        let handle = signals.handle();
        let thread = thread::Builder::new().name("resume".to_owned()).spawn(move || {
            for _ in signals.forever() {
                if is_editing.load(Ordering::SeqCst) && set_editor_mode().is_ok() {
                    printer.redraw();
                }
            }
        })?;
        Ok(Self { handle, thread: Some(thread) })
    }
}

impl Drop for ResumeWatcher {
    fn drop(&mut self) {
        self.handle.close();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Sets the mode in which rustyline reads keys.
fn set_editor_mode() -> io::Result<()> {
    let stdin = io::stdin();
    let mut mode = tcgetattr(&stdin)?;
    mode.input_modes &= !(InputModes::BRKINT
        | InputModes::ICRNL
        | InputModes::INPCK
        | InputModes::ISTRIP
        | InputModes::IXON);
    mode.control_modes |= ControlModes::CS8;
    mode.local_modes &=
        !(LocalModes::ECHO | LocalModes::ICANON | LocalModes::IEXTEN | LocalModes::ISIG);
    mode.special_codes[SpecialCodeIndex::VMIN] = 1;
    mode.special_codes[SpecialCodeIndex::VTIME] = 0;
    set_mode(&mode)?;
    super::write_all(&io::stdout(), BRACKETED_PASTE_ON)
}

/// Returns the mode of the terminal on standard input.
pub(super) fn current_mode() -> io::Result<Termios> {
    Ok(tcgetattr(io::stdin())?)
}

/// Sets the original mode of the terminal, unless the editor has done so already: setting a mode
/// stops a process in the background.
pub(super) fn restore_mode(original: &Termios) -> io::Result<()> {
    let current = current_mode()?;
    if current.local_modes == original.local_modes && current.input_modes == original.input_modes {
        return Ok(());
    }
    set_mode(original)
}

fn set_mode(mode: &Termios) -> io::Result<()> {
    Ok(tcsetattr(io::stdin(), OptionalActions::Now, mode)?)
}

/// Blocks SIGTSTP in this thread and in those that it starts.
///
/// On Ctrl-Z the editor leaves its mode, sends SIGTSTP to the process group and enters its mode
/// again. The kernel delivers the signal before `kill` returns only if no other thread takes it;
/// otherwise the editor would enter its mode before the process stops.
pub(super) fn block_stop_signal() -> io::Result<()> {
    Ok(stop_signal().thread_block()?)
}

/// Lets SIGTSTP stop the process through this thread.
pub(super) fn unblock_stop_signal() -> io::Result<()> {
    Ok(stop_signal().thread_unblock()?)
}

fn stop_signal() -> SigSet {
    let mut set = SigSet::empty();
    set.add(Signal::SIGTSTP);
    set
}
