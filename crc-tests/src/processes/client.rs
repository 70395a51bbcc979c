//! One `crc client --json` process: started, typed at, heard, fenced, frozen, killed.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Instant;

use crc::printable::Printable;

use super::PATIENCE;
use super::child::{Output, Process};
use super::quiet::{ClientView, Life, Traffic, User};
use crate::backend::Fault;
use crate::client_log::{ClientLog, FENCE};
use crate::command::{Action, LaunchClient, Wire};
use crate::state::NodeState;

/// A client, running or ended.
pub(super) struct Client {
    launch: LaunchClient,
    process: Process,
    log: ClientLog,
    /// Where its server's CRC door is, by which the case names it.
    server_address: SocketAddr,
    launched_at: Instant,
    /// Messages typed.
    typed: u64,
    is_leaving: bool,
    is_frozen: bool,
    /// All that it printed was read.
    is_closed: bool,
}

impl Client {
    /// Starts it at a door of the server at `server_address`, and waits until it was welcomed or
    /// refused.
    pub(super) fn start(
        launch: &LaunchClient,
        binary: &Path,
        server_address: SocketAddr,
        door: SocketAddr,
        log: PathBuf,
    ) -> Result<Self, Fault> {
        let mut arguments = vec![
            "client".to_owned(),
            format!("{}://{door}", launch.wire.name()),
            format!("--name={}", launch.username),
            format!("--info={}", launch.info),
            "--json".to_owned(),
        ];
        arguments.extend(launch.id.map(|id| format!("--id={id}")));
        let process = Process::start(binary, arguments, log)
            .map_err(|error| Fault::new(format!("cannot be started: {error}")))?;
        let mut client = Self {
            launch: launch.clone(),
            process,
            log: ClientLog::new(launch),
            server_address,
            launched_at: Instant::now(),
            typed: 0,
            is_leaving: false,
            is_frozen: false,
            is_closed: false,
        };
        let deadline = Instant::now() + PATIENCE;
        while !client.log.is_connected() && !client.is_closed {
            let patience = deadline.saturating_duration_since(Instant::now());
            if patience.is_zero() {
                return Err(client.fault("was neither welcomed nor refused"));
            }
            let output = client.process.wait_line(patience);
            client.absorb(output)?;
        }
        if !client.log.has_heard_server() && client.is_closed {
            return Err(client.unheard());
        }
        Ok(client)
    }

    /// It ended before any server had said anything.
    fn unheard(&mut self) -> Fault {
        let logged = self.process.log_end().join("\n  ");
        let status = self.process.wait().map_or_else(|e| e.to_string(), |s| s.to_string());
        let said = Printable(self.log.last_error().as_bytes());
        self.fault(format!("reached no server, {status}: {said}{logged}"))
    }

    pub(super) fn name(&self) -> &str {
        &self.launch.username
    }

    pub(super) fn launched_at(&self) -> Instant {
        self.launched_at
    }

    pub(super) fn server_address(&self) -> SocketAddr {
        self.server_address
    }

    /// How it is now, with the position of its server among those that live.
    pub(super) fn look(&mut self, server: Option<usize>) -> Result<ClientView, Fault> {
        self.hear()?;
        let own = self.log.own().unwrap_or_default().to_owned();
        Ok(ClientView {
            name: self.launch.username.clone(),
            user: User::new(self.launch.wire, own),
            server,
            life: self.life(),
            traffic: match self.launch.wire {
                Wire::Crc => Traffic::Counted {
                    frames_in: self.log.frames,
                    // Its registration, and every line that it did not refuse.
                    frames_out: 1 + self.typed.saturating_sub(self.log.refused_lines),
                },
                Wire::Direct | Wire::Classic => Traffic::Fenced { fences: self.log.fences },
            },
            listed: self.log.other_names().map(str::to_owned).collect(),
        })
    }

    /// Sends a text to itself by way of its server and waits for it: whatever either had said to the
    /// other before has come in then, and a server that keeps mail has kept what was said. Where
    /// frames are counted, none of this is needed.
    pub(super) fn fence(&mut self) -> Result<(), Fault> {
        self.hear()?;
        let own = match self.launch.wire {
            Wire::Crc => return Ok(()),
            Wire::Direct => "0".to_owned(),
            Wire::Classic => format!("/msg ({})", self.launch.username),
        };
        if self.life() != Life::Connected {
            return Ok(());
        }
        let count = self.log.fences + 1;
        // One that has just been disconnected does not read any more, and has said so.
        drop(self.process.type_line(&format!("{own} {FENCE} {count}")));
        let deadline = Instant::now() + PATIENCE;
        while self.log.fences < count && self.life() == Life::Connected {
            let patience = deadline.saturating_duration_since(Instant::now());
            if patience.is_zero() {
                return Err(self.fault("does not hear what it says to itself"));
            }
            let output = self.process.wait_line(patience);
            self.absorb(output)?;
        }
        Ok(())
    }

    /// Types a command; one that has left hears nothing.
    pub(super) fn command(&mut self, action: &Action) -> Result<(), Fault> {
        self.hear()?;
        if self.life() != Life::Connected {
            return Ok(());
        }
        match action {
            Action::Message { .. } => self.typed += 1,
            Action::Quit { .. } => self.is_leaving = true,
        }
        let line = action.line();
        self.process.type_line(&line).map_err(|error| self.fault(error))
    }

    /// Stops it for good; what it heard remains.
    pub(super) fn freeze(&mut self) -> Result<(), Fault> {
        self.hear()?;
        if self.life() == Life::Connected {
            self.process.freeze().map_err(|error| self.fault(error))?;
            self.is_frozen = true;
        }
        Ok(())
    }

    /// Kills it; what it heard remains.
    pub(super) fn kill(&mut self) -> Result<(), Fault> {
        self.is_leaving = true;
        self.process.kill().map_err(|error| self.fault(error))?;
        Ok(())
    }

    pub(super) fn state(&mut self) -> Result<NodeState, Fault> {
        self.hear()?;
        Ok(self.log.state())
    }

    pub(super) fn log_end(&self) -> Vec<String> {
        self.process.log_end()
    }

    fn life(&self) -> Life {
        if self.is_closed || (self.log.is_disconnected && !self.is_leaving) {
            Life::Ended
        } else if self.is_leaving {
            Life::Leaving
        } else if self.is_frozen {
            Life::Frozen
        } else {
            Life::Connected
        }
    }

    /// Takes in all that it has printed by now.
    fn hear(&mut self) -> Result<(), Fault> {
        loop {
            match self.process.line() {
                Output::Nothing => return Ok(()),
                output => self.absorb(output)?,
            }
            if self.is_closed {
                return Ok(());
            }
        }
    }

    fn absorb(&mut self, output: Output) -> Result<(), Fault> {
        match output {
            Output::Line(line) => self.log.absorb(&line).map_err(|what| self.fault(what)),
            Output::Nothing => Ok(()),
            Output::Closed => {
                self.is_closed = true;
                Ok(())
            }
        }
    }

    fn fault(&self, what: impl std::fmt::Display) -> Fault {
        Fault(format!("client {}: {what}", Printable(self.launch.username.as_bytes())))
    }
}
