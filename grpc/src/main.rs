//! crc-grpc: greets and chats over gRPC. Only this file ends the process.
//!
//! One thread runs everything but the two pipes that may block, standard input and output
//! (`screen`). The daemon knows nothing of this program, which uses its words and its codec.

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

use crate::cli::{Cli, Program};

fn main() -> ExitCode {
    let program = Cli::parse().program;
    let discovery = match &program {
        Program::Chat(args) => {
            Some(args.discovery(|name| std::env::var(name).ok().filter(|value| !value.is_empty())))
        }
        _ => None,
    };
    let discovery = match discovery.transpose() {
        Ok(way) => way,
        Err(error) => error.exit(),
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => return fail(&error.to_string()),
    };
    let outcome = runtime.block_on(async {
        match (program, discovery) {
            (Program::GreetServer { port }, _) => greeting::serve(port).await,
            (Program::Greet { port, names }, _) => greeting::greet(port, names).await,
            (Program::Chat(args), Some(way)) => chat::run(args.name, way).await,
            (Program::Chat(_), None) => unreachable!("a chat has its way"),
        }
    });
    // A name that is being looked up must not hold anybody back.
    runtime.shutdown_background();
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error),
    }
}

fn fail(error: &str) -> ExitCode {
    // Whoever does not listen there has the exit code.
    let _ = writeln!(std::io::stderr(), "crc-grpc: {error}");
    ExitCode::FAILURE
}
