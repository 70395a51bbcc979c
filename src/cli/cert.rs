//! `crc cert`: its options.

use std::path::PathBuf;

use clap::Args;

/// `crc cert`.
#[derive(Debug, Args)]
pub struct CertArgs {
    /// The directory in which to make what is missing of ca.pem, ca.key, server.pem and server.key
    #[arg(long, value_name = "DIR")]
    pub dir: PathBuf,

    /// The names and IP addresses by which others connect to the server [default: localhost,
    /// 127.0.0.1, ::1 and the name of this machine]
    #[arg(value_name = "HOST")]
    hosts: Vec<String>,
}

impl CertArgs {
    /// Returns the names and addresses of the server; `machine` is the name of this machine.
    #[must_use]
    pub fn hosts(&self, machine: &str) -> Vec<String> {
        if !self.hosts.is_empty() {
            return self.hosts.clone();
        }
        let mut hosts = ["localhost", "127.0.0.1", "::1"].map(str::to_owned).to_vec();
        if machine != hosts[0] && !machine.is_empty() {
            hosts.push(machine.to_owned());
        }
        hosts
    }
}
