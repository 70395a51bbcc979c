//! `crc-tests plain-server`: a plain CRC server over TCP.
//!
//! A thread accepts and one for each connection reads; the main thread has the state and writes.
//! The program runs until a signal or a habit ends it. Exit codes: 1 an address could not be bound
//! or dialled, 2 wrong usage, 3 a habit ended the program; the reason is on standard error.

use std::collections::HashMap;
use std::io::{self, Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::process::ExitCode;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;
use std::time::Duration;

use clap::Args;

use super::{ConnId, Habits, PlainServer};

/// The exit code after a habit has ended the program.
const EXIT_ENDED: u8 = 3;
/// Time after which a write to a connection that does not read closes that connection.
const WRITE_TIMEOUT: Duration = Duration::from_secs(5);

/// Runs a plain CRC server with the habits of another program
#[derive(Args)]
pub struct PlainServerArguments {
    /// Accept servers and clients on this address
    #[arg(long, value_name = "ADDR")]
    listen: String,
    /// Dial this server once, at the start
    #[arg(long, value_name = "ADDR")]
    parent: Option<String>,
    /// The id of the server
    #[arg(long, value_name = "N")]
    id: u32,
    /// The name of the server
    #[arg(long)]
    name: String,
    /// Start from the habits of a program, A to E, or of the protocol's text, `plain`
    #[arg(long, default_value = "plain", value_parser = parse_preset)]
    preset: Habits,
    /// Change a habit, named as the fields of `Habits` with dashes, such as reads-once=false
    #[arg(long = "habit", value_name = "NAME[=VALUE]", value_parser = parse_habit)]
    habits: Vec<String>,
}

fn parse_preset(name: &str) -> Result<Habits, String> {
    Habits::preset(name).ok_or_else(|| "there are A, B, C, D, E and plain".to_owned())
}

fn parse_habit(text: &str) -> Result<String, String> {
    Habits::ours_plain().set(text).map(|()| text.to_owned())
}

/// Runs the subcommand.
#[must_use]
pub fn run(arguments: &PlainServerArguments) -> ExitCode {
    let mut habits = arguments.preset.clone();
    for habit in &arguments.habits {
        habits.set(habit).expect("a habit that was parsed");
    }
    let server = PlainServer::new(arguments.id, &arguments.name, habits);
    let (message, code) = match Process::start(server, arguments).and_then(Process::serve) {
        Ok(reason) => (reason, EXIT_ENDED),
        Err(error) => (error.to_string(), 1),
    };
    drop(writeln!(io::stderr(), "plain-server: {message}"));
    ExitCode::from(code)
}

enum Event {
    Accepted(TcpStream),
    Received(ConnId, Vec<u8>),
    Closed(ConnId),
}

struct Process {
    server: PlainServer,
    streams: HashMap<ConnId, TcpStream>,
    conn_count: u32,
    events: Receiver<Event>,
    sender: Sender<Event>,
}

impl Process {
    /// Binds, prints the address, and dials the parent.
    fn start(server: PlainServer, arguments: &PlainServerArguments) -> io::Result<Self> {
        let (sender, events) = mpsc::channel();
        let mut process = Self { server, streams: HashMap::new(), conn_count: 0, events, sender };
        let listener = TcpListener::bind(&arguments.listen)?;
        let mut stdout = io::stdout();
        writeln!(stdout, "listening crc {}", listener.local_addr()?)?;
        stdout.flush()?;
        if let Some(parent) = &arguments.parent {
            let conn = process.add(TcpStream::connect(parent)?)?;
            process.server.dial(conn);
        }
        let sender = process.sender.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if sender.send(Event::Accepted(stream)).is_err() {
                    return;
                }
            }
        });
        Ok(process)
    }

    /// Handles events until a habit ends the server. Returns the reason.
    fn serve(mut self) -> io::Result<String> {
        loop {
            self.apply_output();
            if let Some(reason) = self.server.has_ended() {
                return Ok(reason.to_owned());
            }
            match self.events.recv().expect("the process keeps a sender") {
                Event::Accepted(stream) => {
                    let conn = self.add(stream)?;
                    self.server.connected(conn);
                }
                Event::Received(conn, bytes) => self.server.received(conn, &bytes),
                Event::Closed(conn) => {
                    self.streams.remove(&conn);
                    self.server.closed(conn);
                }
            }
        }
    }

    /// Adds a connection, and starts its reader.
    fn add(&mut self, stream: TcpStream) -> io::Result<ConnId> {
        self.conn_count += 1;
        let conn = ConnId(self.conn_count);
        stream.set_nodelay(true)?;
        stream.set_write_timeout(Some(WRITE_TIMEOUT))?;
        let (reader, sender) = (stream.try_clone()?, self.sender.clone());
        let read_bytes_max = self.server.habits().read_bytes_max();
        thread::spawn(move || read(conn, reader, read_bytes_max, &sender));
        self.streams.insert(conn, stream);
        Ok(conn)
    }

    /// Writes the output, and shuts down what the server closes. The reader then reports the end.
    fn apply_output(&mut self) {
        for (conn, bytes) in self.server.take_output() {
            if let Some(stream) = self.streams.get_mut(&conn)
                && stream.write_all(&bytes).is_err()
            {
                drop(stream.shutdown(Shutdown::Both));
            }
        }
        for conn in self.server.take_closing() {
            if let Some(stream) = self.streams.get(&conn) {
                drop(stream.shutdown(Shutdown::Both));
            }
        }
    }
}

/// Reads until the connection ends, each read as one event.
fn read(conn: ConnId, mut stream: TcpStream, read_bytes_max: usize, events: &Sender<Event>) {
    let mut buffer = vec![0; read_bytes_max];
    while let Ok(count @ 1..) = stream.read(&mut buffer) {
        if events.send(Event::Received(conn, buffer[..count].to_vec())).is_err() {
            return;
        }
    }
    drop(events.send(Event::Closed(conn))); // fails when the program ends
}
