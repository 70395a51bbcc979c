//! The `crc` binary: server, client, peer and control command. Only this file exits the process.

use std::io::{IsTerminal as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;
use std::process::ExitCode;

use crc::internal::cli::{
    CertArgs, Cli, CtlArgs, PeerArgs, PeerCommand, Program, ServerArgs, SettingsError,
};
use crc::internal::client;
use crc::internal::net::{LogLimiter, LogSink, check_is_file, send_control_command};
use crc::internal::tls::{CertificateFiles, make_certificates};
use crc::net::{PeerServer, Reread, Server};
use crc::peer::id::decode_id;
use env_logger::{Target, WriteStyle};

/// A failure while running.
const EXIT_RUNTIME: u8 = 1;

/// Options that contradict each other; the same code as for those that cannot be parsed.
const EXIT_USAGE: u8 = 2;

/// An unusable configuration file (EX_CONFIG of sysexits.h).
const EXIT_CONFIG: u8 = 78;

fn main() -> ExitCode {
    let cli = Cli::parse_with_environment(std::env::args_os(), |name| std::env::var_os(name))
        .unwrap_or_else(|error| error.exit());
    match cli.command {
        Program::Server(args) => run_server(*args),
        Program::Client(args) => match args.into_options() {
            Ok(options) => client::run(&options),
            Err(error) => error.exit(),
        },
        Program::Peer(args) => run_peer(args),
        Program::Ctl(args) => run_ctl(&args),
        Program::Cert(args) => run_cert(&args),
    }
}

fn run_server(args: ServerArgs) -> ExitCode {
    let file = match read_config_file(&args) {
        Ok(text) => text,
        Err(error) => return report_error(EXIT_CONFIG, &error),
    };
    let (machine_name, seed) = (machine_name(), rand::random());
    let printed_config = args.printed_config(file.as_deref());
    let is_check = args.checks_config();
    let settings = args.clone().into_settings(file.as_deref(), &machine_name, seed);
    let (settings, log_filter) = match settings {
        Ok(settings) => settings,
        Err(error) => {
            let is_usage = matches!(error, SettingsError::Usage(_));
            let code = if is_usage { EXIT_USAGE } else { EXIT_CONFIG };
            return report_error(code, &settings_error(&args, error));
        }
    };
    if is_check && let Err(error) = Server::check(&settings) {
        return report_error(EXIT_CONFIG, &error);
    }
    if is_check || printed_config.is_some() {
        let text = printed_config.unwrap_or_else(|| "the configuration is valid\n".to_owned());
        // A closed pipe is not an error.
        let _ = std::io::stdout().write_all(text.as_bytes());
        return ExitCode::SUCCESS;
    }
    init_logging(&log_filter);
    let identity = settings.identity.clone();
    let mut server = match Server::open(settings) {
        Ok(server) => server,
        Err(error) => return report_error(EXIT_RUNTIME, &error),
    };
    server.set_reread(Box::new(move || reread(&args, file.as_deref(), &machine_name, seed)));
    log::info!("server {} {:?}", identity.id, String::from_utf8_lossy(&identity.name));
    let program_name = std::env::args().next().unwrap_or_else(|| "crc".to_owned());
    let mut stdout = std::io::stdout().lock();
    for (wire, address) in server.listen_addresses() {
        // Scripts wait for this line. The server runs without a reader too.
        let _ = writeln!(stdout, "listening {wire} {address}").and_then(|()| stdout.flush());
        let url = format!("{wire}://{}", loopback_if_unspecified(address));
        match wire {
            "http" | "https" => log::info!("to chat in a browser, open {url}/"),
            _ => log::info!("to chat, type: {program_name} client {url}"),
        }
    }
    drop(stdout);
    match server.run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => report_error(EXIT_RUNTIME, &poll_error(&error)),
    }
}

/// Reads the configuration file, if there is one.
fn read_config_file(args: &ServerArgs) -> Result<Option<String>, String> {
    let Some(path) = args.config_path() else { return Ok(None) };
    let text = std::fs::read_to_string(path).map_err(|error| {
        format!(
            "cannot read the configuration file {}: {error}; correct --config or CRC_CONFIG",
            path.display()
        )
    });
    text.map(Some)
}

/// Reads the configuration of a running server again. `started` is the text of the file at its
/// start.
fn reread(
    args: &ServerArgs,
    started: Option<&str>,
    machine_name: &str,
    seed: u64,
) -> Result<Reread, String> {
    args.config_path().map_or(Ok(()), check_is_file)?;
    let file = read_config_file(args)?;
    let settings = args.clone().into_settings(file.as_deref(), machine_name, seed);
    let changed = args.changes(started, file.as_deref());
    let (settings, _) = settings.map_err(|error| settings_error(args, error))?;
    Ok(Reread {
        settings,
        file: args.config_path().map(Path::to_owned),
        changed: changed.map_err(|error| settings_error(args, error))?,
    })
}

/// Returns the text of an error, with the path of the configuration file if it is there.
fn settings_error(args: &ServerArgs, error: SettingsError) -> String {
    match error {
        SettingsError::Usage(error) => error,
        SettingsError::Config(error) => {
            let path = args.config_path().unwrap_or(Path::new(""));
            format!("{}: {}", path.display(), error.trim_end())
        }
    }
}

fn run_peer(args: PeerArgs) -> ExitCode {
    let (settings, log_filter) = match args.into_command(rand::random()) {
        PeerCommand::Run(settings, log) => (settings, log),
        PeerCommand::ExplainId(id) => {
            // A closed pipe is not an error.
            let _ = writeln!(std::io::stdout(), "{}", decode_id(id));
            return ExitCode::SUCCESS;
        }
    };
    let is_terminal = !settings.json && std::io::stdin().is_terminal();
    let default_level = if is_terminal { "error" } else { "info" };
    init_logging(&log_filter.unwrap_or_else(|| default_level.to_owned()));
    match PeerServer::open(settings).map(PeerServer::run) {
        Ok(Ok(())) => ExitCode::SUCCESS,
        Ok(Err(error)) => report_error(EXIT_RUNTIME, &poll_error(&error)),
        Err(error) => report_error(EXIT_RUNTIME, &error),
    }
}

/// Sends the log to standard error, in colour at a terminal unless `NO_COLOR` is set.
fn init_logging(filter: &str) {
    let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let has_color = std::io::stderr().is_terminal() && !no_color;
    let logger = env_logger::Builder::new()
        .parse_filters(filter)
        .format_target(false)
        .write_style(if has_color { WriteStyle::Always } else { WriteStyle::Never })
        .target(Target::Pipe(Box::new(LogSink::open())))
        .build();
    log::set_max_level(logger.filter());
    // Fails if there is a logger already, and there is none.
    let _ = log::set_boxed_logger(Box::new(LogLimiter::new(logger)));
}

/// Returns the address by which this machine reaches a listener: loopback if it listens on all
/// addresses.
fn loopback_if_unspecified(mut address: SocketAddr) -> SocketAddr {
    match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => address.set_ip(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(ip) if ip.is_unspecified() => address.set_ip(Ipv6Addr::LOCALHOST.into()),
        _ => {}
    }
    address
}

fn run_ctl(args: &CtlArgs) -> ExitCode {
    let (command, format) = args.command_line();
    match send_control_command(&args.control, format, &command) {
        Ok(Ok(answer)) => {
            // A closed pipe, as of `head`, is not an error.
            let _ = std::io::stdout().write_all(answer.as_bytes());
            ExitCode::SUCCESS
        }
        Ok(Err(error)) => report_error(EXIT_RUNTIME, error.trim_end()),
        Err(error) => report_error(EXIT_RUNTIME, &error),
    }
}

fn run_cert(args: &CertArgs) -> ExitCode {
    let now = jiff::Zoned::now();
    let today = (now.year().into(), now.month().unsigned_abs(), now.day().unsigned_abs());
    let dir = &args.dir;
    match make_certificates(dir, &args.hosts(&machine_name()), today) {
        Ok(CertificateFiles { made, kept, fingerprint }) => {
            let mut text = String::new();
            for (verb, paths) in [("kept", kept), ("made", made)] {
                text.extend(paths.iter().map(|path| format!("{verb} {}\n", path.display())));
            }
            let dir = dir.display();
            text += &format!(
                "fingerprint of server.pem: {fingerprint}\n\
                 to serve:   crc server --listen crcs://HOST:3600 --tls-cert {dir}/server.pem \
                 --tls-key {dir}/server.key --tls-ca {dir}/ca.pem\n\
                 to connect: crc client crcs://HOST:3600 --tls-ca {dir}/ca.pem\n"
            );
            // A closed pipe is not an error.
            let _ = std::io::stdout().write_all(text.as_bytes());
            ExitCode::SUCCESS
        }
        Err(error) => report_error(EXIT_RUNTIME, &error),
    }
}

fn machine_name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

fn poll_error(error: &std::io::Error) -> String {
    format!("waiting for socket events failed: {error}; restart the program")
}

fn report_error(code: u8, error: &str) -> ExitCode {
    eprintln!("crc: {error}");
    ExitCode::from(code)
}
