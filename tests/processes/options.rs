//! Options: their sources, and the errors for invalid ones.

use super::*;

#[test]
fn invalid_options_exit_with_their_code_and_name_the_remedy() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let config = dir.path().join("crc.toml");
    fs::write(&config, "id = 1\nlissten = '127.0.0.1:0'\n").expect("a file");
    let config = config.to_str().expect("text");
    let one = Server::start(&[]);
    let taken = one.address();
    for (words, code, parts) in [
        (&["server", "--nmae", "x"][..], 2, &["--nmae", "--name"][..]),
        (&["server", "--id", "0"], 2, &["--id", "1 to 4294967294"]),
        (&["server", "--listen", "here"], 2, &["--listen", "host:port"]),
        (&["server", "--ping-timeout", "5"], 2, &["--ping-timeout (5s)", "--ping-interval (5s)"]),
        (&["frobnicate"], 2, &["frobnicate"]),
        (&["ctl", "state"], 2, &["--control"]),
        (&["server", "--listen", &taken], 1, &[&taken, "another program listens there"]),
        (&["server", "--listen", "203.0.113.1:1"], 1, &["203.0.113.1:1", "this machine"]),
        (&["server", "--listen", "[fe80::1%lo]:0"], 1, &["cannot listen on [fe80::1%lo]:0"]),
        (&["server", "--config", config], 78, &[config, "line 2", "lissten"]),
        (&["server", "--config", "/nowhere"], 78, &["/nowhere", "No such file"]),
    ] {
        let mut command = Command::new(CRC);
        let output = command.args(words).stdin(Stdio::null()).output().expect("crc runs");
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{words:?}: {error}");
        for part in parts {
            assert!(error.contains(part), "{words:?}: {part:?} is not in {error}");
        }
    }
}

/// Starts a server with options and environment variables, and returns its state.
fn state_of_server(options: &[&str], environment: &[(&str, &str)]) -> Value {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let control = dir.path().join("control");
    let mut child = Command::new(CRC)
        .args(["server", "--listen", "127.0.0.1:0", "--control"])
        .arg(&control)
        .args(options)
        .envs(environment.iter().copied())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("crc server runs");
    let output = eventually("the server answers", || {
        let output = ctl(&control, &["--json", "state"]);
        output.status.success().then_some(output)
    });
    let _ = child.kill();
    let _ = child.wait();
    serde_json::from_slice(&output.stdout).expect("JSON")
}

#[test]
fn options_come_from_flags_environment_and_file_in_this_order() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let config = dir.path().join("crc.toml");
    fs::write(&config, "id = 7\nname = 'file'\ninfo = 'file'\n").expect("a file");
    let environment = [
        ("CRC_CONFIG", config.to_str().expect("text")),
        ("CRC_NAME", "environment"),
        ("CRC_INFO", "environment"),
    ];
    let state = state_of_server(&["--info", "flag"], &environment);
    assert_eq!((&state["id"], &state["name"]), (&7.into(), &"environment".into()));
    assert_eq!(state["info"], "flag");
}

/// Runs `crc` with environment variables and returns its exit code and what it wrote to stderr.
fn run_with_environment(words: &[&str], variables: &[(&str, &str)]) -> (Option<i32>, String) {
    let mut command = Command::new(CRC);
    let command = command.args(words).envs(variables.iter().copied()).stdin(Stdio::null());
    let output = command.output().expect("crc runs");
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn empty_environment_variable_is_unset() {
    // Every variable of `crc server`: flags and defaults apply.
    let variables = [
        "CRC_ALLOW_SERVERS",
        "CRC_BUFFER_BYTES",
        "CRC_CLASSIC",
        "CRC_CLASSIC_INTERVAL",
        "CRC_CLIENT_QUEUE",
        "CRC_CONFIG",
        "CRC_CONTROL",
        "CRC_BUSY_POLL",
        "CRC_DIRECT",
        "CRC_FRAME_DEADLINE",
        "CRC_ID",
        "CRC_INFO",
        "CRC_INVITATIONS",
        "CRC_JOIN",
        "CRC_LINK_KEY_FILE",
        "CRC_LISTEN",
        "CRC_LOG",
        "CRC_MAILBOX",
        "CRC_MAIL_BYTES",
        "CRC_MAIL_DAYS",
        "CRC_MAIL_MESSAGES",
        "CRC_MAX_FRAME",
        "CRC_MAX_UNREGISTERED",
        "CRC_MOTD",
        "CRC_NAME",
        "CRC_OPERATOR_TOKEN_FILE",
        "CRC_PARENT",
        "CRC_PING_INTERVAL",
        "CRC_PING_TIMEOUT",
        "CRC_REGISTER_DEADLINE",
        "CRC_ROOM_RATE",
        "CRC_SERVERS_PER_ADDRESS",
        "CRC_SERVER_QUEUE",
        "CRC_SPLIT_GRACE",
        "CRC_TLS_CA",
        "CRC_TLS_CERT",
        "CRC_TLS_KEY",
        "CRC_TRUSTED_PROXIES",
        "CRC_WEB_ORIGIN",
        "CRC_UNREGISTERED_PER_ADDRESS",
        "CRC_USERS_PER_ADDRESS",
    ];
    let help = Command::new(CRC).args(["server", "--help"]).output().expect("crc runs");
    let help = String::from_utf8(help.stdout).expect("text");
    assert_eq!(help.matches("CRC_").count(), variables.len(), "all are listed: {help}");
    let state = state_of_server(&[], &variables.map(|name| (name, "")));
    let hostname = rustix::system::uname().nodename().to_string_lossy().into_owned();
    assert_eq!(state["name"], hostname);

    for (words, variable, part) in [
        (&["ctl", "state"][..], "CRC_CONTROL", "--control <PATH>"),
        (&["client", "127.0.0.1:1"], "CRC_ID", "cannot connect"),
        (&["peer", "203.0.113.1:1"], "CRC_DESIRED_ID", "cannot listen"),
    ] {
        let (_, error) = run_with_environment(words, &[(variable, "")]);
        assert!(error.contains(part), "{words:?}: {error}");
    }
}

#[test]
fn error_of_an_environment_variable_names_the_variable() {
    for (words, variable, value, label) in [
        (&["server"][..], "CRC_PARENT", "nowhere", "'CRC_PARENT (--parent <URI>)'"),
        (&["server"], "CRC_LISTEN", "127.0.0.1:0,mqtt://a", "'CRC_LISTEN (--listen <URI>)'"),
        (&["server"], "CRC_ID", "0", "'CRC_ID (--id <N>)'"),
        (&["client"], "CRC_URL", "irc://a", "'CRC_URL ([URL])'"),
        (&["client"], "CRC_ID", "0", "'CRC_ID (--id <N>)'"),
        (&["client", "classic://a"], "CRC_NAME", "a b", "'CRC_NAME (--name <NAME>)'"),
        (&["peer"], "CRC_LISTEN", "nowhere", "'CRC_LISTEN ([ADDR])'"),
        (&["peer"], "CRC_DESIRED_ID", "-1", "'CRC_DESIRED_ID (--desired-id <N>)'"),
    ] {
        let (code, error) = run_with_environment(words, &[(variable, value)]);
        assert_eq!(code, Some(2), "{error}");
        assert!(error.contains(label), "{variable}={value}: {error}");
    }
    // A flag overrides the variable, so its own error names the flag alone.
    let (_, error) = run_with_environment(&["server", "--id", "0"], &[("CRC_ID", "7")]);
    assert!(error.contains("for '--id <N>'"), "{error}");
    let (code, error) = run_with_environment(&["server"], &[("CRC_CONFIG", "/nowhere")]);
    assert_eq!(code, Some(78));
    assert!(error.contains("/nowhere") && error.contains("CRC_CONFIG"), "{error}");
}

#[test]
fn each_listen_uri_prints_its_listening_line_in_order() {
    let options = ["--listen", "crc://127.0.0.1:0", "--listen", "classic://127.0.0.1:0"];
    let more = ["--listen", "127.0.0.1:0", "--direct", "127.0.0.1:0"];
    let mut child = Command::new(CRC)
        .arg("server")
        .args(options)
        .args(more)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("crc server runs");
    let stdout = BufReader::new(child.stdout.take().expect("piped"));
    let lines: Vec<String> = stdout.lines().take(4).map(|line| line.expect("text")).collect();
    let _ = child.kill();
    let _ = child.wait();
    for (line, start) in lines.iter().zip([
        "listening crc 127.0.0.1:",
        "listening classic 127.0.0.1:",
        "listening crc 127.0.0.1:",
        "listening direct 127.0.0.1:",
    ]) {
        assert!(line.starts_with(start), "{lines:?}");
    }
    assert_eq!(lines.len(), 4);
}

#[test]
fn too_many_listeners_are_refused() {
    let options = ["--listen", "127.0.0.1:0"].repeat(65);
    let (code, error) = run_with_environment(&[&["server"], &options[..]].concat(), &[]);
    assert_eq!(code, Some(1));
    assert!(error.contains("65 listeners are given, the maximum is 64"), "{error}");
}

#[test]
fn configuration_is_checked_and_printed_without_a_start() {
    let run = |words: &[&str], variable: &str| {
        let mut command = Command::new(CRC);
        command.arg("server").args(words).env("CRC_NAME", variable).stdin(Stdio::null());
        let output = command.output().expect("crc runs");
        let text = |bytes| String::from_utf8(bytes).expect("text");
        (output.status.code(), text(output.stdout), text(output.stderr))
    };
    let (code, printed, _) = run(&["--print-config", "--parent", "crcs://a"], "12");
    assert_eq!(code, Some(0));
    for line in
        ["name = \"12\" # CRC_NAME", "parent = \"crcs://a\" # --parent", "# mailbox is not set"]
    {
        assert!(printed.lines().any(|printed| printed == line), "{line:?} is not in {printed}");
    }
    assert_eq!(run(&["--check-config"], "").1, "the configuration is valid\n");
    let missing = ["--check-config", "--tls-cert", "/nowhere/a.pem", "--tls-key", "/nowhere/a.key"];
    let (code, _, error) = run(&missing, "");
    assert_eq!(code, Some(78), "{error}");
    assert!(error.contains("--tls-cert /nowhere/a.pem: "), "{error}");
    let (code, _, error) = run(&["--print-config", "--id", "0"], "");
    assert_eq!(code, Some(2), "{error}");
}
