//! What a loop is made of before there is a machine: the poll and its tokens, listeners, signals,
//! waker.

use std::io;
use std::sync::Arc;

use mio::{Interest, Poll, Token, Waker};
use rustix::process::{Resource, getrlimit, setrlimit};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook_mio::v1_0::Signals;

use super::listen::{ListenSpec, Listener};
use crate::limits::CONTROL_CONNECTIONS_MAX;
use crate::tls::TlsConfigs;

/// The signals that stop a program. Another signal that a program handles is named beside these.
pub(super) const STOP_SIGNALS: [i32; 2] = [SIGTERM, SIGINT];

pub(super) const SIGNALS: Token = Token(0);
pub(super) const WAKER: Token = Token(1);
pub(super) const LISTENER_TOKEN_BASE: usize = 2;
pub(super) const LISTENERS_MAX: usize = 64;
/// First token of the services; the links' tokens follow theirs.
pub(super) const SERVICE_TOKEN_BASE: usize = LISTENER_TOKEN_BASE + LISTENERS_MAX;
const SERVICE_TOKENS_MAX: usize = 3 + CONTROL_CONNECTIONS_MAX;
pub(super) const LINK_TOKEN_BASE: usize = SERVICE_TOKEN_BASE + SERVICE_TOKENS_MAX;

/// The parts of a loop that are opened before the machine is created.
pub(super) struct LoopSetup {
    pub(super) poll: Poll,
    pub(super) listeners: Vec<Listener>,
    pub(super) signals: Signals,
    pub(super) waker: Arc<Waker>,
    pub(super) tls: TlsConfigs,
}

impl LoopSetup {
    /// Opens the listeners, and registers `signals` and the waker.
    pub(super) fn open(
        specs: &[ListenSpec],
        tls: TlsConfigs,
        signals: &[i32],
    ) -> Result<Self, String> {
        raise_descriptor_limit();
        let poll = Poll::new().map_err(|error| setup_error(&error))?;
        let registry = poll.registry();
        if specs.len() > LISTENERS_MAX {
            return Err(format!(
                "{} listeners are given, the maximum is {LISTENERS_MAX}; leave some out",
                specs.len()
            ));
        }
        let mut listeners = Vec::new();
        for (index, spec) in specs.iter().enumerate() {
            listeners.push(Listener::open(spec, registry, Token(LISTENER_TOKEN_BASE + index))?);
        }
        let mut signals = Signals::new(signals).map_err(|error| setup_error(&error))?;
        registry
            .register(&mut signals, SIGNALS, Interest::READABLE)
            .map_err(|error| setup_error(&error))?;
        let waker = Arc::new(Waker::new(registry, WAKER).map_err(|error| setup_error(&error))?);
        Ok(Self { poll, listeners, signals, waker, tls })
    }
}

fn setup_error(error: &io::Error) -> String {
    format!("cannot set up the poll loop: {error}; raise the limit of open files (`ulimit -n`)")
}

/// Raises the soft limit of open files to the hard limit, since every connection takes a
/// descriptor.
fn raise_descriptor_limit() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    if let Err(error) = setrlimit(Resource::Nofile, limit) {
        log::warn!("cannot raise the limit of open files: {error}; the current limit stays");
    }
}
