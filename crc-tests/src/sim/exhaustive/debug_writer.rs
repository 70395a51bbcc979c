//! [`DebugWriter`]: rewrites the debug output of a value, by the grammar that derived `Debug`
//! writes, into its canonical text.

use std::io::Write as _;
use std::ops::Range;
use std::time::Duration;

use super::canonical::{Abstraction, Rule, rule};

/// The characters that end a name or a number.
const ENDS_ATOM: [bool; 256] = {
    let (mut ends, bytes) = ([false; 256], b" \n,:()[]{}");
    let mut at = 0;
    while at < bytes.len() {
        ends[bytes[at] as usize] = true;
        at += 1;
    }
    ends
};

/// Reads debug output once and writes the canonical text.
pub(super) struct DebugWriter<'a> {
    text: &'a str,
    at: usize,
    now: Duration,
    past_max: Duration,
    abstraction: Abstraction,
    /// The generations of links, in order.
    generations: Vec<u64>,
    /// The numbers of the hosts' joins, in order.
    joins: Vec<u64>,
    /// The numbers of events, in order.
    events: Vec<u64>,
    /// The number of the join of each host, by its place.
    hosts: Vec<Option<u64>>,
    out: Vec<u8>,
}

impl<'a> DebugWriter<'a> {
    /// Creates a writer of the text of a value at `now`. `past_max` is for times without a rule.
    pub(super) fn new(
        text: &'a str,
        now: Duration,
        past_max: Duration,
        abstraction: Abstraction,
    ) -> Self {
        Self {
            text,
            at: 0,
            now,
            past_max,
            abstraction,
            generations: numbers_in(text, &[" generation: "]),
            joins: numbers_in(text, &[" join_seq: "]),
            events: numbers_in(text, &[" joined_event: ", " lost_event: "]),
            hosts: hosts_in(text),
            out: Vec::with_capacity(text.len()),
        }
    }

    /// Returns the canonical text.
    ///
    /// # Panics
    /// If the text is not the debug output of one value.
    pub(super) fn write(mut self) -> Vec<u8> {
        self.value();
        assert_eq!(self.at, self.text.len(), "the output of one value");
        self.out
    }

    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    /// Skips a character, with the spaces, the commas and the dots before it.
    fn skip(&mut self, wanted: u8) -> bool {
        let bytes = self.text.as_bytes();
        while matches!(bytes.get(self.at), Some(b' ' | b'\n' | b',' | b'.')) {
            self.at += 1;
        }
        let is_next = bytes.get(self.at) == Some(&wanted);
        self.at += usize::from(is_next);
        is_next
    }

    fn value(&mut self) {
        if self.skip(b'[') {
            return self.values_until(b'[', b']');
        }
        if self.skip(b'{') {
            return self.table();
        }
        let atom = self.atom();
        if self.rest().starts_with('(') {
            self.at += 1;
            match atom {
                "Time" => return self.time(),
                "Slot" => return self.slot(),
                _ => {}
            }
            self.out.extend_from_slice(atom.as_bytes());
            return self.values_until(b'(', b')');
        }
        if self.rest().starts_with(" {") {
            self.at += 2;
            if atom == "LinkId" {
                return self.link_id();
            }
            return self.fields(atom);
        }
        self.out.extend_from_slice(atom.as_bytes());
    }

    fn values_until(&mut self, begin: u8, end: u8) {
        self.out.push(begin);
        while !self.skip(end) {
            self.value();
            self.out.push(b',');
        }
        self.out.push(end);
    }

    fn fields(&mut self, name: &str) {
        self.out.extend_from_slice(name.as_bytes());
        self.out.push(b'{');
        let mut portion = 0..0;
        while !self.skip(b'}') {
            let field = self.atom();
            assert!(self.skip(b':'), "a field has a value: {field}");
            let start = self.out.len();
            self.out.extend_from_slice(field.as_bytes());
            self.out.push(b':');
            let rule = rule(self.abstraction.counts, name, field);
            self.field_value(rule);
            if (name, field) == ("Pace", "portion_bytes") {
                portion = start..self.out.len();
            }
            if (name, field) == ("Pace", "ends_at") && self.out.ends_with(b"-0") {
                self.out.drain(portion.clone()); // it is over, and the queue is empty
            }
            self.out.push(b',');
            if rule == Some(Rule::Ignored) {
                self.out.truncate(start);
            }
        }
        self.out.push(b'}');
    }

    fn field_value(&mut self, rule: Option<Rule>) {
        let start = self.out.len();
        match rule {
            None | Some(Rule::Ignored) => self.value(),
            Some(Rule::Past(span)) => self.value_past(span),
            Some(Rule::PastOrNone(span)) => {
                self.value_past(span);
                let over = format!("Some(-{},)", span.as_nanos());
                if self.out[start..] == *over.as_bytes() {
                    self.out.truncate(start);
                    self.out.extend_from_slice(b"None");
                }
            }
            Some(Rule::Capped(max)) => {
                let number: u64 = self.atom().parse().expect("a number");
                let _ = write!(self.out, "{}", number.min(max));
            }
            Some(Rule::Ranked) => {
                let number: u64 = self.atom().parse().expect("a number");
                let numbers = [&self.joins, &self.events];
                let ranks = numbers.map(|numbers| numbers.partition_point(|&it| it < number));
                let _ = write!(self.out, "{ranks:?}");
            }
            Some(Rule::List) => {
                self.value();
                if self.out.ends_with(b",[],)") {
                    self.out.truncate(start);
                }
            }
            Some(Rule::Hosts) => self.hosts(),
        }
    }

    /// Writes a value in which times that are past by more than `span` are alike.
    fn value_past(&mut self, span: Duration) {
        let past_max = std::mem::replace(&mut self.past_max, span);
        self.value();
        self.past_max = past_max;
    }

    /// Writes the hosts in the order of their texts.
    fn hosts(&mut self) {
        let start = self.out.len();
        let mut entries = Vec::new();
        self.atom();
        self.skip(b'{');
        self.atom();
        self.skip(b':');
        self.skip(b'[');
        while !self.skip(b']') {
            self.skip(b'[');
            while !self.skip(b']') {
                let entry_start = self.out.len() - start;
                self.value();
                entries.push(entry_start..self.out.len() - start);
            }
        }
        self.skip(b'}');
        self.sort_entries(start, entries);
    }

    /// Writes the place of a host as the rank of its join.
    fn slot(&mut self) {
        let place = self.atom().parse::<usize>().expect("a place");
        assert!(self.skip(b')'), "a place is one number");
        let join = self.hosts.get(place).copied().flatten();
        let rank = join.map(|join| self.joins.partition_point(|&it| it < join));
        let _ = write!(self.out, "{rank:?}");
    }

    /// Brings the texts behind `start` into order. Places without a host are left out.
    fn sort_entries(&mut self, start: usize, mut entries: Vec<Range<usize>>) {
        let texts = self.out.split_off(start);
        entries.sort_unstable_by_key(|entry| &texts[entry.clone()]);
        self.out.push(b'<');
        for entry in entries.into_iter().filter(|entry| &texts[entry.clone()] != b"None") {
            self.out.extend_from_slice(&texts[entry]);
        }
        self.out.push(b'>');
    }

    /// Writes the entries of a map or a set, `{…}`, in the order of their texts.
    fn table(&mut self) {
        let start = self.out.len();
        let mut entries = Vec::new();
        while !self.skip(b'}') {
            let entry_start = self.out.len() - start;
            self.value();
            if self.rest().starts_with(':') {
                self.at += 1;
                self.out.push(b'=');
                self.value();
            }
            self.out.push(b';');
            entries.push(entry_start..self.out.len() - start);
        }
        self.sort_entries(start, entries);
    }

    /// Writes the distance of a time from now.
    fn time(&mut self) {
        let at = parse_duration(self.atom());
        assert!(self.skip(b')'), "a time has one value");
        let _ = match at.checked_sub(self.now) {
            Some(until) => write!(self.out, "+{}", self.abstraction.ticks_until(until)),
            None => write!(self.out, "-{}", (self.now - at).min(self.past_max).as_nanos()),
        };
    }

    /// Writes a link by its index and the rank of its generation.
    fn link_id(&mut self) {
        let (mut index, mut generation) = ("", "");
        while !self.skip(b'}') {
            let field = self.atom();
            assert!(self.skip(b':'), "a field has a value: {field}");
            match field {
                "index" => index = self.atom(),
                _ => generation = self.atom(),
            }
        }
        let rank = generation.parse().map(|number| self.generations.binary_search(&number));
        let _ = write!(self.out, "Link({index},{rank:?})");
    }

    /// Reads a name, number, duration, or string.
    fn atom(&mut self) -> &'a str {
        let bytes = self.text.as_bytes();
        while matches!(bytes.get(self.at), Some(b' ' | b'\n' | b',')) {
            self.at += 1;
        }
        let start = self.at;
        if let Some(&quote @ (b'"' | b'\'')) = bytes.get(start) {
            self.at += 1;
            while let Some(&byte) = bytes.get(self.at) {
                self.at += 1 + usize::from(byte == b'\\');
                if byte == quote {
                    break;
                }
            }
        } else {
            let len = bytes[start..].iter().position(|&byte| ENDS_ATOM[usize::from(byte)]);
            self.at = len.map_or(bytes.len(), |len| start + len);
        }
        &self.text[start..self.at]
    }
}

/// Returns the numbers behind these words in a text, in order.
fn numbers_in(text: &str, words: &[&str]) -> Vec<u64> {
    let places = words.iter().flat_map(|word| text.match_indices(word));
    let mut found: Vec<u64> =
        places.filter_map(|(at, word)| number_at(text, at + word.len())).collect();
    found.sort_unstable();
    found.dedup();
    found
}

fn number_at(text: &str, at: usize) -> Option<u64> {
    let rest = &text[at..];
    rest[..rest.find(|c: char| !c.is_ascii_digit())?].parse().ok()
}

/// Returns the number of the join of each host in the table of hosts, by its place.
fn hosts_in(text: &str) -> Vec<Option<u64>> {
    const JOIN: &str = " join_seq: ";
    let Some((_, table)) = text.split_once("slots: ChunkedVec { chunks: [") else {
        return Vec::new();
    };
    let (mut rest, _) = table.split_once(" free: [").expect("the places that are free");
    let mut hosts = Vec::new();
    while let Some(at) = rest.find(['S', 'N']) {
        rest = &rest[at..];
        let join = rest.starts_with("Some(").then(|| rest.find(JOIN)).flatten();
        hosts.push(join.and_then(|at| number_at(rest, at + JOIN.len())));
        rest = &rest[if join.is_some() { find_host_end(rest) } else { "None".len() }..];
    }
    hosts
}

/// Returns where the first host in a text ends.
fn find_host_end(text: &str) -> usize {
    let links = text.find(" home_links: ").expect("the last field of a host");
    links + text[links..].find(" } }").expect("the end of a host")
}

/// Returns the duration that its debug output has.
fn parse_duration(text: &str) -> Duration {
    let units = [("ns", 1_u64), ("µs", 1_000), ("ms", 1_000_000), ("s", 1_000_000_000)];
    let found = units.iter().find_map(|&(unit, nanos)| Some((text.strip_suffix(unit)?, nanos)));
    let (number, unit_nanos) = found.unwrap_or_else(|| panic!("no duration: {text}"));
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let digits = |text: &str| text.parse::<u64>().unwrap_or(0);
    let scale = 10_u64.pow(u32::try_from(fraction.len()).expect("at most nine digits"));
    let fraction_nanos = unit_nanos / scale * digits(fraction);
    Duration::from_nanos(digits(whole) * unit_nanos + fraction_nanos)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use crc::link::LinkId;

    use super::super::canonical::Counts;
    use super::*;

    #[derive(Debug)]
    #[expect(dead_code, reason = "printed only")]
    struct Value {
        name: &'static str,
        table: BTreeMap<u32, Option<(i32, char)>>,
        list: [f32; 2],
        unit: (),
        links: Vec<LinkId>,
    }

    fn canonical(value: &Value) -> String {
        let second = Duration::from_secs(1);
        let abstraction = Abstraction { counts: Counts::Irrelevant, tick: second, turns: 1 };
        let [text, pretty] = [format!("{value:?}"), format!("{value:#?}")].map(|text| {
            let writer = DebugWriter::new(&text, second, second, abstraction);
            String::from_utf8(writer.write()).expect("UTF-8")
        });
        assert_eq!(text, pretty);
        text
    }

    #[test]
    fn durations_are_read_as_they_are_written() {
        for nanos in [0, 1, 999, 1_500, 2_000_001, 137_123_456, 1_000_000_001, 90_000_000_000] {
            let duration = Duration::from_nanos(nanos);
            assert_eq!(parse_duration(&format!("{duration:?}")), duration);
        }
    }

    #[test]
    fn text_has_every_field_in_order_and_ranks_of_links() {
        let table = BTreeMap::from([(2, None), (10, Some((-3, '}')))]);
        let links = [7, 5].map(|generation| LinkId { index: 1, generation });
        let links = links.to_vec();
        let value = Value { name: "a \" {b}", table, list: [0.5, 1.0], unit: (), links };
        let expected = r#"Value{name:"a \" {b}",table:<10=Some((-3,'}',),);2=None;>,list:[0.5,1.0,],unit:(),links:[Link(1,Ok(Ok(1))),Link(1,Ok(Ok(0))),],}"#;
        assert_eq!(canonical(&value), expected);
    }
}
