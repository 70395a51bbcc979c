//! The bundled client: a pure [`App`] inside a thin shell.
//!
//! `app` decides, `session` speaks the wire, `grammar` and `event` are what goes in and comes out
//! for the user; all of that is pure.

pub mod app;
pub mod event;
pub mod grammar;
mod roster;
mod session;
mod url;

pub use app::{App, Identity, Outcome};
pub use url::{Scheme, Url, UrlError};
