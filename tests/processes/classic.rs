//! The classic wire with many clients.

use std::collections::BTreeSet;
use std::net::TcpStream;

use crc::link::frame_decoder::FrameDecoder;
use crc::wires::classic::codec;
use crc::wires::classic::codec::{Form, Message, Name};
use rustix::process::{Resource, getrlimit, setrlimit};

use super::*;

fn name(text: &str) -> Name {
    Name::new(text.as_bytes()).expect("eight bytes at most")
}

fn encode_message(source: &str, destination: &str, text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let (destination, source, text) = (name(destination), name(source), text.as_bytes());
    codec::encode(&Message { destination, source, text }, Form::Padded, &mut bytes);
    bytes
}

fn connect(port: u16, name: &str) -> TcpStream {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("an open port");
    stream
        .write_all(&encode_message(name, "-SERVER-", &format!("Connect {name}")))
        .expect("it reads");
    stream
}

/// A classic client that reads every list.
struct Observer {
    stream: TcpStream,
    decoder: FrameDecoder,
    bytes: usize,
    /// The pages of an incomplete list.
    pages: Vec<String>,
    /// The latest complete list.
    latest_list: BTreeSet<String>,
    list_count: usize,
}

impl Observer {
    fn connect(port: u16) -> Self {
        let stream = connect(port, "observer");
        stream.set_nonblocking(true).expect("a socket");
        let (decoder, pages, latest_list) = (FrameDecoder::default(), Vec::new(), BTreeSet::new());
        Self { stream, decoder, bytes: 0, pages, latest_list, list_count: 0 }
    }

    /// Reads without blocking.
    fn read_available(&mut self) {
        let mut buffer = [0; 65_536];
        while let Ok(count) = self.stream.read(&mut buffer) {
            assert!(count > 0, "the server closed");
            self.bytes += count;
            let Self { decoder, pages, latest_list, list_count, .. } = self;
            let each = |frame: &[u8]| {
                let Some(message) = codec::parse_frame(frame) else { return true };
                let text = std::str::from_utf8(message.text).expect("text");
                let Some((position, names)) =
                    text.strip_prefix("List ").and_then(|t| t.split_once(' '))
                else {
                    return true;
                };
                let (page, page_count) = position.split_once('/').expect("I/N");
                pages.push(names.to_owned());
                assert_eq!(page, pages.len().to_string(), "pages come in order");
                if page == page_count {
                    let names = pages.iter().flat_map(|page| page.split(' ')).map(str::to_owned);
                    *latest_list = names.collect();
                    *list_count += 1;
                    pages.clear();
                }
                true
            };
            decoder.decode(&buffer[..count], codec::frame_len, each).expect("messages");
        }
    }
}

#[test]
fn user_list_bytes_stay_bounded_while_1000_classic_clients_join_and_quit() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit).expect("the hard limit is ours to take");
    let server = Server::start(&["--classic", "127.0.0.1:0", "--classic-interval", "3600"]);
    let port = server.port_of("classic");
    let start = Instant::now();
    let mut observer = Observer::connect(port);
    let names: Vec<String> = (0..1000).map(|number| format!("u{number}")).collect();
    let everyone: BTreeSet<String> = names.iter().cloned().chain(["observer".to_owned()]).collect();
    let mut clients = Vec::new();
    for name in &names {
        clients.push(connect(port, name));
        observer.read_available();
    }
    eventually("everyone is listed", || {
        observer.read_available();
        (observer.latest_list == everyone).then_some(())
    });
    for client in clients.drain(..).rev() {
        drop(client);
        observer.read_available();
    }
    eventually("all have gone", || {
        observer.read_available();
        (observer.latest_list.len() == 1).then_some(())
    });
    // 2,000 changes, and lists of up to 10 KB: each change on its own would be 10 MB. A page of 256
    // bytes holds the next list up for 25 ms; beyond that is the first list, and one that was on
    // its way.
    let seconds = start.elapsed().as_secs_f64();
    let bound = 256.0 / 0.025 * seconds + 3.0 * 11_000.0;
    println!("{} lists, {} bytes in {seconds:.1} s", observer.list_count, observer.bytes);
    assert!((observer.bytes as f64) < bound, "{} bytes in {seconds} s", observer.bytes);
    assert!(observer.list_count > 2);
    eventually("no more users", || {
        server.ctl(&["num_users"]).stdout.starts_with(b"1 ").then_some(())
    });
}

#[test]
fn silent_classic_client_times_out_and_malformed_bytes_affect_no_other_client() {
    let server = Server::start(&["--classic", "127.0.0.1:0", "--classic-interval", "0.5"]);
    let port = server.port_of("classic");
    let mut observer = Observer::connect(port);
    let alive = encode_message("observer", "-SERVER-", "Alive observer");
    let mut wait_for_list = |what: &str, expected: &[&str]| {
        eventually(what, || {
            observer.stream.write_all(&alive).expect("it reads");
            observer.read_available();
            observer.latest_list.iter().eq(expected).then_some(())
        });
    };
    let mut silent = connect(port, "silent");
    wait_for_list("both", &["observer", "silent"]);
    wait_for_list("the silent one is gone", &["observer"]);
    let mut rest = Vec::new();
    silent.read_to_end(&mut rest).expect("the server closes");
    for noise in [&[b'x'; 300][..], &[0xff; 4096], b"short\0"] {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("an open port");
        let _ = stream.write_all(noise); // it may have been cut off already
        let _ = stream.read_to_end(&mut Vec::new());
    }
    let mut again = connect(port, "silent");
    wait_for_list("the name is free again", &["observer", "silent"]);
    again.write_all(&encode_message("silent", "-SERVER-", "Quit silent")).expect("it reads");
    wait_for_list("it has quit", &["observer"]);
    assert!(server.ctl(&["num_users"]).stdout.starts_with(b"1 "));
}
