//! One `crc client --json` process.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Instant;

use crc::internal::Printable;
use crc::wires::Wire;

use super::TIMEOUT;
use super::event_line::parse_event_line;
use super::quiescence::{ClientStatus, ClientView, Traffic, User};
use crate::child::{Process, ReadResult};
use crate::runner::backend::RunError;
use crate::runner::client_log::{ClientLog, FENCE};
use crate::runner::command::{Action, LaunchClient};
use crate::runner::state::HostState;

/// A client, running or exited.
pub(super) struct Client {
    launch: LaunchClient,
    process: Process,
    log: ClientLog,
    /// The CRC address of its server, which identifies the server in a case.
    server_address: SocketAddr,
    launched_at: Instant,
    /// Number of typed messages.
    messages_typed: u64,
    is_leaving: bool,
    is_frozen: bool,
    /// Whether its output was read to the end.
    is_output_closed: bool,
}

impl Client {
    /// Starts it with a listener of the server at `server_address`, and waits until it is
    /// registered or refused.
    pub(super) fn start(
        launch: &LaunchClient,
        binary: &Path,
        server_address: SocketAddr,
        listener: SocketAddr,
        log: PathBuf,
    ) -> Result<Self, RunError> {
        let mut arguments = vec![
            "client".to_owned(),
            format!("{}://{listener}", launch.wire.name()),
            format!("--name={}", launch.username),
            format!("--info={}", launch.info),
            "--json".to_owned(),
        ];
        arguments.extend(launch.id.map(|id| format!("--id={id}")));
        let process = Process::start(binary, arguments, log)
            .map_err(|error| RunError::new(format!("cannot be started: {error}")))?;
        let mut client = Self {
            launch: launch.clone(),
            process,
            log: ClientLog::new(launch),
            server_address,
            launched_at: Instant::now(),
            messages_typed: 0,
            is_leaving: false,
            is_frozen: false,
            is_output_closed: false,
        };
        let deadline = Instant::now() + TIMEOUT;
        while !client.log.is_connected() && !client.is_output_closed {
            let timeout = deadline.saturating_duration_since(Instant::now());
            if timeout.is_zero() {
                return Err(client.error("was neither welcomed nor refused"));
            }
            let output = client.process.read_line_within(timeout);
            client.handle_output(output)?;
        }
        if !client.log.has_server_response() && client.is_output_closed {
            return Err(client.no_server_error());
        }
        Ok(client)
    }

    /// Returns the error of a client that exited without any frame from a server.
    fn no_server_error(&mut self) -> RunError {
        let logged = self.process.log_tail().join("\n  ");
        let status = self.process.wait().map_or_else(|e| e.to_string(), |s| s.to_string());
        let said = Printable(self.log.last_error().as_bytes());
        self.error(format!("reached no server, {status}: {said}{logged}"))
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

    /// Returns its present state, with the index of its server among the running ones.
    ///
    /// With rooms, a CRC client receives frames that are no events.
    pub(super) fn view(
        &mut self,
        server: Option<usize>,
        has_rooms: bool,
    ) -> Result<ClientView, RunError> {
        self.read_available()?;
        let identity = self.log.identity().unwrap_or_default().to_owned();
        Ok(ClientView {
            name: self.launch.username.clone(),
            user: User::new(self.launch.wire, identity),
            server,
            status: self.status(),
            traffic: if self.launch.wire == Wire::CRC && !has_rooms {
                Traffic::Counted {
                    frames_in: self.log.frame_count,
                    // Its registration, the status that it reads cut frames, and each line that it
                    // did not refuse.
                    frames_out: 2 + self
                        .messages_typed
                        .saturating_sub(self.log.rejected_line_count),
                }
            } else {
                Traffic::Fenced { fence_count: self.log.fence_count }
            },
            listed_names: self.log.other_user_names().map(str::to_owned).collect(),
        })
    }

    /// Sends a message to itself through its server, and waits for it. All earlier frames in both
    /// directions have been handled then, and mail has been stored. Does nothing on the CRC wire
    /// without rooms, where frames are counted.
    pub(super) fn wait_for_fence(&mut self, has_rooms: bool) -> Result<(), RunError> {
        self.read_available()?;
        let self_destination = match self.launch.wire {
            wire if wire == Wire::CRC && !has_rooms => return Ok(()),
            wire if wire == Wire::CRC => self.log.identity().unwrap_or_default().to_owned(),
            wire if wire == Wire::DIRECT => "0".to_owned(),
            _ => format!("/msg ({})", self.launch.username),
        };
        if self.status() != ClientStatus::Connected {
            return Ok(());
        }
        let expected = self.log.fence_count + 1;
        // A disconnected client does not read its input.
        drop(self.process.write_line(&format!("{self_destination} {FENCE} {expected}")));
        let deadline = Instant::now() + TIMEOUT;
        while self.log.fence_count < expected && self.status() == ClientStatus::Connected {
            let timeout = deadline.saturating_duration_since(Instant::now());
            if timeout.is_zero() {
                return Err(self.error("does not hear what it says to itself"));
            }
            let output = self.process.read_line_within(timeout);
            self.handle_output(output)?;
        }
        Ok(())
    }

    /// Types a line. A client that has exited ignores it.
    pub(super) fn type_command(&mut self, action: &Action) -> Result<(), RunError> {
        self.read_available()?;
        if self.status() != ClientStatus::Connected {
            return Ok(());
        }
        match action {
            Action::Quit { .. } => self.is_leaving = true,
            _ => self.messages_typed += 1,
        }
        let line = action.typed_line();
        self.process.write_line(&line).map_err(|error| self.error(error))
    }

    /// Stops it for good, and keeps its lists.
    pub(super) fn freeze(&mut self) -> Result<(), RunError> {
        self.read_available()?;
        if self.status() == ClientStatus::Connected {
            self.process.freeze().map_err(|error| self.error(error))?;
            self.is_frozen = true;
        }
        Ok(())
    }

    /// Kills it, and keeps its lists.
    pub(super) fn kill(&mut self) -> Result<(), RunError> {
        self.is_leaving = true;
        self.process.kill().map_err(|error| self.error(error))?;
        Ok(())
    }

    pub(super) fn state(&mut self) -> Result<HostState, RunError> {
        self.read_available()?;
        Ok(self.log.state())
    }

    pub(super) fn log_tail(&self) -> Vec<String> {
        self.process.log_tail()
    }

    fn status(&self) -> ClientStatus {
        if self.is_output_closed || (self.log.is_disconnected && !self.is_leaving) {
            ClientStatus::Ended
        } else if self.is_leaving {
            ClientStatus::Leaving
        } else if self.is_frozen {
            ClientStatus::Frozen
        } else {
            ClientStatus::Connected
        }
    }

    /// Reads all that it has printed.
    fn read_available(&mut self) -> Result<(), RunError> {
        loop {
            match self.process.try_read_line() {
                ReadResult::Pending => return Ok(()),
                output => self.handle_output(output)?,
            }
            if self.is_output_closed {
                return Ok(());
            }
        }
    }

    fn handle_output(&mut self, output: ReadResult) -> Result<(), RunError> {
        match output {
            ReadResult::Line(line) => {
                let event = parse_event_line(self.launch.wire, &line);
                if let Some(event) = event.map_err(|what| self.error(what))? {
                    self.log.record(&event);
                }
                Ok(())
            }
            ReadResult::Pending => Ok(()),
            ReadResult::Closed => {
                self.is_output_closed = true;
                Ok(())
            }
        }
    }

    fn error(&self, message: impl std::fmt::Display) -> RunError {
        RunError(format!("client {}: {message}", Printable(self.launch.username.as_bytes())))
    }
}
