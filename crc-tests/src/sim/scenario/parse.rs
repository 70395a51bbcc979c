//! Scenarios from text, in the form in which they are printed.

use std::str::{FromStr, SplitWhitespace};
use std::time::Duration;

use super::event::DIRECTIONS;
use super::liar::LIES;
use super::rooms::RoomLabel;
use super::texts::ChatText;
use super::{Event, Scenario, ServerPlan};
use crate::sim::NetConditions;

/// The words of a line: a command, what it is about, and its options.
struct Line<'a> {
    command: &'a str,
    subject: Option<&'a str>,
    options: Vec<(&'a str, Option<&'a str>)>,
}

impl<'a> Line<'a> {
    fn new(text: &'a str) -> Option<Self> {
        let mut words = text.split_whitespace();
        let command = words.next()?;
        let mut words: SplitWhitespace<'a> = words;
        let (mut subject, mut options) = (None, Vec::new());
        let mut next = words.next();
        while let Some(word) = next {
            next = words.next();
            match word.strip_prefix("--") {
                None => subject = Some(word),
                Some(name) => {
                    let value = next.filter(|value| !value.starts_with("--"));
                    options.push((name, value));
                    if value.is_some() {
                        next = words.next();
                    }
                }
            }
        }
        Some(Self { command, subject, options })
    }

    fn has(&self, name: &str) -> bool {
        self.options.iter().any(|&(it, _)| it == name)
    }

    fn values(&self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.options.iter().filter(move |&&(it, _)| it == name).filter_map(|&(_, value)| value)
    }

    fn value<T: FromStr>(&self, name: &'a str) -> Result<T, String> {
        let text = self.values(name).next();
        let value = text.and_then(|text| text.parse().ok());
        value.ok_or_else(|| format!("{} needs --{name}", self.command))
    }

    fn span(&self, name: &'a str) -> Result<Duration, String> {
        Ok(Duration::from_secs_f64(self.value(name)?))
    }

    fn server(&self) -> Result<usize, String> {
        server_index(self.subject.unwrap_or(""))
    }

    fn server_option(&self) -> Result<usize, String> {
        server_index(self.values("server").next().unwrap_or(""))
    }

    fn user(&self) -> Result<u32, String> {
        let number = self.subject.and_then(|word| word.strip_prefix("user#")?.parse().ok());
        number.ok_or_else(|| format!("{} needs a user", self.command))
    }

    fn liar(&self) -> Result<u32, String> {
        let number = self.subject.and_then(|word| word.strip_prefix("liar#")?.parse().ok());
        number.ok_or_else(|| format!("{} needs a liar", self.command))
    }

    fn chat_text(&self) -> Result<ChatText, String> {
        Ok(match (self.has("bytes"), self.has("not-utf8")) {
            (true, _) => ChatText::Bytes(self.value("bytes")?),
            (false, true) => ChatText::NotUtf8,
            (false, false) => ChatText::Number,
        })
    }

    /// Returns the event that the line describes.
    fn event(&self) -> Result<Event, String> {
        Ok(match self.command {
            "WAIT" => {
                let seconds = self.subject.and_then(|word| word.parse().ok());
                Event::Wait(Duration::from_secs_f64(seconds.ok_or("WAIT needs seconds")?))
            }
            "JOIN" if self.values("wire").next() == Some("classic") => {
                Event::JoinClassic { user: self.user()?, server: self.server_option()? }
            }
            "JOIN" if self.values("wire").next() == Some("irc") => {
                Event::JoinIrc { user: self.user()?, server: self.server_option()? }
            }
            "JOIN" => Event::Join {
                user: self.user()?,
                id: self.value("id")?,
                server: self.server_option()?,
                is_direct: match self.values("wire").next() {
                    None | Some("crc") => false,
                    Some("direct") => true,
                    Some(wire) => return Err(format!("no user of a scenario speaks {wire}")),
                },
            },
            "QUIT" => Event::Quit { user: self.user()? },
            "DISCONNECT" => Event::Disconnect { user: self.user()? },
            "STOPREADING" => Event::StopReading { user: self.user()? },
            "READ" => Event::Read { user: self.user()? },
            "MESSAGE" => Event::Chat {
                user: self.user()?,
                id: self.value("to")?,
                count: self.value("count")?,
                text: self.chat_text()?,
            },
            "JOINROOM" | "PARTROOM" | "TOPIC" | "NAMES" | "SAY" => return self.room_event(),
            "AWAY" => Event::Away { user: self.user()?, server: self.server_option()? },
            "RESET" if self.has("noticed-after") => {
                Event::HalfOpenReset { server: self.server()?, span: self.span("noticed-after")? }
            }
            "RESET" => Event::Reset { server: self.server()? },
            "SILENCE" => {
                let name: String = self.value("direction")?;
                let direction = DIRECTIONS.into_iter().find(|it| it.1 == name);
                let (silence, _) = direction.ok_or_else(|| format!("no direction {name}"))?;
                let span = self.has("for").then(|| self.span("for")).transpose()?;
                Event::Silence { server: self.server()?, silence, span }
            }
            "KILL" => Event::Kill { server: self.server()? },
            "STOP" => Event::Stop { server: self.server()? },
            "VANISH" => Event::Vanish { server: self.server()? },
            "START" => {
                let has_memory = !self.has("without-memory");
                Event::Start { server: self.server()?, has_memory }
            }
            _ => return self.rare_event(),
        })
    }

    /// Returns the event of a line about a room.
    fn room_event(&self) -> Result<Event, String> {
        let (user, room): (u32, RoomLabel) = (self.user()?, self.value("room")?);
        Ok(match self.command {
            "JOINROOM" => Event::JoinRoom { user, room, server: self.server_option()? },
            "PARTROOM" => Event::PartRoom { user, room, server: self.server_option()? },
            "TOPIC" => Event::Topic { user, room, server: self.server_option()? },
            "NAMES" => Event::Names { user, room, server: self.server_option()? },
            _ => Event::Say { user, room, count: self.value("count")? },
        })
    }

    /// Returns the event of a line about liars, programs, disks or pauses.
    fn rare_event(&self) -> Result<Event, String> {
        Ok(match self.command {
            "LIAR" => Event::Liar { liar: self.liar()?, server: self.server_option()? },
            "LIE" => {
                let name: String = self.value("about")?;
                let lie = LIES.into_iter().find(|it| it.1 == name);
                let (lie, _) = lie.ok_or_else(|| format!("no lie about {name}"))?;
                Event::Lie { liar: self.liar()?, lie }
            }
            "PARTITION" => {
                let group = self.values("server").map(server_index).collect::<Result<_, _>>()?;
                Event::Partition { group, span: self.span("for")? }
            }
            "UNREACHABLE" => Event::Unreachable { server: self.server()?, span: self.span("for")? },
            "IDLE" => Event::Idle { server: self.server_option()?, bytes: self.value("bytes")? },
            "STOREFAILS" => Event::StoreFails { server: self.server()? },
            "GARBAGE" => {
                Event::Garbage { server: self.server_option()?, seed: self.value("seed")? }
            }
            "PAUSE" => Event::Pause { server: self.server()?, span: self.span("for")? },
            command => return Err(format!("there is no command {command}")),
        })
    }
}

fn server_index(label: &str) -> Result<usize, String> {
    let number = label.strip_prefix('s').and_then(|number| number.parse::<usize>().ok());
    let index = number.and_then(|number| number.checked_sub(1));
    index.ok_or_else(|| format!("{label} is not a server"))
}

impl FromStr for Scenario {
    type Err = String;

    /// Reads a scenario as it is printed. Empty lines and those that begin with `#` are ignored.
    fn from_str(text: &str) -> Result<Self, String> {
        let mut scenario = Self {
            seed: 0,
            conditions: NetConditions::default(),
            batching: 0,
            split_batch: None,
            servers: Vec::new(),
            events: Vec::new(),
        };
        for text in text.lines().filter(|line| !line.trim_start().starts_with('#')) {
            let Some(line) = Line::new(text) else { continue };
            match line.command {
                "NETWORK" => {
                    scenario.seed = line.value("seed")?;
                    scenario.batching = line.value("batching")?;
                    scenario.split_batch =
                        line.has("split-batch").then(|| line.value("split-batch")).transpose()?;
                    scenario.conditions = NetConditions {
                        delay_max: line.span("delay")?,
                        splits_writes: line.has("split-writes"),
                    };
                }
                "SERVER" => scenario.servers.push(ServerPlan {
                    parents: line.values("parent").map(server_index).collect::<Result<_, _>>()?,
                    id: line.has("id").then(|| line.value("id")).transpose()?,
                    is_id_configured: !line.has("any-id"),
                    habits: line.values("plain").next().map(str::to_owned),
                }),
                _ => scenario.events.push(line.event()?),
            }
        }
        let count = scenario.servers.len();
        let parents = scenario.servers.iter().flat_map(|server| server.parents.iter().copied());
        let of_events = scenario.events.iter().flat_map(|event| event.servers().iter());
        match parents.chain(of_events).find(|&server| server >= count) {
            Some(server) => Err(format!("there is no server s{}", server + 1)),
            None => Ok(scenario),
        }
    }
}
