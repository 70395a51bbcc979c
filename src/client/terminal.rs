//! The frontend at a terminal: events as lines above the one that is being typed.

use std::io::{self, ErrorKind, Read as _, Write as _};
use std::ops::ControlFlow;
use std::os::fd::{AsFd as _, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::completion::KnownNames;
use super::grammar::{self, Command};
use super::human::Style;
use super::shell::Frontend;
use crate::printable::Printable;
use crate::ui::{Input, Terminal};
use crate::vocabulary::{Event, Text};

/// Time for the client to handle a line before the next prompt is drawn. A line that takes longer
/// may change the prompt after the next one.
const PROMPT_TIMEOUT: Duration = Duration::from_millis(200);

/// What the prompt shows, shared between the client's loop and the editor's thread.
#[derive(Debug, Default)]
struct Prompt {
    state: Mutex<PromptState>,
    is_handled: Condvar,
}

#[derive(Debug, Default)]
struct PromptState {
    /// Number of lines that were typed and not yet handled.
    unhandled_lines: usize,
    current_room: Option<String>,
}

impl Prompt {
    fn lock(&self) -> MutexGuard<'_, PromptState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for the typed lines to be handled, and returns the prompt.
    fn text(&self, name: &str) -> String {
        let is_unhandled = |state: &mut PromptState| state.unhandled_lines > 0;
        let waited = self.is_handled.wait_timeout_while(self.lock(), PROMPT_TIMEOUT, is_unhandled);
        let (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        match &state.current_room {
            Some(room) => format!("{name} {}> ", Printable(room.as_bytes())),
            None => format!("{name}> "),
        }
    }
}

/// A frontend with a line editor.
pub(super) struct TerminalFrontend {
    style: Style,
    /// The user's own name, once known.
    own_name: Option<Text>,
    prompt: Arc<Prompt>,
    names: KnownNames,
    inputs: Receiver<Input>,
    /// Number of lines that were read and not yet handled.
    lines_read: usize,
    wake_reader: UnixStream,
    /// `None` once the terminal was closed.
    terminal: Option<Terminal>,
    /// The line that is printed once the terminal was closed.
    final_line: Option<String>,
}

impl TerminalFrontend {
    /// Opens the terminal; `name` precedes the `>` of the prompt.
    ///
    /// # Errors
    /// Standard input and output are not a terminal on which lines can be edited.
    pub(super) fn open(name: &[u8], style: Style) -> io::Result<Self> {
        let names = KnownNames::default();
        let (input_sender, inputs) = mpsc::channel();
        let (wake_reader, mut wake_writer) = UnixStream::pair()?;
        wake_writer.set_nonblocking(true)?;
        let name = Printable(name).to_string();
        let prompt = Arc::new(Prompt::default());
        let (shown_prompt, typed_into) = (Arc::clone(&prompt), Arc::clone(&prompt));
        let prompt_text = move || shown_prompt.text(&name);
        let terminal = Terminal::open(prompt_text, names.clone(), move |input| {
            let is_last = is_quit(&input);
            if matches!(input, Input::Line(_)) {
                typed_into.lock().unhandled_lines += 1;
            }
            // The line first: the loop looks for one when it is woken.
            if input_sender.send(input).is_err() {
                return ControlFlow::Break(());
            }
            // A full waker has woken the loop already.
            let is_woken = match wake_writer.write(b"!") {
                Ok(_) => true,
                Err(error) => error.kind() == ErrorKind::WouldBlock,
            };
            if !is_woken || is_last {
                return ControlFlow::Break(());
            }
            ControlFlow::Continue(())
        })?;
        Ok(Self {
            style,
            own_name: None,
            prompt,
            names,
            inputs,
            lines_read: 0,
            wake_reader,
            terminal: Some(terminal),
            final_line: None,
        })
    }
}

/// Whether `input` ends the client, so that no other prompt is drawn.
fn is_quit(input: &Input) -> bool {
    match input {
        Input::Line(line) => matches!(grammar::parse(line), Ok(Some(Command::Quit(_)))),
        _ => false,
    }
}

impl Frontend for TerminalFrontend {
    fn show(&mut self, event: &Event) -> io::Result<()> {
        self.names.update(event);
        if let Event::Connected { name, .. } = event {
            self.own_name = Some(name.clone());
        }
        let mut line = self.style.format_event(event, self.own_name.as_ref());
        if !matches!(event, Event::Help { .. }) {
            let time = jiff::Zoned::now().strftime("%H:%M").to_string();
            line = format!("{} {line}", self.style.dim(&time));
        }
        if matches!(event, Event::Disconnected { .. }) {
            self.final_line = Some(line);
            return Ok(());
        }
        match &self.terminal {
            Some(terminal) => terminal.printer().print(line),
            None => Err(ErrorKind::BrokenPipe.into()),
        }
    }

    fn input_fd(&self) -> BorrowedFd<'_> {
        self.wake_reader.as_fd()
    }

    fn read_input(&mut self, inputs: &mut Vec<Input>) -> io::Result<()> {
        let mut buffer = [0; 64];
        let read_len = self.wake_reader.read(&mut buffer)?;
        let typed = inputs.len();
        inputs.extend(self.inputs.try_iter());
        let lines = inputs[typed..].iter().filter(|input| matches!(input, Input::Line(_))).count();
        self.lines_read += lines;
        if read_len == 0 && inputs.is_empty() {
            inputs.push(Input::Eof); // the editor has ended
        }
        Ok(())
    }

    fn on_lines_handled(&mut self, current_room: Option<&str>) {
        self.names.set_current_room(current_room);
        let mut state = self.prompt.lock();
        state.current_room = current_room.map(str::to_owned);
        state.unhandled_lines -= std::mem::take(&mut self.lines_read);
        self.prompt.is_handled.notify_one();
    }
}

impl Drop for TerminalFrontend {
    fn drop(&mut self) {
        self.terminal = None;
        if let Some(final_line) = self.final_line.take() {
            let _ = writeln!(io::stdout(), "{final_line}");
        }
    }
}
