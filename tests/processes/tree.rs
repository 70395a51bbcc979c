//! What the operator sees of a tree of servers: `links`, `servers`, `trace` and the log of a split.

use super::*;

/// Servers 1, 2 and 3 in line, which ask each other often, and user 103 at server 3.
struct Line {
    one: Server,
    two: Server,
    three: Server,
    sam: RawClient,
}

const PING: [&str; 4] = ["--ping-interval", "0.2", "--ping-timeout", "20"];

fn start_line() -> Line {
    let child_of = |id, parent: &Server| {
        Server::start(&[&["--id", id, "--parent", &parent.address()], &PING[..]].concat())
    };
    let one = Server::start(&[&["--id", "1"], &PING[..]].concat());
    let two = child_of("2", &one);
    let three = child_of("3", &two);
    let mut sam = three.connect();
    sam.send(&user(103, "sam", ""));
    sam.expect_frame(&welcome_frame(3, "sam"));
    one.wait_for_hosts(&[2, 3, 103]);
    Line { one, two, three, sam }
}

fn json(server: &Server, command: &[&str]) -> Value {
    let output = server.ctl(&[&["--json"], command].concat());
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{command:?}: {error}");
    serde_json::from_slice(&output.stdout).expect("JSON")
}

fn text(server: &Server, command: &[&str]) -> String {
    let output = server.ctl(command);
    assert!(output.status.success(), "{command:?}: {output:?}");
    String::from_utf8(output.stdout).expect("text")
}

#[test]
fn state_shows_links_with_round_trips_and_the_tree() {
    let Line { one, two, three, .. } = &start_line();
    let state = eventually("the round trip is measured", || {
        let state = one.state();
        state["links"][0]["rtt_ms"].is_number().then_some(state)
    });
    let link = &state["links"][0];
    assert_eq!((&link["id"], &link["wire"]), (&Value::from(2), &Value::from("crc")), "{link}");
    assert_eq!((&link["extended"], &link["tls"]), (&Value::from(true), &Value::from(false)));
    assert_eq!(link["listen_address"], two.address());
    for key in ["rtt_ms", "age_s", "silence_s", "queue_bytes"] {
        let number = link[key].as_f64().expect("a number");
        assert!((0.0..5000.0).contains(&number), "{key}: {link}");
    }
    let servers = |server: &Server| {
        let servers = json(server, &["servers"]);
        let servers = servers.as_array().expect("servers").iter();
        let row = |it: &Value| (it["id"].clone(), it["parent_id"].clone(), it["hops"].clone());
        servers.map(row).collect::<Vec<_>>()
    };
    let number = |n: u32| Value::from(n);
    let expected = [(2, number(1), 1), (3, number(2), 2)];
    assert_eq!(servers(one), expected.map(|(id, parent, hops)| (number(id), parent, number(hops))));
    // A server cannot know the parents of those behind its own parent.
    let expected = [(1, Value::Null, 2), (2, Value::Null, 1)];
    assert_eq!(
        servers(three),
        expected.map(|(id, parent, hops)| (number(id), parent, number(hops)))
    );
    assert_eq!(
        (one.state()["parent_id"].clone(), three.state()["parent_id"].clone()),
        (Value::Null, number(2))
    );
    let users: Vec<Value> = json(one, &["servers"])
        .as_array()
        .expect("servers")
        .iter()
        .map(|it| it["users"].clone())
        .collect();
    assert_eq!(users, [0, 1]);
}

#[test]
fn trace_shows_the_path_with_times() {
    let Line { one, three, .. } = &start_line();
    let trace = json(one, &["trace", "103"]);
    let hops: Vec<_> =
        trace["hops"].as_array().expect("hops").iter().map(|hop| hop["id"].clone()).collect();
    assert_eq!(
        (hops, &trace["result"]),
        (vec![1.into(), 2.into(), 3.into()], &Value::from("home"))
    );
    let times: Vec<_> = trace["hops"]
        .as_array()
        .expect("hops")
        .iter()
        .filter_map(|hop| hop["round_trip_ms"].as_f64())
        .collect();
    assert!(times.len() == 2 && times[0] > 0.0 && times[0] <= times[1], "{trace}");
    let shown = text(one, &["trace", "103"]);
    assert!(shown.ends_with("103 sam is connected to server 3\n"), "{shown}");
    assert_eq!(shown.lines().count(), 5, "{shown}");
    assert!(text(three, &["trace", "103"]).ends_with("103 sam is connected to server 3\n"));
    assert!(text(one, &["trace", "9"]).ends_with("9 is not known to server 1\n"));
    assert!(text(one, &["trace", "1"]).contains("is this server"));
}

#[test]
fn trace_over_a_silent_server_ends_with_an_error_and_delays_nobody_else() {
    let Line { one, two, .. } = &start_line();
    two.send_signal(Signal::STOP);
    let mut control = UnixStream::connect(one.control()).expect("the control socket");
    control.write_all(b"text trace 103\ntext num_users\n").expect("read by the server");
    assert!(text(one, &["num_users"]).starts_with("0 "), "others are answered meanwhile");
    control.set_read_timeout(Some(TIMEOUT)).expect("a timeout");
    let mut reader = BufReader::new(control);
    let mut lines = [(); 4].map(|()| String::new());
    for line in &mut lines {
        reader.read_line(line).expect("an answer");
    }
    two.send_signal(Signal::CONT);
    assert!(lines[0].starts_with("error ") && lines[1].starts_with("trace 103: no answer in 5s"));
    assert_eq!((lines[2].as_str(), &lines[3][..2]), ("ok 37\n", "0 "), "in order: {lines:?}");
}

#[test]
fn log_tells_a_split_and_its_healing_with_numbers() {
    let Line { one, two, three, sam } = start_line();
    let lost = "split: server 2 is lost, with 2 servers and 1 user in all";
    let kick = |reason| assert!(text(&one, &["kick", "2", reason]).starts_with("kicked"));
    kick("for a while");
    one.wait_for_log(lost);
    one.wait_for_log("split healed: server 2 is back after 0.");
    one.wait_for_log(" s, with 2 servers and 1 user in all; nobody left");
    drop(two);
    one.wait_for_log("split over: server 2 is not back after 5.");
    one.wait_for_log("2 servers and 1 user leave");
    drop((three, sam));
}
