//! What must be there before a chat begins: a port that is listened on, and the network's welcome.

use tokio::sync::mpsc;

use super::network::Network;
use super::peer::Service;
use super::relay::{self, Relay};
use super::{Happening, Link, Talk, Target};
use crate::channel;
use crate::cli::Way;
use crate::screen::{Screen, Typed};

/// A chat that may begin.
pub(super) type Ready = (Talk, Service, mpsc::Receiver<Happening>, mpsc::Receiver<Typed>);

/// Joins the network, where there is one, and takes the terminal over.
///
/// # Errors
/// What keeps the chat from beginning.
pub(super) async fn prepare(name: String, way: Way) -> Result<Ready, String> {
    let (service, network, target, with, port) = match way {
        Way::Ports { own, peer } => {
            let (listener, address) = channel::listen(channel::local(own)).await?;
            let target = Target::new(channel::local(peer), None);
            let port = (own == 0).then_some(address.port());
            (Service::start(&name, listener), None, Some(target), None, port)
        }
        Way::Network { relay: server, with, address } => {
            let stream = relay::connect(&server).await?;
            let own_ip = address.map_or_else(|| relay::own_ip(&stream), Ok)?;
            let (listener, address) = channel::listen((own_ip, 0).into()).await?;
            let service = Service::start(&name, listener);
            let relay = Relay::join(stream, &name, address).await;
            let relay = relay.map_err(|why| format!("the crc server at {server}: {why}"))?;
            let mut network = Network::new(server, address, relay);
            if with.is_none() {
                network.choose(&name);
            }
            (service, Some(network), None, with, None)
        }
    };
    let (screen, typed) = Screen::open_with_input();
    let (happens, happened) = mpsc::channel(16);
    let mut talk = Talk {
        name,
        screen,
        network,
        with: with.map(String::into_bytes),
        target,
        link: Link::Down,
        attempt: 0,
        dialled: None,
        peer_name: None,
        held: None,
        is_sending: false,
        is_input_open: true,
        happens,
    };
    if let Some(port) = port {
        talk.note(format!("listening on {}", channel::local(port)));
    }
    Ok((talk, service, happened, typed))
}
