//! Chats that a server drops.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Mutex;
use std::thread;

use crc::wires::crc::codec;
use crc_tests::frames::status;

use super::*;

/// Which client has which id.
type ClientIds = Mutex<Vec<(u32, usize)>>;

/// A server that takes in two clients and passes chats on, all but every tenth.
fn lossy_server(listener: &TcpListener) {
    let streams: Vec<_> = listener.incoming().take(2).map(|s| s.expect("a client")).collect();
    let writers: Vec<_> = streams.iter().map(|s| s.try_clone().expect("a socket")).collect();
    let (ids, writers) = (ClientIds::default(), &writers);
    thread::scope(|scope| {
        for (at, stream) in streams.into_iter().enumerate() {
            let ids = &ids;
            scope.spawn(move || serve_client(at, stream, writers, ids));
        }
    });
}

fn serve_client(index: usize, mut stream: TcpStream, writers: &[TcpStream], ids: &ClientIds) {
    let id = |bytes: &[u8]| u32::from_be_bytes(bytes[..4].try_into().expect("four"));
    let (mut bytes, mut buffer, mut count) = (Vec::new(), [0; 4096], 0);
    while let Ok(read @ 1..) = stream.read(&mut buffer) {
        bytes.extend_from_slice(&buffer[..read]);
        while let Ok(Some(len)) = codec::frame_len(&bytes, 1 << 20) {
            if len > bytes.len() {
                break;
            }
            let frame: Vec<u8> = bytes.drain(..len).collect();
            if frame[0] == 0x80 {
                ids.lock().expect("no panic").push((id(&frame[1..]), index));
                (&writers[index]).write_all(&status(1, 0, 0, "Welcome")).expect("it reads");
                continue;
            }
            let to = id(&frame[5..]);
            let found = ids.lock().expect("no panic").iter().find(|(id, _)| *id == to).copied();
            count += 1;
            if let Some((_, receiver)) = found.filter(|_| count % 10 != 0) {
                let _ = (&writers[receiver]).write_all(&frame); // it may have gone
            }
        }
    }
}

#[test]
fn chats_dropped_by_a_server_are_counted_as_lost() {
    for pace in ["--rate 400", "--in-flight 4"] {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let server = thread::spawn(move || lossy_server(&listener));
        let words = format!("--server {address} {pace} --pairs 1 --duration 500ms --quiet --json");
        let report = run_to_report(&mut load_command(&words));
        let results = &report["results"];
        let (sent, lost) = (number(&results["sent"]), number(&results["lost"]));
        assert!(sent >= 20.0 && (lost / sent - 0.1).abs() < 0.05, "{pace}: {report}");
        assert_eq!(results["out_of_order"], 0, "{report}");
        server.join().expect("no panic");
    }
}
