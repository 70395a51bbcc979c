//! The frontend at a terminal: events as lines above the one that is being typed.

use std::io::{self, ErrorKind, Read as _, Write as _};
use std::ops::ControlFlow;
use std::os::fd::{AsFd as _, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::sync::mpsc::{self, Receiver};

use super::completion::KnownNames;
use super::event::Event;
use super::grammar::{self, Command};
use super::human::Style;
use super::shell::Frontend;
use crate::printable::Printable;
use crate::ui::{Input, Terminal};

/// A frontend with a line editor.
pub(super) struct TerminalFrontend {
    style: Style,
    names: KnownNames,
    inputs: Receiver<Input>,
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
        let prompt = format!("{}> ", Printable(name));
        let terminal = Terminal::open(prompt, names.clone(), move |input| {
            let is_last = is_quit(&input);
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
        Ok(Self { style, names, inputs, wake_reader, terminal: Some(terminal), final_line: None })
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
        let mut line = self.style.format_event(event);
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
        inputs.extend(self.inputs.try_iter());
        if read_len == 0 && inputs.is_empty() {
            inputs.push(Input::Eof); // the editor has ended
        }
        Ok(())
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
