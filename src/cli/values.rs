//! Types of option values. Each has one check, which the command line, the environment and the
//! configuration file share.

use std::str::FromStr;
use std::time::Duration;

use serde::Deserialize;

use crate::cidr::Cidr;
use crate::id::HostId;
use crate::limits::{
    BUFFER_BYTES_MAX_FLOOR, BUSY_POLL_MAX, FRAME_BYTES_MAX_CEILING, FRAME_BYTES_MAX_FLOOR,
    INFO_BYTES_MAX, NAME_BYTES_MAX, QUEUE_BYTES_MAX_FLOOR, ROOM_RATE_CEILING,
};
use crate::uri::{Address, UriError};
use crate::wires::{Endpoint, WebOrigin, Wire};

/// Defines a value type: a newtype around `$inner`, parsed from a `$raw` and checked by `$check`.
macro_rules! validated {
    ($name:ident($inner:ty) from $raw:ty as $raw_name:literal, $check:expr) => {
        #[derive(Clone, Debug, PartialEq, Deserialize)]
        #[serde(try_from = $raw_name)]
        pub(super) struct $name($inner);

        impl From<$name> for $inner {
            fn from(value: $name) -> Self {
                value.0
            }
        }

        impl TryFrom<$raw> for $name {
            type Error = String;

            fn try_from(raw: $raw) -> Result<Self, String> {
                let check: fn($raw) -> Result<$inner, String> = $check;
                check(raw).map(Self)
            }
        }

        impl FromStr for $name {
            type Err = String;

            fn from_str(text: &str) -> Result<Self, String> {
                let raw: $raw = text.parse().map_err(|_| format!("{text:?} is not a number"))?;
                raw.try_into()
            }
        }
    };
}

validated!(Id(HostId) from i64 as "i64", |number| {
    let id = u32::try_from(number).map(HostId).ok().filter(|id| id.is_registrable());
    id.ok_or_else(|| format!("{number} is not an id; ids are 1 to 4294967294"))
});

validated!(PeerId(i64) from i64 as "i64", |number| {
    let id = Some(number).filter(|&id| id > 0);
    id.ok_or_else(|| format!("{number} is not an id; ids are 1 to {}", i64::MAX))
});

// Not checked here: its bounds depend on the wire.
validated!(RawId(i64) from i64 as "i64", Ok);

// Not parsed here: an error would show the value, which is a secret.
validated!(JoinToken(String) from String as "String", Ok);

validated!(Range(Cidr) from String as "String", |text| text.parse());

validated!(WebOriginUri(WebOrigin) from String as "String", |text| {
    text.parse().map_err(|error: UriError| error.to_string())
});

validated!(Name(String) from String as "String", |name| check_len(NAME_BYTES_MAX, "a name", name));

validated!(Info(String) from String as "String", |info| check_len(INFO_BYTES_MAX, "an info", info));

validated!(Seconds(Duration) from f64 as "f64", |seconds| {
    let span = Duration::try_from_secs_f64(seconds).ok().filter(|span| *span <= DURATION_MAX);
    span.ok_or_else(|| format!("{seconds} is not a number of seconds from 0 to {DURATION_MAX:?}"))
});

validated!(Interval(Duration) from f64 as "f64", |seconds| {
    let span = Duration::try_from_secs_f64(seconds).ok();
    let span = span.filter(|span| (CLASSIC_INTERVAL_MIN..=DURATION_MAX).contains(span));
    span.ok_or_else(|| {
        format!("{seconds} is not a number of seconds from {CLASSIC_INTERVAL_MIN:?} to {DURATION_MAX:?}")
    })
});

validated!(PingSeconds(Duration) from f64 as "f64", |seconds| {
    let span = Duration::try_from_secs_f64(seconds).ok();
    let span = span.filter(|span| (PING_INTERVAL_MIN..=DURATION_MAX).contains(span));
    span.ok_or_else(|| {
        format!("{seconds} is not a number of seconds above 0, {DURATION_MAX:?} at most")
    })
});

validated!(Days(Duration) from f64 as "f64", |days| {
    let span = Duration::try_from_secs_f64(days * DAY_SECONDS).ok();
    let span = span.filter(|span| !span.is_zero() && *span <= MAIL_AGE_CEILING);
    span.ok_or_else(|| format!("{days} is not a number of days above 0, 36500 at most"))
});

validated!(Count(u64) from i64 as "i64", |count| {
    u64::try_from(count).map_err(|_| format!("{count} is negative; the smallest value is 0"))
});

validated!(RoomRate(u32) from i64 as "i64", |rate| {
    let rate = u32::try_from(rate).ok().filter(|rate| (1..=ROOM_RATE_CEILING).contains(rate));
    rate.ok_or_else(|| format!("the messages of a user to a room in a second must be 1 to {ROOM_RATE_CEILING}"))
});

validated!(Micros(Duration) from i64 as "i64", |micros| {
    let span = u64::try_from(micros).ok().map(Duration::from_micros);
    span.filter(|span| *span <= BUSY_POLL_MAX)
        .ok_or_else(|| format!("{micros} is not a number of microseconds from 0 to 1000000"))
});

validated!(FrameBytes(usize) from i64 as "i64", |bytes| {
    let range = FRAME_BYTES_MAX_FLOOR..=FRAME_BYTES_MAX_CEILING;
    let bytes = usize::try_from(bytes).ok().filter(|bytes| range.contains(bytes));
    bytes.ok_or_else(|| {
        format!("the maximum frame size must be {} to {} bytes", range.start(), range.end())
    })
});

validated!(QueueBytes(usize) from i64 as "i64", |bytes| {
    let bytes = usize::try_from(bytes).ok().filter(|&bytes| bytes >= QUEUE_BYTES_MAX_FLOOR);
    bytes.ok_or_else(|| format!("a queue must hold at least {QUEUE_BYTES_MAX_FLOOR} bytes"))
});

validated!(Connections(usize) from i64 as "i64", |count| {
    let count = usize::try_from(count).ok().filter(|&count| count > 0);
    count.ok_or_else(|| "the smallest number of connections is 1".to_owned())
});

validated!(BufferBytes(usize) from i64 as "i64", |bytes| {
    let bytes = usize::try_from(bytes).ok().filter(|&bytes| bytes >= BUFFER_BYTES_MAX_FLOOR);
    bytes.ok_or_else(|| {
        format!("the buffers of all connections need at least {BUFFER_BYTES_MAX_FLOOR} bytes")
    })
});

validated!(ListenUri(Endpoint) from String as "String", |text| parse_endpoint(&text));

validated!(ParentUri(Endpoint) from String as "String", |text| {
    match parse_endpoint(&text)? {
        endpoint if endpoint.wire == Wire::CRC => Ok(endpoint),
        Endpoint { wire, address, .. } => Err(format!(
            "servers join a parent over crc or crcs, not over {wire}; write the address of its \
             crc listener, such as crc://{}:3600", address.host
        )),
    }
});

validated!(LogFilter(String) from String as "String", |filter| {
    let is_level = |word: &str| word.parse::<log::LevelFilter>().is_ok();
    let is_directive = |part: &str| match part.split_once('=') {
        Some((module, level)) => !module.is_empty() && is_level(level),
        None => is_level(part),
    };
    match filter.split(',').find(|part| !is_directive(part)) {
        None => Ok(filter),
        Some(part) => Err(format!(
            "{part:?} is not one of off, error, warn, info, debug and trace, nor module=level"
        )),
    }
});

/// Seconds of a day.
pub(super) const DAY_SECONDS: f64 = 86_400.0;

/// Shortest interval between the `Alive` messages of a classic client.
const CLASSIC_INTERVAL_MIN: Duration = Duration::from_millis(100);

/// Shortest interval between two pings. Shorter ones would keep an idle server busy.
const PING_INTERVAL_MIN: Duration = Duration::from_millis(1);

/// Longest time that mail can be kept: 100 years.
const MAIL_AGE_CEILING: Duration = Duration::from_secs(36_500 * 86_400);

/// Longest duration that an option in seconds can set.
const DURATION_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// Parses `scheme://host[:port]`, or `host:port` for the CRC wire. Without a scheme, the port is
/// required: a word alone is more likely a mistake than a host.
fn parse_endpoint(text: &str) -> Result<Endpoint, String> {
    let parsed = match text.contains("://") {
        true => text.parse(),
        false => text.parse().map(|address: Address| Endpoint::plain(Wire::CRC, address)),
    };
    parsed.map_err(|error: UriError| error.to_string())
}

fn check_len(bytes_max: usize, subject: &str, text: String) -> Result<String, String> {
    match text.len() {
        len if len > bytes_max => {
            Err(format!("{subject} has at most {bytes_max} bytes, this one has {len}"))
        }
        _ => Ok(text),
    }
}
