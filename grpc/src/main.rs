//! The `crc-grpc` program: greetings and chats over gRPC. Only this file exits the process.
//!
//! One thread runs everything except standard input and output, which may block and have a thread
//! each (`screen`). The `crc` library provides the codec of the CRC wire; the daemon does not
//! depend on this program.

mod channel;
mod chat;
mod cli;
mod connection;
mod greeting;
mod incoming;
mod limits;
mod proto;
mod screen;

use std::io::Write as _;
use std::process::ExitCode;

use clap::Parser as _;

use crate::cli::{Cli, Command, Discovery};

/// A command with all settings resolved.
enum Task {
    Serve { port: u16 },
    Greet { port: u16, names: Vec<String> },
    Chat { name: String, discovery: Discovery },
}

/// Resolves the settings of a command from its arguments and the environment, where an empty
/// variable counts as unset.
fn resolve(command: Command) -> Result<Task, clap::Error> {
    let env_var = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    Ok(match command {
        Command::GreetServer { port } => Task::Serve { port },
        Command::Greet { port, names } => Task::Greet { port, names },
        Command::Chat(args) => {
            let discovery = args.discovery(env_var)?;
            Task::Chat { name: args.name, discovery }
        }
    })
}

fn main() -> ExitCode {
    let task = resolve(Cli::parse().command).unwrap_or_else(|error| error.exit());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => return fail(&error.to_string()),
    };
    let outcome = runtime.block_on(async {
        match task {
            Task::Serve { port } => greeting::serve(port).await,
            Task::Greet { port, names } => greeting::greet(port, names).await,
            Task::Chat { name, discovery } => chat::run(name, discovery).await,
        }
    });
    // A pending name look-up must not delay the exit.
    runtime.shutdown_background();
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error),
    }
}

fn fail(error: &str) -> ExitCode {
    // Without a reader of standard error the exit code remains.
    let _ = writeln!(std::io::stderr(), "crc-grpc: {error}");
    ExitCode::FAILURE
}
