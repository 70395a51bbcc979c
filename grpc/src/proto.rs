//! What the `.proto` files say, as Rust; `build.rs` makes it.

#![allow(missing_docs, unreachable_pub, clippy::all, clippy::missing_errors_doc)]
#![allow(clippy::needless_pass_by_value, clippy::semicolon_if_nothing_returned)]
#![allow(clippy::match_same_arms, clippy::uninlined_format_args, clippy::redundant_clone)]

pub(crate) mod chat {
    tonic::include_proto!("chat");
}

pub(crate) mod greeting {
    tonic::include_proto!("greeting");
}
