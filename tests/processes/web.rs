//! Browsers: pages, health, the operator's surface and WebSockets of a running server.

use std::net::TcpStream;

use super::*;

const TOKEN: &str = "correct horse battery staple"; // spaces are refused
const GOOD_TOKEN: &str = "0123456789abcdef0123456789abcdef";

/// Sends requests on one connection, and returns what comes until `end` does.
#[track_caller]
fn exchange(stream: &mut TcpStream, request: &[u8], end: &str) -> String {
    stream.write_all(request).expect("connected");
    read_until(stream, end)
}

#[track_caller]
fn read_until(stream: &mut TcpStream, end: &str) -> String {
    stream.set_read_timeout(Some(TIMEOUT)).expect("a socket");
    let mut received = Vec::new();
    let mut buffer = [0; 64 * 1024];
    let deadline = Instant::now() + TIMEOUT;
    loop {
        let text = String::from_utf8_lossy(&received).into_owned();
        if text.contains(end) {
            return text;
        }
        assert!(Instant::now() < deadline, "{end:?} never came: {text}");
        let count = stream.read(&mut buffer).expect("an answer");
        assert!(count > 0, "{end:?} never came: {text}");
        received.extend_from_slice(&buffer[..count]);
    }
}

fn connect_to(server: &Server) -> TcpStream {
    TcpStream::connect(("127.0.0.1", server.port_of("http"))).expect("a listener")
}

fn get(path: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").into_bytes()
}

/// Returns a masked text message.
fn text(message: &str) -> Vec<u8> {
    let length = u8::try_from(message.len()).expect("short");
    [&[0x81, 0x80 | length, 0, 0, 0, 0], message.as_bytes()].concat()
}

fn open_websocket(server: &Server, path: &str) -> TcpStream {
    let mut stream = connect_to(server);
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    let response = exchange(&mut stream, request.as_bytes(), "\r\n\r\n");
    assert!(response.starts_with("HTTP/1.1 101 "), "{response}");
    stream
}

/// Writes a token to a file that its owner alone reads.
fn token_file(dir: &tempfile::TempDir, token: &str) -> PathBuf {
    let path = dir.path().join("token");
    fs::write(&path, format!("{token}\n")).expect("a file");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("our file");
    path
}

#[test]
fn browser_gets_the_page_and_chats_with_a_terminal() {
    let mut server = Server::start(&["--listen", "127.0.0.1:0", "--listen", "http://127.0.0.1:0"]);
    let mut browser = connect_to(&server);
    let page = exchange(&mut browser, &get("/"), "</html>");
    assert!(page.starts_with("HTTP/1.1 200 OK\r\n"), "{page}");
    exchange(&mut browser, &get("/healthz"), "\r\n\r\nok\n");
    exchange(&mut browser, &get("/readyz"), "\r\n\r\nready\n");
    exchange(&mut browser, &get("/metrics"), "HTTP/1.1 404 Not Found");
    server.wait_for_log("to chat in a browser, open http://127.0.0.1:");

    let mut frodo = open_websocket(&server, "/ws");
    let hello = text(r#"{"do":"hello","name":"frodo","id":101}"#);
    exchange(&mut frodo, &hello, r#"{"event":"connected","id":101,"name":"frodo"}"#);
    let mut sam = server.connect();
    sam.send(&crc_tests::frames::user(102, "sam", ""));
    read_until(&mut frodo, r#"{"event":"join","id":102,"name":"sam","info":""}"#);
    sam.send(&crc_tests::frames::chat(102, 101, "Hi!"));
    read_until(&mut frodo, r#"{"event":"chat","from":102,"name":"sam","text":"Hi!"}"#);
    server.send_signal(Signal::TERM);
    read_until(&mut frodo, r#"{"event":"disconnected","text":"server shutdown"}"#);
    assert!(server.wait_for_exit().success());
}

#[test]
fn operator_watches_and_stops_a_server() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let path = token_file(&dir, GOOD_TOKEN);
    let path = path.to_str().expect("text");
    let options = ["--listen", "127.0.0.1:0", "--listen", "http://127.0.0.1:0"];
    let options = [&options[..], &["--operator-token-file", path]].concat();
    let mut server = Server::start(&options);
    let mut scraper = connect_to(&server);
    exchange(&mut scraper, &get("/metrics"), "HTTP/1.1 401 Unauthorized");
    let head = "HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer";
    let request = format!("GET /metrics {head} {GOOD_TOKEN}\r\n\r\n");
    for _ in 0..2 {
        let text = exchange(&mut scraper, request.as_bytes(), "\r\n0\r\n\r\n");
        assert!(text.contains("\ncrc_loop_turn_seconds_count ") && text.contains("crc_users 0\n"));
    }
    let request = format!("GET /operator/state {head} {GOOD_TOKEN}\r\n\r\n");
    let state = exchange(&mut scraper, request.as_bytes(), "\r\n0\r\n\r\n");
    assert!(state.contains("\"hosts\":[") && state.contains("\"bounds\":{"), "{state}");

    let mut page = open_websocket(&server, "/operator/ws");
    let sign_in = text(&format!(r#"{{"do":"sign_in","token":"{GOOD_TOKEN}"}}"#));
    let first = exchange(&mut page, &sign_in, r#"{"event":"servers""#);
    assert!(first.contains(r#"{"event":"signed_in","id":"#), "{first}");
    exchange(&mut page, &text(r#"{"do":"kick","id":7}"#), "7: nobody has this id");
    read_until(&mut page, r#""event":"totals""#);
    exchange(&mut page, &text(r#"{"do":"shutdown"}"#), r#"{"event":"done","text":"stopping"}"#);
    assert!(server.wait_for_exit().success());
}

#[test]
fn token_that_others_read_or_guess_is_refused_at_the_start() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let path = token_file(&dir, TOKEN);
    let start = || {
        let output = Command::new(CRC)
            .args(["server", "--check-config", "--listen", "http://127.0.0.1:0"])
            .arg("--operator-token-file")
            .arg(&path)
            .output()
            .expect("crc runs");
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    assert!(start().contains("16 to 1024 printable ASCII characters"), "{}", start());
    fs::write(&path, GOOD_TOKEN).expect("a file");
    assert_eq!(start(), "");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o604)).expect("our file");
    assert!(start().contains("chmod 600"), "{}", start());
}
