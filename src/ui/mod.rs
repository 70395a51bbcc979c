//! The user's side of a program: a terminal with a line editor, or pipes.
//!
//! [`Terminal`] edits lines with rustyline and prints output above the line that is being typed.
//! [`PipeInput`] and [`write_all`] do the same for standard input and output that are not a
//! terminal. Both deliver [`Input`]. The bundled client, `crc peer` and crc-grpc share them.

mod completion;
mod lines;
mod pipe;
mod printer;
mod suspend;
mod terminal;

pub use completion::{Complete, NoCompletion};
pub(crate) use lines::LineSplitter;
pub use lines::{Input, InvalidLine};
pub(crate) use pipe::is_transient;
pub use pipe::{PipeInput, write_all};
pub use printer::Printer;
pub use terminal::Terminal;
