//! The setup of a chat: the listener, and the welcome of the network.

use tokio::sync::mpsc;

use super::crc_client::{self, CrcClient};
use super::network::Network;
use super::peer::ChatService;
use super::{ChatSession, Link, Target, TaskEvent};
use crate::channel;
use crate::cli::Discovery;
use crate::screen::{Input, Screen};

/// A chat that is ready to run.
pub(super) type PreparedChat =
    (ChatSession, ChatService, mpsc::Receiver<TaskEvent>, mpsc::Receiver<Input>);

/// Opens the listener, joins the network if there is one, and then opens the terminal.
///
/// # Errors
/// Returns the reason why the chat cannot start.
pub(super) async fn prepare(name: String, discovery: Discovery) -> Result<PreparedChat, String> {
    let (service, network, target, partner, port) = match discovery {
        Discovery::Ports { own, peer } => {
            let (listener, address) = channel::listen(channel::localhost(own)).await?;
            let target = Target::new(channel::localhost(peer), None);
            let port = (own == 0).then_some(address.port());
            (ChatService::start(&name, listener), None, Some(target), None, port)
        }
        Discovery::Network { server, partner, address: advertised_ip } => {
            let stream = crc_client::connect(&server).await?;
            let own_ip = advertised_ip.map_or_else(|| crc_client::own_ip(&stream), Ok)?;
            let (listener, address) = channel::listen((own_ip, 0).into()).await?;
            let service = ChatService::start(&name, listener);
            let client = CrcClient::join(stream, &name, address).await;
            let client = client.map_err(|why| format!("the crc server at {server}: {why}"))?;
            let mut network = Network::new(server, address, client);
            if partner.is_none() {
                network.start_pairing(&name);
            }
            (service, Some(network), None, partner, None)
        }
    };
    let (screen, input) = Screen::open_with_input();
    let (events, incoming_events) = mpsc::channel(16);
    let mut session = ChatSession {
        name,
        screen,
        network,
        partner: partner.map(String::into_bytes),
        target,
        link: Link::Down,
        generation: 0,
        last_dial: None,
        peer_name: None,
        deferred_line: None,
        is_sending: false,
        is_input_open: true,
        events,
    };
    if let Some(port) = port {
        session.print_note(format!("listening on {}", channel::localhost(port)));
    }
    Ok((session, service, incoming_events, input))
}
