//! The limits that the options of `crc server` set.

use super::options::ServerOptions;
use crate::limits::{Limits, MAIL_IN_MEMORY_BYTES_MAX};

/// Returns the default limits with those that the options set.
pub(super) fn limits(options: &mut ServerOptions) -> Limits {
    fn set<T: From<V>, V>(limit: &mut T, option: &mut Option<V>) {
        if let Some(value) = option.take() {
            *limit = value.into();
        }
    }

    let mut limits = Limits::default();
    if options.mailbox.is_none() {
        limits.mail_bytes_max = MAIL_IN_MEMORY_BYTES_MAX;
    }
    set(&mut limits.frame_bytes_max, &mut options.max_frame);
    set(&mut limits.client_queue_bytes_max, &mut options.client_queue);
    set(&mut limits.server_queue_bytes_max, &mut options.server_queue);
    set(&mut limits.register_deadline, &mut options.register_deadline);
    let connections = &mut limits.connections;
    set(&mut connections.frame_deadline, &mut options.frame_deadline);
    set(&mut connections.unregistered_max, &mut options.max_unregistered);
    set(&mut connections.unregistered_per_address_max, &mut options.unregistered_per_address);
    set(&mut connections.users_per_address_max, &mut options.users_per_address);
    set(&mut connections.servers_per_address_max, &mut options.servers_per_address);
    set(&mut connections.buffer_bytes_max, &mut options.buffer_bytes);
    set(&mut limits.split_grace, &mut options.split_grace);
    set(&mut limits.ping_interval, &mut options.ping_interval);
    set(&mut limits.ping_timeout, &mut options.ping_timeout);
    set(&mut limits.classic_alive_interval, &mut options.classic_interval);
    set(&mut limits.room_rate, &mut options.room_rate);
    set(&mut limits.mail_messages_max, &mut options.mail_messages);
    set(&mut limits.mail_bytes_max, &mut options.mail_bytes);
    set(&mut limits.mail_age_max, &mut options.mail_days);
    limits
}

/// Checks that a silent server is asked before its link is closed.
pub(super) fn check_ping(limits: &Limits) -> Result<(), String> {
    let Limits { ping_interval, ping_timeout, .. } = limits;
    if ping_timeout > ping_interval {
        return Ok(());
    }
    Err(format!(
        "--ping-timeout ({ping_timeout:?}) must be longer than --ping-interval \
         ({ping_interval:?}): a server is asked before its link is closed"
    ))
}
