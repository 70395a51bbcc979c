//! The `.proto` files → Rust, by a compiler that is a crate: nothing needs to be on the machine,
//! and no generated code lies in the repository that could differ from them.

use std::error::Error;

const PROTOS: [&str; 2] = ["proto/greeting.proto", "proto/chat.proto"];

fn main() -> Result<(), Box<dyn Error>> {
    for proto in PROTOS {
        println!("cargo::rerun-if-changed={proto}");
    }
    let descriptors = protox::compile(PROTOS, ["proto"])?;
    tonic_prost_build::configure().build_transport(false).compile_fds(descriptors)?;
    Ok(())
}
