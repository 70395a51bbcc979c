//! Pictures of `scripts/plot-performance`.

use std::ffi::OsStr;

use super::*;

#[test]
fn growth_writes_one_file_per_point_and_the_script_plots_them() {
    let folder = tempfile::tempdir().expect("a folder");
    let points = folder.path().join("points");
    let words = "growth --connections 4,12 --hosts 10,200 --hops 1,2 --pairs 2 --in-flight 2 \
                 --duration 50ms --warm-up 0s --quiet";
    let output =
        load_command_with_own_servers(words).arg("--out").arg(&points).output().expect("it runs");
    assert!(output.status.success(), "{output:?}");
    for (name, key, value) in
        [("connections-12", "connections", 12), ("hosts-200", "hosts", 200), ("hops-2", "hops", 2)]
    {
        let text = std::fs::read(points.join(format!("{name}.json"))).expect(name);
        let report: Value = serde_json::from_slice(&text).expect("JSON");
        assert_eq!(report["parameters"][key], value, "{name}");
    }
    assert_eq!(std::fs::read_dir(&points).expect("a folder").count(), 6);
    let picture = folder.path().join("growth.svg");
    let Some(output) = plot(&["growth".as_ref(), points.as_os_str(), picture.as_os_str()]) else {
        return; // there is no Python here
    };
    assert!(output.status.success(), "{output:?}");
    let svg = std::fs::read_to_string(picture).expect("a picture");
    for label in
        ["connections to one server", "hosts that the server knows", "200", "µs per message"]
    {
        assert!(svg.contains(label), "{label}: {svg}");
    }
    assert_eq!(svg.matches("<polyline").count(), 3);
}

#[test]
fn plot_script_draws_a_comparison_of_peers() {
    let folder = tempfile::tempdir().expect("a folder");
    let (source, picture) = (folder.path().join("c.json"), folder.path().join("c.svg"));
    let runs = r#"{
        "64 B & more": {
            "crc": [{"msgs_per_s": 2e6, "server_us_per_msg": 0.4},
                    {"msgs_per_s": 1e6, "server_us_per_msg": 0.5},
                    {"msgs_per_s": 3e6, "server_us_per_msg": 0.6}],
            "<other>": [{"msgs_per_s": 1234567, "server_us_per_msg": null}], "nobody": []},
        "idle": {"crc": [{"rss_bytes_per_conn": 5}]}}"#;
    std::fs::write(&source, runs).expect("written");
    let words = ["peers".as_ref(), source.as_os_str(), picture.as_os_str()];
    let Some(output) = plot(&words) else { return };
    assert!(output.status.success(), "{output:?}");
    let svg = std::fs::read_to_string(&picture).expect("a picture");
    for text in
        ["64 B &amp; more: messages per second", "&lt;other&gt;", ">2 M<", ">1.23 M<", ">0.5<"]
    {
        assert!(svg.contains(text), "{text}: {svg}");
    }
    assert!(!svg.contains("nobody"), "{svg}");
    let words = [&words[..], &["--case".as_ref(), "64 C".as_ref()]].concat();
    assert_failed(&plot(&words).expect("Python"), 1, "has no case '64 C'");
}

/// Runs the script where there is a Python.
fn plot(arguments: &[&OsStr]) -> Option<Output> {
    let python = std::env::var("CRC_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../scripts/plot-performance");
    Command::new(python).arg(script).args(arguments).output().ok()
}
