//! Programs that are loaded beside crc: a forwarder of bytes, and servers of other protocols that
//! send each message of a room, channel, subject or topic to all who are in it.
//!
//! Each gets its best case: no flood control, no persistence, no look-ups and no bounds on queues.

use std::ffi::OsString;
use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::time::{Duration, Instant};

use clap::ValueEnum;
use crc::wires::Wire;

use super::client_codec::{Protocol, Transport};
use super::error::LoadError;
use crate::child::Process;
use crate::runner::processes::server::wait_for_listener;

/// Time in which a program must listen.
const START_TIMEOUT: Duration = Duration::from_secs(10);

/// A program that sends what one client sends to many others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Program {
    /// crc, on its CRC wire
    Crc,
    /// crc, on its direct wire
    Direct,
    /// A forwarder of bytes, which parses nothing
    Forwarder,
    /// The same, sent messages as long as those to a room on the direct wire
    LongForwarder,
    /// nats-server
    Nats,
    /// mosquitto
    Mosquitto,
    /// redis-server
    Redis,
    /// inspircd
    Inspircd,
    /// ngircd
    Ngircd,
}

impl Program {
    /// Returns what its clients speak; `None` if it does not speak it over WebSocket here.
    pub(super) fn protocol(self, transport: Transport) -> Option<Protocol> {
        Some(match (self, transport) {
            (Self::Crc, Transport::Tcp) => Wire::CRC.into(),
            (Self::Crc, Transport::WebSocket) => Wire::HTTP.into(),
            (Self::Nats, _) => Protocol::Nats(transport),
            (Self::Mosquitto, _) => Protocol::Mqtt(transport),
            (_, Transport::WebSocket) => return None,
            (Self::Direct, _) => Wire::DIRECT.into(),
            (Self::Forwarder, _) => Protocol::Bytes,
            (Self::LongForwarder, _) => Protocol::LongBytes,
            (Self::Redis, _) => Protocol::Redis,
            (Self::Inspircd | Self::Ngircd, _) => Protocol::Irc,
        })
    }

    /// Returns whether IRC clients can connect to it.
    pub(super) fn speaks_irc(self) -> bool {
        matches!(self, Self::Crc | Self::Inspircd | Self::Ngircd)
    }

    /// Returns the maximum number of its clients that register at a time, in workloads that do not
    /// measure registration. Connections of ngIRCd, whose backlog is 10, are reset beyond that.
    pub(super) fn pending_registrations_max(self) -> usize {
        if self == Self::Ngircd { 8 } else { super::PENDING_REGISTRATIONS_MAX }
    }

    /// Returns its name on the command line.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Crc => "crc",
            Self::Direct => "direct",
            Self::Forwarder => "forwarder",
            Self::LongForwarder => "long-forwarder",
            Self::Nats => "nats",
            Self::Mosquitto => "mosquitto",
            Self::Redis => "redis",
            Self::Inspircd => "inspircd",
            Self::Ngircd => "ngircd",
        }
    }

    /// Returns whether it is crc.
    pub(super) fn is_crc(self) -> bool {
        matches!(self, Self::Crc | Self::Direct)
    }

    /// Returns whether it is the forwarder of bytes.
    pub(super) fn is_forwarder(self) -> bool {
        matches!(self, Self::Forwarder | Self::LongForwarder)
    }

    /// Returns whether several of it are joined here into one network.
    pub(super) fn is_joined(self) -> bool {
        self.is_crc() || self.is_forwarder()
    }

    /// Returns the program to whose CPU that of this one is compared: what forwards as many bytes,
    /// or any forwarder.
    pub(super) fn yardsticks(self) -> [Self; 2] {
        match self {
            Self::Direct | Self::LongForwarder => [Self::LongForwarder, Self::Forwarder],
            _ => [Self::Forwarder, Self::LongForwarder],
        }
    }

    /// Writes the configuration of a server into a directory. Returns its executable and its
    /// arguments.
    fn command(
        self,
        protocol: Protocol,
        port: u16,
        dir: &Path,
    ) -> Result<(&'static str, Vec<OsString>), LoadError> {
        let path = dir.join(format!("{}.conf", self.name()));
        let (config, executable, arguments): (_, _, &[&str]) = match self {
            Self::Crc | Self::Direct | Self::Forwarder | Self::LongForwarder => {
                unreachable!("{} is started otherwise", self.name())
            }
            Self::Nats => (nats_config(protocol, port), "nats-server", &["-c"]),
            Self::Mosquitto => (mosquitto_config(protocol, port, dir), "mosquitto", &["-c"]),
            Self::Redis => (redis_config(port, dir), "redis-server", &[]),
            Self::Inspircd => {
                (inspircd_config(port, dir), "inspircd", &["--runasroot", "--nofork", "--config"])
            }
            Self::Ngircd => (ngircd_config(port, dir), "ngircd", &["-n", "-f"]),
        };
        fs::write(&path, config)
            .map_err(|error| LoadError::failed(format!("{}: {error}", path.display())))?;
        let mut arguments: Vec<OsString> = arguments.iter().map(Into::into).collect();
        arguments.push(path.into());
        Ok((executable, arguments))
    }
}

/// Starts a server that is not crc.
pub(super) fn start(
    program: Program,
    protocol: Protocol,
    previous: Option<SocketAddr>,
    dir: &Path,
    mut exec: impl FnMut(&Path, Vec<OsString>) -> Result<Process, LoadError>,
) -> Result<(Process, SocketAddr), LoadError> {
    if program.is_forwarder() {
        let own = std::env::current_exe().map_err(|error| LoadError::failed(error.to_string()))?;
        let mut arguments: Vec<OsString> = vec![super::FORWARDER_COMMAND.into()];
        arguments.extend(previous.map(|address| format!("--next={address}").into()));
        let mut process = exec(&own, arguments)?;
        let address = wait_for_listener(&mut process, "forwarder");
        return Ok((process, address.map_err(|fault| LoadError::failed(fault.0))?));
    }
    let address = unused_address()?;
    let (executable, arguments) = program.command(protocol, address.port(), dir)?;
    let mut process = exec(Path::new(executable), arguments)?;
    let deadline = Instant::now() + START_TIMEOUT;
    while TcpStream::connect(address).is_err() {
        let has_ended = matches!(process.try_wait(), Ok(Some(_)));
        if has_ended || Instant::now() > deadline {
            let log = process.log_tail().join("; ");
            return Err(LoadError::failed(format!(
                "{executable} does not listen at {address}: is it installed? {log}"
            )));
        }
        std::thread::park_timeout(Duration::from_millis(20));
    }
    Ok((process, address))
}

/// Returns an address whose port is free: these programs cannot choose one.
fn unused_address() -> Result<SocketAddr, LoadError> {
    let address = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    address.map_err(|error| LoadError::failed(format!("no free port: {error}")))
}

fn nats_config(protocol: Protocol, port: u16) -> String {
    let listen = match protocol {
        Protocol::Nats(Transport::WebSocket) => format!(
            "listen: \"127.0.0.1:-1\"\n\
             websocket {{ host: 127.0.0.1, port: {port}, no_tls: true, compression: false }}"
        ),
        _ => format!("listen: 127.0.0.1:{port}"),
    };
    format!(
        "{listen}\nmax_connections: 60000\nmax_pending: 256MB\n\
         ping_interval: \"10m\"\nwrite_deadline: \"60s\"\n"
    )
}

/// mosquitto 2.0.11 ends if it has no listener other than WebSocket, and takes the interface of
/// such a listener instead of its address.
fn mosquitto_config(protocol: Protocol, port: u16, dir: &Path) -> String {
    let listener = match protocol {
        Protocol::Mqtt(Transport::WebSocket) => {
            let other = dir.join("mosquitto.socket");
            format!("listener 0 {}\nlistener {port} lo\nprotocol websockets", other.display())
        }
        _ => format!("listener {port} 127.0.0.1"),
    };
    format!(
        "user root\n{listener}\nsocket_domain ipv4\nallow_anonymous true\npersistence false\n\
         connection_messages false\nset_tcp_nodelay true\nmax_queued_messages 0\n\
         max_inflight_messages 0\n"
    )
}

fn redis_config(port: u16, dir: &Path) -> String {
    format!(
        "bind 127.0.0.1\nport {port}\nprotected-mode no\ndir {}\nsave \"\"\nappendonly no\n\
         maxclients 60000\ntcp-backlog 4096\ntimeout 0\n\
         client-output-buffer-limit pubsub 0 0 0\n",
        dir.display()
    )
}

fn inspircd_config(port: u16, dir: &Path) -> String {
    let dir = dir.display();
    format!(
        "<config format=\"xml\">\n\
         <server name=\"load.test\" description=\"load\" id=\"001\" network=\"Load\">\n\
         <admin name=\"load\" nick=\"load\" email=\"load@localhost\">\n\
         <bind address=\"127.0.0.1\" port=\"{port}\" type=\"clients\">\n\
         <connect allow=\"*\" timeout=\"60\" pingfreq=\"10m\" hardsendq=\"256M\" softsendq=\"128M\"\n\
         recvq=\"8M\" threshold=\"4000000\" commandrate=\"4000000000\" fakelag=\"no\"\n\
         localmax=\"1000000\" globalmax=\"1000000\" maxconnwarn=\"no\" resolvehostnames=\"no\"\n\
         usednsbl=\"no\" useconnectban=\"no\" useconnflood=\"no\">\n\
         <dns server=\"127.0.0.1\" timeout=\"1\">\n\
         <pid file=\"{dir}/inspircd.pid\">\n\
         <log method=\"file\" type=\"* -USERINPUT -USEROUTPUT\" level=\"default\" \
         target=\"{dir}/inspircd.log\">\n\
         <performance netbuffersize=\"65534\" somaxconn=\"4096\" softlimit=\"60000\" \
         nouserdns=\"yes\">\n"
    )
}

fn ngircd_config(port: u16, dir: &Path) -> String {
    format!(
        "[Global]\nName = load.test\nAdminInfo1 = load\nInfo = load\nListen = 127.0.0.1\n\
         Ports = {port}\nMotdPhrase = hello\nPidFile = {}/ngircd.pid\n\
         [Limits]\nMaxConnections = 0\nMaxConnectionsIP = 0\nMaxPenaltyTime = 0\n\
         PingTimeout = 600\nPongTimeout = 600\n\
         [Options]\nDNS = no\nIdent = no\nPAM = no\n",
        dir.display()
    )
}
