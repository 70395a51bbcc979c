//! `--print-config`: every option of a server as a configuration file, with where it comes from.

use std::path::Path;

use clap::CommandFactory as _;
use toml::{Table, Value};

use super::Cli;
use super::environment::Sources;
use super::options::{ServerOptions, default_limit};

/// Options that say what is done with the others; a configuration file cannot have them.
const NOT_IN_FILE: [&str; 5] = ["config", "check-config", "print-config", "help", "version"];

/// Options whose values are not shown.
const SECRETS: [&str; 1] = ["join"];

/// Returns the options as lines of TOML. `file` is the path and the text of the configuration file,
/// which has been parsed before.
pub(super) fn print_config(sources: &Sources, file: Option<(&Path, &str)>) -> String {
    let table = file.and_then(|(_, text)| text.parse::<Table>().ok()).unwrap_or_default();
    let command = Cli::command();
    let server = command.find_subcommand("server").expect("a program of this name");
    let longs = server.get_arguments().filter_map(clap::Arg::get_long);
    let lines = longs.filter(|long| !NOT_IN_FILE.contains(long)).map(|long| {
        let snake = long.replace('-', "_");
        if SECRETS.contains(&long) && (sources.given(long).is_some() || table.contains_key(long)) {
            return format!("# {long} is set, and is not printed, since it is a secret\n");
        }
        if let Some(given) = sources.given(long) {
            let source = given.variable.clone().unwrap_or_else(|| format!("--{long}"));
            return line(long, &in_toml(long, &given.values), &source);
        }
        let key = [long, snake.as_str()].into_iter().find(|key| table.contains_key(*key));
        if let Some((key, (path, text))) = key.zip(file) {
            let place = match line_number(text, key) {
                Some(number) => format!("{}, line {number}", path.display()),
                None => path.display().to_string(),
            };
            return line(long, &table[key].to_string(), &place);
        }
        match default_limit(&snake) {
            Some(default) if default.parse::<f64>().is_ok() => line(long, &default, "default"),
            Some(default) => format!("# {long} is not set; the default is {default}\n"),
            None => format!("# {long} is not set\n"),
        }
    });
    lines.collect()
}

fn line(long: &str, value: &str, source: &str) -> String {
    format!("{long} = {value} # {source}\n")
}

/// Returns the value of an option as the configuration file has it, from what was written on the
/// command line.
fn in_toml(long: &str, values: &[String]) -> String {
    let quoted = |text: &String| Value::String(text.clone()).to_string();
    if let [value] = values {
        // A number, where the option is one.
        let is_bare = toml::from_str::<ServerOptions>(&format!("{long} = {value}")).is_ok();
        return if is_bare { value.clone() } else { quoted(value) };
    }
    format!("[{}]", values.iter().map(quoted).collect::<Vec<_>>().join(", "))
}

/// Returns the number of the line that begins with a key.
fn line_number(text: &str, key: &str) -> Option<usize> {
    let is_of_key = |line: &str| {
        let rest = line.trim_start().trim_start_matches('"').strip_prefix(key);
        rest.is_some_and(|rest| rest.trim_start_matches('"').trim_start().starts_with('='))
    };
    text.lines().position(is_of_key).map(|index| index + 1)
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use super::super::Program;
    use super::*;

    fn printed(flags: &str, file: Option<&str>) -> String {
        let words = format!("crc server --print-config {flags}");
        let words = words.split_whitespace().map(OsString::from);
        let cli = Cli::parse_with_environment(words, |_| None);
        let Program::Server(args) = cli.expect("valid").command else { panic!("not a server") };
        args.printed_config(file).expect("asked for")
    }

    #[test]
    fn every_option_is_printed_with_its_source() {
        let file = "name = 'from-file'\nsplit_grace = 2\nping-interval = 3\n";
        let flags =
            "--config crc.toml --id 7 --ping-interval 4 --listen c:0 --parent a:1 --parent b:2";
        let printed = printed(flags, Some(file));
        for line in [
            "listen = \"c:0\" # --listen",
            "id = 7 # --id",
            "name = \"from-file\" # crc.toml, line 1",
            "parent = [\"a:1\", \"b:2\"] # --parent",
            "split-grace = 2 # crc.toml, line 2",
            "ping-interval = 4 # --ping-interval",
            "ping-timeout = 15 # default",
            "# mailbox is not set",
        ] {
            assert!(printed.lines().any(|printed| printed == line), "{line:?} is not in {printed}");
        }
    }

    #[test]
    fn printed_configuration_is_a_configuration_file() {
        let first = printed("--id 7 --name 12 --split-grace 0.5 --listen a:0 --listen b:1", None);
        let again = printed("--config crc.toml", Some(&first));
        let values = |text: &str| -> Vec<String> {
            let lines = text.lines().filter(|line| !line.starts_with('#'));
            lines.map(|line| line.split(" #").next().unwrap_or_default().to_owned()).collect()
        };
        assert_eq!(values(&first), values(&again));
        assert!(toml::from_str::<ServerOptions>(&first).is_ok(), "{first}");
    }
}
