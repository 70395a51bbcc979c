//! `crc-tests streams`: mutated streams for one codec, cut at random, as many as there is time for.

mod check;
mod codecs;
mod mutation;
mod proxy;

use std::io::{self, Write as _};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use clap::{Args, ValueEnum};

use self::check::{Check, Counts, Frames};
use self::mutation::{Mutator, Random};
use self::proxy::Proxy;

/// Interval between two lines of progress.
const PROGRESS_INTERVAL: Duration = Duration::from_secs(10);

/// Streams between two looks at the clock.
const BATCH: u64 = 10_000;

/// Decodes mutated streams in any cut: a stream gives the same frames and the same error as a whole
/// and in pieces, and no more is kept than was received
///
/// Each stream is made of the seed and its number alone. Exit codes: 0 if all streams passed, also
/// when a signal ends the run early; a stream that fails ends the run with a panic, and its number
/// is in the message.
#[derive(Args, Clone, Debug)]
pub struct StreamsArguments {
    /// The codec
    #[arg(long, value_enum)]
    pub codec: CodecName,
    /// Number of streams
    #[arg(long, value_name = "N", default_value_t = 1_000_000)]
    pub count: u64,
    /// Number of the first stream
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub first: u64,
    /// The seed of all streams
    #[arg(long, value_name = "S", default_value_t = 0)]
    pub seed: u64,
}

/// The codecs of streams from strangers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum CodecName {
    /// The CRC wire.
    Crc,
    /// The direct wire.
    Direct,
    /// The classic wire.
    Classic,
    /// The extension between crc servers, in frames of the CRC wire.
    Extension,
    /// The peer wire.
    Peer,
    /// The requests of the HTTP wire.
    Http,
    /// The frames of WebSocket, and the JSON in them.
    Websocket,
    /// The lines of the IRC wire.
    Irc,
    /// The header of the PROXY protocol, and the bytes behind it.
    Proxy,
}

/// What a run has to do, and where it reports.
pub(crate) struct Run<'a> {
    arguments: &'a StreamsArguments,
    interrupted: &'a AtomicBool,
}

/// Runs the command.
///
/// # Panics
/// If a stream fails.
#[must_use]
pub fn run(arguments: &StreamsArguments, interrupted: &AtomicBool) -> ExitCode {
    let run = Run { arguments, interrupted };
    match arguments.codec {
        CodecName::Crc => run.play(Frames::of(codecs::CRC)),
        CodecName::Direct => run.play(Frames::of(codecs::DIRECT)),
        CodecName::Classic => run.play(Frames::of(codecs::CLASSIC)),
        CodecName::Extension => run.play(Frames::of(codecs::EXTENSION)),
        CodecName::Peer => run.play(Frames::of(codecs::PEER)),
        CodecName::Http => run.play(Frames::of(codecs::HTTP)),
        CodecName::Websocket => run.play(Frames::of(codecs::WEBSOCKET)),
        CodecName::Irc => run.play(Frames::of(codecs::IRC)),
        CodecName::Proxy => run.play(Proxy),
    }
    ExitCode::SUCCESS
}

impl Run<'_> {
    /// Plays the streams of one codec.
    fn play<C: Check>(&self, mut check: C) {
        let StreamsArguments { count, first, seed, .. } = *self.arguments;
        let mutator = Mutator::new(check.seeds(), C::STREAM_BYTES_MAX);
        let mut counts = Counts::default();
        let (started_at, mut reported_at) = (Instant::now(), Instant::now());
        let mut done = 0;
        let (mut stream, mut cuts) = (Vec::new(), Vec::new());
        while done < count && !self.interrupted.load(Ordering::Relaxed) {
            for number in done..(done + BATCH).min(count) {
                let mut random = Random::new(seed, first + number);
                mutator.write_stream(&mut random, &mut stream);
                random.write_cuts(stream.len(), &mut cuts);
                check.check(&stream, &cuts, first + number, &mut counts);
            }
            done = (done + BATCH).min(count);
            if reported_at.elapsed() >= PROGRESS_INTERVAL {
                reported_at = Instant::now();
                report(done, started_at, &counts);
            }
        }
        report(done, started_at, &counts);
    }
}

fn report(done: u64, started_at: Instant, counts: &Counts) {
    let seconds = started_at.elapsed().as_secs_f64();
    let Counts { frames, errors, partial_bytes_max } = counts;
    // The run goes on without a reader.
    let _ = writeln!(
        io::stdout(),
        "{done} streams in {seconds:.0} s ({:.0}/s): {frames} frames, {errors} ended by an error, \
         at most {partial_bytes_max} bytes kept, {} KiB resident at most",
        done as f64 / seconds,
        resident_kib_max()
    );
}

/// Returns the largest resident size of this process so far.
fn resident_kib_max() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let number = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
    number.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_codec_passes_some_streams() {
        for codec in CodecName::value_variants() {
            let arguments = StreamsArguments { codec: *codec, count: 20_000, first: 0, seed: 1 };
            let _ = run(&arguments, &AtomicBool::new(false));
        }
    }
}
