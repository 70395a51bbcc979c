//! `crc server`: a [`Node`] in the loop, with its mailbox, console and control socket.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use mio::{Registry, Token};
use signal_hook::consts::SIGHUP;

use super::console::Console;
use super::control::ControlSocket;
use super::dial::DialTarget;
use super::event_loop::EventLoop;
use super::invitations::InvitationFile;
use super::join::{self, join_target};
use super::listen::ListenSpec;
use super::reload::{Reloader, RereadConfig};
use super::services::Services;
use super::settings::{ServerSettings, load_admission, load_motd, load_tls, load_web_access};
use super::setup::{LoopSetup, SERVICE_TOKEN_BASE, STOP_SIGNALS};
use super::stdio::log_tail;
use crate::cidr::Cidr;
use crate::link::Time;
use crate::mail::StoreRequest;
use crate::mail::store::Mailbox;
use crate::node::{InviteListener, Node};
use crate::operator::{LoopStats, ShellReport, WebSurface};
use crate::relay::LinkKey;
use crate::tls::{Fingerprint, TlsConfigs};
use crate::wires::{Endpoint, Wire};

const CONSOLE_INPUT: Token = Token(SERVICE_TOKEN_BASE);
const CONSOLE_OUTPUT: Token = Token(SERVICE_TOKEN_BASE + 1);
const CONTROL_LISTENER: Token = Token(SERVICE_TOKEN_BASE + 2);
const CONTROL_TOKEN_BASE: usize = SERVICE_TOKEN_BASE + 3;

/// A server with its sockets.
pub struct Server(EventLoop<Node, ServerServices>);

/// What a server has besides its links.
struct ServerServices {
    mailbox: Mailbox,
    console: Option<Console>,
    control: Option<ControlSocket>,
    reloader: Reloader,
    invitations: Option<InvitationFile>,
    web: WebSurface,
    /// There was a token at the start, so operators may look.
    has_operator_token: bool,
}

impl Server {
    /// Opens the listeners, the control socket, the mailbox and the console.
    ///
    /// # Errors
    /// If one of them cannot be opened. The text names the address or path, and what to do.
    pub fn open(settings: ServerSettings) -> Result<Self, String> {
        let tls = load_tls(&settings)?;
        let admission = load_admission(&settings)?;
        let web = load_web_access(&settings)?;
        let motd = load_motd(&settings)?;
        let specs = settings.listeners.iter().map(|endpoint| ListenSpec {
            scheme: endpoint.scheme(),
            is_tls: endpoint.is_tls,
            address: endpoint.address.clone(),
        });
        let [terminate, interrupt] = STOP_SIGNALS;
        let signals = [terminate, interrupt, SIGHUP];
        let setup = LoopSetup::open(&specs.collect::<Vec<_>>(), tls, &signals)?;
        let registry = setup.poll.registry();
        let control = settings.control_socket.as_deref();
        let control = control
            .map(|path| ControlSocket::open(path, registry, CONTROL_LISTENER))
            .transpose()?;
        let (mailbox, inventory) = match &settings.mailbox {
            None => {
                if settings.listeners.iter().any(|it| it.wire.sends_mail()) {
                    log::info!(
                        "messages to absent users wait in memory and are lost when this server stops; \
                         keep them on disk with --mailbox FILE"
                    );
                }
                Mailbox::in_memory()
            }
            Some(path) => {
                let waker = Arc::clone(&setup.waker);
                // A failed wake-up delays the replies until the next turn.
                Mailbox::open(path, move || drop(waker.wake()))?
            }
        };
        let console = Console::open(registry, CONSOLE_INPUT);
        let reloader = Reloader::new(settings.clone());
        let has_operator_token = settings.operator_token_file.is_some();
        let ServerSettings {
            identity, listeners, parents, join, invitations, limits, seed, ..
        } = settings;
        let join = join.map(|token| (join_target(&token), join::join(&token, &identity)));
        let parent_count = usize::from(join.is_some()) + parents.len();
        let mut node = Node::with_mail(identity, parent_count, limits, &inventory, seed);
        node.set_admission(admission);
        node.set_web_access(web);
        node.set_motd(motd);
        let crc_listener = listeners.iter().position(|it| it.wire == Wire::CRC);
        if let Some(index) = crc_listener {
            node.set_listen_port(setup.listeners[index].address().port());
        }
        let listener_ids = listeners.iter().map(|it| node.add_listener(it.wire)).collect();
        invite_from(&setup, &listeners, &mut node);
        let mut targets = Vec::new();
        if let Some((target, join)) = join {
            targets.push(target);
            node.set_join(0, join);
        }
        let targets_of =
            |it: Endpoint| DialTarget { address: it.address, is_tls: it.is_tls, pin: None };
        targets.extend(parents.into_iter().map(targets_of));
        let invitations =
            invitations.map(|path| InvitationFile::open(path, &mut node)).transpose()?;
        let services = ServerServices {
            mailbox,
            console,
            control,
            reloader,
            invitations,
            web: WebSurface::default(),
            has_operator_token,
        };
        let mut event_loop = EventLoop::new(setup, node, listener_ids, services, targets);
        event_loop.poller.busy_poll = settings.busy_poll;
        event_loop.trusted_proxies = settings.trusted_proxies;
        Ok(Self(event_loop))
    }

    /// Sets how the configuration is read again on SIGHUP and on the operator's command `reload`.
    /// By default it stays the one of the start, and only the files that it names are read again.
    pub fn set_reread(&mut self, reread: RereadConfig) {
        self.0.services.reloader.set_reread(reread);
    }

    /// Checks what [`Server::open`] reads before it opens anything: certificates and keys.
    ///
    /// # Errors
    /// The text names the file or the option, and what to do.
    pub fn check(settings: &ServerSettings) -> Result<(), String> {
        load_tls(settings)?;
        load_admission(settings)?;
        load_web_access(settings)?;
        load_motd(settings)?;
        settings.invitations.as_deref().map_or(Ok(()), InvitationFile::check)
    }

    /// Returns the scheme and the bound address of each listener.
    pub fn listen_addresses(&self) -> impl Iterator<Item = (&str, SocketAddr)> {
        self.0.listen_addresses()
    }

    /// Runs until the operator or a signal stops it.
    ///
    /// # Errors
    /// If waiting for events fails.
    pub fn run(self) -> io::Result<()> {
        self.0.run()
    }
}

/// Lets the operator invite servers to the first listener for them, one with TLS if there is one.
fn invite_from(setup: &LoopSetup, listeners: &[Endpoint], node: &mut Node) {
    let of_servers =
        || listeners.iter().zip(&setup.listeners).filter(|(it, _)| it.wire == Wire::CRC);
    let with_tls = of_servers().find(|(it, _)| it.is_tls);
    if let Some((endpoint, listener)) = with_tls.or_else(|| of_servers().next()) {
        let pin = setup.tls.fingerprint.filter(|_| endpoint.is_tls).map(Fingerprint::bytes);
        let listener = InviteListener { address: listener.address(), pin };
        node.set_inviting(LinkKey::new(&rand::random::<[u8; 32]>()), listener);
    }
}

impl Services<Node> for ServerServices {
    fn has_work(&self, node: &Node, now: Time) -> bool {
        self.web.has_work(node)
            || self.console.as_ref().is_some_and(Console::is_ready)
            || self.control.as_ref().is_some_and(|control| {
                control.has_ready_connection() || control.readiness.is_ready(now)
            })
    }

    fn next_deadline(&self) -> Option<Time> {
        let control = self.control.as_ref().and_then(ControlSocket::next_deadline);
        let console = self.console.as_ref().and_then(Console::next_deadline);
        [control, console, self.web.next_deadline()].into_iter().flatten().min()
    }

    fn on_event(&mut self, token: Token) {
        match token {
            CONSOLE_INPUT => {
                if let Some(console) = &mut self.console {
                    console.set_ready();
                }
            }
            CONSOLE_OUTPUT => {} // pending output is written in every turn
            CONTROL_LISTENER => {
                if let Some(control) = &mut self.control {
                    control.readiness.set_ready();
                }
            }
            Token(token) => {
                if let Some(control) = &mut self.control {
                    control.set_ready(token - CONTROL_TOKEN_BASE);
                }
            }
        }
    }

    fn on_wake(&mut self, node: &mut Node, now: Time) {
        while let Some(reply) = self.mailbox.poll() {
            node.on_store_reply(now, reply);
        }
    }

    fn wants_stats(&self) -> bool {
        self.has_operator_token
    }

    fn run_pending(&mut self, node: &mut Node, now: Time, registry: &Registry, stats: &LoopStats) {
        if let Some(control) = &mut self.control {
            if control.readiness.is_ready(now) {
                control.accept(now, registry, CONTROL_TOKEN_BASE);
            }
            control.serve(node, now, registry, &mut self.reloader);
        }
        if let Some(mut console) = self.console.take_if(|console| console.has_work()) {
            let is_open = console.run(
                node,
                now,
                registry,
                &mut self.reloader,
                (CONSOLE_INPUT, CONSOLE_OUTPUT),
            );
            self.console = is_open.then_some(console);
        }
        if let Some(invitations) = &mut self.invitations {
            invitations.save_changes(node);
        }
        let log = &|number| log_tail().lines_from(number);
        self.web.run(node, now, &ShellReport { stats, log });
    }

    fn handle_store_request(&mut self, node: &mut Node, now: Time, request: StoreRequest) {
        self.mailbox.request(request);
        self.on_wake(node, now); // a mailbox in memory has replied already
    }

    fn drain_events(&mut self, _: &mut Node, _: Time) -> bool {
        false
    }

    fn on_hangup(&mut self, node: &mut Node, _: Time) {
        // The log has the result.
        let _ = self.reloader.reload(node, "SIGHUP");
    }

    fn take_tls(&mut self) -> Option<TlsConfigs> {
        self.reloader.take_tls()
    }

    fn take_trusted_proxies(&mut self) -> Option<Vec<Cidr>> {
        self.reloader.take_trusted_proxies()
    }

    fn abort(&mut self) {
        self.mailbox.detach();
    }
}
